/* field.h — where a message keeps its fields; for this directory only. */
#ifndef CAP_WIRE_FIELD_H
#define CAP_WIRE_FIELD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Of a value, in a message or in a list. */
static inline size_t wire_size_of(const ProtobufCFieldDescriptor *field)
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
static inline bool wire_is_there(const ProtobufCFieldDescriptor *field, const char *base)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED ||
           !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
           *(const uint32_t *)(base + field->quantifier_offset) == field->id;
}

#endif
