/* A request as its handler sees it, and its reply: whole, or pulled piece by piece by read_stream,
 * in the connection's own thread. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/server_inside.h"

enum { PIECE_BYTES_MAX = 16 << 20, BLOCK_BYTES = 32 << 10, ERROR_BYTES_MAX = 1 << 16 };

struct cap_http_request *http_request_new(struct cap_http_server *server,
                                          struct MHD_Connection *connection,
                                          struct http_connection *on, const char *method,
                                          const char *path)
{
    struct cap_http_request *request = calloc(1, sizeof *request);

    assert(request);
    request->server = server;
    request->on = on;
    request->connection = connection;
    request->arena = cap_arena_new(server->options.arena_bytes_max);
    request->method = cap_arena_strdup(request->arena, method);
    request->path = cap_arena_strdup(request->arena, path);
    cap_buf_init(&request->body, server->options.body_bytes_max);
    cap_buf_init(&request->piece, PIECE_BYTES_MAX);
    return request;
}

void http_request_free(struct cap_http_request *request)
{
    if (request->streaming && request->stream.done)
        request->stream.done(request, request->stream.state);
    cap_buf_done(&request->body);
    cap_buf_done(&request->piece);
    cap_arena_free(request->arena);
    free(request);
}

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

struct counting {
    const char *name;
    int count;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    struct counting *counting = arg;

    (void)kind;
    (void)value;
    counting->count += strcasecmp(key, counting->name) == 0;
    return MHD_YES;
}

int cap_http_header_count(const struct cap_http_request *request, const char *name)
{
    struct counting counting = {.name = name};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_header, &counting);
    return counting.count;
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
    request->headers[request->header_count++] = (struct http_header){
        cap_arena_strdup(request->arena, name), cap_arena_strdup(request->arena, value)};
}

/* A client that is told to come back later leaves: its idle connection would hold a place. */
static bool ends_connection(int status)
{
    return status == 429 || status == 503;
}

static void queue(struct cap_http_request *request, int status, const char *content_type,
                  struct MHD_Response *response, bool streamed)
{
    assert(!request->answered && "a request is answered once");
    assert(response);
    if (ends_connection(status))
        MHD_add_response_header(response, "Connection", "close");
    MHD_add_response_header(response, "Content-Type", content_type);
    for (int i = 0; i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    if (!streamed)
        http_connection_enter(&request->server->connections, request->on, HTTP_REPLY);
    request->queued = MHD_queue_response(request->connection, (unsigned)status, response);
    request->answered = true;
    MHD_destroy_response(response);
}

void cap_http_reply(struct cap_http_request *request, int status, const char *content_type,
                    const void *body, size_t length)
{
    queue(request, status, content_type,
          MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY), false);
}

void cap_http_reply_error(struct cap_http_request *request, int status, const char *message)
{
    CAP_AUTO_BUF(body, ERROR_BYTES_MAX);

    http_error_body(&request->server->options, status, message, &body);
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
    request->streaming = true; /* `done` is called at the request's end, whatever it is */
    if (!http_connection_stream(&request->server->connections, request->on)) {
        cap_http_reply_error(request, 429, "too many streams are open");
        return;
    }
    queue(request, status, content_type,
          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, request,
                                            NULL),
          true);
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

/* ---- errors ---- */

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

/* {"error": {"message": ..., "type": ..., "param": null, "code": null}}, as OpenAI writes it. */
static void add_plain_error(int status, const char *message, struct cap_buf *out)
{
    cap_buf_add_str(out, "{\"error\": {\"message\": ");
    add_json_text(out, message);
    cap_buf_printf(out, ", \"type\": \"%s\", \"param\": null, \"code\": null}}\n",
                   status < 500 ? "invalid_request_error" : "server_error");
}

void http_error_body(const struct cap_http_server_options *options, int status, const char *message,
                     struct cap_buf *out)
{
    (options->error_body ? options->error_body : add_plain_error)(status, message, out);
}
