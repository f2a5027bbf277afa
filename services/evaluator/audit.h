/* audit.h — what of a run's evidence says whether the rest can be believed.
 *
 * evidence_audit.c reads it out of the messages for run.c and evidence.c, measure/audit.c judges
 * it; docs/audit.md says what is seen and what is not.
 */
#ifndef EVAL_AUDIT_H
#define EVAL_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "moecap/v1/evaluator.pb-c.h"

/* A request of the node's audit (AuditProbe); -1 = unknown. */
struct eval_probe {
    const char *kind;
    uint32_t ordinal; /* of the sample that it is made of */
    bool completed;
    double first_us, first_gap_us, pace_us, timed_pace_us, same;
    int64_t chunks, prompt_tokens, output_tokens, cached_tokens, counted_tokens;
};

/* What is known before the answers come. Texts: "" or NULL = nothing is said. */
struct eval_audit_run {
    const char *engine;        /* that the submitter named */
    bool is_null;              /* it is the null engine */
    const char *server_says;   /* what the server is, if not that */
    const char *audit_unknown; /* why there was no audit, where one is due */
    const struct eval_probe *probes;
    size_t probe_count;
    /* what the node found in the completed answers of the last lease (AnswerCheck) */
    uint64_t completed, blank, counted, thin, routed, short_routing;
};

/* Sums for a line through points (output tokens, TTFT), and of the pace of their tokens. */
struct eval_line {
    uint64_t count;
    double x, y, xx, xy, yy, pace;
};

struct eval_audit {
    uint64_t answered, graded; /* sums over ordinals: equal when they are the same samples */
    uint64_t untimed;          /* completed answers without times */
    uint64_t repeated_marks;
    struct eval_line first_by_tokens;
};

struct eval_evidence;

/* False when the arena is full. */
bool eval_audit_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                     struct eval_audit_run *out);
void eval_audit_add_answer(struct eval_evidence *e, const Moecap__V1__SampleAnswer *answer);
void eval_audit_add_verdict(struct eval_evidence *e, const Moecap__V1__Verdict *verdict);

#endif
