/* inside.h — the engine behind every kind of server, for this folder's own files. The worker's
 * thread only.
 *
 * In reading order: what a reader must know about the server (notes.c), the experts of each request
 * (routing.c), and the requests on their way (call.c, kinds.c, score.c) with the engine that holds
 * them all (external.c).
 */
#ifndef INFER_EXTERNAL_INSIDE_H
#define INFER_EXTERNAL_INSIDE_H

#include <stdint.h>

#include "base/buf.h"
#include "external/server.h"
#include "text/output.h"

/* ==== what a reader of a run must know about the server that it ran on (notes.c) ====
 *
 * Counted while a shard runs, turned into sentences for its report. The worker's thread only.
 */

/* ---- the server's own counters ----
 *
 * Prometheus text, read once a second at most while a shard runs. What is kept are extremes and
 * differences of a few series; a series that is missing is unknown, not 0. Several label sets of a
 * name are summed, but of a share the largest is taken. */

struct infer_scrape {
    int samples;
    double running_max, waiting_max, kv_share_max; /* NAN = unknown */
    double cached_first, cached_last, preempted_first, preempted_last;
};

void infer_scrape_begin(struct infer_scrape *scrape);
/* NUL-terminated text. */
void infer_scrape_take(struct infer_scrape *scrape, const struct infer_series *series,
                       const char *text);
/* As a sentence; false when nothing was seen. */
bool infer_scrape_tell(const struct infer_scrape *scrape, char *out, size_t room);

/* The value of a series in Prometheus text; NAN when it is not there. */
double infer_scrape_value(const char *text, const char *name, bool largest);

/* ---- notes ---- */

enum { INFER_NOTES_MAX = 16, INFER_NOTE_BYTES = 240 };

struct infer_notes {
    /* of the shard's answers */
    int answers, without_usage, without_reason, other_length;
    int impossible; /* their counts are impossible; the first time because: */
    char why_impossible[INFER_NOTE_BYTES];
    int unmarked; /* streams that ended without the mark that servers of this kind send */
    int64_t prompt_tokens, cached_tokens;
    /* sentences */
    int count;
    const char *list[INFER_NOTES_MAX];
    char texts[INFER_NOTES_MAX][INFER_NOTE_BYTES];
};

/* A shard begins. */
void infer_notes_begin(struct infer_notes *notes);
/* A request has been answered, with these counts. `impossible` says why the server's own could not
 * be; NULL = they could. */
void infer_notes_answer(struct infer_notes *notes, const struct infer_request *request,
                        const struct infer_counts *counts, bool has_reason, const char *impossible);
/* Makes the sentences. */
void infer_notes_write(struct infer_notes *notes, const struct infer_server *server,
                       const struct infer_declared *declared);
/* Why token counts of answers are unknown, as a sentence in out; false when all are known. */
bool infer_notes_counts_unknown(const struct infer_notes *notes, char *out, size_t room);
/* One more; past INFER_NOTES_MAX it is left out. */
void infer_notes_add(struct infer_notes *notes, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ==== whether the experts of each request can be had, and having them (routing.c) ====
 *
 * A capability, never assumed: the kind must have a way, the server must have been started so, and
 * the submitter must have declared the model's shape, without which nothing can be checked. Which
 * of these is missing is told in a sentence. The worker's thread only.
 */

/* ---- what a server says, checked and counted; pure ----
 *
 * Servers give one row for each token that was fed to the model (prompt + generated - 1), in it the
 * chosen experts of each layer. SGLang: base64 of raw int32, the shape comes from the model's
 * config. vLLM: base64 of an .npy file, whose header gives type and shape. Nothing is kept of rows
 * that do not agree with usage, or of an expert that does not exist. */

struct infer_routed {
    struct infer_routing view; /* points into what follows */
    uint32_t *prefill, *decode;
    bool given;
};

/* What the request's usage says. */
struct infer_routed_counts {
    int prompt_tokens, output_tokens, cached_tokens; /* cached: -1 = unknown */
};

/* `text` is base64. `out` is freed by the caller, also what is in it already is freed first. */
bool infer_routed_read(const char *text, size_t length, bool npy,
                       const struct infer_declared *declared,
                       const struct infer_routed_counts *counts, struct infer_routed *out,
                       struct cap_err *err);
void infer_routed_done(struct infer_routed *routed);

/* ---- of an engine ---- */

struct infer_call;

struct infer_routing_state {
    bool in_stream;      /* requests ask for it */
    bool again;          /* a second request asks for it */
    const char *unknown; /* why there is none; NULL = there is */
    int kept, left_out;
    char why_left_out[160];
    struct infer_routed routed; /* of the event that was handed out last */
};

void infer_routing_decide(struct infer_routing_state *state, const struct infer_server *server,
                          const struct infer_declared *declared, bool may_ask_again);
void infer_routing_done(struct infer_routing_state *state);
void infer_routing_begin(struct infer_routing_state *state);

/* The experts of a call that has ended; NULL when it told none, or what cannot be. */
const struct infer_routing *infer_routing_take(struct infer_routing_state *state,
                                               const struct infer_declared *declared,
                                               const struct infer_call *call);
/* The reply to a second request, empty when there was none: what it tells becomes the call's. */
void infer_routing_take_again(struct infer_routing_state *state, struct infer_call *call,
                              const char *body, size_t length);
void infer_routing_note(const struct infer_routing_state *state, struct infer_notes *notes);

/* ==== the requests that the engine has on the way, and the engine ====
 *
 * A call is one request of the worker, from submit to its DONE or FAILED event. It may be several
 * HTTP requests one after the other (its stages), each of which may be tried again while no byte of
 * its reply has come.
 */

enum { INFER_CALL_ID_BYTES = 96 };

/* What the HTTP request under way is for. */
enum infer_stage {
    INFER_STAGE_GENERATE,
    INFER_STAGE_CONTEXT,      /* scoring: how many tokens has the context? */
    INFER_STAGE_CONTINUATION, /* scoring: context and continuation [continuation] */
    INFER_STAGE_ROUTING,      /* the answer is there; once more, not streamed, for its experts */
};

struct infer_call {
    const struct infer_request *request; /* NULL = the slot is free */
    enum infer_stage stage;
    char *body;
    int tries;
    int64_t due_ns; /* when to try again; 0 = on its way */
    bool began;     /* a byte of the reply has come: no second try */
    /* progress: comments, pings and empty chunks are none */
    int64_t started_ns, sent_ns;
    int64_t progress_ns; /* when the last token came; 0 = none yet */
    int events;          /* of the stream */
    /* what came */
    struct infer_seen seen;
    struct infer_counts counts;
    int chunks;    /* with a choice */
    bool counting; /* every one of them told how many tokens there were; the last time: */
    int counted;
    char finish_reason[INFER_FINISH_REASON_BYTES]; /* "" = none yet */
    char server_id[INFER_CALL_ID_BYTES];           /* the server's name of the request; "" */
    struct infer_output_text flow;
    struct cap_buf text; /* the answer as the server wrote it */
    struct cap_buf rest; /* of the text that may be shown: what only the end let go */
    int64_t ended_ns;    /* of the answer; the call may go on for its routing */
    /* scoring */
    int continuation, context_tokens;
    struct infer_score *scores; /* [request->continuation_count] */
    char *routed;               /* base64, as the server wrote it; NULL = it told none */
    size_t routed_length;
};

/* How long a server may take for a request; 0 = for ever. */
struct infer_time_limits {
    int first_token_ms, silence_ms, request_ms;
};

struct infer_external {
    struct infer_engine base;
    struct infer_server server;
    struct infer_declared declared;
    const char *declared_fields[INFER_DECLARED_FIELDS_MAX];
    struct infer_time_limits limits;
    struct infer_notes notes;
    struct infer_routing_state routing;
    struct infer_scrape scrape;
    int64_t scrape_due_ns; /* INT64_MAX = never: it is on its way, or there are no metrics */
    struct cap_http_client *client;
    char *completions_url, *chat_url, *metrics_url;
    struct infer_call *calls; /* [call_count]; the index is the HTTP request's id */
    int call_count;
    int retries;
    int lost_in_a_row, late_in_a_row;
    struct cap_err lost; /* the server is gone; OK = it is not */
    char counts_unknown[INFER_NOTE_BYTES + 80];
    /* of the event that was handed out last */
    struct infer_chunk chunk;
    char finish_reason[INFER_FINISH_REASON_BYTES];
    char *rest;
    struct infer_score *scores;
};

/* ---- call.c ---- */

/* Takes the request into a free slot and sends it. */
bool infer_call_start(struct infer_external *engine, struct infer_call *call,
                      const struct infer_request *request, struct cap_err *err);
/* Frees what it holds; the slot is free. */
void infer_call_end(struct infer_call *call);
/* Something came for a call; true when it is an event. */
bool infer_call_take(struct infer_external *engine, const struct cap_http_event *http,
                     struct infer_event *out);
/* Keeps a copy of the experts as the server wrote them, instead of an earlier one. */
void infer_call_keep_routed(struct infer_call *call, const char *base64, size_t length);
/* Sends what is due again, ends what takes too long; true when that is an event. */
bool infer_call_check_time(struct infer_external *engine, struct infer_call *call, int64_t now_ns,
                           struct infer_event *out);

/* Its parts that need no socket, for the fuzzer, too. */
void infer_call_init(struct infer_call *call, const struct infer_server *server,
                     const struct infer_request *request);
bool infer_call_take_chunk(struct infer_call *call, const struct infer_chunk *chunk, int64_t at_ns,
                           struct infer_event *out);

/* ---- kinds.c ---- */

enum infer_body_way {
    INFER_BODY_STREAM,
    INFER_BODY_STREAM_ROUTED, /* and the experts, in a chunk of their own */
    INFER_BODY_WHOLE,         /* one reply */
};

/* A request that generates, as the JSON that is posted; free() it. NULL when the prompt is not
 * UTF-8. */
char *infer_body_generate(const struct infer_server *server, const struct infer_request *request,
                          enum infer_body_way way);
/* Of its text, or of all its messages. */
size_t infer_body_prompt_bytes(const struct infer_request *request);
/* False, with a sentence, for what this server cannot be asked; before anything is sent. */
bool infer_body_check(const struct infer_server *server, const struct infer_request *request,
                      struct cap_err *err);

/* ---- score.c ---- */

/* The request that the call's stage wants; free() it. NULL when a text is not UTF-8. */
char *infer_score_body(const struct infer_server *server, const struct infer_call *call);
/* Its reply, of status 200; the call is in its next stage. False with a sentence: UNIMPLEMENTED
 * when the server told no log-probabilities of the prompt. */
bool infer_score_take(const struct infer_server *server, struct infer_call *call, const char *body,
                      size_t length, struct cap_err *err);
bool infer_score_is_done(const struct infer_call *call);

#endif
