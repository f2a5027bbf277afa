/* engine_null.h — the engine that runs no model: it answers at once.
 *
 * What is left when no model runs is our own overhead, so it measures that; and it carries tests of
 * everything around an engine. It has no experts, so it reports no passes, and figures made from
 * passes are null for it. Its answers are plausible but mean nothing: a number, or a pseudo
 * log-likelihood, from a hash of prompt and seed.
 *
 * Tests steer it by environment: MOECAP_NULL_TOKENS tokens per answer (default 8),
 * MOECAP_NULL_DELAY_US before each token (0), MOECAP_NULL_TEXT the text of every answer,
 * MOECAP_NULL_FAIL_EVERY every Nth request fails (0 = none), MOECAP_NULL_LOST_AFTER the engine is
 * lost after N requests (0 = never), MOECAP_NULL_LOAD_MS time that opening takes.
 */
#ifndef INFER_ENGINE_NULL_H
#define INFER_ENGINE_NULL_H

#include "engine.h"

extern const struct infer_engine_ops infer_engine_null_ops;

#endif
