/* The threads that wait for gRPC, and what a process does once. Events must always find a thread
 * that never runs user code: pings, cancellations and new connections are handled by it, too. */
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <malloc.h>
#include <stdlib.h>

#include "log/log.h"
#include "rpc/inside.h"

static struct rpc_poller client_poller;

void *rpc_tag_arm(struct rpc_tag *tag, rpc_event *on_event)
{
    atomic_store_explicit(&tag->on_event, on_event, memory_order_release);
    return tag;
}

static void *poll_events(void *argument)
{
    struct rpc_poller *poller = argument;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);

    for (;;) {
        grpc_event event = grpc_completion_queue_next(poller->queue, never, NULL);
        struct rpc_tag *tag = event.tag;

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        atomic_load_explicit(&tag->on_event, memory_order_acquire)(tag, event.success != 0);
    }
}

void rpc_poller_start(struct rpc_poller *poller)
{
    poller->queue = grpc_completion_queue_create_for_next(NULL);
    if (pthread_create(&poller->thread, NULL, poll_events, poller) != 0)
        abort();
}

void rpc_poller_stop(struct rpc_poller *poller)
{
    grpc_completion_queue_shutdown(poller->queue);
    pthread_join(poller->thread, NULL);
    grpc_completion_queue_destroy(poller->queue);
    poller->queue = NULL;
}

grpc_completion_queue *rpc_client_queue(void)
{
    if (!client_poller.queue)
        abort(); /* cap_rpc_init has not been called */
    return client_poller.queue;
}

/* ---- the process ---- */

/* gRPC's own lines are about connections that come and go: of use when one looks for that, with
 * MOECAP_LOG=info,poller:debug. What matters reaches its caller as a status. */
static void take_log(gpr_log_func_args *line)
{
    cap_log(DEBUG, "grpc", "severity=%s text=%s", gpr_log_severity_string(line->severity),
            CAP_LOG_Q(line->message));
}

void cap_rpc_init(void)
{
    enum { KEEP_BYTES = 32 << 20 };

    /* Without these glibc gives every large message's memory back to the kernel and faults it in
     * again: 14 times the CPU of a 64 KiB call. Setting one turns the other's adaption off. */
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
    gpr_set_log_function(take_log);
    grpc_init();
    rpc_poller_start(&client_poller);
}

void cap_rpc_shutdown(void)
{
    rpc_poller_stop(&client_poller);
    grpc_shutdown_blocking();
}
