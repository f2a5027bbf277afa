/* evidence.h — everything the measures of a run are computed from, in pages of bounded size.
 *
 * Each function answers the page at `place` and moves it on; an empty page ends it. A run in state
 * grading does not change any more, so pages need no common snapshot and no connection is held
 * between them.
 */
#ifndef STORE_EVIDENCE_H
#define STORE_EVIDENCE_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

enum {
    STORE_EVIDENCE_ANSWERS_MAX = 200, /* a page */
    STORE_EVIDENCE_ROWS_MAX = 2000,   /* a page of anything else */
};

struct store_evidence_header {
    struct store_bytes spec; /* packed EvaluationSpec */
    struct store_task task;
    uint32_t attempted;        /* samples of the run */
    uint32_t attempts;         /* that stored something */
    struct store_bytes report; /* packed ShardReport; data NULL when no shard reported */
};

bool store_evidence_header(struct store_pg *pg, const char *run_id, struct cap_arena *arena,
                           struct store_evidence_header *out_header, struct cap_err *err);

/* Where the next page begins; zeroed for the first. One for each kind of rows. */
struct store_evidence_place {
    bool begun;
    int64_t first, second, third; /* key of the last row that was answered */
};

/* Without texts and token ids. */
bool store_evidence_answers(struct store_pg *pg, const char *run_id,
                            struct store_evidence_place *place, struct cap_arena *arena,
                            struct store_answers *out_page, struct cap_err *err);
/* The latest verdict of each sample and metric; a page holds whole samples. */
bool store_evidence_verdicts(struct store_pg *pg, const char *run_id,
                             struct store_evidence_place *place, struct cap_arena *arena,
                             struct store_verdicts *out_page, struct cap_err *err);
bool store_evidence_passes(struct store_pg *pg, const char *run_id,
                           struct store_evidence_place *place, struct cap_arena *arena,
                           struct store_passes *out_page, struct cap_err *err);
bool store_evidence_power(struct store_pg *pg, const char *run_id,
                          struct store_evidence_place *place, struct cap_arena *arena,
                          struct store_powers *out_page, struct cap_err *err);
bool store_evidence_counts(struct store_pg *pg, const char *run_id,
                           struct store_evidence_place *place, struct cap_arena *arena,
                           struct store_expert_counts *out_page, struct cap_err *err);

#endif
