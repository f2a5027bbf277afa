/* server.h — the server at a URL, or one that is started: waiting until it can answer, its model,
 * version and limits.
 *
 * Made once by the engine that talks to it (or by `moecap engine check`); the caller's thread.
 * Every function but infer_server_init blocks, within the limits of the options.
 *
 *     infer_server_init(&server, kind, options, err) && infer_server_wait(&server, options, err) &&
 *         infer_server_identify(&server, err);
 *     infer_server_done(&server);
 */
#ifndef INFER_SERVER_H
#define INFER_SERVER_H

#include "base/arena.h"
#include "external/child.h"
#include "external/kind.h"
#include "http/client.h"

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

#endif
