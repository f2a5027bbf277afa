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
#include "engine.h"
#include "node/models.h"
#include "node/rows.h"
#include "node/work.h"
#include "power/power.h"
#include "serve/queue.h"

/* ==== the engine that is open now, and whether it fits what is wanted ====
 *
 * It belongs to the worker's thread. engine_slot.c opens and closes it.
 */

struct infer_engine_slot {
    struct infer_engine *engine; /* NULL = none open */
    char *key;                   /* what it was opened for */
    char *model_path;            /* the directory; NULL when the engine has none */
    int concurrency;
};

/* The node's own command that starts a server of that kind; "" = none. */
struct infer_server_command {
    const char *kind, *command;
};

/* How long a server is waited for (while nothing listens, while it says that it is loading; for the
 * first token of a request, between two, for all of it), and whether it may be asked twice for a
 * sample, to have its routing. */
struct infer_server_rules {
    int refused_ms_max, loading_ms_max;
    int first_token_ms_max, silence_ms_max, request_ms_max;
    bool routing_again;
    const struct infer_server_command *commands; /* [command_count] */
    int command_count;
    const char *log_dir; /* of the servers that are started; "" = TMPDIR */
};

/* What somebody wants to run. `model` is a name or path as the user wrote it. */
struct infer_engine_choice {
    const char *engine, *model, *precision, *device;
    int concurrency, threads;
    const char *url, *served_model, *api_key_env, *model_config;
    struct infer_server_rules rules;
    bool (*unwanted)(void *arg); /* ends a long wait; NULL = never */
    void *unwanted_arg;
};

/* True when the open engine fits the choice. */
bool infer_engine_slot_fits(const struct infer_engine_slot *slot,
                            const struct infer_engine_choice *choice);
/* Opens what is wanted, after closing what is open. On failure nothing is open. */
bool infer_engine_slot_open(struct infer_engine_slot *slot, const struct infer_models *models,
                            bool any_model_path, const struct infer_engine_choice *choice,
                            struct cap_err *err);
void infer_engine_slot_close(struct infer_engine_slot *slot);

/* ==== the thread ==== */

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
    struct infer_power *power; /* NULL = nobody measures it */
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
