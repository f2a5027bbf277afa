/* A second process for tests that kill, stop or interoperate: the echo service or a client of it.
 *
 *     rpc-peer serve ADDRESS    prints the port, then serves until stdin ends
 *     rpc-peer chat TARGET      one message each way, prints "ready", then waits in receive
 *     rpc-peer idle TARGET      one call, prints "ready", then keeps the connection
 */
#include "echo_service.h"

#include <stdio.h>
#include <string.h>

static int say_ready(void)
{
    puts("ready");
    fflush(stdout);
    return 0;
}

static void wait_for_end_of_input(void)
{
    while (getchar() != EOF)
        ;
}

static int serve(const char *address)
{
    struct cap_rpc_server_options options = {.min_ping_ms = 500};
    struct service service = {.lock = PTHREAD_MUTEX_INITIALIZER};
    CAP_AUTO(cap_rpc_server) server = cap_rpc_server_new(&options);
    struct cap_err err = {0};
    int port;

    cap_rpc_server_add(server, &echo_rpc_service, &echo_handlers, &service);
    if (!cap_rpc_server_listen(server, address, &port, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    cap_rpc_server_start(server);
    printf("%d\n", port);
    fflush(stdout);
    wait_for_end_of_input();
    return cap_rpc_server_drain(server, 2000) ? 0 : 1;
}

static int chat(const char *target)
{
    CAP_AUTO(cap_rpc_channel) channel = cap_rpc_channel_new(target, NULL);
    struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    struct cap_rpc_call *call = echo_rpc_chat_open(channel, &options);
    request_type request = make_request("hi", 1);
    struct cap_err err = {0};

    if (!echo_rpc_chat_send_request(call, &request) || !echo_rpc_chat_next_reply(call))
        return 1;
    say_ready();
    while (echo_rpc_chat_next_reply(call))
        ;
    return cap_rpc_close(call, &err) ? 0 : 1;
}

static int idle(const char *target)
{
    CAP_AUTO(cap_rpc_channel) channel = cap_rpc_channel_new(target, NULL);
    struct cap_err err = {0};

    if (!cap_rpc_channel_wait(channel, 10000, &err))
        return 1;
    say_ready();
    wait_for_end_of_input();
    return 0;
}

int main(int argc, char **argv)
{
    int status = 2;

    if (argc != 3) {
        fputs("usage: rpc-peer serve|chat|idle ADDRESS\n", stderr);
        return status;
    }
    cap_rpc_init();
    if (strcmp(argv[1], "serve") == 0)
        status = serve(argv[2]);
    else if (strcmp(argv[1], "chat") == 0)
        status = chat(argv[2]);
    else if (strcmp(argv[1], "idle") == 0)
        status = idle(argv[2]);
    cap_rpc_shutdown();
    return status;
}
