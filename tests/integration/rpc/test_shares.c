/* One client does not starve the rest: large messages take turns, and streams that only hold their
 * place give way (lib/rpc/memory.c, shares.c). */
#include "echo_service.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/health/v1/health.rpc.h"

/* ---- many large messages ---- */

enum {
    SENDERS = 8,
    SENDER_ITEMS = 3000000,
    MOST_KIB = 400 << 10, /* 8 times 6 MB, sent and received, and 160 MiB of messages: 256 MiB */
    RETURN_MS = 10000,
};

/* Counts how often the library tells the allocator to give memory back. How much of it comes back
 * is the allocator's business, and cannot be told from what gRPC's own buffers leave behind. */
static atomic_int trims;

int malloc_trim(size_t pad)
{
    int (*real)(size_t) = (int (*)(size_t))dlsym(RTLD_NEXT, "malloc_trim");

    atomic_fetch_add(&trims, 1);
    return real(pad);
}

struct bulk_sender {
    struct fixture *fixture;
    const request_type *request;
    enum cap_code code;
};

static void *send_structure(void *argument)
{
    struct bulk_sender *sender = argument;
    const struct cap_rpc_options options = {.timeout_ms = 60000};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_err err = {0};
    reply_type *reply = NULL;

    echo_rpc_say(sender->fixture->channel, &options, sender->request, arena, &reply, &err);
    sender->code = err.code;
    return NULL;
}

static long status_kib(const char *row)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, row, strlen(row)) == 0)
            kib = strtol(line + strlen(row), NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

/* Each could take 96 MiB: together they take what one budget has. */
static void large_messages_take_turns_and_their_memory_returns(void **state)
{
    struct fixture *f = *state;
    Moecap__Test__EchoItem item = MOECAP__TEST__ECHO_ITEM__INIT;
    request_type request = make_request("", 0);
    struct bulk_sender senders[SENDERS];
    pthread_t threads[SENDERS];
    long before, most;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skip: a sanitizer's own memory cannot be told from the server's\n");
    skip();
#endif
    request.n_items = SENDER_ITEMS;
    request.items = calloc(SENDER_ITEMS, sizeof *request.items);
    for (int i = 0; i < SENDER_ITEMS; i++)
        request.items[i] = &item;
    before = status_kib("VmRSS:");
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct bulk_sender){f, &request, CAP_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, send_structure, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    most = status_kib("VmHWM:") - before;
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(senders[i].code, CAP_RESOURCE_EXHAUSTED);
    free(request.items);
    print_message("%ld MiB at most\n", most >> 10);
    assert_in_range(most, 1, MOST_KIB);
    /* a sender has its answer before the server has freed the call */
    for (int waited = 0; atomic_load(&trims) == 0 && waited < RETURN_MS; waited += 20)
        cap_sleep_ms(20);
    assert_true(atomic_load(&trims) > 0);
}

static void end_streams(struct cap_rpc_call **calls, int count)
{
    for (int i = 0; i < count; i++) {
        struct cap_err err = {0};

        cap_rpc_cancel(calls[i]);
        cap_rpc_close(calls[i], &err);
    }
}

static request_type make_payload(size_t mebibytes)
{
    request_type request = make_request("", 0);

    request.payload = (ProtobufCBinaryData){mebibytes << 20, calloc(mebibytes, 1 << 20)};
    return request;
}

/* A stream keeps its last message, here of 7 MiB; while one is unpacked, 112 of the connection's 160
 * are set aside for it. So seven streams find room, and behind them wait as many as may. */
static void a_connection_with_large_messages_waits_for_itself_only(void **state)
{
    enum { WORKERS = 16, HELD = 7, HOGS = HELD + WORKERS / 2 };
    static const struct cap_rpc_server_options options = {
        .workers_max = WORKERS, .streams_max = WORKERS, .connection_streams_max = WORKERS};
    const struct cap_rpc_channel_options other = {.keepalive_ms = 19000}; /* not to be shared */
    const struct cap_rpc_options in_time = {.timeout_ms = 5000}, soon = {.timeout_ms = 1000};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_channel *own = f->channel;
    request_type large = make_payload(7);
    struct cap_rpc_call *hogs[HOGS];
    struct cap_err err = {0};
    reply_type *reply;

    (void)state;
    for (int i = 0; i < HOGS; i++) {
        hogs[i] = echo_rpc_chat_open(own, NULL);
        assert_true(echo_rpc_chat_send_request(hogs[i], &large));
        if (i < HELD) /* it has its memory before the others come */
            assert_non_null(echo_rpc_chat_next_reply(hogs[i]));
    }
    f->channel = cap_rpc_channel_new(f->target, &other);
    for (int i = 0; i < 3; i++)
        assert_true(echo_rpc_say(f->channel, &in_time, &large, f->arena, &reply, &err));
    /* once eight wait, nobody waits behind them; a call of ours that comes too early is one of them */
    for (int i = 0; i < 10 && err.code != CAP_RESOURCE_EXHAUSTED; i++) {
        err = (struct cap_err){0};
        assert_false(echo_rpc_say(own, &soon, &large, f->arena, &reply, &err));
    }
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "8 large calls of this connection"));
    end_streams(hogs, HOGS);
    cap_rpc_channel_free(own);
    free(large.payload.data);
    close_fixture(f);
}

/* ---- streams that hold their place ---- */

static void idle_streams_of_one_client_leave_room_for_other_calls(void **state)
{
    enum { STREAMS = 40 };
    static const struct cap_rpc_server_options options = {
        .workers_max = 4, .queue_max = 64, .connection_streams_max = 100};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_call *chats[STREAMS];
    struct cap_err err = {0};

    (void)state;
    for (int i = 0; i < STREAMS; i++)
        chats[i] = echo_rpc_chat_open(f->channel, NULL);
    for (int i = 0; i < 10; i++)
        assert_true(try_say(f, NULL, "hi", 0, &err));
    end_streams(chats, STREAMS);
    close_fixture(f);
}

static void a_connection_has_a_share_of_the_streams(void **state)
{
    static const struct cap_rpc_server_options options = {.workers_max = 8,
                                                          .connection_streams_max = 2};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_call *chats[2], *third;
    request_type request = make_request("hi", 0);
    struct cap_err err = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        chats[i] = echo_rpc_chat_open(f->channel, NULL);
        assert_true(echo_rpc_chat_send_request(chats[i], &request));
        assert_non_null(echo_rpc_chat_next_reply(chats[i]));
    }
    third = echo_rpc_chat_open(f->channel, NULL);
    assert_null(echo_rpc_chat_next_reply(third));
    assert_false(cap_rpc_close(third, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "2 open streams"));
    end_streams(chats, 2);
    close_fixture(f);
}

static void the_longest_idle_stream_gives_its_place_to_a_new_one(void **state)
{
    static const struct cap_rpc_server_options options = {
        .workers_max = 4, .streams_max = 2, .stream_idle_ms = 1};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_call *chats[3];
    request_type request = make_request("hi", 0);
    struct cap_err err = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        chats[i] = echo_rpc_chat_open(f->channel, NULL);
        assert_true(echo_rpc_chat_send_request(chats[i], &request));
        assert_non_null(echo_rpc_chat_next_reply(chats[i]));
        cap_sleep_ms(20);
    }
    assert_null(echo_rpc_chat_next_reply(chats[0]));
    assert_false(cap_rpc_close(chats[0], &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "idle"));
    end_streams(chats + 1, 2);
    close_fixture(f);
}

static void health_watchers_have_a_share_of_their_own(void **state)
{
    static const struct cap_rpc_server_options options = {.workers_max = 8, .watchers_max = 1};
    struct fixture *f = open_fixture(&options);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct cap_rpc_call *watches[2];
    struct cap_err err = {0};

    (void)state;
    watches[0] = health_rpc_watch_open(f->channel, NULL, &request);
    assert_non_null(health_rpc_watch_next_reply(watches[0]));
    watches[1] = health_rpc_watch_open(f->channel, NULL, &request);
    assert_null(health_rpc_watch_next_reply(watches[1]));
    assert_false(cap_rpc_close(watches[1], &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    end_streams(watches, 1);
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(large_messages_take_turns_and_their_memory_returns),
        cmocka_unit_test(a_connection_with_large_messages_waits_for_itself_only),
        cmocka_unit_test(idle_streams_of_one_client_leave_room_for_other_calls),
        cmocka_unit_test(a_connection_has_a_share_of_the_streams),
        cmocka_unit_test(the_longest_idle_stream_gives_its_place_to_a_new_one),
        cmocka_unit_test(health_watchers_have_a_share_of_their_own),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
