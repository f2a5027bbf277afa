/* A request's life: MHD calls take_request when the head is there (a request is made), for every
 * piece of the body (collected), and once more at its end (the route's handler runs and queues the
 * reply). A streamed reply is then pulled by read_stream, in the connection's own thread. At the
 * end, whatever happened, MHD calls end_request. */
#include "http/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

enum {
    CONNECTIONS_MAX = 256,
    IDLE_S_MAX = 60,
    REPLY_HEADERS_MAX = 16,
    PIECE_BYTES_MAX = 16 << 20,
    BLOCK_BYTES = 32 << 10,
};
static const size_t body_bytes_default = 16 << 20;
static const size_t arena_bytes_default = 64 << 20;

struct cap_http_server {
    struct cap_http_server_options options;
    struct MHD_Daemon *daemon;
    atomic_bool ending;
};

struct reply_header {
    const char *name, *value;
};

struct cap_http_request {
    struct cap_http_server *server;
    struct MHD_Connection *connection;
    const char *method, *path;
    struct cap_arena *arena;
    struct cap_buf body;
    bool answered;
    enum MHD_Result queued; /* what MHD said to the reply */
    struct reply_header headers[REPLY_HEADERS_MAX];
    int header_count;
    /* a streamed reply */
    struct cap_http_stream stream;
    bool streaming, stream_ended;
    struct cap_buf piece;
    size_t piece_at;
};

/* ---- the request ---- */

const char *cap_http_method(const struct cap_http_request *request)
{
    return request->method;
}

const char *cap_http_path(const struct cap_http_request *request)
{
    return request->path;
}

const char *cap_http_query(const struct cap_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct parameters {
    cap_http_see_parameter *see;
    void *arg;
};

static enum MHD_Result see_parameter(void *arg, enum MHD_ValueKind kind, const char *key,
                                     size_t key_size, const char *value, size_t value_size)
{
    const struct parameters *parameters = arg;

    (void)kind;
    (void)key_size;
    return parameters->see(parameters->arg, key, value ? value : "", value ? value_size : 0)
               ? MHD_YES
               : MHD_NO;
}

void cap_http_query_each(const struct cap_http_request *request, cap_http_see_parameter *see,
                         void *arg)
{
    struct parameters parameters = {see, arg};

    MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, see_parameter,
                                &parameters);
}

const char *cap_http_header(const struct cap_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *cap_http_body(const struct cap_http_request *request, size_t *out_length)
{
    if (out_length)
        *out_length = request->body.length;
    return request->body.data;
}

struct cap_arena *cap_http_arena(struct cap_http_request *request)
{
    return request->arena;
}

/* A client that only shut its sending side down is not gone, but none that we know does so. */
bool cap_http_gone(const struct cap_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd poll_fd = {.events = POLLRDHUP};

    if (atomic_load(&request->server->ending))
        return true;
    if (!info)
        return false;
    poll_fd.fd = info->connect_fd;
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* ---- the reply ---- */

void cap_http_reply_header(struct cap_http_request *request, const char *name, const char *value)
{
    assert(request->header_count < REPLY_HEADERS_MAX);
    request->headers[request->header_count++] = (struct reply_header){
        cap_arena_strdup(request->arena, name), cap_arena_strdup(request->arena, value)};
}

static void queue(struct cap_http_request *request, int status, const char *content_type,
                  struct MHD_Response *response)
{
    assert(!request->answered && "a request is answered once");
    assert(response);
    MHD_add_response_header(response, "Content-Type", content_type);
    for (int i = 0; i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    request->queued = MHD_queue_response(request->connection, (unsigned)status, response);
    request->answered = true;
    MHD_destroy_response(response);
}

void cap_http_reply(struct cap_http_request *request, int status, const char *content_type,
                    const void *body, size_t length)
{
    queue(request, status, content_type,
          MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY));
}

static void add_json_text(struct cap_buf *out, const char *text)
{
    cap_buf_add_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            cap_buf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            cap_buf_printf(out, "\\u%04x", (unsigned char)*text);
        else
            cap_buf_add_char(out, *text);
    }
    cap_buf_add_char(out, '"');
}

void cap_http_reply_error(struct cap_http_request *request, int status, const char *message)
{
    CAP_AUTO_BUF(body, 1 << 16);

    cap_buf_add_str(&body, "{\"error\": {\"message\": ");
    add_json_text(&body, message);
    cap_buf_printf(&body, ", \"type\": \"%s\", \"param\": null, \"code\": null}}\n",
                   status < 500 ? "invalid_request_error" : "server_error");
    cap_http_reply(request, status, "application/json", body.data, body.length);
}

/* Fills MHD's buffer from the current piece, after asking for the next one when it is used up. */
static ssize_t read_stream(void *arg, uint64_t position, char *out, size_t room)
{
    struct cap_http_request *request = arg;
    size_t left;

    (void)position;
    while (request->piece_at == request->piece.length) {
        if (request->stream_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (cap_http_gone(request))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        cap_buf_clear(&request->piece);
        request->piece_at = 0;
        request->stream_ended =
            !request->stream.next(request, request->stream.state, &request->piece);
        if (request->piece.overflowed)
            return MHD_CONTENT_READER_END_WITH_ERROR; /* rather than a piece without its end */
    }
    left = request->piece.length - request->piece_at;
    left = left < room ? left : room;
    memcpy(out, request->piece.data + request->piece_at, left);
    request->piece_at += left;
    return (ssize_t)left;
}

void cap_http_reply_stream(struct cap_http_request *request, int status, const char *content_type,
                           const struct cap_http_stream *stream)
{
    request->stream = *stream;
    request->streaming = true;
    queue(request, status, content_type,
          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, request,
                                            NULL));
}

int cap_http_status_of(enum cap_code code)
{
    static const int statuses[CAP_CODE_COUNT] = {
        [CAP_OK] = 200,
        [CAP_INVALID_ARGUMENT] = 400,
        [CAP_OUT_OF_RANGE] = 400,
        [CAP_FAILED_PRECONDITION] = 400,
        [CAP_UNAUTHENTICATED] = 401,
        [CAP_PERMISSION_DENIED] = 403,
        [CAP_NOT_FOUND] = 404,
        [CAP_ALREADY_EXISTS] = 409,
        [CAP_ABORTED] = 409,
        [CAP_RESOURCE_EXHAUSTED] = 429,
        [CAP_CANCELLED] = 499,
        [CAP_UNIMPLEMENTED] = 501,
        [CAP_UNAVAILABLE] = 503,
        [CAP_DEADLINE_EXCEEDED] = 504,
    };

    return code >= 0 && code < CAP_CODE_COUNT && statuses[code] ? statuses[code] : 500;
}

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
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void route_request(struct cap_http_request *request)
{
    const struct cap_http_server_options *options = &request->server->options;
    bool path_known = false;
    char message[256];

    for (size_t i = 0; i < options->route_count; i++) {
        if (!path_fits(&options->routes[i], request->path))
            continue;
        path_known = true;
        if (method_fits(&options->routes[i], request->method)) {
            options->routes[i].handle(request, options->self);
            assert(request->answered && "a handler answers");
            return;
        }
    }
    snprintf(message, sizeof message,
             path_known ? "%.16s is not allowed for %.150s" : "%.16s %.150s does not exist",
             request->method, request->path);
    cap_http_reply_error(request, path_known ? 405 : 404, message);
}

/* ---- MHD's callbacks ---- */

static struct cap_http_request *make_request(struct cap_http_server *server,
                                             struct MHD_Connection *connection, const char *method,
                                             const char *path)
{
    struct cap_http_request *request = calloc(1, sizeof *request);

    assert(request);
    request->server = server;
    request->connection = connection;
    request->arena = cap_arena_new(server->options.arena_bytes_max);
    request->method = cap_arena_strdup(request->arena, method);
    request->path = cap_arena_strdup(request->arena, path);
    cap_buf_init(&request->body, server->options.body_bytes_max);
    cap_buf_init(&request->piece, PIECE_BYTES_MAX);
    return request;
}

static bool announces_too_much(const struct cap_http_request *request)
{
    const char *length = cap_http_header(request, "Content-Length");

    return length && strtoull(length, NULL, 10) > request->server->options.body_bytes_max;
}

static void refuse_body(struct cap_http_request *request)
{
    char message[96];

    snprintf(message, sizeof message, "the body is larger than %zu KiB",
             request->server->options.body_bytes_max >> 10);
    cap_http_reply_error(request, 413, message);
}

static enum MHD_Result take_request(void *arg, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_length, void **slot)
{
    struct cap_http_request *request = *slot;

    (void)version;
    if (!request) {
        *slot = request = make_request(arg, connection, method, path);
        if (!announces_too_much(request))
            return MHD_YES;
        refuse_body(request);
        return request->queued;
    }
    if (*data_length) {
        cap_buf_add(&request->body, data, *data_length);
        *data_length = 0;
        return MHD_YES;
    }
    if (request->body.overflowed)
        refuse_body(request);
    else
        route_request(request);
    return request->queued;
}

static void end_request(void *arg, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode why)
{
    struct cap_http_request *request = *slot;

    (void)arg;
    (void)connection;
    (void)why;
    if (!request)
        return;
    if (request->streaming && request->stream.done)
        request->stream.done(request, request->stream.state);
    cap_buf_done(&request->body);
    cap_buf_done(&request->piece);
    cap_arena_free(request->arena);
    free(request);
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

static void set_defaults(struct cap_http_server_options *options)
{
    if (!options->connections_max)
        options->connections_max = CONNECTIONS_MAX;
    if (!options->body_bytes_max)
        options->body_bytes_max = body_bytes_default;
    if (!options->arena_bytes_max)
        options->arena_bytes_max = arena_bytes_default;
    if (!options->idle_s_max)
        options->idle_s_max = IDLE_S_MAX;
}

static struct MHD_Daemon *start_daemon(struct cap_http_server *server, union address *address)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG;

    if (address->any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, take_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
        MHD_OPTION_SOCK_ADDR, &address->any, MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->options.connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)server->options.idle_s_max, MHD_OPTION_END);
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
    server->daemon = start_daemon(server, &address);
    if (!server->daemon) {
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
    free(server);
}
