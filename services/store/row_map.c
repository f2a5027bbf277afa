/* Three parts: the table of row_map.def with the braces that stand for it in statements; messages
 * written as COPY lines; rows read into messages.
 *
 * Both directions first turn names into places, once for each statement: the descriptors to go
 * through and the field at the end. "timing.ended_us" of SampleAnswer goes through the sub-message
 * `timing` to `ended_us`. A sub-message on the way that is not there makes the column NULL; read
 * back, a column that is not NULL makes the sub-message. "scores.tokens" goes through a repeated
 * one: the column is an array with one item for each, NULL for none.
 *
 * What a value looks like as text is PostgreSQL's text format in both directions, and the type of
 * the field decides how it is read; only for writing must the map say more (WORD, COMPLETED).
 */
#include "row_map.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moecap/v1/inference.pb-c.h"
#include "rpc/rpc.h"
#include "run.h"

enum { HOPS_MAX = 3, COLUMNS_MAX = 64, NAME_BYTES = 64 };

/* ---- the table ---- */

static const struct store_column columns[] = {
#define MAP(name, table) {NULL, #table},
#define COLUMN(column, field, kind, null, part)                                                    \
    {column, field, STORE_KIND_##kind, STORE_NULL_##null, #part},
#include "row_map.def"
#undef MAP
#undef COLUMN
    {NULL, ""},
};

static const char *const names[] = {
#define MAP(name, table) #name,
#define COLUMN(...)
#include "row_map.def"
#undef MAP
#undef COLUMN
};

const struct store_column *store_map_columns(enum store_map map, size_t *out_count,
                                             const char **out_table)
{
    const struct store_column *head = columns;
    size_t count = 0;

    for (int i = 0; i < (int)map; i++)
        for (head++; head->column;)
            head++;
    while (head[1 + count].column)
        count++;
    *out_count = count;
    *out_table = head->field;
    return head + 1;
}

static enum store_map find_map(const char *name)
{
    int i = 0;

    while (i < STORE_MAP_COUNT && strcmp(names[i], name) != 0)
        i++;
    assert(i < STORE_MAP_COUNT && "a statement names a map that row_map.def does not have");
    return (enum store_map)i;
}

/* ---- the braces of a statement ---- */

/* As it is read: an expression over `alias`, named after the field. */
static void add_selected(struct cap_buf *out, const struct store_column *c, const char *alias,
                         const char *prefix)
{
    if (c->kind == STORE_KIND_TIME)
        cap_buf_printf(out, "(extract(epoch FROM %s.%s) * 1000)::bigint", alias, c->column);
    else if (c->kind == STORE_KIND_LINES)
        cap_buf_printf(out, "array_to_string(%s.%s, E'\\n')", alias, c->column);
    else
        cap_buf_printf(out, "%s.%s", alias, c->column);
    cap_buf_printf(out, " AS \"%s%s\"", prefix, c->field);
}

/* `brace` is "map", "map alias", "map.part alias" or "map alias prefix". */
static void expand_one(const char *brace, struct cap_buf *out)
{
    char name[NAME_BYTES] = "", alias[NAME_BYTES] = "", prefix[NAME_BYTES] = "", *part;
    const char *table;
    const struct store_column *map;
    size_t count, added = 0;

    sscanf(brace, "%63[a-z_.] %63[a-z_.] %63[a-z_.]", name, alias, prefix);
    part = strchr(name, '.');
    if (part)
        *part++ = '\0';
    map = store_map_columns(find_map(name), &count, &table);
    for (size_t i = 0; i < count; i++) {
        if ((part && strcmp(part, map[i].part) != 0) || (*alias && map[i].kind == STORE_KIND_MARK))
            continue;
        cap_buf_add_str(out, added++ > 0 ? ", " : "");
        if (*alias)
            add_selected(out, &map[i], alias, prefix);
        else
            cap_buf_add_str(out, map[i].column);
    }
    assert(added > 0 && "a statement names a part that its map does not have");
}

void store_map_expand(const char *sql, struct cap_buf *out)
{
    for (const char *c = sql; *c;) {
        size_t plain = strcspn(c, "{"), brace;
        char text[3 * NAME_BYTES];

        cap_buf_add(out, c, plain);
        c += plain;
        if (*c && !islower((unsigned char)c[1])) /* an array: '{}' */
            cap_buf_add_char(out, *c++);
        else if (*c) {
            brace = strcspn(++c, "}");
            assert(brace < sizeof text && c[brace]);
            snprintf(text, sizeof text, "%.*s", (int)brace, c);
            expand_one(text, out);
            c += brace + 1;
        }
    }
}

/* ---- places ---- */

struct place {
    const ProtobufCFieldDescriptor *hops[HOPS_MAX], *leaf; /* leaf NULL: no field */
    size_t hop_count;
    const struct store_column *column; /* when it is written */
};

/* False when the message has no such field. */
static bool find_place(const ProtobufCMessageDescriptor *type, const char *path,
                       struct place *out_place)
{
    struct place p = {0};

    for (;;) {
        char name[NAME_BYTES];
        size_t length = strcspn(path, ".");

        snprintf(name, sizeof name, "%.*s", (int)length, path);
        p.leaf = protobuf_c_message_descriptor_get_field_by_name(type, name);
        if (!p.leaf)
            return false;
        if (!path[length])
            break;
        assert(p.leaf->type == PROTOBUF_C_TYPE_MESSAGE && p.hop_count < HOPS_MAX);
        p.hops[p.hop_count++] = p.leaf;
        type = p.leaf->descriptor;
        path += length + 1;
    }
    *out_place = p;
    return true;
}

static bool goes_through_list(const struct place *p)
{
    return p->hop_count > 0 && p->hops[p->hop_count - 1]->label == PROTOBUF_C_LABEL_REPEATED;
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    default:
        return 4;
    }
}

/* "RUN_STATE_QUEUED" of RunState -> "queued", as in JSON. */
static void word_of(const ProtobufCEnumValue *value, const ProtobufCEnumDescriptor *type,
                    char out[NAME_BYTES])
{
    /* The first value is RUN_STATE_UNSPECIFIED. */
    size_t prefix = strlen(type->values[0].name) - strlen("UNSPECIFIED"), n = 0;

    for (const char *c = value->name + prefix; *c && n + 1 < NAME_BYTES; c++)
        out[n++] = (char)tolower((unsigned char)*c);
    out[n] = '\0';
}

/* ---- messages to lines ---- */

/* A number without its column's tab: an item of an array, too. */
static void add_number(struct cap_buf *out, const ProtobufCFieldDescriptor *leaf, const char *at)
{
    switch (leaf->type) {
    case PROTOBUF_C_TYPE_UINT32:
        store_add_uint(out, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        store_add_uint(out, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
        store_add_int(out, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL: /* in an array of numbers */
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        store_add_int(out, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        cap_buf_printf(out, "%.17g", *(const double *)(const void *)at);
        break;
    default:
        assert(false && "a field of this type is not a number");
    }
}

static void add_list(struct store_copy *copy, const struct place *p, const char *base)
{
    const char *items = *(char *const *)(base + p->leaf->offset);
    size_t count = *(const size_t *)(base + p->leaf->quantifier_offset), size = size_of(p->leaf);

    store_copy_column(copy);
    cap_buf_add_char(&copy->lines, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cap_buf_add_char(&copy->lines, ',');
        add_number(&copy->lines, p->leaf, items + i * size);
    }
    cap_buf_add_char(&copy->lines, '}');
}

/* One item of each message of a repeated field, which `base` holds. */
static void add_each(struct store_copy *copy, const struct place *p, const char *base)
{
    const ProtobufCFieldDescriptor *hop = p->hops[p->hop_count - 1];
    char *const *messages = *(char **const *)(base + hop->offset);
    size_t count = *(const size_t *)(base + hop->quantifier_offset);

    if (count == 0) {
        store_copy_null(copy);
        return;
    }
    store_copy_column(copy);
    for (size_t i = 0; i < count; i++) {
        cap_buf_add_char(&copy->lines, i ? ',' : '{');
        add_number(&copy->lines, p->leaf, messages[i] + p->leaf->offset);
    }
    cap_buf_add_char(&copy->lines, '}');
}

static void add_text(struct store_copy *copy, const ProtobufCFieldDescriptor *leaf, const char *at)
{
    const ProtobufCBinaryData *bytes = (const void *)at;

    if (leaf->type == PROTOBUF_C_TYPE_BYTES)
        store_copy_text(copy, (const char *)bytes->data, bytes->len);
    else
        store_copy_str(copy, *(char *const *)at);
}

static void add_packed(struct store_copy *copy, const ProtobufCFieldDescriptor *leaf,
                       const char *at)
{
    const ProtobufCBinaryData *bytes = (const void *)at;

    assert(leaf->type == PROTOBUF_C_TYPE_BYTES); /* what is written comes packed */
    store_copy_bytes(copy, (struct store_bytes){bytes->data, bytes->len});
}

static void add_word(struct store_copy *copy, const ProtobufCFieldDescriptor *leaf, const char *at)
{
    const ProtobufCEnumDescriptor *type = leaf->descriptor;
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, *(const int *)at);
    char word[NAME_BYTES] = "";

    if (value)
        word_of(value, type, word);
    store_copy_str(copy, word);
}

static void add_value(struct store_copy *copy, const struct place *p, const char *base)
{
    const char *at = base + p->leaf->offset;

    switch (p->column->kind) {
    case STORE_KIND_INT:
    case STORE_KIND_REAL:
        store_copy_column(copy);
        add_number(&copy->lines, p->leaf, at);
        break;
    case STORE_KIND_BOOL:
        store_copy_bool(copy, *(const protobuf_c_boolean *)at != 0);
        break;
    case STORE_KIND_COMPLETED:
        store_copy_bool(copy,
                        *(const int *)at == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED);
        break;
    case STORE_KIND_TEXT:
        add_text(copy, p->leaf, at);
        break;
    case STORE_KIND_WORD:
        add_word(copy, p->leaf, at);
        break;
    case STORE_KIND_PACKED:
        add_packed(copy, p->leaf, at);
        break;
    case STORE_KIND_LIST:
        add_list(copy, p, base);
        break;
    default:
        assert(false && "a column of this kind is only read");
    }
}

static bool is_set(const ProtobufCFieldDescriptor *leaf, const char *base)
{
    return !(leaf->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
           *(const uint32_t *)(base + leaf->quantifier_offset) == leaf->id;
}

static void add_column(struct store_copy *copy, const struct place *p, const char *base)
{
    size_t hops = p->hop_count - goes_through_list(p);

    if (!p->leaf) {
        store_copy_bool(copy, copy->stand_ins); /* MARK */
        return;
    }
    for (size_t i = 0; base && i < hops; i++)
        base = *(char *const *)(base + p->hops[i]->offset);
    if (!base || !is_set(p->leaf, base))
        store_copy_null(copy);
    else if (goes_through_list(p))
        add_each(copy, p, base);
    else
        add_value(copy, p, base);
}

/* The places of a map's columns in messages of that type; answers how many. */
static size_t find_places(enum store_map map, const ProtobufCMessageDescriptor *type,
                          struct place out_places[COLUMNS_MAX])
{
    const char *table;
    size_t count;
    const struct store_column *c = store_map_columns(map, &count, &table);

    assert(count <= COLUMNS_MAX);
    for (size_t i = 0; i < count; i++) {
        out_places[i] = (struct place){0};
        if (c[i].kind != STORE_KIND_MARK && !find_place(type, c[i].field, &out_places[i]))
            assert(false && "row_map.def names a field that its message does not have");
        out_places[i].column = &c[i];
    }
    return count;
}

bool store_map_copy(struct store_conn *conn, const char *sql, const struct store_map_rows *rows,
                    size_t bytes_max, struct cap_err *err)
{
    const ProtobufCMessage *const *messages = rows->messages;
    struct place places[COLUMNS_MAX];
    size_t place_count;
    STORE_AUTO_COPY(copy, bytes_max);

    if (rows->count == 0)
        return true;
    place_count = find_places(rows->map, messages[0]->descriptor, places);
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t k = 0; k < rows->key_count; k++)
            store_copy_int(&copy, rows->keys[k]);
        if (rows->numbered)
            store_copy_uint(&copy, i);
        for (size_t k = 0; k < place_count; k++)
            add_column(&copy, &places[k], (const char *)messages[i]);
        store_copy_end_row(&copy);
    }
    if (copy.lines.overflowed)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "what is to be stored is larger than %zu bytes",
                        bytes_max);
    return store_pg_copy(conn, sql, copy.lines.data, copy.lines.length, err);
}

/* ---- rows to messages ---- */

/* Digits with or without a sign; the lists of an answer have hundreds, and strtoll takes its time.
 */
static int64_t read_digits(const char *text, char **out_end)
{
    bool negative = *text == '-';
    uint64_t value = 0;

    for (text += negative; *text >= '0' && *text <= '9'; text++)
        value = 10 * value + (uint64_t)(*text - '0');
    *out_end = (char *)text;
    return (int64_t)(negative ? -value : value);
}

static void read_number(const ProtobufCFieldDescriptor *leaf, char *at, const char *text,
                        char **out_end)
{
    switch (leaf->type) {
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)at = (uint32_t)read_digits(text, out_end);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)at = read_digits(text, out_end);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)(void *)at =
            strtod(text, out_end); /* knows NaN and Infinity as PostgreSQL does */
        break;
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        *(int32_t *)at = (int32_t)read_digits(text, out_end);
        break;
    default:
        assert(false && "a field of this type is not a number");
    }
}

/* Items of an array as PostgreSQL writes it: {1,2,3}. */
static size_t count_items(const char *array)
{
    size_t count = array[0] == '{' && array[1] != '}';

    for (const char *c = array; *c; c++)
        count += *c == ',';
    return count;
}

static bool read_list(const struct place *p, char *base, const char *text, struct cap_arena *arena)
{
    size_t count = count_items(text), size = size_of(p->leaf);
    char *items = cap_arena_array(arena, count ? count : 1, size);

    for (size_t i = 0; items && i < count; i++) {
        char *end;
        read_number(p->leaf, items + i * size, text + 1, &end);
        text = end;
    }
    *(char **)(base + p->leaf->offset) = items;
    *(size_t *)(base + p->leaf->quantifier_offset) = items ? count : 0;
    return items != NULL;
}

/* "a\nb" -> two texts. */
static bool read_lines(const struct place *p, char *base, const char *text, struct cap_arena *arena)
{
    char *rest = cap_arena_strdup(arena, text), **lines;
    size_t count = *text != '\0', n = 0;

    for (const char *c = text; *c; c++)
        count += *c == '\n';
    lines = cap_arena_array(arena, count + 1, sizeof *lines);
    while (rest && lines && n < count)
        lines[n++] = strsep(&rest, "\n");
    *(char ***)(base + p->leaf->offset) = lines;
    *(size_t *)(base + p->leaf->quantifier_offset) = n;
    return lines && n == count;
}

static void *new_message(const ProtobufCMessageDescriptor *type, struct cap_arena *arena)
{
    void *message = cap_arena_alloc(arena, type->sizeof_message);

    if (message)
        protobuf_c_message_init(type, message);
    return message;
}

/* One item of the array for each message of a repeated field; the first column makes them. */
static bool read_each(const struct place *p, char *base, const char *text, struct cap_arena *arena)
{
    const ProtobufCFieldDescriptor *hop = p->hops[p->hop_count - 1];
    char ***messages = (char ***)(base + hop->offset);
    size_t *count = (size_t *)(base + hop->quantifier_offset), items = count_items(text);

    if (*count == 0) {
        *messages = cap_arena_array(arena, items + 1, sizeof **messages);
        for (; *messages && *count < items; ++*count)
            if (!((*messages)[*count] = new_message(hop->descriptor, arena)))
                return false;
    }
    for (size_t i = 0; *messages && i < *count && i < items; i++) {
        char *end;
        read_number(p->leaf, (*messages)[i] + p->leaf->offset, text + 1, &end);
        text = end;
    }
    return *messages != NULL;
}

/* A number; 't' or 'f' of a sample's status; or a word. */
static int read_enum(const ProtobufCFieldDescriptor *leaf, const char *text)
{
    const ProtobufCEnumDescriptor *type = leaf->descriptor;
    char word[NAME_BYTES];

    if (isdigit((unsigned char)*text))
        return (int)strtol(text, NULL, 10);
    if (type == &moecap__v1__sample_status__descriptor)
        return *text == 't' ? MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED
                            : MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED;
    for (unsigned i = 0; i < type->n_values; i++) {
        word_of(&type->values[i], type, word);
        if (strcmp(word, text) == 0)
            return type->values[i].value;
    }
    return 0;
}

static bool read_packed(const ProtobufCFieldDescriptor *leaf, char *at, const char *text,
                        struct cap_arena *arena)
{
    struct store_bytes bytes;

    if (!store_bytes_read(text, arena, &bytes))
        return false;
    *(ProtobufCMessage **)at = protobuf_c_message_unpack(leaf->descriptor, cap_rpc_allocator(arena),
                                                         bytes.length, bytes.data);
    return *(ProtobufCMessage **)at != NULL;
}

static bool read_value(const struct place *p, char *base, const char *text, struct cap_arena *arena)
{
    char *at = base + p->leaf->offset, *end;

    if (p->leaf->label == PROTOBUF_C_LABEL_REPEATED)
        return p->leaf->type == PROTOBUF_C_TYPE_STRING ? read_lines(p, base, text, arena)
                                                       : read_list(p, base, text, arena);
    if (p->leaf->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)(base + p->leaf->quantifier_offset) = p->leaf->id;
    switch (p->leaf->type) {
    case PROTOBUF_C_TYPE_STRING:
        return (*(char **)at = cap_arena_strdup(arena, text)) != NULL;
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_packed(p->leaf, at, text, arena);
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = *text == 't';
        return true;
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)at = read_enum(p->leaf, text);
        return true;
    default:
        read_number(p->leaf, at, text, &end);
        assert(*end == '\0' && "not a number");
        return true;
    }
}

/* Goes to the message that holds the field and makes what is not there; NULL when the arena is
 * full. */
static char *reach(const struct place *p, char *base, struct cap_arena *arena)
{
    size_t hops = p->hop_count - goes_through_list(p);

    for (size_t i = 0; base && i < hops; i++) {
        char **at = (char **)(base + p->hops[i]->offset);
        if (!*at)
            *at = new_message(p->hops[i]->descriptor, arena);
        base = *at;
    }
    return base;
}

/* Where each column of the result goes. */
struct binding {
    struct place places[COLUMNS_MAX];
    size_t count;
};

static void bind_columns(const struct store_rows *rows, const ProtobufCMessageDescriptor *type,
                         struct binding *out)
{
    out->count = store_rows_columns(rows);
    assert(out->count <= COLUMNS_MAX);
    for (size_t i = 0; i < out->count; i++) {
        const char *name = store_rows_column_name(rows, (int)i);
        out->places[i] = (struct place){0};
        if (*name != '_' && !find_place(type, name, &out->places[i]))
            assert(false && "a column is neither a field of the message nor begins with _");
    }
}

static bool fill(const struct binding *b, const struct store_rows *rows, size_t row,
                 ProtobufCMessage *message, struct cap_arena *arena)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct place *p = &b->places[i];
        if (!p->leaf || store_rows_null(rows, row, (int)i))
            continue;
        const char *text = store_rows_text(rows, row, (int)i);
        char *base = reach(p, (char *)message, arena);
        if (!base || !(goes_through_list(p) ? read_each(p, base, text, arena)
                                            : read_value(p, base, text, arena)))
            return false;
    }
    return true;
}

bool store_row_fill(const struct store_rows *rows, size_t row, ProtobufCMessage *message,
                    struct cap_arena *arena, struct cap_err *err)
{
    struct binding b;

    bind_columns(rows, message->descriptor, &b);
    return fill(&b, rows, row, message, arena) || store_fail_full(err);
}

void *store_rows_list(const struct store_rows *rows, const ProtobufCMessageDescriptor *type,
                      struct store_cut *cut, struct cap_arena *arena, size_t *out_count,
                      struct cap_err *err)
{
    size_t total = store_rows_count(rows), count = 0, before = cap_arena_used(arena);
    ProtobufCMessage **messages = cap_arena_array(arena, total + 1, sizeof *messages);
    struct binding b;

    bind_columns(rows, type, &b);
    for (; messages && count < total; count++) {
        if (cut && (count == cut->rows_max ||
                    (count > 0 &&
                     cap_arena_used(arena) - before + count * cut->row_bytes > cut->bytes_max)))
            break;
        messages[count] = new_message(type, arena);
        if (!messages[count] || !fill(&b, rows, count, messages[count], arena))
            messages = NULL;
    }
    if (!messages) {
        store_fail_full(err);
        return NULL;
    }
    if (cut)
        cut->more = count < total;
    *out_count = count;
    return messages;
}

struct store_bytes store_packed(const ProtobufCMessage *message, struct cap_arena *arena)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *data = cap_arena_alloc(arena, length + 1);

    if (!data)
        return (struct store_bytes){0};
    protobuf_c_message_pack(message, data);
    return (struct store_bytes){data, length};
}
