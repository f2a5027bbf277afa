#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest/digest.h"
#include "service.h"

enum { ETAG_BYTES = CAP_SHA256_HEX_BYTES + 2 };

static void make_etag(const char *text, size_t length, char out[ETAG_BYTES])
{
    char hex[CAP_SHA256_HEX_BYTES];

    cap_sha256_hex(text, length, hex);
    snprintf(out, ETAG_BYTES, "\"%.32s\"", hex);
}

void gate_reply_json(struct cap_http_request *http, int status, json_t *json)
{
    CAP_AUTO_MEM char *text = json_dumps(json, JSON_COMPACT);
    const char *known = cap_http_header(http, "If-None-Match");
    char etag[ETAG_BYTES];

    json_decref(json);
    if (!text)
        abort();
    make_etag(text, strlen(text), etag);
    cap_http_reply_header(http, "ETag", etag);
    cap_http_reply_header(http, "Cache-Control", "no-cache");
    if (status == 200 && known && strcmp(known, etag) == 0)
        cap_http_reply(http, 304, "application/json", "", 0);
    else
        cap_http_reply(http, status, "application/json", text, strlen(text));
}

void gate_reply_error(struct cap_http_request *http, const struct cap_err *err)
{
    json_t *json =
        json_pack("{s:{s:s,s:s}}", "error", "code", cap_code_name(err->code), "message", err->text);

    gate_count(GATE_METRIC_failed_total, 1);
    if (!json) /* the sentence holds a user's bytes that are not UTF-8 */
        json = json_pack("{s:{s:s,s:s}}", "error", "code", cap_code_name(err->code), "message",
                         "the request holds text that is not UTF-8");
    gate_reply_json(http, cap_http_status_of(err->code), json);
}

bool gate_query_int(struct cap_http_request *http, const char *name, int64_t min, int64_t max,
                    int64_t fallback, int64_t *out, struct cap_err *err)
{
    const char *text = cap_http_query(http, name);
    long long value;
    char *end;

    *out = fallback;
    if (!text || !*text)
        return true;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || *end || value < min || value > max)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "%s: \"%.40s\" is not a whole number from %lld to %lld", name, text,
                        (long long)min, (long long)max);
    *out = value;
    return true;
}
