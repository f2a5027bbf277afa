/* Messages straight to JSON text: what cap_wire_to_json and a dump would give, without the tree in
 * between, which costs most of the time of a long list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/field.h"
#include "wire/json.h"

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
    size_t count = *(const size_t *)(base + field->quantifier_offset), size = wire_size_of(field);
    const char *items = *(char *const *)(base + field->offset);

    cap_buf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cap_buf_add_char(out, ',');
        write_scalar(out, field, items + i * size);
    }
    cap_buf_add_char(out, ']');
}

void cap_wire_write(const ProtobufCMessage *message, struct cap_buf *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *base = (const char *)message;
    bool first = true;

    cap_buf_add_char(out, '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!wire_is_there(field, base))
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
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    const char *base = (const char *)message;

    if (!field || !wire_is_there(field, base))
        return false;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        write_list(out, field, base);
    else if (field->type == PROTOBUF_C_TYPE_STRING)
        cap_buf_add_str(out, *(char *const *)(base + field->offset));
    else
        write_scalar(out, field, base + field->offset);
    return true;
}
