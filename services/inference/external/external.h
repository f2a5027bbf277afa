/* engine_openai.h — any server that speaks OpenAI's completions or chat API, streamed.
 *
 * What it can tell: text, times at which chunks arrive (boundary "http"), token counts by usage,
 * finish reasons. What it cannot is unknown: passes, experts, gaps between tokens (a chunk is not a
 * token). It generates; log-likelihoods are refused with a sentence. Requests are tried again only
 * while no byte of the reply has come: connection failures, 429 and 503, with a pause that doubles.
 */
#ifndef INFER_ENGINE_OPENAI_H
#define INFER_ENGINE_OPENAI_H

#include "engine.h"

extern const struct infer_engine_ops infer_engine_openai_ops;

#endif
