/* grade.h — from stored answers to verdicts and a summary.
 *
 * Gold meets answer here, by (task, ordinal, uid), never by position. Verdicts are rows keyed by
 * (run, ordinal, metric, version): grading again with a new version adds to them.
 */
#ifndef STORE_GRADE_H
#define STORE_GRADE_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

enum {
    STORE_UNGRADED_MAX = 256,
    STORE_VERDICTS_MAX = 16384, /* a call: 256 samples of 64 metrics */
    STORE_FIGURES_MAX = 512,
    STORE_HISTOGRAMS_MAX = 64,
    STORE_BUCKETS_MAX = 4096,
};

struct store_ungraded {
    struct store_doc *docs; /* the i-th document belongs to the i-th answer */
    struct store_answer *answers;
    size_t count;
};

/* At most `limit` (0 = the most) answers without any verdict, texts included. */
bool store_grade_ungraded(struct store_pg *pg, const char *run_id, uint32_t limit,
                          struct cap_arena *arena, struct store_ungraded *out_items,
                          struct cap_err *err);
bool store_grade_put(struct store_pg *pg, const char *run_id, struct store_verdicts verdicts,
                     uint32_t *out_samples_graded, struct cap_err *err);
/* Figures, histograms and the state finished, in one transaction. */
bool store_grade_finish(struct store_pg *pg, const char *run_id, struct store_figures figures,
                        struct store_histograms histograms, struct cap_err *err);

const char *store_verdict_kind_name(enum store_verdict_kind kind);
enum store_verdict_kind store_verdict_kind_from_name(const char *name);

#endif
