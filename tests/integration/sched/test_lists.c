/* What the scheduler tells of the queue, of nodes and of what has ended. */
#include "base/clock.h"
#include "house.h"

static void a_run_in_the_queue_says_why_it_waits_and_can_be_cancelled(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *queue = NULL;
    struct cap_err err = {0};
    char run_id[ID_MAX];

    house_submit_one(house, 1, run_id);
    assert_true(scheduler_rpc_list_queue(house->channel, NULL, &request, arena, &queue, &err));
    assert_int_equal(queue->queued, 1);
    assert_string_equal(queue->entries[0]->waiting_for, "no node is connected");
    assert_int_equal(queue->entries[0]->position, 1);
    house_cancel(house, run_id, 1);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(CANCELLED));
    house_wait_until(house, is_cancelled, run_id);
}

/* One page; what was refused leaves NULL and `err`. */
static Moecap__V1__ListQueueReply *queue_page(struct house *house, uint32_t limit,
                                              const char *after, struct cap_arena *arena,
                                              struct cap_err *err)
{
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;

    request.limit = limit;
    request.by_arrival = true;
    request.after = (char *)after;
    return scheduler_rpc_list_queue(house->channel, NULL, &request, arena, &reply, err) ? reply
                                                                                        : NULL;
}

static void pages_of_the_queue_neither_repeat_nor_drop_a_run(void **state)
{
    enum { RUNS = 11, PAGE = 3 };
    CAP_AUTO(cap_arena) arena = cap_arena_new(16 << 20);
    struct house *house = *state;
    char run_ids[RUNS][ID_MAX], later[ID_MAX];
    Moecap__V1__ListQueueReply *page = NULL;
    struct cap_err err = {0};
    const char *after = "";
    size_t seen = 0, pages = 0;

    for (int i = 0; i < RUNS; i++) {
        house_submit_one(house, (uint64_t)i + 1, run_ids[i]);
        cap_sleep_ms(2); /* so that the order of arrival is that of the submissions */
    }
    do {
        page = queue_page(house, PAGE, after, arena, &err);
        assert_non_null(page);
        for (size_t i = 0; i < page->n_entries && seen < RUNS; i++, seen++)
            assert_string_equal(page->entries[i]->run->run_id, run_ids[seen]);
        after = page->next_after;
        house_submit_one(house, 100 + pages++, later); /* comes behind them all */
        if (pages == 2)
            house_cancel(house, run_ids[0], 1); /* the place that was seen goes away */
    } while (seen < RUNS);
    page = queue_page(house, 1, "", arena, &err);
    assert_non_null(page);
    assert_int_equal(page->queued, RUNS - 1 + pages);
    assert_int_equal(page->n_entries, 1);
    assert_string_equal(page->entries[0]->run->run_id, run_ids[1]);
    page = queue_page(house, 1000, page->next_after, arena, &err);
    assert_int_equal(page->n_entries, RUNS - 2 + pages);
    assert_int_equal(page->opt_next_case, MOECAP__V1__LIST_QUEUE_REPLY__OPT_NEXT__NOT_SET);
    for (size_t i = 0; i < 6; i++) {
        const char *places[] = {"run-1", "12", ".run-1", "-5.run-1", "1.5", "12.abc"};

        assert_null(queue_page(house, 1, places[i], arena, &err));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_string_equal(err.field, "after");
        cap_err_clear(&err);
    }
}

static void pages_of_nodes_come_by_name(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(16 << 20);
    struct house *house = *state;
    static struct node nodes[3] = {{0}};
    static const char *const names[] = {"c:1", "a", "b"}, *const sorted[] = {"a", "b", "c:1"};
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *page = NULL;
    struct cap_err err = {0};
    size_t seen = 0;

    for (int i = 0; i < 3; i++)
        house_add_node(house, &nodes[i], names[i]);
    do {
        cap_sleep_ms(5);
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
    } while (page->n_nodes < 3);
    request.limit = 1;
    do {
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
        assert_int_equal(page->n_nodes, 1);
        assert_string_equal(page->nodes[0]->hello->name, sorted[seen]);
        request.after = page->next_after;
    } while (++seen < 3);
    assert_int_equal(page->opt_next_case, MOECAP__V1__LIST_NODES_REPLY__OPT_NEXT__NOT_SET);
    request.after = "nowhere";
    assert_false(scheduler_rpc_list_nodes(house->channel, NULL, &request, arena, &page, &err));
    assert_string_equal(err.field, "after");
    for (int i = 0; i < 3; i++)
        node_stop(&nodes[i]);
}

static void the_same_configuration_is_answered_with_its_ids(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__SubmitReply *first, *second, *dry;
    struct cap_err err = {0};

    assert_true(house_submit(house, 1, 2, true, arena, &dry, &err));
    assert_int_equal(dry->n_runs, 2);
    assert_string_equal(dry->runs[0]->run_id, "");
    assert_int_equal(dry->runs[0]->samples, SUITE_SAMPLES);
    assert_true(dry->no_node);
    assert_string_equal(dry->warnings[0], "nothing runs yet: no node is connected");
    assert_true(house_submit(house, 1, 2, false, arena, &first, &err));
    assert_false(first->duplicate);
    assert_true(house_submit(house, 1, 2, false, arena, &second, &err));
    assert_true(second->duplicate);
    assert_string_equal(first->evaluation_id, second->evaluation_id);
    assert_string_equal(first->runs[1]->run_id, second->runs[1]->run_id);
    assert_string_equal(first->config_hash, dry->config_hash);
}

static void what_ended_before_the_restart_can_still_be_watched(void **state)
{
    struct house *house = *state;
    static struct node node = {0};
    struct cap_err err = {0};
    struct cap_rpc_call *call;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    char run_id[ID_MAX], evaluation_id[ID_MAX];

    house_add_node(house, &node, "one");
    house_submit_one(house, 1, run_id);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    memcpy(evaluation_id, house_stored(house, run_id).evaluation_id, ID_MAX);
    house_stop_scheduler(house);
    house_come_back(house);
    assert_int_equal(house_watch(house, run_id, NULL), STATE(FINISHED));
    assert_int_equal(house_watch(house, evaluation_id, NULL), STATE(FINISHED));
    house_cancel(house, run_id, 0);
    request.id = "run-nothing";
    call = scheduler_rpc_watch_open(house->channel, NULL, &request);
    assert_null(scheduler_rpc_watch_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND);
    node_stop(&node);
}

/* The store's board is read page by page: the fake one's have two rows. */
static void every_run_of_an_evaluation_is_found_after_the_restart(void **state)
{
    enum { RUNS = 5 };
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    Moecap__V1__SubmitReply *made;
    Moecap__V1__Progress *progress;
    struct cap_rpc_call *call;
    struct cap_err err = {0};

    assert_true(house_submit(house, 1, RUNS, false, arena, &made, &err));
    house_cancel(house, made->evaluation_id, RUNS);
    house_stop_scheduler(house);
    house_come_back(house);
    request.id = made->evaluation_id;
    call = scheduler_rpc_watch_open(house->channel, NULL, &request);
    progress = scheduler_rpc_watch_next_reply(call);
    assert_non_null(progress);
    assert_true(progress->ended);
    assert_int_equal(progress->n_runs, RUNS);
    for (size_t i = 0; i < RUNS; i++)
        assert_string_equal(progress->runs[i]->run_id, made->runs[i]->run_id);
    assert_true(cap_rpc_close(call, &err));
}

static void nodes_are_listed_with_what_they_said_of_themselves(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct house *house = *state;
    static struct node node = {0};
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListNodesRequest list = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *nodes = NULL;
    Moecap__V1__InfoReply *info = NULL;
    struct cap_err err = {0};

    house_add_node(house, &node, "one");
    do {
        cap_sleep_ms(5);
        cap_arena_reset(arena);
        assert_true(scheduler_rpc_list_nodes(house->channel, NULL, &list, arena, &nodes, &err));
    } while (nodes->n_nodes == 0);
    assert_string_equal(nodes->nodes[0]->hello->name, "one");
    assert_string_equal(nodes->nodes[0]->hello->engines[0], "null");
    assert_true(nodes->nodes[0]->connected_at_ms > 0);
    assert_non_null(strstr(nodes->nodes[0]->peer, "127.0.0.1"));
    assert_true(scheduler_rpc_info(house->channel, NULL, &request, arena, &info, &err));
    assert_string_equal(info->tasks[0], "mini");
    assert_string_equal(info->store_address, house->shim.address);
    node_stop(&node);
}

static void expect_refused_hello(struct house *house, Moecap__V1__NodeHello *hello,
                                 const char *sentence)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);
    struct cap_err err = {0};

    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = hello;
    scheduler_rpc_work_send_request(call, &message);
    assert_null(scheduler_rpc_work_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, sentence));
}

static void a_hello_that_names_too_much_or_nothing_is_refused(void **state)
{
    static char *many[1025];
    struct house *house = *state;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;

    expect_refused_hello(house, &hello, "a node's name has 1 to 64 bytes");
    hello.name = (char *)"one\ntwo";
    expect_refused_hello(house, &hello, "without blanks, quotes or control characters");
    hello.name = (char *)"one";
    for (size_t i = 0; i < CAP_COUNT_OF(many); i++)
        many[i] = (char *)"e";
    hello.engines = many;
    hello.n_engines = CAP_COUNT_OF(many);
    expect_refused_hello(house, &hello, "1025 engines and 0 precisions; at most 1024 each");
}

enum { WIDE_NODES = 5, WIDE_MODELS = 1024 };

/* A stream whose hello names WIDE_MODELS models that no other has. */
static struct cap_rpc_call *open_wide_node(struct house *house, int number)
{
    static char names[WIDE_NODES][WIDE_MODELS][24];
    static Moecap__V1__NodeModel models[WIDE_MODELS], *list[WIDE_MODELS];
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    struct cap_rpc_call *call = scheduler_rpc_work_open(house->channel, NULL);
    char name[16];

    for (int i = 0; i < WIDE_MODELS; i++) {
        snprintf(names[number][i], sizeof names[number][i], "model-%d-%d", number, i);
        moecap__v1__node_model__init(&models[i]);
        models[i].name = names[number][i];
        list[i] = &models[i];
    }
    snprintf(name, sizeof name, "wide-%d", number);
    hello.name = name;
    hello.models = list;
    hello.n_models = WIDE_MODELS;
    message.body_case = MOECAP__V1__NODE_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    assert_true(scheduler_rpc_work_send_request(call, &message));
    assert_non_null(scheduler_rpc_work_next_reply(call)); /* the welcome */
    return call;
}

/* How many models Info tells while all wide nodes are there. */
static size_t count_wide_models(struct house *house)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *info = NULL;
    struct cap_rpc_call *calls[WIDE_NODES];
    struct cap_err err = {0}, ended = {0};

    for (int i = 0; i < WIDE_NODES; i++)
        calls[i] = open_wide_node(house, i);
    assert_true(scheduler_rpc_info(house->channel, NULL, &request, arena, &info, &err));
    for (size_t i = 1; i < info->n_models; i++)
        assert_true(strcmp(info->models[i - 1], info->models[i]) < 0);
    for (int i = 0; i < WIDE_NODES; i++) {
        cap_rpc_cancel(calls[i]);
        cap_rpc_close(calls[i], &ended);
        cap_err_clear(&ended);
    }
    return info->n_models;
}

/* The nodes never beat: on a busy machine the first may be gone when the last has come. */
static void every_model_of_every_node_is_known(void **state)
{
    size_t count = 0;

    for (int tries = 0; tries < 20 && count < WIDE_NODES * WIDE_MODELS; tries++)
        count = count_wide_models(*state);
    assert_int_equal(count, WIDE_NODES * WIDE_MODELS);
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOUSE(a_run_in_the_queue_says_why_it_waits_and_can_be_cancelled),
        IN_HOUSE(pages_of_the_queue_neither_repeat_nor_drop_a_run),
        IN_HOUSE(pages_of_nodes_come_by_name),
        IN_HOUSE(the_same_configuration_is_answered_with_its_ids),
        IN_HOUSE(what_ended_before_the_restart_can_still_be_watched),
        IN_HOUSE(every_run_of_an_evaluation_is_found_after_the_restart),
        IN_HOUSE(nodes_are_listed_with_what_they_said_of_themselves),
        IN_HOUSE(a_hello_that_names_too_much_or_nothing_is_refused),
        IN_HOUSE(every_model_of_every_node_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return house_run(run_group);
}
