/* routing.h — whether an external engine can have the experts of each request, and having them.
 *
 * A capability, never assumed: the kind must have a way, the server must have been started so, and
 * the submitter must have declared the model's shape, without which nothing can be checked. Which
 * of these is missing is told in a sentence. The worker's thread only.
 */
#ifndef INFER_EXTERNAL_ROUTING_H
#define INFER_EXTERNAL_ROUTING_H

#include "external/declared.h"
#include "external/notes.h"

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

#endif
