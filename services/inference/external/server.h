/* server.h — one server: how it is started or reached, what it sends, what it is, and what the
 * submitter says of its model. For this folder and `engine check`.
 *
 * In reading order:
 *
 *     reply.c     what servers send: JSON, errors, counts, chunks
 *     child.c     a server that the node starts
 *     server.c    the server at a URL: ready, identified, with its limits
 *     declared.c  a config.json for what no server tells
 *
 * What is particular to a kind is a row of kind.h; the engine that evaluates a server is inside.h.
 */
#ifndef INFER_SERVER_H
#define INFER_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "external/kind.h"
#include "http/client.h"
#include "model/shape.h"

/* ==== what servers send (reply.c) ====
 *
 * JSON of which they choose every byte, errors in many forms, the chunks of a stream, and counts
 * that may be wrong. Pure.
 *
 * JSON of a few MiB may be parsed into gigabytes, so its values are counted first. Words of a
 * server are stored and shown, so they are cut to their room as UTF-8 and without control
 * characters. A body that is not an error message in a known form is never quoted: the URL may lead
 * to something other than a model server, and everybody reads reasons.
 *
 * A chunk is not a token: it may hold several, or half a character, or nothing. What is counted is
 * usage: in every chunk, in the last one with a choice, in a separate one, or nowhere.
 */

enum {
    INFER_REPLY_VALUES_MAX = 2000000, /* some 300 MiB when all are empty lists */
    INFER_REPLY_REASON_BYTES = 256,   /* of a server's own words in a sentence of ours */
};

/* NULL when it is not JSON, or has more than INFER_REPLY_VALUES_MAX values. Strings may hold NULs.
 */
json_t *infer_reply_json(const char *text, size_t length);

/* At most room - 1 bytes; '?' for bytes that are not a character, a blank for a control character.
 * NULL is "". */
void infer_reply_words(char *out, size_t room, const char *text);

/* ---- errors ---- */

/* True when `json` is an error in any form, or holds one: OpenAI's nested object, a flat one, a
 * text, FastAPI's detail (a text or a list that names fields), a choice that failed. Its words go
 * to `out`; "no reason given" when it has none. */
bool infer_reply_error(const json_t *json, char *out, size_t room);
/* The same of a body, which may also be an event stream with one error. False: it is none. */
bool infer_reply_body_error(const char *body, size_t length, char *out, size_t room);
/* A reply that did not succeed, as a failure: its status, the server's words if it gave any, and a
 * code that tells what to do. OUT_OF_RANGE: the prompt is too long; NOT_FOUND: no such model;
 * INVALID_ARGUMENT: a field that the server does not like; PERMISSION_DENIED: the key;
 * RESOURCE_EXHAUSTED: overloaded; UNAVAILABLE: it has died; FAILED_PRECONDITION: anything else.
 * `out` is clean. */
void infer_reply_refusal(int status, const char *type, const char *body, size_t length,
                         struct cap_err *out);
/* "text/html, 300 bytes": a body that is not quoted. */
void infer_reply_describe(const char *type, size_t length, char *out, size_t room);

/* ---- counts ---- */

enum {
    INFER_COUNT_UNKNOWN = -1, /* not told */
    INFER_COUNT_BAD = -2,     /* told, but no number of tokens: negative, a fraction, a text */
};

struct infer_counts {
    int prompt, output, cached, total;
};

/* What is known of a request besides what the server counts. */
struct infer_seen {
    size_t prompt_bytes; /* 0 = not known, or none */
    int prompt_ids;      /* 0 = the prompt was text */
    bool is_chat;        /* a template adds tokens that we do not see */
    size_t text_bytes;   /* that came, reasoning included */
    int text_chunks;     /* that brought some of them */
    int output_before;   /* the largest count of output tokens that was told before the last */
    int max_tokens;
    int context_tokens_max; /* 0 = unknown */
};

/* Counts that cannot be become unknown; false then, and why[room] says of each one why. */
bool infer_counts_check(struct infer_counts *counts, const struct infer_seen *seen, char *why,
                        size_t room);

/* ---- chunks ---- */

struct infer_chunk {
    json_t *json;     /* owns the strings below */
    bool has_choice;  /* a choice that is not only a chat's role */
    bool is_closing;  /* it only says that the answer has ended: a token, or none */
    const char *text; /* "" when there is none */
    size_t text_length;
    const char *reasoning;      /* NULL when there is none */
    const char *finish_reason;  /* NULL while it goes on */
    const char *id;             /* the server's name of the request; NULL */
    const char *fingerprint;    /* of the server's build; NULL */
    const char *routed_experts; /* SGLang: base64; NULL */
    size_t routed_length;
    bool has_usage;
    struct infer_counts counts;
};

/* An event of a stream, taken apart. `name` is the event's ("" = it has none): an event "error" is
 * a failure whatever its data; one of another name is a chunk if it holds choices, an error if it
 * holds one, and otherwise says nothing (a ping), as does an event without data. False with the
 * server's own words when it is an error, or a sentence when it is not JSON. */
bool infer_chunk_read(const char *name, const char *data, size_t length, struct infer_chunk *out,
                      struct cap_err *err);
void infer_chunk_done(struct infer_chunk *chunk);

/* The server's words for a request that it gave up: "abort", "error", ...: no answer has ended so.
 */
bool infer_reason_is_failure(const char *finish_reason);

/* ==== a server that the node starts (child.c) ====
 *
 * Its command comes from the node's settings alone, never from a submission, and gets none of the
 * node's keys. It runs under /bin/sh in its own process group, with a log file, on a free port that
 * it is told in MOECAP_PORT. It is stopped with SIGTERM to the group, after STOP_MS with SIGKILL;
 * should the node itself be killed, a watcher in the group does the same. One user at a time.
 *
 *     child = infer_child_start(&options, err);
 *     while (!infer_child_ended(child, err)) ... infer_child_url(child) ...
 *     infer_child_free(child);
 */

struct infer_child;

struct infer_child_options {
    const char *kind;    /* for names */
    const char *command; /* for /bin/sh */
    const char *log_dir; /* "" or NULL: the system's folder for temporary files */
    int threads;         /* OMP_NUM_THREADS; 0 = not set */
};

struct infer_child *infer_child_start(const struct infer_child_options *options,
                                      struct cap_err *err);
/* Blocks up to STOP_MS and a little. */
void infer_child_free(struct infer_child *child);
CAP_DEFINE_AUTO(infer_child)

/* "http://127.0.0.1:PORT" */
const char *infer_child_url(const struct infer_child *child);
/* True, with a sentence that holds its status and the end of its log, when it has ended. */
bool infer_child_ended(struct infer_child *child, struct cap_err *err);

struct infer_child_usage {
    int processes, threads;  /* of the group, now */
    uint64_t peak_bytes;     /* resident, the sum of each process's own peak */
    char affinity[64];       /* of its first process, as the kernel writes it; "" = unknown */
    const char *environment; /* what was added to the node's own */
};
/* False when nothing can be read of it. */
bool infer_child_usage(const struct infer_child *child, struct infer_child_usage *out);

/* ==== the server itself (server.c) ====
 *
 * At a URL, or one that is started: waiting until it can answer, its model, version and limits.
 *
 * Made once by the engine that talks to it (or by `moecap engine check`); the caller's thread.
 * Every function but infer_server_init blocks, within the limits of the options.
 *
 *     infer_server_init(&server, kind, options, err) && infer_server_wait(&server, options, err) &&
 *         infer_server_identify(&server, err);
 *     infer_server_done(&server);
 */

enum { INFER_SERVER_SAYS_BYTES = 160 };

struct infer_server {
    const struct infer_external_kind *kind;
    char *base;  /* without /v1 and the last slash */
    char *model; /* the name that is sent */
    char authorization[512];
    const char *headers[2];    /* for cap_http_ask */
    struct infer_child *child; /* the node started it; NULL = it was there */
    /* what it says of itself */
    char version[128];                  /* "" = unknown */
    int context_tokens_max;             /* of prompt and answer together; 0 = unknown */
    bool listed;                        /* the model list holds the name */
    char says[INFER_SERVER_SAYS_BYTES]; /* another kind than asked for; "" = nothing of that sort */
    bool random_weights;                /* it says so: SGLang's load format "dummy" */
    bool offers_routing;                /* it was started so; only of kinds that tell it */
};

bool infer_server_init(struct infer_server *server, const struct infer_external_kind *kind,
                       const struct infer_engine_options *options, struct cap_err *err);
void infer_server_done(struct infer_server *server);

/* Until it is ready: at most options->refused_ms_max while nothing listens, loading_ms_max while it
 * says that it is loading. */
bool infer_server_wait(const struct infer_server *server,
                       const struct infer_engine_options *options, struct cap_err *err);
/* Finds the model in its list; reads limits, version, and whether it says that it is of another
 * kind. */
bool infer_server_identify(struct infer_server *server, struct cap_err *err);
/* As it calls itself, cut to fit, UTF-8. */
void infer_server_keep_version(struct infer_server *server, const char *version);

/* The reply of /v1/models, which has a list "data"; the caller's reference. NULL with a sentence.
 */
json_t *infer_server_models(const struct infer_server *server, struct cap_err *err);

/* base + path; free() it. */
char *infer_server_url(const struct infer_server *server, const char *path);
/* GET path; any status is success. */
bool infer_server_get(const struct infer_server *server, const char *path, struct cap_arena *arena,
                      struct cap_http_reply *out_reply, struct cap_err *err);

/* ---- which kind is it? ---- */

struct infer_guess {
    const struct infer_external_kind *kind;
    const char *name; /* as people call it: "vLLM"; NULL = nothing speaks for one */
    char why[200];
};

/* `models` is the reply of /v1/models. "openai" when nothing speaks for another. */
void infer_guess_kind(const struct infer_server *server, const json_t *models,
                      struct infer_guess *out);

/* ==== what is declared of its model (declared.c) ====
 *
 * What the submitter says: a config.json, for what no server tells.
 *
 * Everything here is a declaration and is marked as such wherever it is shown. Families that
 * lib/model knows give parameters, too; of others the shape is read by the keys that lib/model
 * understands (model/shape.h), and what it does not understand is unknown with the reason.
 */

enum { INFER_DECLARED_FIELDS_MAX = 8, INFER_DECLARED_UNKNOWN_MAX = 3 };

struct infer_declared {
    bool given;
    char family[48];
    int layers, moe_layers, experts, top_k; /* 0 = not said */
    int context_tokens_max;                 /* 0 = not said */
    int64_t parameters, active_parameters;  /* -1 = not known */
    int moe_layer_ids[CAP_MODEL_LAYERS_MAX];
    /* why experts, top_k or moe_layers are not known, although the model has experts */
    char unknown[INFER_DECLARED_UNKNOWN_MAX][CAP_SHAPE_WHY_BYTES];
    int unknown_count;
    char why_no_parameters[200];
};

/* `config` is the text of a config.json; NULL or "" declares nothing. */
bool infer_declared_read(const char *config, struct infer_declared *out, struct cap_err *err);
/* Names of the report's fields that are declared; how many. */
int infer_declared_fields(const struct infer_declared *declared,
                          const char *out[INFER_DECLARED_FIELDS_MAX]);

#endif
