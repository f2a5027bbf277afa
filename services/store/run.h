/* run.h — what the verbs share inside a transaction: a run's row, its state, its leases, events.
 *
 * A transaction that changes anything of a run locks its row first (store_run_lock), then rows of
 * its shards, in their order, then the row of its evaluation: one order, so that no two
 * transactions wait for each other. store_run_move_locked is the only writer of a state; it writes
 * the event, ends leases, and ends the evaluation with its last run.
 */
#ifndef STORE_RUN_H
#define STORE_RUN_H

#include "base/err.h"
#include "moecap/v1/common.rpc.h"
#include "pg.h"

/* The wire's states under short names; their words are the wire's, too. */
#define STORE_STATES(X)                                                                            \
    X(QUEUED)  /* no shard is leased */                                                            \
    X(LEASED)  /* a shard is leased, nothing stored since */                                       \
    X(RUNNING) /* a shard is leased, answers are stored */                                         \
    X(GRADING) /* every shard is done */                                                           \
    X(FINISHED)                                                                                    \
    X(FAILED)                                                                                      \
    X(CANCELLED)                                                                                   \
    X(INVALID)

enum store_state {
    STORE_STATE_NONE = 0,
#define STORE_STATE(name) STORE_STATE_##name = MOECAP__V1__RUN_STATE__RUN_STATE_##name,
    STORE_STATES(STORE_STATE)
#undef STORE_STATE
        STORE_STATE_COUNT
};

static inline const char *store_state_name(enum store_state state)
{
    return run_state_word((Moecap__V1__RunState)state);
}
bool store_state_ended(enum store_state state);
bool store_state_may_follow(enum store_state from, enum store_state to);

struct store_run {
    const char *run_id; /* borrowed from the caller of store_run_lock */
    int64_t run_no, evaluation_no, task_id;
    enum store_state state;
    uint32_t samples_total, samples_answered, samples_graded;
};

/* NOT_FOUND when there is none. The row stays locked until the transaction ends. */
bool store_run_lock(struct store_conn *conn, const char *run_id, struct store_run *out_run,
                    struct cap_err *err);
/* The same without the lock. */
bool store_run_find(struct store_conn *conn, const char *run_id, struct store_run *out_run,
                    struct cap_err *err);
/* FAILED_PRECONDITION when `to` may not follow. */
bool store_run_move_locked(struct store_conn *conn, struct store_run *run, enum store_state to,
                           const char *reason, struct cap_err *err);

/* Ends all leases of the run, or the one of a shard, with that outcome. lease.c */
bool store_lease_end_all_locked(struct store_conn *conn, const struct store_run *run,
                                const char *outcome, struct cap_err *err);
bool store_lease_end_locked(struct store_conn *conn, const struct store_run *run, uint32_t shard,
                            const char *outcome, struct cap_err *err);

/* Computes question and setting of the evaluation's runs that have none. question.c */
bool store_question_fill(struct store_conn *conn, int64_t evaluation_no, struct cap_err *err);

/* The same of every run, before the first call: those of an older schema. */
bool store_questions(struct store_pg *pg, struct cap_err *err);

/* run_id NULL: an event of the suite. */
bool store_event_add(struct store_conn *conn, const char *run_id, const char *kind,
                     const char *text, struct cap_err *err);

/* Fails with the sentence for an arena that is full. */
bool store_fail_full(struct cap_err *err);
/* "limit is 7, at most 5" */
bool store_check_limit(uint32_t limit, uint32_t max, struct cap_err *err);

#endif
