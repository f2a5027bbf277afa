/* house.h — the scheduler's whole service in this process, between the real store behind a shim
 * (shim.h), the test's evaluator (suite.h), and nodes that misbehave (node.h). For tests of what a
 * fault means; test_flow.c and test_death.c run the scheduler as the program that it is.
 *
 *     struct house *house = *state;          (house_build made it, without nodes)
 *     static struct node node = {.pace_ms = 20};
 *     house_add_node(house, &node, "one");   (static: it outlives a test that fails)
 *     house_submit_one(house, 1, run_id);
 *     assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
 *
 * Times are shorter than the suite's: a beat every 40 ms, a lease lasts 700 ms.
 */
#ifndef SCHED_TEST_HOUSE_H
#define SCHED_TEST_HOUSE_H

#include "node.h"
#include "scheduler/service.h"
#include "shim.h"
#include "suite.h"

#define STATE(name) MOECAP__V1__RUN_STATE__RUN_STATE_##name
#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_build, house_leave)

enum { HOUSE_NODES_MAX = 4, ID_MAX = CAP_ID_BYTES, WAIT_MS_MAX = 20000 };

struct house {
    struct suite *suite;
    struct shim shim;
    struct sched_service scheduler;
    struct cap_rpc_server *server;
    int port;
    char address[32], evaluator[32];
    struct cap_rpc_channel *channel; /* to the scheduler */
    struct node *nodes[HOUSE_NODES_MAX];
    int node_count;
};

/* The groups' main: errors only in the log, unless MOECAP_LOG says otherwise. */
int house_run(int (*run_group)(void));
int house_build(void **state);
int house_leave(void **state);
void house_stop_scheduler(struct house *house);
/* Again, on the same port; the test's own channel may wait before it dials. */
void house_come_back(struct house *house);
void house_add_node(struct house *house, struct node *node, const char *name);

/* `runs` repeats of the null engine's evaluation with that seed. */
bool house_submit(struct house *house, uint64_t seed, uint32_t runs, bool dry_run,
                  struct cap_arena *arena, Moecap__V1__SubmitReply **out, struct cap_err *err);
void house_submit_one(struct house *house, uint64_t seed, char run_id[ID_MAX]);
void house_cancel(struct house *house, const char *id, size_t expected);
/* What the scheduler says last of this run, when all of `id` has ended. */
int house_watch(struct house *house, const char *id, char reason[512]);

/* The run as the store has it. */
struct stored {
    int state;
    uint32_t answered, graded;
    int attempts;
    char evaluation_id[ID_MAX];
};
struct stored house_stored(struct house *house, const char *run_id);
void assert_all_stored_once(struct house *house, const char *run_id);
void house_wait_until(struct house *house, bool (*holds)(struct house *, const void *),
                      const void *arg);
/* The evaluator answers every call with UNAVAILABLE, or works. */
void house_evaluator_away(struct house *house, bool away);
bool some_answers(struct house *house, const void *run_id);
bool is_grading(struct house *house, const void *run_id);
bool is_cancelled(struct house *house, const void *run_id);

#endif
