/* routed.h — the experts that a server says it chose for one request, checked and counted. Pure.
 *
 * Servers give one row for each token that was fed to the model (prompt + generated - 1), in it the
 * chosen experts of each layer. SGLang: base64 of raw int32, the shape comes from the model's
 * config. vLLM: base64 of an .npy file, whose header gives type and shape. Nothing is kept of rows
 * that do not agree with usage, or of an expert that does not exist.
 */
#ifndef INFER_ROUTED_H
#define INFER_ROUTED_H

#include "engine.h"
#include "external/declared.h"

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

#endif
