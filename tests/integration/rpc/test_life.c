/* How servers, clients and their processes come and go. */
#include "echo_service.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "grpc/health/v1/health.rpc.h"

extern char **environ;

/* ---- a second process ---- */

struct peer {
    pid_t pid;
    int input;     /* closing it ends the peer */
    char line[32]; /* its first line: a port, or "ready" */
};

static void read_line(int fd, char *line, size_t size)
{
    size_t length = 0;

    while (length + 1 < size && read(fd, line + length, 1) == 1 && line[length] != '\n')
        length++;
    line[length] = '\0';
    close(fd);
}

/* Returns when the peer is ready. */
static struct peer start_peer(const char *what, const char *address)
{
    char *argv[] = {(char *)RPC_PEER, (char *)what, (char *)address, NULL};
    posix_spawn_file_actions_t actions;
    struct peer peer = {0};
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&peer.pid, RPC_PEER, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    peer.input = in[1];
    read_line(out[0], peer.line, sizeof peer.line);
    assert_true(peer.line[0] != '\0');
    return peer;
}

static void kill_peer(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, NULL, 0);
    close(peer->input);
}

static struct cap_rpc_channel *channel_to(const struct peer *peer, int keepalive_ms)
{
    struct cap_rpc_channel_options options = {.keepalive_ms = keepalive_ms};
    char target[64];

    snprintf(target, sizeof target, "127.0.0.1:%s", peer->line);
    return cap_rpc_channel_new(target, &options);
}

static struct cap_rpc_call *begin_sleep(struct cap_rpc_channel *channel)
{
    request_type request = make_request("sleep", 60000);

    return cap_rpc_open(channel, &echo_rpc_service.methods[0], NULL, &request.base);
}

static void a_killed_client_ends_the_handlers_receive_as_cancelled(void **state)
{
    struct fixture *f = *state;
    struct peer peer = start_peer("chat", f->target);

    kill_peer(&peer);
    assert_true(wait_for_cancellations(&f->service, 1));
    assert_int_equal(chats_finished(&f->service), 0);
}

static void a_killed_server_ends_the_clients_call(void **state)
{
    struct peer peer = start_peer("serve", "127.0.0.1:0");
    CAP_AUTO(cap_rpc_channel) channel = channel_to(&peer, 0);
    struct cap_rpc_call *call;
    struct cap_err err = {0};

    (void)state;
    assert_true(cap_rpc_channel_wait(channel, 10000, &err));
    call = begin_sleep(channel);
    cap_sleep_ms(100);
    kill_peer(&peer);
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the connection to 127.0.0.1:"));
}

static void a_client_finds_a_server_that_comes_back(void **state)
{
    struct peer peer = start_peer("serve", "127.0.0.1:0"), second;
    CAP_AUTO(cap_rpc_channel) channel = channel_to(&peer, 0);
    struct cap_rpc_options options = {.wait_for_ready = true, .timeout_ms = 20000};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    request_type request = make_request("hi", 1);
    struct cap_err err = {0};
    char address[64];
    reply_type *reply;

    (void)state;
    assert_true(echo_rpc_say(channel, &options, &request, arena, &reply, &err));
    kill_peer(&peer);
    snprintf(address, sizeof address, "127.0.0.1:%s", peer.line);
    second = start_peer("serve", address);
    assert_true(echo_rpc_say(channel, &options, &request, arena, &reply, &err));
    kill_peer(&second);
}

/* Keepalive: an answer must come within five seconds of a ping. */
static void a_server_that_stands_still_is_noticed(void **state)
{
    struct peer peer = start_peer("serve", "127.0.0.1:0");
    CAP_AUTO(cap_rpc_channel) channel = channel_to(&peer, 1000);
    struct cap_rpc_call *call;
    struct cap_err err = {0};
    char expected[64];

    (void)state;
    assert_true(cap_rpc_channel_wait(channel, 10000, &err));
    call = begin_sleep(channel);
    cap_sleep_ms(100);
    kill(peer.pid, SIGSTOP);
    assert_false(cap_rpc_close(call, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    snprintf(expected, sizeof expected, "127.0.0.1:%s is silent", peer.line);
    assert_string_equal(err.text, expected);
    kill_peer(&peer);
}

static void a_client_that_stands_still_is_noticed(void **state)
{
    static const struct cap_rpc_server_options options = {.keepalive_ms = 1000};
    struct fixture *f = open_fixture(&options);
    struct peer peer = start_peer("chat", f->target);

    (void)state;
    kill(peer.pid, SIGSTOP);
    assert_true(wait_for_cancellations(&f->service, 1));
    kill_peer(&peer);
    close_fixture(f);
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
    assert_true(wait_for_sleeps(&f->service, 1));
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

static void a_drain_does_not_wait_for_a_client_that_stands_still(void **state)
{
    struct fixture *f = open_fixture(NULL);
    struct peer peer = start_peer("idle", f->target);
    int64_t started = cap_clock_ms(cap_clock_system());

    (void)state;
    kill(peer.pid, SIGSTOP);
    assert_true(cap_rpc_server_drain(f->server, 500));
    assert_true(cap_clock_ms(cap_clock_system()) - started < 5000);
    kill_peer(&peer);
    close_fixture(f);
}

static void a_draining_server_refuses_new_calls(void **state)
{
    struct fixture *f = open_fixture(NULL);
    struct draining d = {f->server, 10000, false};
    struct cap_err err = {0};
    struct cap_rpc_call *call;
    request_type request = make_request("sleep", 500);
    pthread_t thread;

    (void)state;
    assert_true(cap_rpc_channel_wait(f->channel, 5000, &err));
    call = cap_rpc_open(f->channel, &echo_rpc_service.methods[0], NULL, &request.base);
    assert_true(wait_for_sleeps(&f->service, 1));
    pthread_create(&thread, NULL, drain, &d);
    cap_sleep_ms(100);
    assert_false(try_say(f, NULL, "hi", 0, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    cap_err_clear(&err);
    assert_true(cap_rpc_close(call, &err));
    pthread_join(thread, NULL);
    assert_true(d.clean);
    close_fixture(f);
}

/* ---- health ---- */

#define HEALTH(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse health_reply;

static health_request ask_about(const char *service)
{
    health_request request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

    request.service = (char *)service;
    return request;
}

static int health_of(struct fixture *f, const char *service, struct cap_err *err)
{
    health_request request = ask_about(service);
    health_reply *reply;

    return health_rpc_check(f->channel, NULL, &request, f->arena, &reply, err) ? (int)reply->status
                                                                               : -1;
}

static void health_answers_for_every_service(void **state)
{
    struct fixture *f = *state;
    struct cap_err err = {0};

    assert_int_equal(health_of(f, "", &err), HEALTH(SERVING));
    assert_int_equal(health_of(f, "moecap.test.Echo", &err), HEALTH(SERVING));
    cap_rpc_health_set(f->server, "moecap.test.Echo", false);
    assert_int_equal(health_of(f, "moecap.test.Echo", &err), HEALTH(NOT_SERVING));
    assert_int_equal(health_of(f, "nobody", &err), -1);
    assert_int_equal(err.code, CAP_NOT_FOUND);
    assert_string_equal(err.text, "unknown service \"nobody\"");
}

static int next_status(struct cap_rpc_call *watch)
{
    health_reply *reply = health_rpc_watch_next_reply(watch);

    return reply ? (int)reply->status : -1;
}

static void a_health_watch_follows_and_ends_with_a_drain(void **state)
{
    struct fixture *f = open_fixture(NULL);
    health_request request = ask_about("moecap.test.Echo");
    struct cap_rpc_call *watch = health_rpc_watch_open(f->channel, NULL, &request);
    struct draining d = {f->server, 10000, false};
    struct cap_err err = {0};
    pthread_t thread;

    (void)state;
    assert_int_equal(next_status(watch), HEALTH(SERVING));
    cap_rpc_health_set(f->server, "moecap.test.Echo", false);
    assert_int_equal(next_status(watch), HEALTH(NOT_SERVING));
    cap_rpc_health_set(f->server, "moecap.test.Echo", true);
    assert_int_equal(next_status(watch), HEALTH(SERVING));
    pthread_create(&thread, NULL, drain, &d);
    assert_int_equal(next_status(watch), HEALTH(NOT_SERVING));
    assert_int_equal(next_status(watch), -1);
    assert_false(cap_rpc_close(watch, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_string_equal(err.text, "the server is going away");
    pthread_join(thread, NULL);
    assert_true(d.clean);
    close_fixture(f);
}

static void watching_an_unknown_service_waits_for_it(void **state)
{
    struct fixture *f = *state;
    health_request request = ask_about("later");
    struct cap_rpc_call *watch = health_rpc_watch_open(f->channel, NULL, &request);
    struct cap_err err = {0};

    assert_int_equal(next_status(watch), HEALTH(SERVICE_UNKNOWN));
    cap_rpc_health_set(f->server, "later", true);
    assert_int_equal(next_status(watch), HEALTH(SERVING));
    cap_rpc_cancel(watch);
    assert_false(cap_rpc_close(watch, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(a_killed_client_ends_the_handlers_receive_as_cancelled),
        cmocka_unit_test(a_killed_server_ends_the_clients_call),
        cmocka_unit_test(a_client_finds_a_server_that_comes_back),
        cmocka_unit_test(a_server_that_stands_still_is_noticed),
        cmocka_unit_test(a_client_that_stands_still_is_noticed),
        cmocka_unit_test(a_drain_lets_running_calls_finish),
        cmocka_unit_test(a_drain_without_grace_cancels_them),
        cmocka_unit_test(a_drain_does_not_wait_for_a_client_that_stands_still),
        cmocka_unit_test(a_draining_server_refuses_new_calls),
        WITH_SERVER(health_answers_for_every_service),
        cmocka_unit_test(a_health_watch_follows_and_ends_with_a_drain),
        WITH_SERVER(watching_an_unknown_service_waits_for_it),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
