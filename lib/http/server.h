/* server.h — HTTP for our own small servers: routes, limits, bodies whole, replies whole or
 * streamed.
 *
 * Each connection has its own thread, so a handler may block; it must answer exactly once,
 * with cap_http_reply or cap_http_reply_stream. A handler that waits for something asks
 * cap_http_gone now and then: true when the client has hung up or the server is ending, and nobody
 * will read the answer. Bodies are read whole, up to a limit, before the handler runs. What no
 * route takes is answered with 404, or 405 and what is allowed, OPTIONS with 204; errors are JSON.
 * Strings of a request, and its arena, live until the reply was sent.
 *
 *     static const struct cap_http_route routes[] = {{"GET", "/health", health}, ...};
 *     server = cap_http_server_start(&(struct cap_http_server_options){.host = "127.0.0.1",
 *         .routes = routes, .route_count = 2, .self = me}, &port, err);
 */
#ifndef CAP_HTTP_SERVER_H
#define CAP_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"

struct cap_http_server;
struct cap_http_request;

typedef void cap_http_handler(struct cap_http_request *request, void *self);

/* The first route whose path fits decides which methods are allowed: those of the routes that spell
 * the same path. */
struct cap_http_route {
    const char *method; /* "GET" answers HEAD too; NULL: any */
    const char *path;   /* exact, or ending in "*": everything that begins so */
    cap_http_handler *handle;
};

struct cap_http_server_options { /* zero means the default in brackets */
    const char *host;            /* an IPv4 or IPv6 address */
    int port;                    /* 0: any free one */
    const struct cap_http_route *routes;
    size_t route_count;
    void *self;
    /* May be NULL. Asked when the head is there, before anything else; false: it has answered. */
    bool (*admit)(struct cap_http_request *request, void *self);
    /* May be NULL. The body of this server's own errors, JSON; [as OpenAI writes them] */
    void (*error_body)(int status, const char *message, struct cap_buf *out);
    int connections_max; /* [256] one more takes the place of the idlest, or is answered with 503 */
    int connections_per_peer_max; /* [all] from one address but this machine's, likewise; 429 */
    int streams_max;        /* [3/4 of all] replies in pieces; one more is answered with 429 */
    size_t url_bytes_max;   /* [8 KiB] a longer path and query is answered with 414 */
    size_t head_bytes_max;  /* [32 KiB] a larger head with 431 */
    size_t body_bytes_max;  /* [16 MiB] a larger body with 413 */
    size_t arena_bytes_max; /* [64 MiB] what one request may allocate */
    int head_s_max;         /* [10] from connecting to the end of the first head, else 408 */
    int body_s_max;         /* [60] from there to the end of the body, else 408 */
    int reply_s_max;        /* [300] to read a reply that is not a stream, else cut off */
    int idle_s_max;         /* [20] between requests; for who reads nothing of a stream */
};

struct cap_http_server *cap_http_server_start(const struct cap_http_server_options *options,
                                              int *out_port, struct cap_err *err);
/* Accepts no more, makes cap_http_gone true, waits for the handlers that run. */
void cap_http_server_free(struct cap_http_server *server);
CAP_DEFINE_AUTO(cap_http_server)

/* ---- the request: NULL when absent ---- */

const char *cap_http_method(const struct cap_http_request *request);
const char *cap_http_path(const struct cap_http_request *request);
const char *cap_http_query(const struct cap_http_request *request, const char *name);
/* Calls `see` for each parameter of the query, in its order, until that returns false. A value that
 * was left out is ""; length tells of a NUL inside. */
typedef bool cap_http_see_parameter(void *arg, const char *name, const char *value, size_t length);
void cap_http_query_each(const struct cap_http_request *request, cap_http_see_parameter *see,
                         void *arg);
const char *cap_http_header(const struct cap_http_request *request, const char *name);
/* How many lines of this name the request has. */
int cap_http_header_count(const struct cap_http_request *request, const char *name);
const char *cap_http_body(const struct cap_http_request *request, size_t *out_length);
struct cap_arena *cap_http_arena(struct cap_http_request *request);
bool cap_http_gone(const struct cap_http_request *request);

/* ---- the reply ---- */

/* Before the reply; at most 16. */
void cap_http_reply_header(struct cap_http_request *request, const char *name, const char *value);
void cap_http_reply(struct cap_http_request *request, int status, const char *content_type,
                    const void *body, size_t length);
/* A JSON error as options.error_body writes it. */
void cap_http_reply_error(struct cap_http_request *request, int status, const char *message);

/* A reply in pieces: `next` is called, may block, and adds bytes to `out`, which was emptied; it
 * returns false after the last ones. `done` is called once in any case, also when the client leaves
 * early, which ends the stream between two pieces. */
struct cap_http_stream {
    bool (*next)(struct cap_http_request *request, void *state, struct cap_buf *out);
    void (*done)(struct cap_http_request *request, void *state);
    void *state;
};
void cap_http_reply_stream(struct cap_http_request *request, int status, const char *content_type,
                           const struct cap_http_stream *stream);

/* The HTTP status that fits a code best. */
int cap_http_status_of(enum cap_code code);

#endif
