/* Messages as JSON and back, by their descriptors.
 *
 * Out. There is one writer: the tree is this text, read back. A long list goes out as text, since
 * building a tree first costs most of its time. What is left out, because nobody knows it: a
 * oneof that holds nothing, and the fields of unknown.def while they are zero or empty.
 *
 * In. The first fault ends it: with the path of the field, and with what was expected. Everything
 * is allocated in the caller's arena, whose limit is the limit of what a client can make us
 * allocate; lists have their own maximum. */
#include <ctype.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/near.h"
#include "base/utf8.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "moecap/v1/store.pb-c.h"
#include "wire/json.h"

/* ---- where a message keeps its fields ---- */

/* Of a value, in a message or in a list. */
static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

/* False for what a oneof does not hold: unknown is absent. */
static bool is_there(const ProtobufCFieldDescriptor *field, const char *base)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED ||
           !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
           *(const uint32_t *)(base + field->quantifier_offset) == field->id;
}

/* ---- unknown ---- */

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *field;
} unknown_rows[] = {
#define UNKNOWN(message, field) {&moecap__v1__##message##__descriptor, #field},
#include "wire/unknown.def"
#undef UNKNOWN
};

/* The same by message, built once: bit i stands for the descriptor's field i. */
static struct {
    const ProtobufCMessageDescriptor *type;
    uint64_t fields;
} unknown[CAP_COUNT_OF(unknown_rows)];
static size_t unknown_count;
static pthread_once_t unknown_once = PTHREAD_ONCE_INIT;

static void build_unknown(void)
{
    for (size_t i = 0; i < CAP_COUNT_OF(unknown_rows); i++) {
        const ProtobufCMessageDescriptor *type = unknown_rows[i].type;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, unknown_rows[i].field);

        if (!field || type->n_fields > 64)
            abort(); /* a row of unknown.def names a field that is not there */
        if (unknown_count == 0 || unknown[unknown_count - 1].type != type)
            unknown[unknown_count++].type = type;
        unknown[unknown_count - 1].fields |= UINT64_C(1) << (field - type->fields);
    }
}

static uint64_t unknown_fields(const ProtobufCMessageDescriptor *type)
{
    pthread_once(&unknown_once, build_unknown);
    for (size_t i = 0; i < unknown_count; i++)
        if (unknown[i].type == type)
            return unknown[i].fields;
    return 0;
}

static bool is_zero(const ProtobufCFieldDescriptor *field, const void *at)
{
    static const char zeros[sizeof(uint64_t)];
    const char *text;

    if (field->type != PROTOBUF_C_TYPE_STRING)
        return memcmp(at, zeros, size_of(field)) == 0;
    text = *(char *const *)at;
    return !text || !*text;
}

static bool is_known(const ProtobufCMessage *message, unsigned index, uint64_t may_be_unknown)
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[index];
    const char *base = (const char *)message;

    return is_there(field, base) &&
           (index >= 64 || !(may_be_unknown >> index & 1) || !is_zero(field, base + field->offset));
}

/* ---- values ---- */

const char *cap_wire_enum_word(const ProtobufCEnumDescriptor *type, int value, char out[64])
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    char prefix[64];
    size_t at = 0;

    if (!v)
        return NULL;
    for (const char *p = type->short_name; *p && at < sizeof prefix - 2; p++) {
        if (isupper((unsigned char)*p) && at > 0)
            prefix[at++] = '_';
        prefix[at++] = (char)toupper((unsigned char)*p);
    }
    prefix[at] = '\0';
    snprintf(out, 64, "%s",
             strncmp(v->name, prefix, at) == 0 && v->name[at] == '_' ? v->name + at + 1 : v->name);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

static void write_text(struct cap_buf *out, const char *text)
{
    static const char names[] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    size_t length = strlen(text);

    if (cap_utf8_bad(text, length) < length)
        text = "(not UTF-8)";
    cap_buf_add_char(out, '"');
    while (*text) {
        size_t plain = 0;
        unsigned char c;

        while ((unsigned char)text[plain] >= ' ' && text[plain] != '"' && text[plain] != '\\')
            plain++;
        cap_buf_add(out, text, plain);
        text += plain;
        if (!(c = (unsigned char)*text))
            break;
        if (c >= ' ' || (c < sizeof names && names[c]))
            cap_buf_printf(out, "\\%c", c >= ' ' ? c : names[c]);
        else
            cap_buf_printf(out, "\\u%04X", c);
        text++;
    }
    cap_buf_add_char(out, '"');
}

/* As short as it can be without becoming another number, and never an integer. */
static void write_real(struct cap_buf *out, double value)
{
    char text[40];

    if (value - value != 0) { /* NaN and infinity have no JSON */
        cap_buf_add_str(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    cap_buf_add_str(out, text);
    if (!strpbrk(text, ".e"))
        cap_buf_add_str(out, ".0");
}

static void write_bytes(struct cap_buf *out, const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "0123456789abcdef";

    cap_buf_add_char(out, '"');
    for (size_t i = 0; i < bytes->len; i++) {
        cap_buf_add_char(out, digits[bytes->data[i] >> 4]);
        cap_buf_add_char(out, digits[bytes->data[i] & 15]);
    }
    cap_buf_add_char(out, '"');
}

static void write_enum(struct cap_buf *out, const ProtobufCEnumDescriptor *type, int value)
{
    char word[64];

    if (cap_wire_enum_word(type, value, word))
        cap_buf_printf(out, "\"%s\"", word);
    else
        cap_buf_printf(out, "%d", value);
}

static void write_scalar(struct cap_buf *out, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        cap_buf_printf(out, "%d", *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        cap_buf_printf(out, "%u", *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        cap_buf_printf(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        write_real(out, *(const float *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_real(out, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        cap_buf_add_str(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, field->descriptor, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_STRING:
        write_text(out, *(char *const *)at ? *(char *const *)at : "");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        write_bytes(out, at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (*(ProtobufCMessage *const *)at)
            cap_wire_write(*(ProtobufCMessage *const *)at, out);
        else
            cap_buf_add_str(out, "null");
        break;
    }
}

static void write_list(struct cap_buf *out, const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t count = *(const size_t *)(base + field->quantifier_offset), size = size_of(field);
    const char *items = *(char *const *)(base + field->offset);

    cap_buf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cap_buf_add_char(out, ',');
        write_scalar(out, field, items + i * size);
    }
    cap_buf_add_char(out, ']');
}

/* ---- messages ---- */

void cap_wire_write(const ProtobufCMessage *message, struct cap_buf *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    uint64_t may_be_unknown = unknown_fields(type);
    const char *base = (const char *)message;
    bool first = true;

    cap_buf_add_char(out, '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!is_known(message, i, may_be_unknown))
            continue;
        cap_buf_add_str(out, first ? "\"" : ",\"");
        first = false;
        cap_buf_add_str(out, field->name);
        cap_buf_add_str(out, "\":");
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            write_list(out, field, base);
        else
            write_scalar(out, field, base + field->offset);
    }
    cap_buf_add_char(out, '}');
}

bool cap_wire_write_field(const ProtobufCMessage *message, const char *name, struct cap_buf *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, name);
    const char *base = (const char *)message;

    if (!field || !is_known(message, (unsigned)(field - type->fields), unknown_fields(type)))
        return false;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        write_list(out, field, base);
    else if (field->type == PROTOBUF_C_TYPE_STRING)
        cap_buf_add_str(out, *(char *const *)(base + field->offset));
    else
        write_scalar(out, field, base + field->offset);
    return true;
}

json_t *cap_wire_to_json(const ProtobufCMessage *message)
{
    CAP_AUTO_BUF(text, SIZE_MAX);
    json_t *json;

    cap_wire_write(message, &text);
    json = json_loadb(text.data, text.length, 0, NULL);
    if (!json)
        abort(); /* what we wrote ourselves is JSON */
    return json;
}

/* ---- pages, and the name of the headline metric ---- */

bool cap_wire_follow(const ProtobufCMessage *reply, ProtobufCMessage *request, const char *cursor,
                     struct cap_arena *arena)
{
    const ProtobufCFieldDescriptor *from = protobuf_c_message_descriptor_get_field_by_name(
                                       reply->descriptor, "next_after"),
                                   *to = protobuf_c_message_descriptor_get_field_by_name(
                                       request->descriptor, cursor);
    const char *source = (const char *)reply;
    char *target = (char *)request;

    if (!from || !to || from->type != to->type || !is_there(from, source))
        return false;
    if (to->type == PROTOBUF_C_TYPE_STRING)
        *(char **)(target + to->offset) =
            cap_arena_strdup(arena, *(char *const *)(source + from->offset));
    else
        memcpy(target + to->offset, source + from->offset, size_of(to));
    if (to->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)(target + to->quantifier_offset) = to->id;
    return to->type != PROTOBUF_C_TYPE_STRING || *(char **)(target + to->offset);
}

void cap_wire_add_accuracy(Moecap__V1__BoardRow *row, struct cap_arena *arena)
{
    Moecap__V1__Figure **figures, *headline = NULL, *copy;

    for (size_t i = 0; i < row->n_figures; i++) {
        if (strcmp(row->figures[i]->id, CAP_WIRE_ACCURACY) == 0)
            return;
        if (strcmp(row->figures[i]->id, row->headline_metric) == 0)
            headline = row->figures[i];
    }
    figures = cap_arena_array(arena, row->n_figures + 1, sizeof *figures);
    copy = cap_arena_alloc(arena, sizeof *copy);
    if (!headline || !figures || !copy)
        return;
    *copy = *headline;
    copy->id = CAP_WIRE_ACCURACY;
    memcpy(figures, row->figures, row->n_figures * sizeof *figures);
    figures[row->n_figures++] = copy;
    row->figures = figures;
}

/* ==== JSON to messages ==== */

enum { PATH_BYTES = 256, LIST_MAX = 100000 };

static bool fail(const char *path, const char *expected, struct cap_err *err)
{
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, path, "%s: expected %s", *path ? path : "body",
                          expected);
}

static bool fail_unknown(const ProtobufCMessageDescriptor *type, const char *path, const char *name,
                         struct cap_err *err)
{
    struct cap_near near = {.word = name};

    for (unsigned i = 0; i < type->n_fields; i++)
        cap_near_try(&near, type->fields[i].name);
    return cap_fail_field(err, CAP_INVALID_ARGUMENT, path, "%s: unknown field%s%s%s", path,
                          near.best ? ", did you mean \"" : "", near.best ? near.best : "",
                          near.best ? "\"?" : "");
}

static bool fail_enum(const ProtobufCEnumDescriptor *type, const char *path, struct cap_err *err)
{
    CAP_AUTO_BUF(words, CAP_ERR_TEXT_BYTES_MAX);
    char word[64];

    for (unsigned i = 0; i < type->n_values; i++)
        cap_buf_printf(&words, "%s%s", i ? ", " : "one of ",
                       cap_wire_enum_word(type, type->values[i].value, word));
    return fail(path, words.data, err);
}

static bool set_integer(const json_t *json, int64_t min, int64_t max, void *slot, size_t size,
                        const char *path, struct cap_err *err)
{
    int64_t value = json_integer_value(json);
    char text[96];

    if (!json_is_integer(json) || value < min || value > max) {
        snprintf(text, sizeof text, "a whole number from %lld to %lld", (long long)min,
                 (long long)max);
        return fail(path, text, err);
    }
    if (size == sizeof(int32_t))
        *(int32_t *)slot = (int32_t)value;
    else
        *(int64_t *)slot = value;
    return true;
}

static bool set_enum(const json_t *json, const ProtobufCEnumDescriptor *type, int *slot,
                     const char *path, struct cap_err *err)
{
    const char *word = json_string_value(json);
    char name[64];

    for (unsigned i = 0; word && i < type->n_values; i++) {
        if (strcmp(cap_wire_enum_word(type, type->values[i].value, name), word) == 0) {
            *slot = type->values[i].value;
            return true;
        }
    }
    return fail_enum(type, path, err);
}

static bool set_string(const json_t *json, char **slot, struct cap_arena *arena, const char *path,
                       struct cap_err *err)
{
    if (!json_is_string(json) || strlen(json_string_value(json)) != json_string_length(json))
        return fail(path, "a text without NUL", err);
    *slot = cap_arena_strdup(arena, json_string_value(json));
    return *slot || cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, path, "%s: too long", path);
}

static ProtobufCMessage *read_message(const json_t *json, const ProtobufCMessageDescriptor *type,
                                      struct cap_arena *arena, const char *path,
                                      struct cap_err *err);

static bool set_scalar(const ProtobufCFieldDescriptor *field, const json_t *json, void *slot,
                       struct cap_arena *arena, const char *path, struct cap_err *err)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return set_integer(json, INT32_MIN, INT32_MAX, slot, sizeof(int32_t), path, err);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return set_integer(json, 0, UINT32_MAX, slot, sizeof(int32_t), path, err);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return set_integer(json, INT64_MIN, INT64_MAX, slot, sizeof(int64_t), path, err);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return set_integer(json, 0, INT64_MAX, slot, sizeof(int64_t), path, err);
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)slot = json_number_value(json);
        return json_is_number(json) || fail(path, "a number", err);
    case PROTOBUF_C_TYPE_FLOAT:
        *(float *)slot = (float)json_number_value(json);
        return json_is_number(json) || fail(path, "a number", err);
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)slot = json_is_true(json);
        return json_is_boolean(json) || fail(path, "true or false", err);
    case PROTOBUF_C_TYPE_ENUM:
        return set_enum(json, field->descriptor, slot, path, err);
    case PROTOBUF_C_TYPE_STRING:
        return set_string(json, slot, arena, path, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)slot = read_message(json, field->descriptor, arena, path, err);
        return *(ProtobufCMessage **)slot != NULL;
    case PROTOBUF_C_TYPE_BYTES:
        break;
    }
    return fail(path, "nothing: this field cannot be written as JSON", err);
}

static bool set_list(const ProtobufCFieldDescriptor *field, const json_t *json, char *base,
                     struct cap_arena *arena, const char *path, struct cap_err *err)
{
    size_t count = json_array_size(json), size = size_of(field);
    char *items = count <= LIST_MAX ? cap_arena_array(arena, count + 1, size) : NULL;
    char item_path[PATH_BYTES];

    if (!json_is_array(json))
        return fail(path, "a list", err);
    if (!items)
        return cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, path, "%s: the list is too long", path);
    for (size_t i = 0; i < count; i++) {
        snprintf(item_path, sizeof item_path, "%.200s[%zu]", path, i);
        if (!set_scalar(field, json_array_get(json, i), items + i * size, arena, item_path, err))
            return false;
    }
    *(size_t *)(base + field->quantifier_offset) = count;
    *(void **)(base + field->offset) = items;
    return true;
}

/* Of the fields of a oneof only one can be meant. */
static bool other_is_set(const ProtobufCFieldDescriptor *field, const char *base)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
           *(const uint32_t *)(base + field->quantifier_offset) != 0;
}

static bool set_field(const ProtobufCFieldDescriptor *field, const json_t *json, char *base,
                      struct cap_arena *arena, const char *path, struct cap_err *err)
{
    if (json_is_null(json)) /* the same as leaving it out */
        return true;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return set_list(field, json, base, arena, path, err);
    if (other_is_set(field, base))
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, path,
                              "%s: excludes another field that is there, too", path);
    if (!set_scalar(field, json, base + field->offset, arena, path, err))
        return false;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)(base + field->quantifier_offset) = field->id;
    return true;
}

static ProtobufCMessage *read_message(const json_t *json, const ProtobufCMessageDescriptor *type,
                                      struct cap_arena *arena, const char *path,
                                      struct cap_err *err)
{
    ProtobufCMessage *message = cap_arena_alloc(arena, type->sizeof_message);
    char member_path[PATH_BYTES];
    const char *name;
    json_t *member;

    if (!json_is_object(json)) {
        fail(path, "an object", err);
        return NULL;
    }
    if (!message) {
        cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, path, "%s: too large", path);
        return NULL;
    }
    protobuf_c_message_init(type, message);
    json_object_foreach((json_t *)json, name, member)
    {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, name);

        snprintf(member_path, sizeof member_path, "%.120s%s%.100s", path, *path ? "." : "", name);
        if (!field) {
            fail_unknown(type, member_path, name, err);
            return NULL;
        }
        if (!set_field(field, member, (char *)message, arena, member_path, err))
            return NULL;
    }
    return message;
}

ProtobufCMessage *cap_wire_from_json(const json_t *json, const ProtobufCMessageDescriptor *type,
                                     struct cap_arena *arena, struct cap_err *err)
{
    return read_message(json, type, arena, "", err);
}
