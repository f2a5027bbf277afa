/* suite.h — a whole suite for the scheduler's tests: moecap-store on a private database,
 * moecap-scheduler, nodes with the null engine, all real programs; the evaluator is played by the
 * test, so that it can be away, slow or wrong.
 *
 *     struct suite *s = *state;            (suite_setup made it, without nodes)
 *     suite_node_start(s, 0, "a", NULL);
 *     reply = must_submit(s, suite_spec(s));
 *     must_end(s, reply->evaluation_id, MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED);
 *
 * Times are short: beats every 100 ms, a lease lasts 1 s. Programs' logs lie in the suite's folder;
 * a failing test prints where, and MOECAP_TEST_KEEP=1 keeps them. must_ helpers fail the test with
 * the refusal's sentence. One thread.
 */
#ifndef SUITE_H
#define SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"

enum { SUITE_NODES_MAX = 4, SUITE_SAMPLES = 60 };

struct suite_program {
    pid_t pid; /* 0 = not running */
    char address[64];
};

/* The evaluator, as the test wants it. Under no lock: set before what makes it matter. */
struct suite_evaluator {
    struct cap_rpc_server *server;
    int port;
    _Atomic int render_fails, grade_fails, measure_fails; /* a code, 0 = works */
    _Atomic int rendered, graded, measured, kept;         /* samples, samples, runs, tasks */
    _Atomic int evidence_answers;
    uint64_t
        ends_for_seed; /* the process ends when it is asked for prompts of such a run; 0 = never */
};

struct suite {
    char *db, *dir;
    struct suite_program store, scheduler, real_evaluator, nodes[SUITE_NODES_MAX];
    struct suite_evaluator evaluator;
    struct cap_rpc_channel *to_scheduler, *to_store;
    struct cap_arena *arena;
};

/* cmocka's fixtures. The task "mini" of SUITE_SAMPLES documents is there. */
int suite_setup(void **state);
int suite_teardown(void **state);
/* The same without a scheduler. */
struct suite *suite_new(void);
void suite_free(struct suite *s);

/* Starts a node of that name; `environment` is one more "NAME=value" or NULL. */
void suite_node_start(struct suite *s, int which, const char *name, const char *environment);
void suite_scheduler_start(struct suite *s);
void suite_store_start(struct suite *s);
void suite_evaluator_start(struct suite *s);
void suite_evaluator_stop(struct suite *s);
/* The program itself, in place of the test's, which was stopped. */
void suite_real_evaluator_start(struct suite *s);
/* Sends the signal and waits for the end. */
void suite_end(struct suite_program *program, int signal_number);

/* A spec that the suite accepts: null engine, task "mini", concurrency 2. In the arena. */
Moecap__V1__EvaluationSpec *suite_spec(struct suite *s);
bool suite_submit(struct suite *s, Moecap__V1__EvaluationSpec *spec, bool dry_run,
                  Moecap__V1__SubmitReply **out, struct cap_err *err);
Moecap__V1__SubmitReply *must_submit(struct suite *s, Moecap__V1__EvaluationSpec *spec);
/* The last word on a run: watches until it has ended and fails unless it ended so. The progress is
 * the arena's. */
Moecap__V1__RunProgress *must_end(struct suite *s, const char *id, Moecap__V1__RunState state);
/* Waits until the store holds that many answers of the run. */
void must_answer(struct suite *s, const char *run_id, uint32_t answers);
Moecap__V1__GetRunReply *must_get_run(struct suite *s, const char *run_id);
Moecap__V1__ListQueueReply *must_list_queue(struct suite *s);
/* The connected node of that name, or NULL. */
Moecap__V1__NodeEntry *suite_find_node(struct suite *s, const char *name);
Moecap__V1__NodeEntry *must_find_node(struct suite *s, const char *name); /* waits for it */
long long suite_sql_int(struct suite *s, const char *sql);

void assert_ok(bool ok, const struct cap_err *err);

/* Tries every 20 ms until `condition` holds; fails the test after `seconds`. */
#define MUST_COME(seconds, condition)                                                              \
    do {                                                                                           \
        int left_ = (seconds)*50;                                                                  \
        while (!(condition) && left_-- > 0)                                                        \
            cap_sleep_ms(20);                                                                      \
        if (left_ < 0)                                                                             \
            fail_msg("did not come in %d s: %s", (int)(seconds), #condition);                      \
    } while (0)

#endif
