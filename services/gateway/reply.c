/* What every reply has: an ETag of its text, packing for clients that take gzip, and one form of
 * errors ({"error": {"code", "message", "field", "fields"}}), whether a handler, a service that we
 * called, or the HTTP server found the fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "digest/digest.h"
#include "service.h"
#include "wire/json.h"

enum {
    ETAG_BYTES = CAP_SHA256_HEX_BYTES + 4,
    JSON_BYTES_MAX = 256 << 20,
    PACK_BYTES_MIN = 1024, /* below, a packet is a packet */
    GZIP_LEVEL = 1, /* a board of 1,000 rows: 3.3 times as fast as level 6, an eighth more bytes */
    GZIP_WINDOW_BITS = 15 + 16,
    MEMORY_LEVEL = 8,
};

/* ---- gzip ---- */

/* "gzip;q=0" is a refusal, as is a list without gzip and "*". */
bool gate_takes_gzip(const char *accept_encoding)
{
    const char *item = accept_encoding ? accept_encoding : "";

    while (*item) {
        size_t length, name;

        item += strspn(item, " \t,");
        length = strcspn(item, ",");
        name = strcspn(item, " \t,;");
        if ((name == 4 && strncasecmp(item, "gzip", 4) == 0) || (name == 1 && *item == '*')) {
            const char *weight = memmem(item, length, "q=0", 3);

            return !weight || strspn(weight + 3, ".0") != (size_t)(item + length - (weight + 3));
        }
        item += length;
    }
    return false;
}

bool gate_gzip(const char *text, size_t length, struct cap_buf *out)
{
    z_stream stream = {.next_in = (z_const Bytef *)text};
    char piece[16384];
    int status;

    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    stream.avail_in = (uInt)length;
    do {
        stream.next_out = (Bytef *)piece;
        stream.avail_out = sizeof piece;
        status = deflate(&stream, Z_FINISH);
        cap_buf_add(out, piece, sizeof piece - stream.avail_out);
    } while (status == Z_OK);
    deflateEnd(&stream);
    return status == Z_STREAM_END && !out->overflowed;
}

/* ---- texts ---- */

/* Weak: the bytes differ by encoding, what they mean does not. */
static void make_etag(const char *text, size_t length, char out[ETAG_BYTES])
{
    char hex[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(text, length, hex);
    snprintf(out, ETAG_BYTES, "W/\"%.32s\"", hex);
}

bool gate_etag_known(const char *if_none_match, const char *etag)
{
    const char *item = if_none_match ? if_none_match : "";

    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    while (*item) {
        size_t length;

        item += strspn(item, " \t,");
        if (strncmp(item, "W/", 2) == 0)
            item += 2;
        length = strcspn(item, " \t,");
        if ((length == strlen(etag) && strncmp(item, etag, length) == 0) ||
            (length == 1 && *item == '*'))
            return true;
        item += length;
    }
    return false;
}

static void send_text(struct cap_http_request *http, int status, const char *content_type,
                      const char *text, size_t length)
{
    CAP_AUTO_BUF(packed, length);

    if (length >= PACK_BYTES_MIN && gate_takes_gzip(cap_http_header(http, "Accept-Encoding")) &&
        gate_gzip(text, length, &packed)) {
        cap_http_reply_header(http, "Content-Encoding", "gzip");
        cap_http_reply(http, status, content_type, packed.data, packed.length);
    } else
        cap_http_reply(http, status, content_type, text, length);
}

void gate_reply_text(struct cap_http_request *http, int status, const char *content_type,
                     const char *text, size_t length)
{
    char etag[ETAG_BYTES];

    make_etag(text, length, etag);
    cap_http_reply_header(http, "ETag", etag);
    cap_http_reply_header(http, "Cache-Control", "no-cache");
    cap_http_reply_header(http, "Vary", "Accept-Encoding");
    if (status == 200 && gate_etag_known(cap_http_header(http, "If-None-Match"), etag))
        cap_http_reply(http, 304, content_type, "", 0);
    else
        send_text(http, status, content_type, text, length);
}

void gate_reply_made(struct cap_http_request *http, int status, const char *content_type,
                     const struct cap_buf *text)
{
    struct cap_err err = {0};

    if (!text->overflowed) {
        gate_reply_text(http, status, content_type, text->data, text->length);
        return;
    }
    cap_fail(&err, CAP_RESOURCE_EXHAUSTED,
             "the reply has more than %zu MiB; ask for fewer rows with limit",
             text->bytes_max >> 20);
    gate_reply_error(http, &err);
}

/* A message has 8 MiB at most, but its JSON names fields that the wire leaves out. */
void gate_reply_message(struct cap_http_request *http, int status, const ProtobufCMessage *message)
{
    CAP_AUTO_BUF(text, JSON_BYTES_MAX);

    cap_wire_write(message, &text);
    gate_reply_made(http, status, "application/json", &text);
}

void gate_reply_json(struct cap_http_request *http, int status, json_t *json)
{
    CAP_AUTO_MEM char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    if (!text)
        abort();
    gate_reply_text(http, status, "application/json", text, strlen(text));
}

/* A text that may hold a user's bytes. */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);

    return json ? json : json_string("(text that is not UTF-8)");
}

static json_t *faults_json(const struct cap_err *err, const struct cap_rpc_faults *faults)
{
    const struct cap_rpc_fault only = {err->field, err->text};
    const struct cap_rpc_fault *items = faults->count > 0 ? faults->items : &only;
    size_t count = faults->count > 0 ? faults->count : 1;
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o,s:o}", "field", text_json(items[i].field),
                                              "message", text_json(items[i].sentence)));
    return list;
}

static json_t *error_json(const struct cap_err *err, const struct cap_rpc_faults *faults)
{
    json_t *error =
        json_pack("{s:s,s:o}", "code", cap_code_name(err->code), "message", text_json(err->text));

    if (*err->field) {
        json_object_set_new(error, "field", text_json(err->field));
        json_object_set_new(error, "fields", faults_json(err, faults));
    }
    return json_pack("{s:o}", "error", error);
}

static void reply_error(struct cap_http_request *http, int status, const struct cap_err *err,
                        const struct cap_rpc_faults *faults)
{
    gate_count(GATE_METRIC_failed_total, 1);
    gate_reply_json(http, status, error_json(err, faults));
}

void gate_reply_refusal(struct cap_http_request *http, const struct cap_err *err,
                        const struct cap_rpc_faults *faults)
{
    reply_error(http, cap_http_status_of(err->code), err, faults);
}

void gate_reply_error_as(struct cap_http_request *http, int status, const struct cap_err *err)
{
    const struct cap_rpc_faults none = {0};

    reply_error(http, status, err, &none);
}

void gate_reply_error(struct cap_http_request *http, const struct cap_err *err)
{
    gate_reply_error_as(http, cap_http_status_of(err->code), err);
}

static enum cap_code code_of(int status)
{
    switch (status) {
    case 404:
        return CAP_NOT_FOUND;
    case 405:
        return CAP_UNIMPLEMENTED;
    case 408:
        return CAP_DEADLINE_EXCEEDED;
    case 413:
    case 414:
    case 431:
        return CAP_RESOURCE_EXHAUSTED;
    default:
        return status < 500 ? CAP_INVALID_ARGUMENT : CAP_INTERNAL;
    }
}

void gate_error_body(int status, const char *message, struct cap_buf *out)
{
    const struct cap_rpc_faults none = {0};
    struct cap_err err = {0};
    CAP_AUTO_MEM char *text = NULL;
    json_t *json;

    gate_count(GATE_METRIC_failed_total, 1);
    cap_fail(&err, code_of(status), "%s", message);
    json = error_json(&err, &none);
    text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (!text)
        abort();
    cap_buf_add_str(out, text);
}
