#include "http/guard.h"

#include <string.h>

/* Length of the name in "name", "name:port" or "[::1]:port"; 0 when it is none of these: a browser
 * sends nothing else, and what follows a bracket would be read as part of a name by some. */
static size_t name_length(const char *host)
{
    const char *bracket = *host == '[' ? strchr(host, ']') : NULL;
    size_t length = bracket ? (size_t)(bracket - host) + 1 : strcspn(host, ":");
    const char *port = host + length;

    if (*port == ':')
        port += 1 + strspn(port + 1, "0123456789");
    return *port == '\0' ? length : 0;
}

static bool is_name(const char *host, size_t length, const char *name, size_t name_bytes)
{
    return length == name_bytes && strncasecmp(host, name, length) == 0;
}

bool cap_http_host_allowed(const char *host, const char *allowed_hosts)
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

bool cap_http_same_origin(const char *origin, const char *host)
{
    const char *name = strstr(origin, "://");

    return name && strcasecmp(name + 3, host) == 0;
}

bool cap_http_type_is_json(const char *type)
{
    static const char json[] = "application/json";

    return type && strncasecmp(type, json, strlen(json)) == 0 &&
           strchr("; \t", type[strlen(json)]); /* or its end */
}

bool cap_http_is_json(const struct cap_http_request *request)
{
    return cap_http_header_count(request, "Content-Type") == 1 &&
           cap_http_type_is_json(cap_http_header(request, "Content-Type"));
}

bool cap_http_guard(const struct cap_http_request *request, const char *allowed_hosts,
                    const char *setting, struct cap_err *err)
{
    const char *host = cap_http_header(request, "Host");
    const char *origin = cap_http_header(request, "Origin");
    int origins = cap_http_header_count(request, "Origin");

    if (cap_http_header_count(request, "Host") != 1 || !cap_http_host_allowed(host, allowed_hosts))
        return cap_fail(err, CAP_PERMISSION_DENIED, "this host name is not allowed here; see %s",
                        setting);
    return strcmp(cap_http_method(request), "POST") != 0 || origins == 0 ||
           (origins == 1 && cap_http_same_origin(origin, host)) ||
           cap_fail(err, CAP_PERMISSION_DENIED, "this request comes from another site's page");
}
