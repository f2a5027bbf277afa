/* The layer against itself: the four kinds of call, metadata, and every refusal. */
#include "echo_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "google/rpc/status.pb-c.h"

/* ---- the four kinds ---- */

static void unary_calls_carry_messages_and_metadata_both_ways(void **state)
{
    struct fixture *f = *state;
    const struct cap_rpc_metadata metadata = {"x-token", "s3cret", 0};
    struct cap_rpc_options options = {.metadata = &metadata, .metadata_count = 1};
    request_type request = make_request("hé", 41);
    struct cap_err err = {0};
    reply_type *reply = NULL;

    assert_true(echo_rpc_say(f->channel, &options, &request, f->arena, &reply, &err));
    assert_string_equal(reply->text, "hé|s3cret");
    assert_int_equal(reply->number, 42);
}

static void headers_and_trailers_reach_a_client_that_opens_its_call(void **state)
{
    struct fixture *f = *state;
    request_type request = make_request("hi", 1);
    struct cap_rpc_call *call =
        cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
    struct cap_err err = {0};
    const char *value;
    size_t length;

    assert_non_null(cap_rpc_receive(call));
    value = cap_rpc_metadata(call, "x-answer-bin", &length);
    assert_int_equal(length, 3);
    assert_memory_equal(value, "\0\1\2", 3);
    assert_null(cap_rpc_receive(call));
    assert_string_equal(cap_rpc_metadata(call, "x-end", &length), "over");
    assert_null(cap_rpc_metadata(call, "x-absent", NULL));
    assert_true(cap_rpc_close(call, &err));
}

static void metadata_text_that_grpc_would_refuse_is_made_printable(void **state)
{
    struct fixture *f = *state;
    const struct cap_rpc_metadata metadata = {"x-token", "Jürgen\n", 0};
    struct cap_rpc_options options = {.metadata = &metadata, .metadata_count = 1};
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply = NULL;

    assert_true(echo_rpc_say(f->channel, &options, &request, f->arena, &reply, &err));
    assert_string_equal(reply->text, "|J??rgen?");
}

static const char *say_traced(struct fixture *f, const char *text, const char *trace)
{
    const struct cap_rpc_metadata metadata = {"moecap-call", trace, 0};
    struct cap_rpc_options options = {.metadata = &metadata, .metadata_count = trace != NULL};
    request_type request = make_request(text, 0);
    struct cap_err err = {0};
    reply_type *reply = NULL;

    assert_true(echo_rpc_say(f->channel, &options, &request, f->arena, &reply, &err));
    return reply->text;
}

static void a_chain_of_calls_has_one_id(void **state)
{
    struct fixture *f = *state;
    const char *both = say_traced(f, "traces", NULL), *bar = strchr(both, '|');

    assert_non_null(bar);
    assert_true(bar - both > 8);
    assert_int_equal(strlen(bar + 1), bar - both);
    assert_memory_equal(both, bar + 1, (size_t)(bar - both));
    assert_string_not_equal(say_traced(f, "trace", NULL), say_traced(f, "trace", NULL));
    assert_string_equal(cap_rpc_trace(), ""); /* we are no handler */
}

static void a_caller_may_choose_the_id_but_not_what_would_spoil_a_log(void **state)
{
    static const char *const bad[] = {"a b", "x\"y", "call=1",
                                      "0123456789012345678901234567890123"};
    struct fixture *f = *state;

    assert_string_equal(say_traced(f, "traces", "my-call-7"), "my-call-7|my-call-7");
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++)
        assert_memory_equal(say_traced(f, "trace", bad[i]), "c-", 2);
}

static void a_server_stream_arrives_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    request_type request = make_request("", 5000);
    struct cap_rpc_call *call = echo_rpc_count_open(f->channel, NULL, &request);
    struct cap_err err = {0};
    reply_type *reply = NULL;
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

static void a_receiver_can_wait_a_moment_and_do_something_else(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *chat = echo_rpc_chat_open(f->channel, NULL);
    request_type request = make_request("hi", 1);
    int64_t started_ms = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};

    assert_false(cap_rpc_wait(chat, 100)); /* nobody has said anything */
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms >= 100);
    assert_true(echo_rpc_chat_send_request(chat, &request));
    assert_true(cap_rpc_wait(chat, 10000));
    assert_true(cap_rpc_wait(chat, 0)); /* the message is still there */
    assert_non_null(echo_rpc_chat_next_reply(chat));
    assert_true(cap_rpc_send_done(chat));
    assert_true(cap_rpc_wait(chat, 10000)); /* the end */
    assert_null(echo_rpc_chat_next_reply(chat));
    assert_true(cap_rpc_close(chat, &err));
}

static void a_client_stream_is_summed(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_sum_open(f->channel, NULL);
    struct cap_err err = {0};
    reply_type *reply = NULL;

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
    reply_type *reply = NULL;

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

static void several_threads_may_send_while_one_receives(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    struct sender senders[4];
    struct cap_err err = {0};
    int replies = 0;

    for (int i = 0; i < 4; i++) {
        senders[i].call = call;
        pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
    }
    while (replies < 4000 && echo_rpc_chat_next_reply(call))
        replies++;
    assert_int_equal(replies, 4000);
    for (int i = 0; i < 4; i++)
        pthread_join(senders[i].thread, NULL);
    assert_true(cap_rpc_close(call, &err));
}

static void several_threads_of_a_handler_may_send(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    request_type request = make_request("fan", 0);
    struct cap_err err = {0};
    int replies = 0;

    assert_true(echo_rpc_chat_send_request(call, &request));
    assert_true(cap_rpc_send_done(call));
    while (echo_rpc_chat_next_reply(call))
        replies++;
    assert_int_equal(replies, FAN_THREADS * FAN_REPLIES);
    assert_true(cap_rpc_close(call, &err));
}

/* Larger than any window or mark, so that senders wait and go on. */
static void streams_of_large_messages_arrive_both_ways(void **state)
{
    enum { COUNT = 40, BYTES = 1 << 20 };
    struct fixture *f = *state;
    request_type request = make_request("", COUNT);
    struct cap_rpc_call *call;
    struct cap_err err = {0};
    reply_type *reply = NULL;
    int replies = 0;

    request.payload = (ProtobufCBinaryData){BYTES, calloc(1, BYTES)};
    call = echo_rpc_count_open(f->channel, NULL, &request);
    for (; (reply = echo_rpc_count_next_reply(call)) != NULL; replies++)
        assert_int_equal(reply->payload.len, BYTES);
    assert_int_equal(replies, COUNT);
    assert_true(cap_rpc_close(call, &err));
    call = echo_rpc_sum_open(f->channel, NULL);
    for (int i = 0; i < COUNT; i++)
        assert_true(echo_rpc_sum_send_request(call, &request));
    assert_true(cap_rpc_send_done(call));
    reply = echo_rpc_sum_next_reply(call);
    assert_non_null(reply);
    assert_int_equal(reply->number, COUNT * COUNT);
    assert_true(cap_rpc_close(call, &err));
    free(request.payload.data);
}

static void an_inline_handler_answers_while_every_worker_is_busy(void **state)
{
    static const struct cap_rpc_server_options options = {
        .workers_max = 1, .queue_max = 1, .streams_max = 2};
    struct fixture *f = new_fixture(&options);
    struct cap_rpc_call *chats[2];
    struct cap_err err = {0};

    (void)state;
    cap_rpc_server_inline(f->server, "/moecap.test.Echo/Say");
    cap_rpc_server_start(f->server);
    for (int i = 0; i < 2; i++)
        chats[i] = echo_rpc_chat_open(f->channel, NULL);
    cap_sleep_ms(100);
    assert_true(try_say(f, NULL, "hi", 0, &err));
    for (int i = 0; i < 2; i++) /* either may be the one that runs */
        assert_true(cap_rpc_send_done(chats[i]));
    for (int i = 0; i < 2; i++)
        assert_true(cap_rpc_close(chats[i], &err));
    close_fixture(f);
}

/* ---- failures ---- */

static void statuses_arrive_with_code_text_and_details(void **state)
{
    struct fixture *f = *state;
    const uint8_t *details = NULL;
    size_t length = 0;
    Google__Rpc__Status *rich;
    struct cap_rpc_options options = {.out_details = &details, .out_details_length = &length};

    for (uint32_t code = 1; code < CAP_CODE_COUNT; code++) {
        struct cap_err err = {0};

        assert_false(try_say(f, &options, "fail", code, &err));
        assert_int_equal(err.code, code);
        assert_string_equal(err.text, "prüfung: 100 % falsch");
        rich = google__rpc__status__unpack(cap_rpc_allocator(f->arena), length, details);
        assert_non_null(rich);
        assert_int_equal(rich->code, code);
        assert_string_equal(rich->message, err.text);
        assert_int_equal(rich->n_details, 1);
        assert_string_equal(rich->details[0]->type_url,
                            "type.googleapis.com/moecap.test.EchoRequest");
    }
}

static void wrong_fields_of_a_request_arrive_by_name(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_faults faults;
    struct cap_rpc_options options = {.out_faults = &faults};
    struct cap_err err = {0};

    assert_false(try_say(f, &options, "blame", 0, &err));
    assert_string_equal(err.text, "number is odd");
    assert_string_equal(err.field, "number");
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.items[0].sentence, "number is odd");
    for (uint32_t wrong = 2; wrong < 80; wrong += 77) { /* as many as there is room for */
        cap_err_clear(&err);
        assert_false(try_say(f, &options, "blame all", wrong, &err));
        assert_string_equal(err.field, "items[0]");
        assert_int_equal(faults.count, wrong < CAP_RPC_FAULTS_MAX ? wrong : CAP_RPC_FAULTS_MAX);
        assert_string_equal(faults.items[1].field, "items[1]");
        assert_string_equal(faults.items[1].sentence, "is wrong");
    }
    cap_err_clear(&err);
    assert_false(try_say(f, &options, "fail", CAP_ABORTED, &err));
    assert_string_equal(err.field, "");
    assert_int_equal(faults.count, 0);
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
    assert_string_equal(err.text, "unknown method /moecap.test.Echo/Shout");
}

static void a_deadline_ends_the_call_on_both_sides(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_options options = {.timeout_ms = 500};
    int64_t started = cap_clock_ms(cap_clock_system());
    struct cap_err err = {0};

    assert_false(try_say(f, &options, "sleep", 5000, &err));
    assert_int_equal(err.code, CAP_DEADLINE_EXCEEDED);
    assert_true(cap_clock_ms(cap_clock_system()) - started < 3000);
    assert_true(wait_for_cancellations(&f->service, 1));
}

static void a_handler_that_fails_without_a_reason_is_named(void **state)
{
    struct fixture *f = *state;
    struct cap_err err = {0};

    assert_false(try_say(f, NULL, "silent failure", 0, &err));
    assert_int_equal(err.code, CAP_INTERNAL);
    assert_string_equal(err.text, "/moecap.test.Echo/Say failed without a reason");
}

static void bytes_that_are_no_request_end_the_stream(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    Google__Rpc__Status other = GOOGLE__RPC__STATUS__INIT;
    struct cap_err err = {0};

    other.message = "field 2 is a number there";
    assert_true(cap_rpc_send(call, &other.base));
    assert_null(echo_rpc_chat_next_reply(call));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.text, "27 bytes received are not a moecap.test.EchoRequest");
}

static void deadlines_cascade_to_the_calls_of_a_handler(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_options options = {.timeout_ms = 500};
    struct cap_err err = {0};

    assert_false(try_say(f, &options, "cascade", 0, &err));
    assert_int_equal(err.code, CAP_DEADLINE_EXCEEDED);
    assert_true(wait_for_cancellations(&f->service, 1)); /* of the inner one */
}

static void cancels_cascade_to_the_calls_of_a_handler(void **state)
{
    struct fixture *f = *state;
    request_type request = make_request("cascade", 0);
    struct cap_rpc_call *call =
        cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
    struct cap_err err = {0};

    assert_true(wait_for_sleeps(&f->service, 1)); /* the inner call has begun */
    cap_rpc_cancel(call);
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_CANCELLED);
    assert_string_equal(err.text, "/moecap.test.Echo/Say was cancelled");
    assert_true(wait_for_cancellations(&f->service, 1)); /* of the inner one */
}

static void *cancel_later(void *call)
{
    cap_sleep_ms(100);
    cap_rpc_cancel(call);
    return NULL;
}

static void cancelling_wakes_a_blocked_receiver_and_the_handler(void **state)
{
    struct fixture *f = *state;
    struct cap_rpc_call *call = echo_rpc_chat_open(f->channel, NULL);
    request_type request = make_request("hi", 1);
    pthread_t thread;
    struct cap_err err = {0};

    assert_true(echo_rpc_chat_send_request(call, &request));
    assert_non_null(echo_rpc_chat_next_reply(call));
    pthread_create(&thread, NULL, cancel_later, call);
    assert_null(echo_rpc_chat_next_reply(call));
    pthread_join(thread, NULL);
    assert_false(echo_rpc_chat_send_request(call, &request));
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_CANCELLED);
    assert_true(wait_for_cancellations(&f->service, 1));
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
    assert_true(wait_for_cancellations(&f->service, 1));
}

static void messages_over_the_limit_are_refused(void **state)
{
    static const struct cap_rpc_server_options options = {.receive_bytes_max = 1 << 20};
    struct fixture *f = open_fixture(&options);
    request_type request = make_request("", 0);
    struct cap_err err = {0};
    reply_type *reply = NULL;

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
    reply_type *reply = NULL;

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
    reply_type *reply = NULL;

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
    request_type request = make_request("sleep", 1000);
    struct cap_err no_err = {0};
    int64_t started;
    int refused = 0;

    (void)state;
    assert_true(cap_rpc_channel_wait(f->channel, 10000, &no_err));
    started = cap_clock_ms(cap_clock_system());
    for (int i = 0; i < 4; i++) {
        calls[i] = cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
        cap_sleep_ms(30);
    }
    for (int i = 3; i >= 0; i--) {
        struct cap_err err = {0};

        if (!cap_rpc_close(calls[i], &err)) {
            assert_true(cap_clock_ms(cap_clock_system()) - started < 900);
            assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
            refused++;
        }
    }
    assert_int_equal(refused, 2);
    close_fixture(f);
}

struct tally {
    pthread_mutex_t lock; /* guards the two below */
    int by_code[CAP_CODE_COUNT];
    int unknown;
};

static void count_done(void *arg, const char *path, enum cap_code code, int64_t duration_us)
{
    struct tally *tally = arg;

    assert_true(duration_us >= 0);
    pthread_mutex_lock(&tally->lock);
    tally->by_code[code]++;
    tally->unknown += strcmp(path, "unknown method") == 0;
    pthread_mutex_unlock(&tally->lock);
}

static void every_call_is_reported_once(void **state)
{
    struct tally tally = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct cap_rpc_server_options options = {.done = count_done, .done_arg = &tally};
    struct fixture *f = open_fixture(&options);
    struct cap_rpc_method method = echo_rpc_service.methods[0];
    request_type request = make_request("", 0);
    struct cap_err ignored;
    ProtobufCMessage *reply;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(try_say(f, NULL, "hi", 0, &(struct cap_err){0}));
    assert_false(try_say(f, NULL, "fail", CAP_ABORTED, memset(&ignored, 0, sizeof ignored)));
    method.path = "/moecap.test.Echo/Shout";
    assert_false(cap_rpc_unary(f->channel, &method, NULL, &request.base, f->arena, &reply,
                               memset(&ignored, 0, sizeof ignored)));
    close_fixture(f);
    assert_int_equal(tally.by_code[CAP_OK], 3);
    assert_int_equal(tally.by_code[CAP_ABORTED], 1);
    assert_int_equal(tally.by_code[CAP_UNIMPLEMENTED], 1);
    assert_int_equal(tally.unknown, 1);
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
    reply_type *reply = NULL;

    assert_false(echo_rpc_say(channel, NULL, &request, f->arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_string_equal(err.text, "could not reach 127.0.0.1:1: Connection refused");
    cap_err_clear(&err);
    assert_false(cap_rpc_channel_wait(channel, 200, &err));
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(unary_calls_carry_messages_and_metadata_both_ways),
        WITH_SERVER(headers_and_trailers_reach_a_client_that_opens_its_call),
        WITH_SERVER(a_chain_of_calls_has_one_id),
        WITH_SERVER(a_caller_may_choose_the_id_but_not_what_would_spoil_a_log),
        WITH_SERVER(metadata_text_that_grpc_would_refuse_is_made_printable),
        WITH_SERVER(a_server_stream_arrives_whole_and_in_order),
        WITH_SERVER(a_status_after_a_stream_reaches_the_client),
        WITH_SERVER(a_receiver_can_wait_a_moment_and_do_something_else),
        WITH_SERVER(a_client_stream_is_summed),
        WITH_SERVER(a_chat_goes_back_and_forth),
        WITH_SERVER(several_threads_may_send_on_one_call),
        WITH_SERVER(several_threads_may_send_while_one_receives),
        WITH_SERVER(several_threads_of_a_handler_may_send),
        WITH_SERVER(streams_of_large_messages_arrive_both_ways),
        cmocka_unit_test(an_inline_handler_answers_while_every_worker_is_busy),
        WITH_SERVER(statuses_arrive_with_code_text_and_details),
        WITH_SERVER(wrong_fields_of_a_request_arrive_by_name),
        WITH_SERVER(an_unknown_method_is_named),
        WITH_SERVER(a_deadline_ends_the_call_on_both_sides),
        WITH_SERVER(a_handler_that_fails_without_a_reason_is_named),
        WITH_SERVER(bytes_that_are_no_request_end_the_stream),
        WITH_SERVER(deadlines_cascade_to_the_calls_of_a_handler),
        WITH_SERVER(cancels_cascade_to_the_calls_of_a_handler),
        WITH_SERVER(cancelling_wakes_a_blocked_receiver_and_the_handler),
        WITH_SERVER(a_sender_is_told_when_the_client_has_gone),
        cmocka_unit_test(messages_over_the_limit_are_refused),
        WITH_SERVER(structure_that_needs_too_much_memory_is_refused),
        WITH_SERVER(a_reply_that_does_not_fit_the_arena_is_refused),
        cmocka_unit_test(an_overloaded_server_refuses_at_once),
        cmocka_unit_test(every_call_is_reported_once),
        WITH_SERVER(a_taken_port_is_an_error),
        WITH_SERVER(nobody_listening_is_unavailable),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
