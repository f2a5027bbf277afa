/* Messages to JSON text, by their descriptors. There is one writer: the tree is this text, read
 * back. A long list goes out as text, since building a tree first costs most of its time.
 *
 * What is left out, because nobody knows it: a oneof that holds nothing, and the fields of
 * unknown.def while they are zero or empty. */
#include <ctype.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/utf8.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "moecap/v1/store.pb-c.h"
#include "wire/field.h"
#include "wire/json.h"

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
        return memcmp(at, zeros, wire_size_of(field)) == 0;
    text = *(char *const *)at;
    return !text || !*text;
}

static bool is_known(const ProtobufCMessage *message, unsigned index, uint64_t may_be_unknown)
{
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[index];
    const char *base = (const char *)message;

    return wire_is_there(field, base) &&
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

    if (!from || !to || from->type != to->type || !wire_is_there(from, source))
        return false;
    if (to->type == PROTOBUF_C_TYPE_STRING)
        *(char **)(target + to->offset) =
            cap_arena_strdup(arena, *(char *const *)(source + from->offset));
    else
        memcpy(target + to->offset, source + from->offset, wire_size_of(to));
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
