/* worker.h — the one thread that owns the engine.
 *
 * It takes leased shards (work.h) and, while there is none, requests from the HTTP
 * endpoint (serve/queue.h). The engine it opened last stays open and is used again when the next
 * work wants the same model, precision and device with no more requests in flight. A leased shard
 * goes first: its requests that run get a few seconds to end, new ones are refused, so that nothing
 * disturbs what is being measured.
 */
#ifndef INFER_WORKER_H
#define INFER_WORKER_H

#include "base/auto.h"
#include "base/clock.h"
#include "node/engine_slot.h"
#include "node/models.h"
#include "node/rows.h"
#include "node/work.h"
#include "serve/queue.h"

/* Everything is borrowed and outlives the worker. */
struct infer_worker_options {
    struct infer_work *work;
    struct infer_queue *queue;
    struct infer_models *models;
    const struct infer_hardware *hardware;
    bool any_model_path;
    int threads; /* 0 = all cores */
    int open_loop_in_flight_max;
    int silence_ms_max;
    struct infer_server_rules server_rules;
    /* for the endpoint's requests */
    const char *serve_model; /* opened at once; "" or NULL = wait for a request */
    const char *serve_engine, *serve_precision;
    int serve_concurrency;
};

struct infer_worker;

struct infer_worker *infer_worker_start(const struct infer_worker_options *options);
/* After infer_work_close: waits for the thread, frees the engine. */
void infer_worker_free(struct infer_worker *worker);
CAP_DEFINE_AUTO(infer_worker)

#endif
