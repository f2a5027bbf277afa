/* What the echo service does with each text: it answers, sleeps until it is cancelled, fails with a code,
 * calls itself, or sends from several threads. */
#include "echo_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* All counters go through these two. */
static void count(struct service *service, int *counter)
{
    pthread_mutex_lock(&service->lock);
    (*counter)++;
    pthread_mutex_unlock(&service->lock);
}

static int read_counter(struct service *service, const int *counter)
{
    int n;

    pthread_mutex_lock(&service->lock);
    n = *counter;
    pthread_mutex_unlock(&service->lock);
    return n;
}

static bool wait_for(struct service *service, const int *counter, int n)
{
    for (int i = 0; i < 2000 && read_counter(service, counter) < n; i++)
        cap_sleep_ms(5);
    return read_counter(service, counter) == n;
}

int chats_finished(struct service *service)
{
    return read_counter(service, &service->chats_finished);
}

bool wait_for_cancellations(struct service *service, int n)
{
    return wait_for(service, &service->cancellations, n);
}

bool wait_for_sleeps(struct service *service, int n)
{
    return wait_for(service, &service->sleeps, n);
}

static bool sleep_until_cancelled(struct cap_rpc_call *call, struct service *service, int64_t ms,
                                  struct cap_err *err)
{
    count(service, &service->sleeps);
    for (int64_t i = 0; i < ms; i += 5) {
        if (cap_rpc_cancelled(call)) {
            count(service, &service->cancellations);
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

/* This call's id, and that of one it makes. */
static bool tell_traces(struct cap_rpc_call *call, struct service *service, reply_type *reply,
                        struct cap_err *err)
{
    struct cap_rpc_options options = {.parent = call};
    request_type inner = MOECAP__TEST__ECHO_REQUEST__INIT;
    reply_type *below;

    inner.text = "trace";
    if (!echo_rpc_say(service->self_channel, &options, &inner, cap_rpc_arena(call), &below, err))
        return false;
    reply->text = cap_arena_printf(cap_rpc_arena(call), "%s|%s", cap_rpc_trace(), below->text);
    return true;
}

static bool say(struct cap_rpc_call *call, const request_type *request, reply_type *reply,
                struct cap_err *err)
{
    struct service *service = cap_rpc_self(call);
    const char *token = cap_rpc_metadata(call, "x-token", NULL);

    if (strcmp(request->text, "sleep") == 0)
        return sleep_until_cancelled(call, service, request->number, err);
    if (strcmp(request->text, "traces") == 0)
        return tell_traces(call, service, reply, err);
    if (strcmp(request->text, "trace") == 0) {
        reply->text = cap_arena_strdup(cap_rpc_arena(call), cap_rpc_trace());
        return true;
    }
    if (strcmp(request->text, "cascade") == 0)
        return cascade(call, service, err);
    if (strcmp(request->text, "fail") == 0) {
        cap_rpc_detail(call, &request->base);
        return cap_fail(err, (enum cap_code)request->number, "prüfung: 100 %% falsch");
    }
    if (strcmp(request->text, "blame") == 0)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "number", "number is odd");
    if (strcmp(request->text, "blame all") == 0) {
        for (uint32_t i = 0; i < request->number; i++)
            cap_rpc_fault(call, cap_arena_printf(cap_rpc_arena(call), "items[%u]", i), "is wrong");
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "items[0]", "items are wrong");
    }
    if (strcmp(request->text, "silent failure") == 0)
        return false;
    cap_rpc_header(call, "x-answer-bin", "\0\1\2", 3);
    cap_rpc_trailer(call, "x-end", "over", 4);
    reply->text =
        cap_arena_printf(cap_rpc_arena(call), "%s|%s", request->text, token ? token : "-");
    reply->number = request->number + 1;
    reply->payload = request->payload;
    return true;
}

static bool count_up(struct cap_rpc_call *call, const request_type *request, struct cap_err *err)
{
    struct service *service = cap_rpc_self(call);
    reply_type reply = MOECAP__TEST__ECHO_REPLY__INIT;

    for (uint32_t i = 0; i < request->number; i++) {
        reply.number = i;
        reply.payload = request->payload;
        if (!echo_rpc_count_send_reply(call, &reply)) {
            count(service, &service->cancellations);
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

static void *fan_out(void *call)
{
    reply_type reply = MOECAP__TEST__ECHO_REPLY__INIT;

    for (int i = 0; i < FAN_REPLIES; i++)
        echo_rpc_chat_send_reply(call, &reply);
    return NULL;
}

static void send_from_threads(struct cap_rpc_call *call)
{
    pthread_t threads[FAN_THREADS];

    for (int i = 0; i < FAN_THREADS; i++)
        pthread_create(&threads[i], NULL, fan_out, call);
    for (int i = 0; i < FAN_THREADS; i++)
        pthread_join(threads[i], NULL);
}

static bool chat(struct cap_rpc_call *call, struct cap_err *err)
{
    struct service *service = cap_rpc_self(call);
    reply_type reply = MOECAP__TEST__ECHO_REPLY__INIT;
    request_type *request;

    (void)err;
    while ((request = echo_rpc_chat_next_request(call)) != NULL) {
        reply.number = request->number;
        reply.text = request->text;
        if (strcmp(request->text, "fan") == 0)
            send_from_threads(call);
        else if (!echo_rpc_chat_send_reply(call, &reply))
            break;
    }
    count(service, cap_rpc_cancelled(call) ? &service->cancellations : &service->chats_finished);
    return true;
}

const struct echo_rpc_handlers echo_handlers = {say, count_up, sum, chat};

struct fixture *new_fixture(const struct cap_rpc_server_options *options)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct cap_err err = {0};

    pthread_mutex_init(&f->service.lock, NULL);
    f->server = cap_rpc_server_new(options);
    cap_rpc_server_add(f->server, &echo_rpc_service, &echo_handlers, &f->service);
    assert_true(cap_rpc_server_listen(f->server, "127.0.0.1:0", &f->port, &err));
    snprintf(f->target, sizeof f->target, "127.0.0.1:%d", f->port);
    f->channel = cap_rpc_channel_new(f->target, NULL);
    f->service.self_channel = cap_rpc_channel_new(f->target, NULL);
    f->arena = cap_arena_new(64 << 20);
    return f;
}

struct fixture *open_fixture(const struct cap_rpc_server_options *options)
{
    struct fixture *f = new_fixture(options);

    cap_rpc_server_start(f->server);
    return f;
}

void close_fixture(struct fixture *f)
{
    cap_rpc_channel_free(f->channel);
    cap_rpc_channel_free(f->service.self_channel);
    cap_rpc_server_free(f->server);
    cap_arena_free(f->arena);
    free(f);
}

int set_up(void **state)
{
    *state = open_fixture(NULL);
    return 0;
}

int tear_down(void **state)
{
    close_fixture(*state);
    return 0;
}

request_type make_request(const char *text, uint32_t number)
{
    request_type request = MOECAP__TEST__ECHO_REQUEST__INIT;

    request.text = (char *)text;
    request.number = number;
    return request;
}

bool try_say(struct fixture *f, const struct cap_rpc_options *options, const char *text,
             uint32_t number, struct cap_err *err)
{
    request_type request = make_request(text, number);
    reply_type *reply;

    return echo_rpc_say(f->channel, options, &request, f->arena, &reply, err);
}
