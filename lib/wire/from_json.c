/* JSON to messages, by their descriptors. The first fault ends it: with the path of the field, and
 * with what was expected. Everything is allocated in the caller's arena, whose limit is the limit
 * of what a client can make us allocate; lists have their own maximum. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/near.h"
#include "wire/field.h"
#include "wire/json.h"

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
    size_t count = json_array_size(json), size = wire_size_of(field);
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
