/* kind.h — what is particular to one kind of server: a row that the shared client reads.
 *
 * A row is data and at most two small functions; adding a kind is a file kind_<name>.c and a line
 * in kinds.def. Immutable; any thread. What each field is for is told in docs/engines.md.
 */
#ifndef INFER_KIND_H
#define INFER_KIND_H

#include <jansson.h>

#include "engine.h"

/* How it tells log-likelihoods of a prompt. */
enum infer_scoring {
    INFER_SCORING_NONE,
    INFER_SCORING_ECHO,            /* "echo" and "logprobs", as OpenAI did */
    INFER_SCORING_PROMPT_LOGPROBS, /* "prompt_logprobs", with ranks */
};

/* How it tells the experts of a request. */
enum infer_routing_way {
    INFER_ROUTING_NONE,
    INFER_ROUTING_IN_STREAM, /* a chunk of the same request, if the server was started so */
    INFER_ROUTING_AGAIN,     /* only in an answer that is not streamed: a second request */
};

/* The names of the series in its /metrics; NULL = it has no such series. */
struct infer_series {
    const char *running, *waiting; /* gauges: requests */
    const char *kv_share;          /* gauge: 0 to 1 */
    const char *cached;            /* counter: prompt tokens that needed no prefill */
    const char *preempted;         /* counter: requests put back */
};

struct infer_external_kind {
    const char *name;
    const char *speaks_as; /* the kind whose server it is, or passes for; NULL = its own */

    /* ---- is it ready, and what is it? ---- */
    const char *ready_path;   /* 200 when it can answer, 503 while loading; NULL: the model list */
    const char *version_path; /* a JSON object with "version"; NULL: only by its answers */
    bool refuses_other_names; /* so a name that its list lacks may be tried */

    /* ---- what it may be sent: servers ignore or refuse the rest ---- */
    bool usage_on_request;     /* stream_options; otherwise it tells without being asked */
    bool usage_in_every_chunk; /* it can, if asked: then tokens are counted as they come */
    bool takes_token_ids;      /* a prompt of ids */
    bool accepts_overlong;     /* it never refuses a prompt past its context: we must */
    int stop_max;              /* stop strings in a request */
    uint64_t seed_max;
    enum infer_scoring scoring;
    enum infer_routing_way routing;
    bool marks_end; /* its streams end with [DONE]: without it something may be missing */
    const struct infer_series *series; /* of its /metrics; NULL = we read none */
    /* Adds sampling and length, all but the fields that every kind gets (kinds.c). */
    void (*set_fields)(json_t *body, const struct infer_request *request);
};

#define KIND(id, name) extern const struct infer_external_kind infer_kind_##id;
#include "external/kinds.def"
#undef KIND

/* NULL when there is no such kind. */
const struct infer_external_kind *infer_kind_find(const char *name);

/* For rows: a field of the body. */
void infer_kind_set_int(json_t *body, const char *name, int64_t value);
void infer_kind_set_real(json_t *body, const char *name, double value);
void infer_kind_set_flag(json_t *body, const char *name, bool value);
/* What vLLM and SGLang share: filters and penalties that change nothing, and the exact length. */
void infer_kind_set_neutral(json_t *body, const struct infer_request *request);

/* Of SGLang, which others inherit. */
extern const struct infer_series infer_kind_sglang_series;
void infer_kind_sglang_fields(json_t *body, const struct infer_request *request);

#endif
