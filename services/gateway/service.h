/* service.h — what the gateway's handlers share, and what each does.
 *
 * A handler runs on its connection's thread and may block. Every request passes the guard
 * (http/guard.h) first: the HTTP server asks it when the headers are there. API replies are JSON;
 * an error is {"error": {"code", "message"}} with the HTTP status that fits, and names the field to
 * blame, in the body or the query, where there is one.
 */
#ifndef GATE_SERVICE_H
#define GATE_SERVICE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "http/server.h"
#include "metrics/metrics.h"
#include "rpc/rpc.h"

enum gate_metric {
#define METRIC(name, kind, help) GATE_METRIC_##name,
#include "metrics.def"
#undef METRIC
    GATE_METRIC_COUNT
};

enum { GATE_PARAMETERS_MAX = 32 }; /* that a route knows */

struct gate_service {
    struct cap_rpc_channel *scheduler, *store, *evaluator;
    struct cap_http_server *http;
    const char *allowed_hosts;
    struct gate_feed *queue_feed;
    int watchers_max, heartbeat_ms;
    _Atomic int watchers;
};

struct cap_metrics *gate_metrics(void);
void gate_count(enum gate_metric metric, int64_t amount);

/* Starts HTTP with these limits; *out_port is the port it got. gate_stop ends it. */
bool gate_start(struct gate_service *service, const struct cap_http_server_options *limits,
                int *out_port, struct cap_err *err);
void gate_stop(struct gate_service *service);

/* query.c: false when a query parameter was refused (and answered): one that is not among `names`
 * (ending in NULL), is given twice, or is not text. */
bool gate_accept(struct cap_http_request *http, const char *const *names);
/* A query parameter as a number; `fallback` when absent. One that is there and empty is refused, as
 * it is for a word: only a text may be empty. */
bool gate_query_int(struct cap_http_request *http, const char *name, int64_t min, int64_t max,
                    int64_t fallback, int64_t *out, struct cap_err *err);
/* A query parameter as it is; "" when absent. */
char *gate_query_text(struct cap_http_request *http, const char *name);
/* The same, and when it is there it must be one of `words` (ending in NULL). */
bool gate_query_word(struct cap_http_request *http, const char *name, const char *const *words,
                     char **out, struct cap_err *err);

/* reply.c */
/* Whether an Accept-Encoding header (NULL: none) takes gzip. */
bool gate_takes_gzip(const char *accept_encoding);

/* At most 4 GiB of text, packed into the empty `out`; false when out's limit is less: send the text
 * as it is. */
bool gate_gzip(const char *text, size_t length, struct cap_buf *out);
/* True when a list of entity tags, as If-None-Match has it, holds this one. */
bool gate_etag_known(const char *if_none_match, const char *etag);
/* With an ETag of the text, 304 when the client has it already, packed for those who take gzip. */
void gate_reply_text(struct cap_http_request *http, int status, const char *content_type,
                     const char *text, size_t length);
/* The same of a text that was made for this reply; an error when it passed its limit. */
void gate_reply_made(struct cap_http_request *http, int status, const char *content_type,
                     const struct cap_buf *text);
/* A message as JSON. */
void gate_reply_message(struct cap_http_request *http, int status, const ProtobufCMessage *message);
/* Takes the reference. */
void gate_reply_json(struct cap_http_request *http, int status, json_t *json);
void gate_reply_error(struct cap_http_request *http, const struct cap_err *err);
/* The same with a status that only HTTP has. */
void gate_reply_error_as(struct cap_http_request *http, int status, const struct cap_err *err);
/* The body of the HTTP server's own errors. */
void gate_error_body(int status, const char *message, struct cap_buf *out);
/* The same with all wrong fields, of which err->field is the first. */
void gate_reply_refusal(struct cap_http_request *http, const struct cap_err *err,
                        const struct cap_rpc_faults *faults);

void gate_page(struct cap_http_request *http, void *self); /* page.c */

/* streams_rpc.c: server-sent events, for at most watchers_max readers. `wait` waits up to wait_ms
 * for something to happen; `add` then adds events and returns false after the last; `end` is called
 * once in any case. A comment goes out when nothing else did for heartbeat_ms. */
struct gate_stream_ops {
    bool (*wait)(void *state, int64_t wait_ms);
    bool (*add)(void *state, struct cap_buf *out);
    void (*end)(void *state);
};
/* Takes the state, also when it refuses. */
void gate_stream(struct cap_http_request *http, struct gate_service *service,
                 const struct gate_stream_ops *ops, void *state);
/* `name` NULL: a plain message. Takes the reference. */
void gate_add_event(struct cap_buf *out, const char *name, json_t *json);
void gate_add_error_event(struct cap_buf *out, const struct cap_err *err);

extern const char *const gate_openapi; /* docs/openapi.json, put into the program by the build */

/* streams_rpc.c: the queue as its watchers see it, asked for once for all of them. */
struct gate_feed *gate_feed_new(struct cap_rpc_channel *scheduler);
void gate_feed_free(struct gate_feed *feed);

/* *_rpc.c: one for each route */
void gate_info(struct cap_http_request *http, void *self);
void gate_compare(struct cap_http_request *http, void *self);
void gate_repeats(struct cap_http_request *http, void *self);
void gate_board(struct cap_http_request *http, void *self);
void gate_run(struct cap_http_request *http, void *self); /* and what is below it: */
void gate_run_samples(struct cap_http_request *http, struct gate_service *service, char *run_id);
void gate_run_experts(struct cap_http_request *http, struct gate_service *service, char *run_id);
void gate_run_events(struct cap_http_request *http, struct gate_service *service, char *run_id);
extern const char *const gate_routing_parameters[]; /* routing_rpc.c: of the next */
void gate_run_routing(struct cap_http_request *http, struct gate_service *service, char *run_id);
extern const char *const gate_run_plot_parameters[]; /* plot_rpc.c: of the next */
void gate_run_plot(struct cap_http_request *http, struct gate_service *service, char *run_id);
void gate_plot(struct cap_http_request *http, void *self);
extern const char *const gate_cost_parameters[]; /* cost_rpc.c: of the next */
void gate_run_cost(struct cap_http_request *http, struct gate_service *service, char *run_id);
void gate_queue(struct cap_http_request *http, void *self);
void gate_nodes(struct cap_http_request *http, void *self);
void gate_tasks(struct cap_http_request *http, void *self);
void gate_events(struct cap_http_request *http, void *self);
void gate_submit(struct cap_http_request *http, void *self);
void gate_cancel(struct cap_http_request *http, void *self);
void gate_estimate(struct cap_http_request *http, void *self);
void gate_watch(struct cap_http_request *http, void *self);
void gate_watch_queue(struct cap_http_request *http, void *self);
void gate_health(struct cap_http_request *http, void *self);
void gate_ready(struct cap_http_request *http, void *self);
void gate_prometheus(struct cap_http_request *http, void *self);

#endif
