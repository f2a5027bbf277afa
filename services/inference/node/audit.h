/* audit.h — a few requests after a shard's timed part that show whether it can be believed.
 *
 * A server may answer out of a cache, count other tokens than it makes, or behave otherwise while
 * it is timed. So some of the shard's prompts are asked again, and some that nobody asked before,
 * one at a time: eight requests of 32 tokens at most. They are in no figure; the report holds what
 * they showed, and the evaluator judges it (services/evaluator/measure/audit.c). Engines that run
 * in the node are not audited.
 *
 * The worker's thread only:
 *     audit = infer_audit_new(assignment, context_tokens);
 *     infer_audit_keep(audit, index, in_flight, &answer);   // each timed request, as it ends
 *     infer_audit_run(audit, &setup);                       // after the last one
 */
#ifndef INFER_AUDIT_H
#define INFER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/clock.h"
#include "node/shard.h"
#include "node/work.h"

struct infer_audit;

/* NULL: nothing of this shard is to be audited (continuations, or no prompt). The server's context
 * may be unknown: 0 or below. */
struct infer_audit *infer_audit_new(const struct infer_assignment *assignment, int context_tokens);
void infer_audit_free(struct infer_audit *audit);
CAP_DEFINE_AUTO(infer_audit)

/* A timed request has ended. */
void infer_audit_keep(struct infer_audit *audit, int index, const struct infer_in_flight *in_flight,
                      const struct infer_answer *answer);

/* Any engine's answer: counts it. */
void infer_audit_check(struct infer_answer_check *check, const struct infer_answer *answer,
                       const struct infer_engine_report *engine);

struct infer_audit_setup {
    struct infer_engine *engine;
    const struct cap_clock *clock;
    bool (*wanted)(void *arg); /* the shard still is */
    void *wanted_arg;
};

/* Never fails the shard: what cannot be asked is a probe with its error. */
void infer_audit_run(struct infer_audit *audit, const struct infer_audit_setup *setup);
const struct infer_probe *infer_audit_probes(const struct infer_audit *audit, int *out_count);

#endif
