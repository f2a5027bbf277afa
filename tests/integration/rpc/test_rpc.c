/* The layer against itself: a server and its clients in one process, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/rand.h"
#include "echo.rpc.h"

typedef Moecap__Test__EchoRequest request_type;
typedef Moecap__Test__EchoReply reply_type;

/* ---- the service under test; what it does depends on the request's text ---- */

struct service {
    struct cap_rpc_channel *self_channel; /* for calls that cascade */
    pthread_mutex_t lock;
    int cancellations; /* handlers that saw their call cancelled */
};

static void note_cancellation(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->cancellations++;
    pthread_mutex_unlock(&service->lock);
}

static int cancellations(struct service *service)
{
    int n;

    pthread_mutex_lock(&service->lock);
    n = service->cancellations;
    pthread_mutex_unlock(&service->lock);
    return n;
}

static bool sleep_until_cancelled(struct cap_rpc_call *call, struct service *service, int64_t ms,
                                  struct cap_err *err)
{
    for (int64_t i = 0; i < ms; i += 5) {
        if (cap_rpc_cancelled(call)) {
            note_cancellation(service);
            return cap_fail(err, CAP_CANCELLED, "cancelled");
        }
        cap_sleep_ms(5);
    }
    return true;
}

static bool cascade(struct cap_rpc_call *call, struct service *service, struct cap_err *err)
{
    struct cap_rpc_options options = {.parent = call, .timeout_ms = CAP_RPC_NO_DEADLINE};
    request_type inner = MOECAP__TEST__ECHO_REQUEST__INIT;
    reply_type *reply;

    inner.text = "sleep";
    inner.number = 5000;
    return echo_rpc_say(service->self_channel, &options, &inner, cap_rpc_arena(call), &reply, err);
}

static bool say(struct cap_rpc_call *call, const request_type *request, reply_type *reply,
                struct cap_err *err)
{
    struct service *service = cap_rpc_self(call);
    const char *token = cap_rpc_metadata(call, "x-token", NULL);

    if (strcmp(request->text, "sleep") == 0)
        return sleep_until_cancelled(call, service, request->number, err);
    if (strcmp(request->text, "cascade") == 0)
        return cascade(call, service, err);
    if (strcmp(request->text, "fail") == 0) {
        cap_rpc_detail(call, &request->base);
        return cap_fail(err, (enum cap_code)request->number, "prüfung: 100 %% falsch");
    }
    if (strcmp(request->text, "long") == 0)
        return cap_fail(err, CAP_INTERNAL, "%0500d", 7);
    cap_rpc_header(call, "x-answer-bin", "\0\1\2", 3);
    reply->text =
        cap_arena_printf(cap_rpc_arena(call), "%s|%s", request->text, token ? token : "-");
    reply->number = request->number + 1;
    reply->payload = request->payload;
    return true;
}

static bool count(struct cap_rpc_call *call, const request_type *request, struct cap_err *err)
{
    reply_type reply = MOECAP__TEST__ECHO_REPLY__INIT;

    (void)err;
    for (uint32_t i = 0; i < request->number; i++) {
        reply.number = i;
        reply.payload = request->payload;
        if (!echo_rpc_count_send_reply(call, &reply)) {
            note_cancellation(cap_rpc_self(call));
            return cap_fail(err, CAP_CANCELLED, "the client has gone");
        }
    }
    return strcmp(request->text, "then fail") != 0 ||
           cap_fail(err, CAP_ABORTED, "after the stream");
}

static bool sum(struct cap_rpc_call *call, reply_type *reply, struct cap_err *err)
{
    request_type *request;

    (void)err;
    while ((request = echo_rpc_sum_next_request(call)) != NULL)
        reply->number += request->number;
    return true;
}

static bool chat(struct cap_rpc_call *call, struct cap_err *err)
{
    reply_type reply = MOECAP__TEST__ECHO_REPLY__INIT;
    request_type *request;

    (void)err;
    while ((request = echo_rpc_chat_next_request(call)) != NULL) {
        reply.number = request->number;
        reply.text = request->text;
        if (!echo_rpc_chat_send_reply(call, &reply))
            break;
    }
    if (cap_rpc_cancelled(call))
        note_cancellation(cap_rpc_self(call));
    return true;
}

static const struct echo_rpc_handlers handlers = {say, count, sum, chat};

struct fixture {
    struct service service;
    struct cap_rpc_server *server;
    struct cap_rpc_channel *channel;
    struct cap_arena *arena;
    int port;
};

static struct fixture *open_fixture(const struct cap_rpc_server_options *options)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct cap_err err = {0};
    char target[32];

    pthread_mutex_init(&f->service.lock, NULL);
    f->server = cap_rpc_server_new(options);
    cap_rpc_server_add(f->server, &echo_rpc_service, &handlers, &f->service);
    assert_true(cap_rpc_server_listen(f->server, "127.0.0.1:0", &f->port, &err));
    cap_rpc_server_start(f->server);
    snprintf(target, sizeof target, "127.0.0.1:%d", f->port);
    f->channel = cap_rpc_channel_new(target, NULL);
    f->service.self_channel = cap_rpc_channel_new(target, NULL);
    f->arena = cap_arena_new(64 << 20);
    return f;
}

static void close_fixture(struct fixture *f)
{
    cap_rpc_channel_free(f->channel);
    cap_rpc_channel_free(f->service.self_channel);
    cap_rpc_server_free(f->server);
    cap_arena_free(f->arena);
    free(f);
}

static int set_up(void **state)
{
    *state = open_fixture(NULL);
    return 0;
}

static int tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

static request_type make_request(const char *text, uint32_t number)
{
    request_type request = MOECAP__TEST__ECHO_REQUEST__INIT;

    request.text = (char *)text;
    request.number = number;
    return request;
}

static bool try_say(struct fixture *f, const struct cap_rpc_options *options, const char *text,
                    uint32_t number, struct cap_err *err)
{
    request_type request = make_request(text, number);
    reply_type *reply;

    return echo_rpc_say(f->channel, options, &request, f->arena, &reply, err);
}

/* ---- the four kinds ---- */

static void unary_calls_carry_messages_and_metadata_both_ways(void **state)
{
    struct fixture *f = *state;
    const struct cap_rpc_metadata metadata = {"x-token", "s3cret", 0};
    struct cap_rpc_options options = {.metadata = &metadata, .metadata_count = 1};
    request_type request = make_request("hé", 41);
    struct cap_err err = {0};
    reply_type *reply;

    assert_true(echo_rpc_say(f->channel, &options, &request, f->arena, &reply, &err));
    assert_string_equal(reply->text, "hé|s3cret");
    assert_int_equal(reply->number, 42);
}

static void a_server_stream_arrives_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    request_type request = make_request("", 5000);
    struct cap_rpc_call *call = echo_rpc_count_open(f->channel, NULL, &request);
    struct cap_err err = {0};
    reply_type *reply;
    uint32_t n = 0;

    while ((reply = echo_rpc_count_next_reply(call)) != NULL)
        assert_int_equal(reply->number, n++);
    assert_int_equal(n, 5000);
    assert_true(cap_rpc_close(call, &err));
}

static void a_status_after_a_stream_reaches_the_client(void **state)
{
    struct fixture *f = *state;
    request_type request = make_request("then fail", 3);
    struct cap_rpc_call *call = echo_rpc_count_open(f->channel, NULL, &request);
    struct cap_err err = {0};
    int n = 0;

    while (echo_rpc_count_next_reply(call) != NULL)
        n++;
    assert_int_equal(n, 3);
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_ABORTED);
    assert_string_equal(err.text, "after the stream");
}

static void a_client_stream_is_summed(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_sum_open(f->channel, NULL);
    struct cap_err err = {0};
    reply_type *reply;

    for (uint32_t i = 1; i <= 1000; i++) {
        request_type request = make_request("", i);

        assert_true(echo_rpc_sum_send_request(call, &request));
    }
    assert_true(cap_rpc_send_done(call));
    reply = echo_rpc_sum_next_reply(call);
    assert_non_null(reply);
    assert_int_equal(reply->number, 500500);
    assert_true(cap_rpc_close(call, &err));
}

static void a_chat_goes_back_and_forth(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    struct cap_err err = {0};

    for (uint32_t i = 0; i < 200; i++) {
        request_type request = make_request("ping", i);
        reply_type *reply;

        assert_true(echo_rpc_chat_send_request(call, &request));
        reply = echo_rpc_chat_next_reply(call);
        assert_non_null(reply);
        assert_int_equal(reply->number, i);
    }
    assert_true(cap_rpc_close(call, &err));
}

struct sender {
    struct cap_rpc_call *call;
    pthread_t thread;
};

static void *send_many(void *argument)
{
    struct sender *sender = argument;

    for (uint32_t i = 0; i < 1000; i++) {
        request_type request = make_request("x", 1);

        echo_rpc_sum_send_request(sender->call, &request);
    }
    return NULL;
}

static void several_threads_may_send_on_one_call(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_sum_open(f->channel, NULL);
    struct sender senders[4];
    struct cap_err err = {0};
    reply_type *reply;

    for (int i = 0; i < 4; i++) {
        senders[i].call = call;
        pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(senders[i].thread, NULL);
    cap_rpc_send_done(call);
    reply = echo_rpc_sum_next_reply(call);
    assert_non_null(reply);
    assert_int_equal(reply->number, 4000);
    assert_true(cap_rpc_close(call, &err));
}

/* ---- failures ---- */

static void statuses_arrive_with_code_text_and_details(void **state)
{
    struct fixture *f = *state;
    const uint8_t *details = NULL;
    size_t length = 0;
    struct cap_rpc_options options = {.out_details = &details, .out_details_length = &length};

    for (uint32_t code = 1; code < CAP_CODE_COUNT; code++) {
        struct cap_err err = {0};

        assert_false(try_say(f, &options, "fail", code, &err));
        assert_int_equal(err.code, code);
        assert_string_equal(err.text, "prüfung: 100 % falsch");
        assert_non_null(details);
        assert_true(length > 10);
    }
}

static void an_unknown_method_is_named(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_method method = echo_rpc_service.methods[0];
    request_type request = make_request("", 0);
    ProtobufCMessage *reply;
    struct cap_err err = {0};

    method.path = "/moecap.test.Echo/Shout";
    assert_false(cap_rpc_unary(f->channel, &method, NULL, &request.base, f->arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNIMPLEMENTED);
    assert_string_equal(err.text, "there is no method /moecap.test.Echo/Shout");
}

static void a_deadline_ends_the_call_on_both_sides(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_options options = {.timeout_ms = 150};
    int64_t started = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};

    assert_false(try_say(f, &options, "sleep", 5000, &err));
    assert_int_equal(err.code, CAP_DEADLINE_EXCEEDED);
    assert_true(cap_clock_ms(cap_clock_system()) - started < 3000);
    for (int i = 0; i < 400 && cancellations(&f->service) == 0; i++)
        cap_sleep_ms(5);
    assert_int_equal(cancellations(&f->service), 1);
}

static void deadlines_cascade_to_the_calls_of_a_handler(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_options options = {.timeout_ms = 150};
    struct cap_err err = {0};

    assert_false(try_say(f, &options, "cascade", 0, &err));
    assert_int_equal(err.code, CAP_DEADLINE_EXCEEDED);
    for (int i = 0; i < 400 && cancellations(&f->service) == 0; i++)
        cap_sleep_ms(5);
    assert_int_equal(cancellations(&f->service), 1); /* of the inner one */
}

static void cancelling_wakes_a_blocked_receiver_and_the_handler(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    request_type request = make_request("hi", 1);
    struct cap_err err = {0};

    assert_true(echo_rpc_chat_send_request(call, &request));
    assert_non_null(echo_rpc_chat_next_reply(call));
    cap_rpc_cancel(call);
    assert_null(echo_rpc_chat_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_CANCELLED);
    for (int i = 0; i < 400 && cancellations(&f->service) == 0; i++)
        cap_sleep_ms(5);
    assert_int_equal(cancellations(&f->service), 1);
}

static void a_sender_is_told_when_the_client_has_gone(void **state)
{
    struct fixture *f = *state;
    uint8_t payload[65536] = {0};
    request_type request = make_request("", 100000);
    struct cap_rpc_call *call;
    struct cap_err err = {0};

    request.payload = (ProtobufCBinaryData){sizeof payload, payload};
    call = echo_rpc_count_open(f->channel, NULL, &request);
    assert_non_null(echo_rpc_count_next_reply(call));
    cap_rpc_cancel(call);
    assert_false(cap_rpc_close(call, &err));
    for (int i = 0; i < 400 && cancellations(&f->service) == 0; i++)
        cap_sleep_ms(5);
    assert_int_equal(cancellations(&f->service), 1);
}

static void messages_over_the_limit_are_refused(void **state)
{
    static const struct cap_rpc_server_options options = {.receive_bytes_max = 1 << 20};
    struct fixture *f = open_fixture(&options);
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply;

    (void)state;
    request.payload.len = 2 << 20;
    request.payload.data = calloc(1, request.payload.len);
    assert_false(echo_rpc_say(f->channel, NULL, &request, f->arena, &reply, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    free(request.payload.data);
    close_fixture(f);
}

/* Many empty sub-messages: few bytes on the wire, a struct and a pointer each in memory. */
static void structure_that_needs_too_much_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 400000 };
    Moecap__Test__EchoItem item = MOECAP__TEST__ECHO_ITEM__INIT;
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply;

    request.n_items = COUNT;
    request.items = calloc(COUNT, sizeof *request.items);
    for (int i = 0; i < COUNT; i++)
        request.items[i] = &item;
    assert_false(echo_rpc_say(f->channel, NULL, &request, f->arena, &reply, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    free(request.items);
}

static void a_reply_that_does_not_fit_the_arena_is_refused(void **state)
{
    struct fixture *f = *state;
    CAP_AUTO(cap_arena) small = cap_arena_new(1000);
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply;

    request.payload.len = 5000;
    request.payload.data = calloc(1, request.payload.len);
    assert_false(echo_rpc_say(f->channel, NULL, &request, small, &reply, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    free(request.payload.data);
}

static void an_overloaded_server_refuses_at_once(void **state)
{
    static const struct cap_rpc_server_options options = {.workers_max = 1, .queue_max = 1};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_call *calls[4];
    request_type request = make_request("sleep", 600);
    int refused = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        calls[i] = cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
        cap_sleep_ms(30);
    }
    for (int i = 0; i < 4; i++) {
        struct cap_err err = {0};

        if (!cap_rpc_close(calls[i], &err)) {
            assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
            refused++;
        }
    }
    assert_int_equal(refused, 2);
    close_fixture(f);
}

static void a_taken_port_is_an_error(void **state)
{
    struct fixture *f = *state;
    CAP_AUTO(cap_rpc_server) second = cap_rpc_server_new(NULL);
    struct cap_err err = {0};
    char address[32];

    snprintf(address, sizeof address, "127.0.0.1:%d", f->port);
    assert_false(cap_rpc_server_listen(second, address, NULL, &err));
    assert_non_null(strstr(err.text, address));
}

static void nobody_listening_is_unavailable(void **state)
{
    CAP_AUTO(cap_rpc_channel) channel = cap_rpc_channel_new("127.0.0.1:1", NULL);
    struct fixture *f = *state;
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply;

    assert_false(echo_rpc_say(channel, NULL, &request, f->arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    cap_err_clear(&err);
    assert_false(cap_rpc_channel_wait(channel, 200, &err));
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
}

/* ---- drain ---- */

struct draining {
    struct cap_rpc_server *server;
    int64_t grace_ms;
    bool clean;
};

static void *drain(void *argument)
{
    struct draining *d = argument;

    d->clean = cap_rpc_server_drain(d->server, d->grace_ms);
    return NULL;
}

static bool drain_during_a_call(int64_t grace_ms, bool *out_call_ok)
{
    struct fixture *f = open_fixture(NULL);
    struct draining d = {f->server, grace_ms, false};
    request_type request = make_request("sleep", 400);
    struct cap_rpc_call *call;
    struct cap_err err = {0};
    pthread_t thread;

    assert_true(cap_rpc_channel_wait(f->channel, 5000, &err));
    call = cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
    cap_sleep_ms(100);
    pthread_create(&thread, NULL, drain, &d);
    *out_call_ok = cap_rpc_close(call, &err);
    pthread_join(thread, NULL);
    close_fixture(f);
    return d.clean;
}

static void a_drain_lets_running_calls_finish(void **state)
{
    bool call_ok;

    (void)state;
    assert_true(drain_during_a_call(10000, &call_ok));
    assert_true(call_ok);
}

static void a_drain_without_grace_cancels_them(void **state)
{
    bool call_ok;

    (void)state;
    assert_false(drain_during_a_call(0, &call_ok));
    assert_false(call_ok);
}

/* ---- stress ---- */

struct stress {
    struct fixture *f;
    uint64_t seed;
    int64_t until_ms;
    pthread_t thread;
    long calls;
};

static void stress_once(struct stress *s, struct cap_rand *rand)
{
    struct cap_rpc_options options = {.timeout_ms = 1 + (int64_t)cap_rand_below(rand, 40)};
    const struct cap_rpc_method *method = &echo_rpc_service.methods[cap_rand_below(rand, 4)];
    bool one = method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_SERVER_STREAM;
    request_type request =
        make_request(cap_rand_below(rand, 2) ? "sleep" : "x", (uint32_t)cap_rand_below(rand, 50));
    struct cap_rpc_call *call =
        cap_rpc_open(s->f->channel, method, &options, one ? &request.base : NULL);
    struct cap_err err = {0};

    for (uint64_t i = cap_rand_below(rand, 5); i > 0 && !one; i--)
        cap_rpc_send(call, &request.base);
    if (cap_rand_below(rand, 3) == 0)
        cap_rpc_cancel(call);
    else if (cap_rand_below(rand, 2) == 0)
        cap_rpc_send_done(call);
    if (cap_rand_below(rand, 2))
        (void)cap_rpc_receive(call);
    (void)cap_rpc_close(call, &err);
    s->calls++;
}

static void *stress(void *argument)
{
    struct stress *s = argument;
    struct cap_rand rand;

    cap_rand_seed(&rand, s->seed);
    while (cap_clock_ms(cap_clock_system()) < s->until_ms)
        stress_once(s, &rand);
    return NULL;
}

static void random_cancels_and_deadlines_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct stress threads[8];
    long calls = 0;

    for (uint64_t i = 0; i < 8; i++) {
        threads[i] = (struct stress){f, i, cap_clock_ms(cap_clock_system()) + 3000, 0, 0};
        pthread_create(&threads[i].thread, NULL, stress, &threads[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i].thread, NULL);
        calls += threads[i].calls;
    }
    print_message("%ld random calls\n", calls);
    assert_true(calls > 100);
}

#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(unary_calls_carry_messages_and_metadata_both_ways),
        WITH_SERVER(a_server_stream_arrives_whole_and_in_order),
        WITH_SERVER(a_status_after_a_stream_reaches_the_client),
        WITH_SERVER(a_client_stream_is_summed),
        WITH_SERVER(a_chat_goes_back_and_forth),
        WITH_SERVER(several_threads_may_send_on_one_call),
        WITH_SERVER(statuses_arrive_with_code_text_and_details),
        WITH_SERVER(an_unknown_method_is_named),
        WITH_SERVER(a_deadline_ends_the_call_on_both_sides),
        WITH_SERVER(deadlines_cascade_to_the_calls_of_a_handler),
        WITH_SERVER(cancelling_wakes_a_blocked_receiver_and_the_handler),
        WITH_SERVER(a_sender_is_told_when_the_client_has_gone),
        cmocka_unit_test(messages_over_the_limit_are_refused),
        WITH_SERVER(structure_that_needs_too_much_memory_is_refused),
        WITH_SERVER(a_reply_that_does_not_fit_the_arena_is_refused),
        cmocka_unit_test(an_overloaded_server_refuses_at_once),
        WITH_SERVER(a_taken_port_is_an_error),
        WITH_SERVER(nobody_listening_is_unavailable),
        cmocka_unit_test(a_drain_lets_running_calls_finish),
        cmocka_unit_test(a_drain_without_grace_cancels_them),
        WITH_SERVER(random_cancels_and_deadlines_leave_nothing_behind),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
