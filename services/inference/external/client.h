/* client.h — the engine behind every kind of server; for client.c, send.c and reply.c only. The
 * worker's thread only. */
#ifndef INFER_CLIENT_H
#define INFER_CLIENT_H

#include "external/call.h"
#include "external/notes.h"
#include "external/routing.h"

struct infer_client {
    struct infer_engine base;
    struct infer_server server;
    struct infer_declared declared;
    const char *declared_fields[INFER_DECLARED_FIELDS_MAX];
    struct infer_notes notes;
    struct infer_routing_state routing;
    struct infer_scrape scrape;
    int64_t scrape_due_ns; /* INT64_MAX = never: it is on its way, or there are no metrics */
    struct cap_http_client *client;
    char *completions_url, *chat_url, *metrics_url;
    struct infer_call *calls; /* [call_count]; the index is the HTTP request's id */
    int call_count;
    int retries;
    int lost_in_a_row;
    struct cap_err lost; /* the server is gone; OK = it is not */
    /* of the event that was handed out last */
    struct infer_chunk chunk;
    char finish_reason[32];
    struct infer_score *scores;
};

/* ---- send.c ---- */

/* Sends the first request of the call's stage. */
bool infer_send_stage(struct infer_client *engine, int slot, struct cap_err *err);
/* Sends the call's body, once more or for the first time. */
bool infer_send_again(struct infer_client *engine, int slot, struct cap_err *err);

/* ---- reply.c ---- */

/* Something came of a call; true when it is an event. */
bool infer_reply_take(struct infer_client *engine, const struct cap_http_event *http,
                      struct infer_event *out);
/* Ends the call with a FAILED event, and counts losses; true. */
bool infer_reply_fail(struct infer_client *engine, struct infer_call *call, int64_t at_ns,
                      const struct cap_err *why, struct infer_event *out);

#endif
