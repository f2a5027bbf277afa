/* service.h — what the gateway's handlers share, and what each does.
 *
 * A handler runs on its connection's thread and may block. Every request passes gate_guard first.
 * API replies are JSON; an error is {"error": {"code", "message"}} with the HTTP status that fits,
 * and names the field to blame, in the body or the query, where there is one.
 */
#ifndef GATE_SERVICE_H
#define GATE_SERVICE_H

#include <jansson.h>

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
};

struct cap_metrics *gate_metrics(void);
void gate_count(enum gate_metric metric, int64_t amount);

/* Starts HTTP; *out_port is the port it got. */
bool gate_start(struct gate_service *service, const char *host, int port, size_t body_bytes_max,
                int connections_max, int *out_port, struct cap_err *err);

/* guard.c: false when the request was refused (and answered). Sets the headers of every reply. */
bool gate_guard(struct cap_http_request *http, const struct gate_service *service);
/* True when a browser may call us by this Host header. */
bool gate_host_allowed(const char *host, const char *allowed_hosts);
/* True when this Origin header is the page that we serve under this Host. */
bool gate_same_origin(const char *origin, const char *host);

/* query.c: gate_guard, and refuses a query parameter that is not among `names` (ending in NULL), is
 * there twice, or is no text. */
bool gate_accept(struct cap_http_request *http, const struct gate_service *service,
                 const char *const *names);
/* A query parameter as a number; `fallback` when absent. */
bool gate_query_int(struct cap_http_request *http, const char *name, int64_t min, int64_t max,
                    int64_t fallback, int64_t *out, struct cap_err *err);
/* A query parameter as it is; "" when absent. */
char *gate_query_text(struct cap_http_request *http, const char *name);
/* The same, and it must be one of `words` (ending in NULL). */
bool gate_query_word(struct cap_http_request *http, const char *name, const char *const *words,
                     char **out, struct cap_err *err);

/* lists_rpc.c: the parameters `limit` and `format`, which every list has. */
bool gate_query_page(struct cap_http_request *http, int64_t rows_max, int64_t fallback,
                     uint32_t *out_limit, struct cap_err *err);

/* reply.c */
/* True when a list of entity tags, as If-None-Match has it, holds this one. */
bool gate_etag_known(const char *if_none_match, const char *etag);
/* With an ETag of the text, and 304 when the client has it already. */
void gate_reply_text(struct cap_http_request *http, int status, const char *content_type,
                     const char *text, size_t length);
/* Takes the reference; with an ETag, and 304 when the client has it already. */
void gate_reply_json(struct cap_http_request *http, int status, json_t *json);
void gate_reply_error(struct cap_http_request *http, const struct cap_err *err);
/* The same with all wrong fields, of which err->field is the first. */
void gate_reply_refusal(struct cap_http_request *http, const struct cap_err *err,
                        const struct cap_rpc_faults *faults);

void gate_page(struct cap_http_request *http, void *self); /* page.c */

/* *_rpc.c: one a route */
void gate_info(struct cap_http_request *http, void *self);
void gate_board(struct cap_http_request *http, void *self);
void gate_run(struct cap_http_request *http, void *self); /* /runs/ID[/samples|/experts|/events] */
void gate_queue(struct cap_http_request *http, void *self);
void gate_nodes(struct cap_http_request *http, void *self);
void gate_tasks(struct cap_http_request *http, void *self);
void gate_events(struct cap_http_request *http, void *self);
void gate_reply_events(struct cap_http_request *http, struct gate_service *service, char *run_id);
void gate_submit(struct cap_http_request *http, void *self);
void gate_cancel(struct cap_http_request *http, void *self);
void gate_watch(struct cap_http_request *http, void *self);
void gate_prometheus(struct cap_http_request *http, void *self);

#endif
