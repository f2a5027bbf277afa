/* The table of knobs over the message's descriptor.
 *
 * A row names its field by a path, "load.concurrency"; find_place looks it up in the descriptors
 * that protoc-gen-c makes, so the message's own type says how the value is kept and whether nothing
 * can be told from 0 (a field of a oneof). Everything else here stands on reading and writing such
 * a place:
 *
 *     from text   cap_spec_set_text, an option of the command line: a number out of range, of any
 *                 length, is refused with the row's range
 *     from JSON   cap_spec_from_json, a body of the API: a value of the wrong kind is reported and
 *                 left out, so that the rest can still be judged
 *     defaults    cap_spec_fill, row by row: the engine stands before the precision, which depends
 *                 on it
 *     canonical   cap_spec_canonical: every hashed knob, in nested objects with sorted keys. A knob
 *                 that was not given is null where the field can tell that from 0, else 0 or "".
 *                 The config hash is made of this form, so none of its rules may change
 *                 (unit.spec_golden)
 *     limits      cap_spec_limits: SubmitLimits by the names of its fields
 *
 * A place is never kept: the message may grow a part at any write. */
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "spec/check.h"

static struct cap_words cap_prompt_format_words(void)
{
    static const char *const words[] = {"text", "chat"};

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

static struct cap_words cap_arrivals_words(void)
{
    static const char *const words[] = {"poisson", "constant", "gamma"};

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

static struct cap_words cap_device_words(void)
{
    static const char *const words[] = {"cpu", "cuda"};

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

const struct cap_knob cap_knobs[CAP_KNOB_COUNT] = {
#define KNOB(id, path, kind, flag, alias, value, unset, label, help, ...)                          \
    {#id, path, CAP_KNOB_##kind, flag, alias, value, unset, label, help, __VA_ARGS__},
#include "spec/spec.def"
#undef KNOB
};

const struct cap_knob *cap_knob_find(const char *path)
{
    for (int i = 0; i < CAP_KNOB_COUNT; i++)
        if (strcmp(cap_knobs[i].path, path) == 0)
            return &cap_knobs[i];
    return NULL;
}

const char *cap_knob_kind_word(enum cap_knob_kind kind)
{
    static const char *const words[] = {"text", "name",   "word", "choice", "whole",
                                        "real", "switch", "list", "file"};

    return words[kind];
}

const char *cap_knob_when_word(enum cap_knob_when when)
{
    static const char *const words[] = {"", "native", "server", "closed_loop", "open_loop"};

    return words[when];
}

const char *cap_knob_group_title(enum cap_knob_group group)
{
    static const char *const titles[CAP_GROUP_COUNT] = {[CAP_GROUP_SUBJECT] = "Model and engine",
                                                        [CAP_GROUP_TASKS] = "Tasks",
                                                        [CAP_GROUP_LOAD] = "Load",
                                                        [CAP_GROUP_GOALS] = "Service level",
                                                        [CAP_GROUP_SAMPLES] = "Samples and prompts",
                                                        [CAP_GROUP_GENERATION] = "Generation",
                                                        [CAP_GROUP_MACHINE] = "Machine",
                                                        [CAP_GROUP_RECORD] = "Metadata",
                                                        [CAP_GROUP_COST] = "Cost"};

    return titles[group];
}

/* ---- a field of the message ---- */

struct place {
    ProtobufCMessage *message;              /* the part that holds the field; NULL: not there */
    const ProtobufCMessageDescriptor *type; /* of that part */
    const ProtobufCFieldDescriptor *field;
};

/* With an arena the part is made when it is not there yet. */
static struct place find_place(const Moecap__V1__EvaluationSpec *spec, const char *path,
                               struct cap_arena *arena)
{
    struct place place = {(ProtobufCMessage *)&spec->base, spec->base.descriptor, NULL};
    const char *dot = strchr(path, '.');
    const ProtobufCFieldDescriptor *part;
    ProtobufCMessage **slot;
    char name[32];

    if (dot) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        part = protobuf_c_message_descriptor_get_field_by_name(place.type, name);
        place.type = part->descriptor;
        slot = (ProtobufCMessage **)((char *)spec + part->offset);
        if (!*slot && arena && (*slot = cap_arena_alloc(arena, place.type->sizeof_message)))
            protobuf_c_message_init(place.type, *slot);
        place.message = *slot;
    }
    place.field = protobuf_c_message_descriptor_get_field_by_name(place.type, dot ? dot + 1 : path);
    return place;
}

static void *slot_of(struct place place)
{
    return (char *)place.message + place.field->offset;
}

/* Which field of the oneof holds a value; NULL for a field of its own. */
static uint32_t *case_of(struct place place)
{
    bool in_oneof = place.field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;

    return in_oneof ? (uint32_t *)((char *)place.message + place.field->quantifier_offset) : NULL;
}

/* Whether it shares a oneof with others, as rate and concurrency do; most do not. */
static bool has_rivals(struct place place)
{
    for (unsigned i = 0; i < place.type->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &place.type->fields[i];

        if (other != place.field &&
            (place.field->flags & other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
            other->quantifier_offset == place.field->quantifier_offset)
            return true;
    }
    return false;
}

/* The other field of its oneof that holds a value now; NULL: none does. */
static const ProtobufCFieldDescriptor *rival_of(struct place place)
{
    const uint32_t *held = case_of(place);

    return held && *held && *held != place.field->id
               ? protobuf_c_message_descriptor_get_field(place.type, *held)
               : NULL;
}

static void read_slot(const ProtobufCFieldDescriptor *field, const void *slot,
                      struct cap_knob_value *out)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
        out->whole = *(const uint32_t *)slot;
        break;
    case PROTOBUF_C_TYPE_INT32:
        out->whole = *(const int32_t *)slot;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        out->whole = *(const protobuf_c_boolean *)slot;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        out->real = *(const double *)slot;
        break;
    case PROTOBUF_C_TYPE_STRING:
        out->text = *(char *const *)slot;
        break;
    default: /* uint64; a larger one is negative here, which no row allows */
        out->whole = (int64_t) * (const uint64_t *)slot;
        break;
    }
}

struct cap_knob_value cap_spec_get(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id)
{
    struct place place = find_place(spec, cap_knobs[id].path, NULL);
    bool in_oneof = place.field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    struct cap_knob_value value = {
        .text = "", .tells_zero = in_oneof, .has_none = in_oneof && !has_rivals(place)};

    if (!place.message || (in_oneof && *case_of(place) != place.field->id))
        return value;
    if (place.field->label == PROTOBUF_C_LABEL_REPEATED) {
        value.items = *(char ***)slot_of(place);
        value.count =
            *(const size_t *)((const char *)place.message + place.field->quantifier_offset);
    } else {
        read_slot(place.field, slot_of(place), &value);
    }
    value.is_set = in_oneof || value.whole != 0 || value.real != 0 || *value.text || value.count;
    return value;
}

static void write_slot(const ProtobufCFieldDescriptor *field, void *slot,
                       const struct cap_knob_value *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT32:
        *(uint32_t *)slot = (uint32_t)value->whole;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)slot = value->whole != 0;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)slot = value->real;
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(char **)slot = (char *)value->text;
        break;
    default:
        *(uint64_t *)slot = (uint64_t)value->whole;
        break;
    }
}

static bool add_item(struct place place, const char *text, struct cap_arena *arena)
{
    size_t *count = (size_t *)((char *)place.message + place.field->quantifier_offset);
    char ***items = slot_of(place), **grown;

    grown = cap_arena_array(arena, *count + 1, sizeof *grown);
    if (!grown)
        return false;
    if (*count)
        memcpy(grown, *items, *count * sizeof *grown);
    grown[*count] = (char *)text;
    *items = grown;
    *count += 1;
    return true;
}

/* Sets a value that is of the knob's kind; a list gets value->text as one more item. */
static void set_value(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id,
                      struct cap_knob_value value, struct cap_arena *arena,
                      struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    struct place place = find_place(spec, knob->path, arena);
    const ProtobufCFieldDescriptor *rival = place.message ? rival_of(place) : NULL;
    const char *copy = value.text ? cap_arena_strdup(arena, value.text) : "";
    bool ok = place.message && copy;

    value.text = copy;
    if (ok && rival) {
        cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, knob->path,
                       "%s excludes %.*s%s: one of them is meant", knob->path,
                       (int)(strcspn(knob->path, ".") + 1), knob->path, rival->name);
        return;
    }
    if (ok && place.field->label == PROTOBUF_C_LABEL_REPEATED)
        ok = add_item(place, copy, arena);
    else if (ok)
        write_slot(place.field, slot_of(place), &value);
    if (ok && case_of(place))
        *case_of(place) = place.field->id;
    if (!ok)
        cap_spec_blame(io_faults, CAP_RESOURCE_EXHAUSTED, knob->path, "%s is too long", knob->path);
}

/* ---- from what people write ---- */

/* A number of any length is judged by its range, not by ours. */
static bool is_whole(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');

    return *digits && strspn(digits, "0123456789") == strlen(digits);
}

static void set_whole(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *text,
                      struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    const struct cap_knob *knob = &cap_knobs[id];
    struct cap_knob_value value = {0};
    char shown[80];

    snprintf(shown, sizeof shown, is_whole(text) ? "%.64s" : "\"%.64s\"", text);
    if (!is_whole(text)) {
        cap_spec_blame_kind(io_faults, knob, shown);
        return;
    }
    value.whole = strtoll(text, NULL, 10); /* the nearest one of what does not fit */
    if (value.whole < knob->min || value.whole > knob->max ||
        (value.whole == INT64_MAX && strcmp(text + (*text == '+'), "9223372036854775807") != 0)) {
        /* 0 says "left out" where the message cannot say it otherwise */
        if (value.whole != 0 || cap_spec_get(spec, id).tells_zero) {
            cap_spec_blame_range(io_faults, knob, shown);
            return;
        }
    }
    set_value(spec, id, value, arena, io_faults);
}

static void set_real(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *text,
                     struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    char *end, shown[80];
    struct cap_knob_value value = {.real = strtod(text, &end)};

    if (end != text && !*end) {
        set_value(spec, id, value, arena, io_faults); /* its range is checked with the others */
        return;
    }
    snprintf(shown, sizeof shown, "\"%.64s\"", text);
    cap_spec_blame_kind(io_faults, &cap_knobs[id], shown);
}

static void add_names(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *text,
                      struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    for (;;) {
        size_t length = strcspn(text, ",");
        char *name = cap_arena_strndup(arena, text, length);

        set_value(spec, id, (struct cap_knob_value){.text = name ? name : ""}, arena, io_faults);
        if (!text[length])
            return;
        text += length + 1;
    }
}

void cap_spec_set_text(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *text,
                       struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    switch (cap_knobs[id].kind) {
    case CAP_KNOB_WHOLE:
        set_whole(spec, id, text, arena, io_faults);
        break;
    case CAP_KNOB_REAL:
        set_real(spec, id, text, arena, io_faults);
        break;
    case CAP_KNOB_LIST:
        add_names(spec, id, text, arena, io_faults);
        break;
    case CAP_KNOB_SWITCH:
        set_value(spec, id, (struct cap_knob_value){.whole = 1}, arena, io_faults);
        break;
    default:
        set_value(spec, id, (struct cap_knob_value){.text = text}, arena, io_faults);
        break;
    }
}

/* ---- from JSON ---- */

static bool is_text(const json_t *json)
{
    return json_is_string(json) && strlen(json_string_value(json)) == json_string_length(json);
}

static void set_json_list(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const json_t *json,
                          struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    struct place place = find_place(spec, cap_knobs[id].path, arena);
    size_t count = json_array_size(json), i;
    char **items = cap_arena_array(arena, count + 1, sizeof *items), field[80];
    const json_t *item;

    if (!place.message || !items) {
        cap_spec_blame(io_faults, CAP_RESOURCE_EXHAUSTED, cap_knobs[id].path, "%s is too long",
                       cap_knobs[id].path);
        return;
    }
    json_array_foreach((json_t *)json, i, item)
    {
        snprintf(field, sizeof field, "%s[%zu]", cap_knobs[id].path, i);
        if (!is_text(item))
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, field, "%s is not a name", field);
        items[i] = cap_arena_strdup(arena, is_text(item) ? json_string_value(item) : "");
        if (!items[i])
            break;
    }
    if (i < count)
        cap_spec_blame(io_faults, CAP_RESOURCE_EXHAUSTED, cap_knobs[id].path, "%s is too long",
                       cap_knobs[id].path);
    *(char ***)slot_of(place) = items;
    *(size_t *)((char *)place.message + place.field->quantifier_offset) = i;
}

/* False when the JSON is not of the knob's kind. */
static bool set_json(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const json_t *json,
                     struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    enum cap_knob_kind kind = cap_knobs[id].kind;
    struct cap_knob_value value = {0};
    char number[32];

    switch (kind) {
    case CAP_KNOB_WHOLE:
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json));
        if (json_is_integer(json))
            cap_spec_set_text(spec, id, number, arena, io_faults);
        return json_is_integer(json);
    case CAP_KNOB_REAL:
        value.real = json_number_value(json);
        if (json_is_number(json))
            set_value(spec, id, value, arena, io_faults);
        return json_is_number(json);
    case CAP_KNOB_SWITCH:
        value.whole = json_is_true(json);
        if (json_is_boolean(json))
            set_value(spec, id, value, arena, io_faults);
        return json_is_boolean(json);
    case CAP_KNOB_LIST:
        if (json_is_array(json))
            set_json_list(spec, id, json, arena, io_faults);
        return json_is_array(json);
    default:
        value.text = json_string_value(json);
        if (is_text(json))
            set_value(spec, id, value, arena, io_faults);
        return is_text(json);
    }
}

static void read_knob(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const json_t *json,
                      struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    CAP_AUTO_MEM char *text = NULL;
    char shown[80];

    if (set_json(spec, id, json, arena, io_faults))
        return;
    text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(shown, sizeof shown, "%.64s", text ? text : "");
    cap_spec_blame_kind(io_faults, &cap_knobs[id], shown);
}

static void read_members(Moecap__V1__EvaluationSpec *spec, const char *part, const json_t *json,
                         struct cap_arena *arena, struct cap_spec_faults *io_faults)
{
    const ProtobufCMessageDescriptor *type = spec->base.descriptor;
    const char *name;
    json_t *member;

    if (*part)
        type = protobuf_c_message_descriptor_get_field_by_name(type, part)->descriptor;
    json_object_foreach((json_t *)json, name, member)
    {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, name);
        const struct cap_knob *knob;
        char path[72];

        if (io_faults->count == CAP_SPEC_FAULTS_MAX) /* a body of a million wrong names ends here */
            return;
        snprintf(path, sizeof path, "%s%s%.40s", part, *part ? "." : "", name);
        knob = cap_knob_find(path);
        if (json_is_null(member) && field) /* the same as leaving it out */
            continue;
        if (knob)
            read_knob(spec, (enum cap_knob_id)(knob - cap_knobs), member, arena, io_faults);
        else if (!field)
            cap_spec_blame_field(io_faults, type, path, name);
        else if (json_is_object(member))
            read_members(spec, name, member, arena, io_faults);
        else
            cap_spec_blame(io_faults, CAP_INVALID_ARGUMENT, path, "%s is not an object", path);
    }
}

Moecap__V1__EvaluationSpec *cap_spec_from_json(const json_t *json, struct cap_arena *arena,
                                               struct cap_spec_faults *io_faults)
{
    Moecap__V1__EvaluationSpec *spec = cap_arena_alloc(arena, sizeof *spec);

    if (!spec)
        return NULL;
    moecap__v1__evaluation_spec__init(spec);
    read_members(spec, "", json, arena, io_faults);
    return spec;
}

/* ---- defaults ---- */

bool cap_spec_fill(Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena)
{
    struct cap_spec_faults faults = {.count = 0};

    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];
        struct cap_knob_value value = cap_spec_get(spec, (enum cap_knob_id)i);
        const char *word = knob->spelling ? knob->spelling(value.text) : NULL;

        if (!cap_spec_applies(spec, knob->words_when))
            continue;
        if (value.is_set && word && cap_words_has(knob->words(), word))
            cap_spec_set_text(spec, (enum cap_knob_id)i, word, arena, &faults);
        else if (!value.is_set && knob->preset && cap_spec_applies(spec, knob->when))
            cap_spec_set_text(spec, (enum cap_knob_id)i, knob->preset, arena, &faults);
    }
    return faults.count == 0;
}

/* ---- the canonical form ---- */

static json_t *canonical_value(enum cap_knob_id id, const struct cap_knob_value *value)
{
    const struct cap_knob *knob = &cap_knobs[id];
    json_t *list;

    if (!value->is_set && value->has_none)
        return json_null();
    switch (knob->kind) {
    case CAP_KNOB_WHOLE:
        return json_integer(value->is_set ? value->whole : knob->preset_in_hash);
    case CAP_KNOB_REAL:
        return json_real(value->real);
    case CAP_KNOB_SWITCH:
        return json_boolean(value->whole);
    case CAP_KNOB_LIST:
        list = json_array();
        for (size_t i = 0; i < value->count; i++)
            if (json_array_append_new(list, json_string(value->items[i])) < 0)
                break;
        if (json_array_size(list) == value->count)
            return list;
        json_decref(list);
        return NULL;
    default:
        return json_string(value->text);
    }
}

/* "load.concurrency": {"load": {"concurrency": ...}} */
static bool put_member(json_t *object, const char *path, json_t *value)
{
    const char *dot = strchr(path, '.');
    json_t *part;
    char name[32];

    if (!dot)
        return json_object_set_new(object, path, value) == 0;
    snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
    part = json_object_get(object, name);
    if (!part) {
        part = json_object();
        json_object_set_new(object, name, part);
    }
    return json_object_set_new(part, dot + 1, value) == 0;
}

const char *cap_spec_canonical(const Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                               struct cap_err *err)
{
    json_t *object = json_object();
    CAP_AUTO_MEM char *text = NULL;
    const char *copy = NULL;
    bool ok = true;

    for (int i = 0; ok && i < CAP_KNOB_COUNT; i++) {
        struct cap_knob_value value = cap_spec_get(spec, (enum cap_knob_id)i);

        if (cap_knobs[i].hash == CAP_HASHED ||
            (cap_knobs[i].hash == CAP_HASHED_IF_SET && value.is_set))
            ok =
                put_member(object, cap_knobs[i].path, canonical_value((enum cap_knob_id)i, &value));
    }
    if (ok && (text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT)))
        copy = cap_arena_strdup(arena, text);
    json_decref(object);
    if (!copy)
        cap_fail(err, CAP_INVALID_ARGUMENT, "the evaluation holds text that is not UTF-8");
    return copy;
}

/* ---- limits ---- */

/* SubmitLimits calls them by the last part of the path: concurrency_max, note_bytes_max; those of
 * parallelism share one. */
static void set_limit(Moecap__V1__SubmitLimits *out, const char *stem, const char *suffix,
                      double value)
{
    const ProtobufCFieldDescriptor *field;
    char name[64];

    snprintf(name, sizeof name, "%.40s%s", stem, suffix);
    field = protobuf_c_message_descriptor_get_field_by_name(out->base.descriptor, name);
    if (!field)
        return;
    write_slot(field, (char *)out + field->offset,
               &(struct cap_knob_value){.whole = (int64_t)value, .real = value});
}

void cap_spec_limits(Moecap__V1__SubmitLimits *out)
{
    moecap__v1__submit_limits__init(out);
    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];
        const char *dot = strchr(knob->path, '.'), *leaf = dot ? dot + 1 : knob->path;
        bool is_real = knob->kind == CAP_KNOB_REAL,
             is_count = knob->kind == CAP_KNOB_WHOLE || knob->kind == CAP_KNOB_LIST;
        char part[32];

        snprintf(part, sizeof part, "%.*s", (int)strcspn(knob->path, "."), knob->path);
        if (is_real || is_count) {
            set_limit(out, leaf, "_max", is_real ? knob->high : (double)knob->max);
            set_limit(out, leaf, "_min", is_real ? knob->low : (double)knob->min);
            set_limit(out, part, "_max", (double)knob->max);
        } else {
            set_limit(out, leaf, "_bytes_max", (double)knob->max);
        }
    }
}
