/* echo_service.h — the service under test, and a server with a channel to it on loopback.
 *
 * What a handler does depends on its request's text; see echo_service.c. Tests include
 * this first: it brings cmocka along.
 */
#ifndef ECHO_SERVICE_H
#define ECHO_SERVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "echo.rpc.h"

typedef Moecap__Test__EchoRequest request_type;
typedef Moecap__Test__EchoReply reply_type;

/* A "fan" message to Chat is answered by that many threads with that many replies each. */
enum { FAN_THREADS = 4, FAN_REPLIES = 500 };

struct service {
    struct cap_rpc_channel *self_channel; /* for calls that cascade */
    pthread_mutex_t lock;                 /* guards the three below */
    int sleeps;                           /* "sleep" requests that have begun */
    int cancellations;                    /* handlers that saw their call cancelled */
    int chats_finished;                   /* ended with the client's half-close */
};

/* Waits up to ten seconds for exactly that many. */
bool wait_for_cancellations(struct service *service, int count);
/* The same for "sleep" requests that have begun. */
bool wait_for_sleeps(struct service *service, int count);
int chats_finished(struct service *service);

extern const struct echo_rpc_handlers echo_handlers;

struct fixture {
    struct service service;
    struct cap_rpc_server *server;
    struct cap_rpc_channel *channel;
    struct cap_arena *arena;
    int port;
    char target[32];
};

/* Listens; open_fixture also starts. */
struct fixture *new_fixture(const struct cap_rpc_server_options *options);
struct fixture *open_fixture(const struct cap_rpc_server_options *options);
void close_fixture(struct fixture *f);

/* cmocka's setup and teardown around a test with its own server. */
int set_up(void **state);
int tear_down(void **state);
#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

request_type make_request(const char *text, uint32_t number);
bool try_say(struct fixture *f, const struct cap_rpc_options *options, const char *text,
             uint32_t number, struct cap_err *err);

#endif
