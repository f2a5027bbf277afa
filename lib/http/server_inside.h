/* server_inside.h — what is behind server.h; for the server's own files only. */
#ifndef CAP_HTTP_SERVER_INSIDE_H
#define CAP_HTTP_SERVER_INSIDE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "http/server.h"

enum { REPLY_HEADERS_MAX = 16 };

/* request.c: the body of an error, as the server's owner words it. */
void http_error_body(const struct cap_http_server_options *options, int status, const char *message,
                     struct cap_buf *out);

/* ---- connections.c: connections, which of them have to go, and when ---- */

/* A connection is in one phase at a time; each but the handler's has a limit. */
enum http_phase {
    HTTP_HEAD,   /* its first request's head is on the way */
    HTTP_BODY,   /* the head is there, the body is on the way */
    HTTP_HANDLE, /* the handler runs: no limit */
    HTTP_STREAM, /* its reply comes in pieces: no limit of time, but streams_max of them */
    HTTP_REPLY,  /* the client reads the reply */
    HTTP_IDLE,   /* between two requests */
    HTTP_ENDED,  /* its socket is shut down: MHD will close it, it holds no place */
};

enum { HTTP_PEER_BYTES = 16 };

struct http_connection {
    struct http_connection *previous, *next;
    int fd; /* open as long as the connection is in the list */
    enum http_phase phase;
    int64_t since_ms, until_ms;    /* of the phase; INT64_MAX = no limit */
    uint8_t peer[HTTP_PEER_BYTES]; /* its address; all zero: this machine */
    size_t url_length;             /* of the request on the way */
};

struct http_connections {
    const struct cap_http_server_options *options;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t ending_now;
    struct http_connection *first; /* the newest */
    int places, streams;           /* held: connections that have not ended, streams among them */
    bool ending;
    pthread_t thread;
};

void http_connections_init(struct http_connections *all,
                           const struct cap_http_server_options *options);
void http_connections_done(struct http_connections *all);
/* `address` is the peer's; NULL = this machine. The new connection may end at once, with its
 * answer, where no other can make room. */
struct http_connection *http_connection_add(struct http_connections *all, int fd,
                                            const struct sockaddr *address);
void http_connection_remove(struct http_connections *all, struct http_connection *connection);
void http_connection_enter(struct http_connections *all, struct http_connection *connection,
                           enum http_phase phase);
/* Enters HTTP_STREAM; false when streams_max connections have. */
bool http_connection_stream(struct http_connections *all, struct http_connection *connection);
/* Answers with an error outside of MHD, which can no longer, and shuts the socket down. Only while
 * the request is being read: then MHD writes nothing. */
void http_connection_refuse(struct http_connections *all, struct http_connection *connection,
                            int status, const char *message);

/* ---- server.c, request.c ---- */

struct cap_http_server {
    struct cap_http_server_options options;
    struct MHD_Daemon *daemon;
    struct http_connections connections;
    atomic_bool ending;
};

struct http_header {
    const char *name, *value;
};

struct cap_http_request {
    struct cap_http_server *server;
    struct http_connection *on;
    struct MHD_Connection *connection;
    const char *method, *path;
    struct cap_arena *arena;
    struct cap_buf body;
    size_t body_bytes; /* those beyond its limit counted */
    bool answered;
    enum MHD_Result queued; /* what MHD said to the reply */
    struct http_header headers[REPLY_HEADERS_MAX];
    int header_count;
    /* a streamed reply */
    struct cap_http_stream stream;
    bool streaming, stream_ended;
    struct cap_buf piece;
    size_t piece_at;
};

struct cap_http_request *http_request_new(struct cap_http_server *server,
                                          struct MHD_Connection *connection,
                                          struct http_connection *on, const char *method,
                                          const char *path);
void http_request_free(struct cap_http_request *request);
#endif
