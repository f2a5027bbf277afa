/* A request's life: MHD tells of a connection (connection_changed), then of the length of the
 * request line (see_url); it calls take_request when the head is there (a request is made, and
 * refused if it is too large or not admitted), for every piece of the body (collected), and once
 * more at its end (the route's handler runs and queues the reply). At the end, whatever happened,
 * MHD calls end_request. What takes too long meanwhile is ended by connections.c. */
#include "http/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "http/server_inside.h"
#include "log/log.h"

enum {
    CONNECTIONS_MAX = 256,
    HEAD_S_MAX = 10,
    BODY_S_MAX = 60,
    REPLY_S_MAX = 300,
    IDLE_S_MAX = 20,
    CONNECTIONS_MORE = 64, /* that have ended and wait for MHD to close them */
    URL_BYTES_MAX = 8 << 10,
    HEAD_BYTES_MAX = 32 << 10,
    MHD_BYTES_MORE = 96 << 10, /* so that we, not MHD, say that a head is too large, in our words */
    BODY_TIMES_MAX = 4,        /* of its limit, that a body may go on before its connection ends */
    METHODS_BYTES_MAX = 128,
};
static const size_t body_bytes_default = 16 << 20;
static const size_t arena_bytes_default = 64 << 20;

/* ---- routing ---- */

static bool path_fits(const struct cap_http_route *route, const char *path)
{
    size_t length = strlen(route->path);

    if (length && route->path[length - 1] == '*')
        return strncmp(route->path, path, length - 1) == 0;
    return strcmp(route->path, path) == 0;
}

static bool method_fits(const struct cap_http_route *route, const char *method)
{
    return !route->method || strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* The first route that fits the path decides; others count when they spell the same path. */
static const struct cap_http_route *first_fit(const struct cap_http_server_options *options,
                                              const char *path)
{
    for (size_t i = 0; i < options->route_count; i++)
        if (path_fits(&options->routes[i], path))
            return &options->routes[i];
    return NULL;
}

/* "GET, HEAD, OPTIONS" */
static void set_allow(struct cap_http_request *request, const struct cap_http_route *fit)
{
    const struct cap_http_server_options *options = &request->server->options;
    CAP_AUTO_BUF(allow, METHODS_BYTES_MAX);

    for (size_t i = 0; i < options->route_count; i++) {
        const char *method = options->routes[i].method;

        if (method && strcmp(options->routes[i].path, fit->path) == 0)
            cap_buf_printf(&allow, strcmp(method, "GET") == 0 ? "%s, HEAD, " : "%s, ", method);
    }
    cap_buf_add_str(&allow, "OPTIONS");
    cap_http_reply_header(request, "Allow", allow.data);
}

static void refuse_route(struct cap_http_request *request, const struct cap_http_route *fit)
{
    char message[256];

    if (fit)
        set_allow(request, fit);
    if (fit && strcmp(request->method, "OPTIONS") == 0) {
        cap_http_reply(request, 204, "text/plain", "", 0);
        return;
    }
    snprintf(message, sizeof message,
             fit ? "%.16s is not allowed for %.150s" : "%.16s %.150s does not exist",
             request->method, request->path);
    cap_utf8_tidy(message);
    cap_http_reply_error(request, fit ? 405 : 404, message);
}

static void route_request(struct cap_http_request *request)
{
    const struct cap_http_server_options *options = &request->server->options;
    const struct cap_http_route *fit = first_fit(options, request->path);

    http_connection_enter(&request->server->connections, request->on, HTTP_HANDLE);
    for (size_t i = 0; fit && i < options->route_count; i++) {
        const struct cap_http_route *route = &options->routes[i];

        if (strcmp(route->path, fit->path) == 0 && method_fits(route, request->method)) {
            route->handle(request, options->self);
            assert(request->answered && "a handler answers");
            return;
        }
    }
    refuse_route(request, fit);
}

/* ---- limits of a head and a body ---- */

static size_t head_bytes(const struct cap_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info ? info->header_size : 0;
}

static void refuse_size(struct cap_http_request *request, int status, const char *what, size_t max)
{
    char message[96];

    snprintf(message, sizeof message, "the %s larger than %zu KiB", what, max >> 10);
    cap_http_reply_error(request, status, message);
}

/* A little too much is read to its end and dropped, so that the client gets to read our answer: one
 * that still sends when we close may lose it. */
static bool announces_far_too_much(const struct cap_http_request *request)
{
    const char *length = cap_http_header(request, "Content-Length");

    return length &&
           strtoull(length, NULL, 10) / BODY_TIMES_MAX > request->server->options.body_bytes_max;
}

static void check_head(struct cap_http_request *request)
{
    const struct cap_http_server_options *options = &request->server->options;

    if (options->admit && !options->admit(request, options->self))
        assert(request->answered && "who does not admit answers");
    else if (request->on->url_length > options->url_bytes_max)
        refuse_size(request, 414, "path and query are", options->url_bytes_max);
    else if (head_bytes(request) > options->head_bytes_max)
        refuse_size(request, 431, "headers are", options->head_bytes_max);
    else if (announces_far_too_much(request))
        refuse_size(request, 413, "body is", options->body_bytes_max);
}

static enum MHD_Result take_body(struct cap_http_request *request, const char *data, size_t length)
{
    struct cap_http_server *server = request->server;

    request->body_bytes += length;
    cap_buf_add(&request->body, data, length);
    if (request->body_bytes / BODY_TIMES_MAX <= server->options.body_bytes_max)
        return MHD_YES;
    http_connection_refuse(&server->connections, request->on, 413, "the body does not end");
    return MHD_NO;
}

/* ---- MHD's callbacks ---- */

static struct http_connection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void connection_changed(void *arg, struct MHD_Connection *connection, void **slot,
                               enum MHD_ConnectionNotificationCode what)
{
    struct cap_http_server *server = arg;

    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *slot = http_connection_add(
            &server->connections,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    else
        http_connection_remove(&server->connections, *slot);
}

static void *see_url(void *arg, const char *url, struct MHD_Connection *connection)
{
    (void)arg;
    connection_of(connection)->url_length = strlen(url);
    return NULL;
}

static enum MHD_Result take_request(void *arg, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_length, void **slot)
{
    struct cap_http_server *server = arg;
    struct cap_http_request *request = *slot;
    size_t length = *data_length;

    (void)version;
    if (!request) {
        *slot = request =
            http_request_new(server, connection, connection_of(connection), method, path);
        http_connection_enter(&server->connections, request->on, HTTP_BODY);
        check_head(request);
        return request->answered ? request->queued : MHD_YES;
    }
    if (length) {
        *data_length = 0;
        return take_body(request, data, length);
    }
    if (request->body.overflowed)
        refuse_size(request, 413, "body is", server->options.body_bytes_max);
    else
        route_request(request);
    return request->queued;
}

static void end_request(void *arg, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode why)
{
    struct cap_http_server *server = arg;
    struct cap_http_request *request = *slot;

    (void)why;
    http_connection_enter(&server->connections, connection_of(connection), HTTP_IDLE);
    if (request)
        http_request_free(request);
    *slot = NULL;
}

__attribute__((format(printf, 2, 0))) static void log_mhd(void *arg, const char *fmt, va_list args)
{
    char text[256];

    (void)arg;
    vsnprintf(text, sizeof text, fmt, args);
    cap_log(DEBUG, "microhttpd", "text=%s", CAP_LOG_Q(text));
}

/* ---- the server ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_address(const struct cap_http_server_options *options, union address *out,
                          struct cap_err *err)
{
    *out = (union address){0};
    if (inet_pton(AF_INET, options->host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)options->port);
    } else if (inet_pton(AF_INET6, options->host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)options->port);
    } else {
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is not an IPv4 or IPv6 address",
                        options->host);
    }
    return true;
}

static void set_default(int *setting, int value)
{
    if (!*setting)
        *setting = value;
}

static void set_size_default(size_t *setting, size_t value)
{
    if (!*setting)
        *setting = value;
}

static void set_defaults(struct cap_http_server_options *options)
{
    set_default(&options->connections_max, CONNECTIONS_MAX);
    set_default(&options->connections_per_peer_max, options->connections_max);
    set_default(&options->streams_max, options->connections_max - options->connections_max / 4);
    set_default(&options->head_s_max, HEAD_S_MAX);
    set_default(&options->body_s_max, BODY_S_MAX);
    set_default(&options->reply_s_max, REPLY_S_MAX);
    set_default(&options->idle_s_max, IDLE_S_MAX);
    set_size_default(&options->url_bytes_max, URL_BYTES_MAX);
    set_size_default(&options->head_bytes_max, HEAD_BYTES_MAX);
    set_size_default(&options->body_bytes_max, body_bytes_default);
    set_size_default(&options->arena_bytes_max, arena_bytes_default);
}

static struct MHD_Daemon *start_daemon(struct cap_http_server *server, union address *address)
{
    const struct cap_http_server_options *options = &server->options;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG;

    if (address->any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, take_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
        MHD_OPTION_SOCK_ADDR, &address->any, MHD_OPTION_NOTIFY_COMPLETED, end_request, server,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server, MHD_OPTION_URI_LOG_CALLBACK,
        see_url, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->connections_max + CONNECTIONS_MORE, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        options->head_bytes_max + MHD_BYTES_MORE, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)options->idle_s_max, MHD_OPTION_END);
}

struct cap_http_server *cap_http_server_start(const struct cap_http_server_options *options,
                                              int *out_port, struct cap_err *err)
{
    CAP_AUTO_MEM struct cap_http_server *server = calloc(1, sizeof *server);
    union address address;

    assert(server);
    server->options = *options;
    set_defaults(&server->options);
    if (!parse_address(options, &address, err))
        return NULL;
    http_connections_init(&server->connections, &server->options);
    server->daemon = start_daemon(server, &address);
    if (!server->daemon) {
        http_connections_done(&server->connections);
        cap_fail(err, CAP_UNAVAILABLE, "could not listen on %s:%d; the port may be taken",
                 options->host, options->port);
        return NULL;
    }
    *out_port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return cap_take(server);
}

void cap_http_server_free(struct cap_http_server *server)
{
    if (!server)
        return;
    atomic_store(&server->ending, true);
    MHD_stop_daemon(server->daemon);
    http_connections_done(&server->connections);
    free(server);
}
