/* run.h — a run's row and its state, inside a transaction.
 *
 * Whoever changes anything of a run locks its row first, then its shards: one order, so that two
 * transactions cannot wait for each other. store_run_move_locked is the only writer of the state;
 * it writes the event, ends leases, and ends the evaluation with its last run.
 */
#ifndef STORE_RUN_H
#define STORE_RUN_H

#include "base/err.h"
#include "types.h"

struct store_conn;
struct store_pg;

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

/* MoveRun: a request from outside. Refuses the moves that Lease, Append and FinishRun make. */
bool store_run_move(struct store_pg *pg, const char *run_id, enum store_state from,
                    enum store_state to, const char *reason, struct cap_err *err);

/* run_id NULL: an event of the suite. */
bool store_event_add(struct store_conn *conn, const char *run_id, const char *kind,
                     const char *text, struct cap_err *err);

const char *store_state_name(enum store_state state);
enum store_state store_state_from_name(const char *name); /* NONE when there is none */
bool store_state_ended(enum store_state state);
bool store_state_may_follow(enum store_state from, enum store_state to);

/* Fails with the sentence for an arena that is full. */
bool store_fail_full(struct cap_err *err);

#endif
