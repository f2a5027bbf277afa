#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest/digest.h"
#include "wire/field.h"
#include "wire/json.h"

static json_t *bytes_json(const ProtobufCBinaryData *bytes)
{
    char *hex = malloc(bytes->len * 2 + 1);
    json_t *json;

    if (!hex)
        abort();
    cap_hex(bytes->data, bytes->len, hex);
    json = json_string(hex);
    free(hex);
    return json;
}

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

static json_t *enum_json(const ProtobufCEnumDescriptor *type, int value)
{
    char word[64];

    return cap_wire_enum_word(type, value, word) ? json_string(word) : json_integer(value);
}

static json_t *real_json(double value)
{
    return value - value == 0 ? json_real(value) : json_null(); /* NaN and infinity have no JSON */
}

static json_t *scalar_json(const ProtobufCFieldDescriptor *field, const void *at)
{
    json_t *json;

    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return real_json(*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return real_json(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(field->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        json = json_string(*(char *const *)at ? *(char *const *)at : "");
        return json ? json : json_string("(not UTF-8)");
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_json(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at ? cap_wire_to_json(*(ProtobufCMessage *const *)at)
                                              : json_null();
    }
    return json_null();
}

static json_t *list_json(const ProtobufCFieldDescriptor *field, const char *base)
{
    size_t count = *(const size_t *)(base + field->quantifier_offset);
    const char *items = *(char *const *)(base + field->offset);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, scalar_json(field, items + i * wire_size_of(field)));
    return list;
}

json_t *cap_wire_to_json(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *base = (const char *)message;
    json_t *object = json_object();

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (wire_is_there(field, base))
            json_object_set_new(object, field->name,
                                field->label == PROTOBUF_C_LABEL_REPEATED
                                    ? list_json(field, base)
                                    : scalar_json(field, base + field->offset));
    }
    return object;
}
