/* stub.h — a scripted HTTP server: says what a test told it to, byte by byte, and keeps what it was
 * asked.
 *
 * Each connection has a thread and gets one reply; then it is closed. Replies of a path are used in
 * order, the last one again and again. Strings are borrowed until stub_stop.
 *
 *     struct stub *stub = stub_start();
 *     stub_reply(stub, "/v1/models", &(struct stub_reply){.body = "{...}"});
 *     ... stub_url(stub) ... stub_asked(stub, "/v1/completions", 0) ...
 *     stub_stop(stub);
 */
#ifndef STUB_H
#define STUB_H

#include <stdbool.h>
#include <stddef.h>

struct stub;

struct stub_reply {
    int status;                /* 0 = 200 */
    const char *type;          /* NULL = application/json; with pieces text/event-stream */
    const char *extra;         /* header lines, each with CRLF; NULL */
    const char *body;          /* whole, or: */
    const char *const *pieces; /* written one by one, NULL at the end; nothing tells their length */
    int pause_ms;              /* before each piece, so that the reader sees them one by one */
    int silent_ms;             /* before the reply's first byte */
    bool broken;               /* the connection is reset at the end */
};

struct stub *stub_start(void);
void stub_stop(struct stub *stub);
/* "http://127.0.0.1:PORT" */
const char *stub_url(const struct stub *stub);
/* Adds a reply for the path; without any, it answers 404. */
void stub_reply(struct stub *stub, const char *path, const struct stub_reply *reply);
/* Stops listening: from now on connections are refused. */
void stub_hang_up(struct stub *stub);

/* How often a path was asked, and the body of the nth request; "" when there was none. */
int stub_count(struct stub *stub, const char *path);
const char *stub_asked(struct stub *stub, const char *path, int nth);
/* The headers of the nth request. */
const char *stub_headers(struct stub *stub, const char *path, int nth);
/* Replies whose client had gone before they were all written. */
int stub_abandoned(struct stub *stub);

#endif
