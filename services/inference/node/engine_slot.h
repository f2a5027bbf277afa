/* engine_slot.h — the engine that is open now, and whether it fits what is wanted. It belongs to
 * the worker's thread.
 */
#ifndef INFER_ENGINE_SLOT_H
#define INFER_ENGINE_SLOT_H

#include "engine.h"
#include "node/models.h"

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

#endif
