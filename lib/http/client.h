/* client.h — HTTP requests: one that blocks, or many streamed ones driven by one thread.
 *
 * A client belongs to one thread, which adds requests and waits for events; no other thread is
 * made. Everything in an ask is copied. A failure to get a reply (no connection, a broken one, a
 * deadline) is CAP_HTTP_FAILED; whatever the server answered, 404 and 500 too, is CAP_HTTP_DONE
 * with its status. A text/event-stream with a 2xx status arrives as one CAP_HTTP_PIECE an event,
 * stamped when its bytes were read, then CAP_HTTP_DONE. The data "[DONE]" does not become a piece;
 * it sets `marked_end`, and what follows it is dropped: the reply has ended then, also where the
 * server keeps the connection open or breaks it. Some servers just close, so a missing mark is for
 * the caller to judge. A stream without a single event has its bytes as `data` of CAP_HTTP_DONE: it
 * may be an error that only calls itself a stream. Comments do not become events: a caller that
 * wants a limit on progress keeps the time itself. Redirects are not followed. Proxies of the
 * environment are used, except for this machine's own addresses.
 *
 *     cap_http_client_add(client, &(struct cap_http_ask){.id = 7, .url = url, .body = json}, err);
 *     while (pending > 0)
 *         if (cap_http_client_wait(client, 100, &event, err))
 *             handle(&event);
 */
#ifndef CAP_HTTP_CLIENT_H
#define CAP_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"

struct cap_http_ask {           /* zero means the default in brackets */
    uint64_t id;                /* the caller's; unique among those in flight */
    const char *url;            /* http or https */
    const char *method;         /* ["POST" with a body, else "GET"] */
    const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
    const char *body;           /* NUL-terminated; Content-Type: application/json unless given */
    int64_t deadline_ms;        /* [600000] for everything, from add to the last byte */
    int64_t connect_ms_max;     /* [10000] */
    int64_t silence_s_max;      /* [off] without a byte for this long the reply is given up */
    size_t reply_bytes_max;     /* [64 MiB] of a body, or of a whole stream */
    size_t event_bytes_max;     /* [4 MiB] of one event of a stream */
    bool whole;                 /* a stream's bytes are collected as a body, too */
    int tries_max;              /* [1] cap_http_fetch only: after a failure to connect, 429, 503 */
};

enum cap_http_event_kind { CAP_HTTP_PIECE, CAP_HTTP_DONE, CAP_HTTP_FAILED };

/* Pointers are valid until the next call on the client. */
struct cap_http_event {
    enum cap_http_event_kind kind;
    uint64_t id;
    int64_t at_ns;    /* monotonic time at which the bytes were read or the reply had ended */
    const char *data; /* a piece, or the body; NUL-terminated */
    size_t length;
    const char *name;              /* PIECE: of the event ("error"); "" = it has none */
    const char *type;              /* DONE: the media type without parameters; "" = not told */
    int status;                    /* of the reply; 0 when there is none */
    bool streamed;                 /* DONE: it was an event stream */
    bool marked_end;               /* DONE: the stream ended with [DONE] */
    int retry_after_s;             /* DONE: what a Retry-After header says; -1 = nothing */
    const struct cap_err *failure; /* FAILED: why; otherwise NULL */
};

/* Whether this process may ask link-local addresses (url.h says which), also those that a name
 * leads to; it may not unless this is called. */
void cap_http_allow_link_local(bool allowed);

struct cap_http_client;

struct cap_http_client *cap_http_client_new(void);
void cap_http_client_free(struct cap_http_client *client); /* hangs up whatever runs */
CAP_DEFINE_AUTO(cap_http_client)

/* Refuses a URL that is not http or https, and an id that is in flight. Never blocks. */
bool cap_http_client_add(struct cap_http_client *client, const struct cap_http_ask *ask,
                         struct cap_err *err);
/* True with an event; false after wait_ms without one, or at once when nothing is in flight. Call
 * it often: bytes are read, and pieces stamped, only here. */
bool cap_http_client_wait(struct cap_http_client *client, int wait_ms,
                          struct cap_http_event *out_event);
/* Hangs up; no event of it follows. An unknown id is fine. */
void cap_http_client_cancel(struct cap_http_client *client, uint64_t id);
int cap_http_client_pending(const struct cap_http_client *client);

struct cap_http_reply {
    int status;
    const char *body; /* in the arena */
    size_t length;
    const char *type;  /* the media type without parameters, in the arena; "" = not told */
    int retry_after_s; /* -1 = not said */
};

/* One request, from any thread; blocks until the reply or the deadline, which holds for all tries
 * together. Any status is success: the caller looks at it. */
bool cap_http_fetch(const struct cap_http_ask *ask, struct cap_arena *arena,
                    struct cap_http_reply *out_reply, struct cap_err *err);

#endif
