/* Who may ask: a browser that was led here under a foreign name (DNS rebinding) or from a foreign
 * page (cross-site requests) is refused. Programs send no Origin and are not concerned. */
#include <stdio.h>
#include <string.h>

#include "service.h"

static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                                  "connect-src 'self'; img-src 'self' data:; "
                                  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* Length of the name in "name:port" or "[::1]:port". */
static size_t name_length(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : NULL;

    return end ? (size_t)(end - host) + 1 : strcspn(host, ":");
}

static bool is_name(const char *host, size_t length, const char *name, size_t name_bytes)
{
    return length == name_bytes && strncasecmp(host, name, length) == 0;
}

bool gate_host_allowed(const char *host, const char *allowed_hosts)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t length = name_length(host);

    for (size_t i = 0; i < CAP_COUNT_OF(own); i++)
        if (is_name(host, length, own[i], strlen(own[i])))
            return true;
    for (const char *item = allowed_hosts; *item;) {
        size_t bytes = strcspn(item, ",");

        if (bytes > 0 && is_name(host, length, item, bytes))
            return true;
        item += bytes + (item[bytes] == ',');
    }
    return false;
}

bool gate_same_origin(const char *origin, const char *host)
{
    const char *name = strstr(origin, "://");

    return name && strcasecmp(name + 3, host) == 0;
}

static bool refuse(struct cap_http_request *http, const char *sentence)
{
    struct cap_err err = {0};

    gate_count(GATE_METRIC_refused_total, 1);
    cap_fail(&err, CAP_PERMISSION_DENIED, "%s", sentence);
    gate_reply_error(http, &err);
    return false;
}

static bool check_origin(struct cap_http_request *http, const char *host)
{
    const char *origin = cap_http_header(http, "Origin");

    return !origin || gate_same_origin(origin, host) ||
           refuse(http, "this request comes from another site's page");
}

/* Whoever watches over programs asks by the address of the machine, and learns nothing secret. */
static bool is_probe(const char *path)
{
    return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0;
}

bool gate_guard(struct cap_http_request *http, void *self)
{
    const struct gate_service *service = self;
    const char *host = cap_http_header(http, "Host");

    gate_count(GATE_METRIC_requests_total, 1);
    cap_http_reply_header(http, "Content-Security-Policy", page_policy);
    cap_http_reply_header(http, "X-Content-Type-Options", "nosniff");
    cap_http_reply_header(http, "Referrer-Policy", "no-referrer");
    if (!is_probe(cap_http_path(http)) &&
        (!host || !gate_host_allowed(host, service->allowed_hosts)))
        return refuse(http, "this host name is not allowed here; see --allowed-hosts");
    return strcmp(cap_http_method(http), "POST") != 0 || check_origin(http, host);
}
