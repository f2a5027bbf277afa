/* Builds the scheduler's service in this process and takes it apart again: store, shim, evaluator and
 * nodes are started in this order and ended in the opposite one, also after a test that failed. */
#include "house.h"

#include "base/clock.h"
#include "log/log.h"
#include "rpc/rpc.h"

#ifdef __SANITIZE_THREAD__
enum { SLOWER = 4 }; /* this build is: what is silent elsewhere has only not had its turn */
#else
enum { SLOWER = 1 };
#endif

/* ---- life ---- */

static void start_scheduler(struct house *house)
{
    const struct sched_settings settings = {.store = house->shim.address,
                                            .evaluator = house->evaluator,
                                            .attempts_max = 3,
                                            .beat_ms = 40,
                                            .lease_ms = 700 * SLOWER,
                                            .silent_ms_max = 400 * SLOWER,
                                            .progress_ms_max = 2000 * SLOWER,
                                            .ageing_ms = 60000,
                                            .retry_ms = 20,
                                            .tick_ms = 20,
                                            .nodes_max = 128,
                                            .prompt_batch = 16};
    struct cap_err err = {0};

    snprintf(house->evaluator, sizeof house->evaluator, "127.0.0.1:%d",
             house->suite->evaluator.port);
    house->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    sched_service_start(&house->scheduler, &settings, house->server);
    snprintf(house->address, sizeof house->address, "127.0.0.1:%d", house->port);
    assert_true(cap_rpc_server_listen(house->server, house->address, &house->port, &err));
    snprintf(house->address, sizeof house->address, "127.0.0.1:%d", house->port);
    cap_rpc_server_start(house->server);
}

void house_stop_scheduler(struct house *house)
{
    sched_service_drain(&house->scheduler);
    cap_rpc_server_drain(house->server, 0);
    cap_rpc_server_free(house->server);
    sched_service_stop(&house->scheduler);
}

int house_build(void **state)
{
    struct house *house = calloc(1, sizeof *house);

    house->suite = suite_new();
    shim_start(&house->shim, house->suite->store.address);
    start_scheduler(house);
    house->channel = cap_rpc_channel_new(house->address, NULL);
    *state = house;
    return 0;
}

void house_come_back(struct house *house)
{
    struct cap_err err = {0};

    start_scheduler(house);
    if (!cap_rpc_channel_wait(house->channel, 20000, &err))
        fail_msg("%s", err.text);
}

int house_leave(void **state)
{
    struct house *house = *state;

    for (int i = 0; i < house->node_count; i++) /* of a test that failed */
        if (!house->nodes[i]->ending)
            node_stop(house->nodes[i]);
    cap_rpc_channel_free(house->channel);
    house_stop_scheduler(house);
    shim_stop(&house->shim);
    suite_free(house->suite);
    free(house);
    return 0;
}

void house_add_node(struct house *house, struct node *node, const char *name)
{
    assert_true(house->node_count < HOUSE_NODES_MAX);
    house->nodes[house->node_count++] = node;
    node->name = name;
    node->scheduler = house->address;
    node_start(node);
}

void house_evaluator_away(struct house *house, bool away)
{
    int code = away ? CAP_UNAVAILABLE : CAP_OK;

    house->suite->evaluator.render_fails = house->suite->evaluator.grade_fails =
        house->suite->evaluator.measure_fails = code;
}

int house_run(int (*run_group)(void))
{
    struct cap_err err = {0};
    int failed;

    cap_log_init("scheduler");
    cap_log_set_levels(getenv("MOECAP_LOG") ? getenv("MOECAP_LOG") : "error", &err);
    cap_rpc_init();
    failed = run_group();
    cap_rpc_shutdown();
    return failed;
}

/* ---- asking ---- */

bool house_submit(struct house *house, uint64_t seed, uint32_t runs, bool dry_run,
                  struct cap_arena *arena, Moecap__V1__SubmitReply **out, struct cap_err *err)
{
    static char *tasks[] = {"mini"};
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;

    spec.model = "none";
    spec.engine = "null";
    spec.tasks = tasks;
    spec.n_tasks = 1;
    spec.seed = seed;
    spec.repeats = runs;
    request.spec = &spec;
    request.dry_run = dry_run;
    return scheduler_rpc_submit(house->channel, NULL, &request, arena, out, err);
}

/* Queues one run and keeps its id. */
void house_submit_one(struct house *house, uint64_t seed, char run_id[ID_MAX])
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    if (!house_submit(house, seed, 1, false, arena, &reply, &err))
        fail_msg("submit: %s", err.text);
    assert_int_equal(reply->n_runs, 1);
    snprintf(run_id, ID_MAX, "%s", reply->runs[0]->run_id);
}

void house_cancel(struct house *house, const char *id, size_t expected)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__CancelRequest request = MOECAP__V1__CANCEL_REQUEST__INIT;
    Moecap__V1__CancelReply *reply = NULL;
    struct cap_err err = {0};

    request.id = (char *)id;
    request.reason = "not needed";
    if (!scheduler_rpc_cancel(house->channel, NULL, &request, arena, &reply, &err))
        fail_msg("cancel: %s", err.text);
    assert_int_equal(reply->n_run_ids, expected);
}

/* What the scheduler says last of this run, when all of `id` has ended. */
int house_watch(struct house *house, const char *id, char reason[512])
{
    const struct cap_rpc_options options = {.timeout_ms = WAIT_MS_MAX};
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    struct cap_rpc_call *call;
    Moecap__V1__Progress *progress;
    struct cap_err err = {0};
    int state = 0;
    bool ended = false;

    request.id = (char *)id;
    call = scheduler_rpc_watch_open(house->channel, &options, &request);
    while ((progress = scheduler_rpc_watch_next_reply(call)) != NULL) {
        assert_false(ended);
        assert_true(progress->n_runs > 0);
        ended = progress->ended;
        state = (int)progress->runs[0]->state;
        if (reason)
            snprintf(reason, 512, "%s", progress->runs[0]->reason);
    }
    if (!cap_rpc_close(call, &err))
        fail_msg("watch %s: %s", id, err.text);
    assert_true(ended);
    return state;
}

struct stored house_stored(struct house *house, const char *run_id)
{
    Moecap__V1__GetRunReply *run = must_get_run(house->suite, run_id);
    struct stored stored = {(int)run->row->state, run->samples_answered, run->samples_graded,
                            (int)run->n_attempts, ""};

    snprintf(stored.evaluation_id, ID_MAX, "%s", run->row->evaluation_id);
    return stored;
}

/* That no sample is stored twice is the store's own key; here, that none is missing. */
void assert_all_stored_once(struct house *house, const char *run_id)
{
    struct stored run = house_stored(house, run_id);

    assert_int_equal(run.answered, SUITE_SAMPLES);
    assert_int_equal(run.graded, SUITE_SAMPLES);
}

void house_wait_until(struct house *house, bool (*holds)(struct house *, const void *),
                      const void *arg)
{
    int64_t until = cap_clock_ms(cap_clock_system()) + WAIT_MS_MAX;

    while (!holds(house, arg)) {
        assert_true(cap_clock_ms(cap_clock_system()) < until);
        cap_sleep_ms(5);
    }
}

bool some_answers(struct house *house, const void *run_id)
{
    return house_stored(house, run_id).answered > 0;
}

bool is_grading(struct house *house, const void *run_id)
{
    return house_stored(house, run_id).state == STATE(GRADING);
}

bool is_cancelled(struct house *house, const void *run_id)
{
    return house_stored(house, run_id).state == STATE(CANCELLED);
}
