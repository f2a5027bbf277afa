/* endpoint.h — the node's OpenAI-compatible HTTP endpoint, so that other tools can measure our
 * engine.
 *
 * /v1/models, /v1/completions, /v1/chat/completions (whole and streamed), /health, /version,
 * /metrics. docs/openai-endpoint.md says what each field does. Connection threads parse and wait;
 * the one worker runs the engine (serve/queue.h). request.c reads requests, reply.c writes
 * replies (both are in inside.h), this pair joins them.
 */
#ifndef INFER_SERVE_H
#define INFER_SERVE_H

#include "base/auto.h"
#include "base/err.h"
#include "node/models.h"
#include "serve/queue.h"

/* Everything is borrowed and outlives the endpoint. */
struct infer_serve_options {
    const char *host;
    int port;
    struct infer_queue *queue;
    const struct infer_models *models;
    const char *model; /* for requests that name none; "" = they must */
    bool any_model;    /* the engine takes any name (it has no directories) */
    /* names under which it may be reached, besides localhost and `host` */
    const char *allowed_hosts;
    int concurrency, waiting_max; /* of the queue: how many connections may wait for an answer */
};

struct infer_serve;

struct infer_serve *infer_serve_start(const struct infer_serve_options *options, int *out_port,
                                      struct cap_err *err);
/* Ends running replies; before the worker is freed. */
void infer_serve_free(struct infer_serve *serve);
CAP_DEFINE_AUTO(infer_serve)

#endif
