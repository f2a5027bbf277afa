/* engine.h — what runs a model: one vtable, one row per kind in engine.c.
 *
 * An engine is driven by one thread, the worker, which opened it: it submits requests, then waits
 * for events in a loop. An in-process engine does its forward step inside `wait`; an external
 * server's sockets are polled there. So an engine has no lock and no thread that its user must know
 * of.
 *
 *     while (pending > 0)
 *         if (engine->ops->wait(engine, 100, &event, err))
 *             handle(&event);
 */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct infer_message {
    const char *role, *content;
};

/* One request. Everything is borrowed until its DONE or FAILED event. */
struct infer_request {
    uint64_t id;                          /* the caller's; unique among those in flight */
    const char *text;                     /* either text ... */
    const struct infer_message *messages; /* ... or messages, put through the chat template ... */
    int message_count;
    const uint32_t *prompt_ids; /* ... or tokens, taken as they are */
    int prompt_id_count;
    const char *const *continuations; /* score: log-likelihood of each; none: generate */
    int continuation_count;
    bool score_prompt; /* log-likelihood of each token of the prompt, instead of generating */
    const char *const *stop;
    int stop_count;
    int max_tokens;
    double temperature; /* 0 = greedy */
    double top_p;       /* 1 = off */
    int top_k;          /* 0 = off */
    uint64_t seed;
    bool ignore_eos;
    bool (*unwanted)(void *arg); /* what takes long to prepare may end then; NULL = never */
    void *unwanted_arg;
};

struct infer_score {
    double log_likelihood;
    int tokens;
    bool greedy;
};

/* A token may hold part of a character: its bytes need not be whole UTF-8. */
struct infer_token_bytes {
    const char *data;
    size_t length;
};

/* A token of a prompt that was scored, and the likeliest in its place. */
struct infer_token_score {
    struct infer_token_bytes token, best;       /* best.data: NULL for the first token, */
    double log_likelihood, best_log_likelihood; /* which nothing predicts: then meaningless */
    uint32_t id, best_id;                       /* where the engine knows them */
};

enum infer_phase { INFER_PREFILL = 1, INFER_DECODE = 2 };

/* One forward step. Pointers are valid until the next wait. */
struct infer_pass {
    enum infer_phase phase;
    int sequences, tokens;
    int logits_tokens; /* for which logits were made; -1 = unknown */
    int64_t context_sum;
    int64_t started_ns, duration_ns; /* cap_clock_system()'s monotonic time */
    int moe_layers;
    const uint32_t *distinct_experts; /* [moe_layers] */
    const int *moe_layer_ids;         /* [moe_layers] the model's layer numbers */
    int experts;
    const uint32_t *expert_counts; /* [moe_layers][experts] selections in this pass */
    bool has_bytes;
    uint64_t weight_bytes, kv_bytes;
    double flops;
};

/* Which experts the router chose for the rows of one request: every token of the prompt that was
 * computed (not the cached ones) and every generated token but the last, which is never fed back;
 * of scored continuations all tokens but the last of each. So the selections of a layer sum to
 * top_k * rows. */
struct infer_routing {
    const char *source; /* "engine", or "server per request" */
    int moe_layers, experts, top_k;
    const int *moe_layer_ids;         /* [moe_layers] the model's layer numbers */
    const uint32_t *prefill, *decode; /* [moe_layers][experts] selections; NULL = no such rows */
};

enum { INFER_FINISH_REASON_BYTES = 32 }; /* of a copy of one; a longer one is cut */

enum infer_event_kind { INFER_TOKENS, INFER_DONE, INFER_FAILED, INFER_PASS };

/* Strings and arrays are valid until the next wait. A pass comes before the tokens it made. */
struct infer_event {
    enum infer_event_kind kind;
    uint64_t id;   /* of the request; not for INFER_PASS */
    int64_t at_ns; /* when it became visible: monotonic */
    /* INFER_DONE: when the engine began to compute the request; before, it waited in the engine's
     * queue. 0 = unknown */
    int64_t started_ns;
    /* INFER_TOKENS: a piece of text, complete UTF-8; may be empty while bytes are held back.
     * INFER_DONE: what was held back until now; NULL = nothing */
    const char *piece;
    const char *reasoning_piece; /* NULL, or text that the server marks as reasoning */
    int tokens;                  /* in this event; 0 when a chunk cannot be counted in tokens */
    bool is_closing;             /* a chunk that only says "ended": a token of its own, or none */
    const uint32_t *token_ids;   /* [tokens] or NULL */
    /* INFER_DONE */
    const char *prompt;        /* the text the model saw; NULL when not known */
    const char *finish_reason; /* "stop", "eos", "length", or a server's own word; NULL = unknown */
    int prompt_tokens, output_tokens, cached_tokens; /* -1 = unknown */
    const struct infer_score *scores;
    int score_count;
    const struct infer_token_score *token_scores; /* of score_prompt: one a token of the prompt */
    int token_score_count;
    const struct infer_routing *routing; /* NULL = unknown */
    /* INFER_FAILED */
    struct cap_err failure;
    /* INFER_PASS */
    struct infer_pass pass;
};

struct infer_engine_options {
    const char *model;      /* directory or name, as the node resolved it */
    const char *precision;  /* "" = the engine's default */
    const char *device;     /* "cpu", "cuda", "" = cpu */
    int concurrency;        /* most requests in flight */
    int context_tokens_max; /* 0 = the model's own */
    int threads;            /* 0 = all cores */
    /* external servers */
    const char *kind; /* the engine's name: many kinds share one client */
    const char *url, *served_model, *api_key, *model_config;
    int refused_ms_max, loading_ms_max; /* waiting for a server; 0 = the client's own limits */
    /* of a request: until its first token, between two, for all of it; 0 = no limit */
    int first_token_ms_max, silence_ms_max, request_ms_max;
    const char *command;         /* starts the server when no URL is given; NULL = none */
    const char *log_dir;         /* where what a started server writes goes; "" = TMPDIR */
    bool routing_again;          /* a sample may be sent twice, for its routing */
    bool (*unwanted)(void *arg); /* a long wait may end: nobody waits for it; NULL = never */
    void *unwanted_arg;
};

/* What the numbers of its model are. */
enum infer_weights { INFER_WEIGHTS_REAL, INFER_WEIGHTS_RANDOM, INFER_WEIGHTS_NONE };

/* What the engine knows about itself. NULL or -1 = unknown. Strings live as long as the engine.
 * Asked before a shard, and after it, when a server may have told more. */
struct infer_engine_report {
    const char *version;
    const char *timing_boundary; /* "engine" or "http" */
    const char *family, *isa, *model_sha256;
    enum infer_weights weights; /* NONE: there is no model */
    int moe_layers, experts, top_k, threads;
    int64_t parameters, active_parameters;
    int context_tokens_max;
    bool can_score; /* continuations */
    /* why requests come without routing, as a sentence; NULL = they have it, or none is known */
    const char *routing_unknown;
    const char *counts_unknown; /* why token counts of answers are, likewise */
    const char *server_says;    /* what a server says it is, if not the kind asked for */
    /* names of the fields above that somebody declared and nobody measured */
    const char *const *declared;
    int declared_count;
    /* since `begin`: requests sent again before their first byte; sentences for a reader, valid
     * until the next report */
    int retries;
    const char *const *notes;
    int note_count;
};

struct infer_engine {
    const struct infer_engine_ops *ops; /* first member of every engine */
    /* Whoever drives the engine may set it: asked in the middle of a long step, true means that
     * nobody waits for any request that is in flight. The engine may then end the step and drop
     * them; they must still be cancelled. NULL = never. */
    bool (*unwanted)(void *arg);
    void *unwanted_arg;
};

struct infer_engine_ops {
    const char *name;     /* as users write it: "null", "native", "openai" */
    bool wants_directory; /* options.model is a directory on this node, not a mere name */
    struct infer_engine *(*open)(const struct infer_engine_options *options, struct cap_err *err);
    /* A shard's clock starts, its warm-up is over: what is counted for the report starts at 0. NULL
     * = nothing is counted. */
    void (*begin)(struct infer_engine *engine);
    void (*report)(struct infer_engine *engine, struct infer_engine_report *out_report);
    /* Takes the request in; its outcome is an event. Fails at once for what can never work. */
    bool (*submit)(struct infer_engine *engine, const struct infer_request *request,
                   struct cap_err *err);
    /* True with an event; false with err clean when wait_ms passed; false with err set when the
     * engine as a whole is lost. */
    bool (*wait)(struct infer_engine *engine, int wait_ms, struct infer_event *out_event,
                 struct cap_err *err);
    void (*cancel)(struct infer_engine *engine, uint64_t id); /* no event follows */
    /* How many tokens the prompt of a request has, chat template and BOS included. NULL = the
     * engine has no tokenizer, and only its usage tells. */
    bool (*count_prompt)(struct infer_engine *engine, const struct infer_request *request,
                         int *out_tokens, struct cap_err *err);
    /* Texts of the vocabulary that are one token each wherever they stand between others, such as
     * " the"; they live as long as the engine. How many. NULL = it does not show its vocabulary. */
    int (*words)(struct infer_engine *engine, const char *const **out_words);
    void (*free)(struct infer_engine *engine);
};

/* The engines that run in this process; rows of engine.c. */
extern const struct infer_engine_ops infer_engine_native_ops, infer_engine_null_ops;

/* NULL when there is no such kind. */
const struct infer_engine_ops *infer_engine_find(const char *name);
/* The row at index, NULL past the end: for messages and registration. */
const struct infer_engine_ops *infer_engine_at(int index);

#endif
