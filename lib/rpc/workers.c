/* The threads that run handlers: made when a call finds none idle, up to workers_max, and kept.
 * Behind them wait at most queue_max calls; one more is refused, at once rather than at its
 * deadline. */
#include <stdlib.h>

#include "rpc/inside.h"

enum { WORKER_STACK_BYTES = 1 << 20 };

static bool full_locked(const struct cap_rpc_server *server)
{
    const struct cap_rpc_server_options *o = &server->options;

    return server->running + server->queued >= o->workers_max + o->queue_max;
}

bool rpc_workers_full(struct cap_rpc_server *server)
{
    bool full;

    pthread_mutex_lock(&server->lock);
    full = full_locked(server);
    pthread_mutex_unlock(&server->lock);
    return full;
}

static struct cap_rpc_call *pop_locked(struct cap_rpc_server *server)
{
    struct cap_rpc_call *call;

    while (!server->queue_head && !server->workers_ending) {
        server->idle_workers++;
        pthread_cond_wait(&server->work_came, &server->lock);
        server->idle_workers--;
    }
    call = server->queue_head;
    if (!call)
        return NULL;
    server->queue_head = call->queue_next;
    if (!server->queue_head)
        server->queue_tail = &server->queue_head;
    server->queued--;
    return call;
}

static void *work(void *argument)
{
    struct cap_rpc_server *server = argument;
    struct cap_rpc_call *call;

    pthread_mutex_lock(&server->lock);
    while ((call = pop_locked(server)) != NULL) {
        server->running++;
        pthread_mutex_unlock(&server->lock);
        rpc_handler_run(call);
        pthread_mutex_lock(&server->lock);
        server->running--;
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* When the system gives no more threads, those that are there take the work. */
static void add_worker_locked(struct cap_rpc_server *server)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
    if (pthread_create(&server->workers[server->worker_count], &attributes, work, server) == 0)
        server->worker_count++;
    pthread_attr_destroy(&attributes);
}

bool rpc_workers_enqueue(struct cap_rpc_server *server, struct cap_rpc_call *call)
{
    bool taken;

    pthread_mutex_lock(&server->lock);
    if (server->queued >= server->idle_workers &&
        server->worker_count < server->options.workers_max)
        add_worker_locked(server);
    taken = !full_locked(server) && server->worker_count > 0;
    if (taken) {
        call->queue_next = NULL;
        *server->queue_tail = call;
        server->queue_tail = &call->queue_next;
        server->queued++;
        pthread_cond_signal(&server->work_came);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

void rpc_workers_stop(struct cap_rpc_server *server)
{
    int count;

    pthread_mutex_lock(&server->lock);
    server->workers_ending = true;
    count = server->worker_count;
    pthread_cond_broadcast(&server->work_came);
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < count; i++)
        pthread_join(server->workers[i], NULL);
}
