/* One line for each method of the store passes it on; hooks before and after the methods that matter
 * make the faults. What the store answers goes back as it came. */
#include "shim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "moecap/v1/store.rpc.h"

/* Fair enough, and the same in every run of a test with one thread. */
static bool roll(struct shim *shim, int percent)
{
    uint32_t x = ++shim->turn * 2654435761u;
    bool hit = percent > 0 && (int)((x ^ (x >> 15)) % 100) < percent;

    shim->calls_failed += hit;
    return hit;
}

static bool let_in(struct shim *shim, struct cap_err *err)
{
    return !roll(shim, shim->fail_percent) ||
           cap_fail(err, CAP_UNAVAILABLE, "the database is away");
}

static bool let_out(struct shim *shim, struct cap_err *err)
{
    return !roll(shim, shim->lose_percent) ||
           cap_fail(err, CAP_UNAVAILABLE, "the connection broke");
}

/* What a call adds to the passing on. */
static void before_append(struct shim *shim)
{
    cap_sleep_ms(shim->append_ms);
}

static void after_append(struct shim *shim, const Moecap__V1__AppendReply *reply)
{
    shim->repeated += reply->repeated_batch;
    shim->appended++;
}

static void after_lease(struct shim *shim, const Moecap__V1__LeaseReply *reply)
{
    (void)reply;
    shim->leases++;
}

#define NOTHING(...) (void)0
#define PASS_ON(method, Request, Reply, before, after)                                             \
    static bool method(struct cap_rpc_call *call, const Moecap__V1__##Request *request,            \
                       Moecap__V1__##Reply *reply, struct cap_err *err)                            \
    {                                                                                              \
        struct shim *shim = cap_rpc_self(call);                                                    \
        Moecap__V1__##Reply *got;                                                                  \
                                                                                                   \
        if (!let_in(shim, err))                                                                    \
            return false;                                                                          \
        before(shim);                                                                              \
        if (!store_rpc_##method(shim->channel, NULL, request, cap_rpc_arena(call), &got, err))     \
            return false;                                                                          \
        after(shim, got);                                                                          \
        *reply = *got;                                                                             \
        return let_out(shim, err);                                                                 \
    }

PASS_ON(list_tasks, ListTasksRequest, ListTasksReply, NOTHING, NOTHING)
PASS_ON(get_task, GetTaskRequest, GetTaskReply, NOTHING, NOTHING)
PASS_ON(read_docs, ReadDocsRequest, ReadDocsReply, NOTHING, NOTHING)
PASS_ON(enqueue, EnqueueRequest, EnqueueReply, NOTHING, NOTHING)
PASS_ON(lease, LeaseRequest, LeaseReply, NOTHING, after_lease)
PASS_ON(renew, RenewRequest, RenewReply, NOTHING, NOTHING)
PASS_ON(release, ReleaseRequest, Empty, NOTHING, NOTHING)
PASS_ON(sweep, Empty, SweepReply, NOTHING, NOTHING)
PASS_ON(move_run, MoveRunRequest, Empty, NOTHING, NOTHING)
PASS_ON(append, AppendRequest, AppendReply, before_append, after_append)
PASS_ON(read_ungraded, ReadUngradedRequest, ReadUngradedReply, NOTHING, NOTHING)
PASS_ON(put_verdicts, PutVerdictsRequest, PutVerdictsReply, NOTHING, NOTHING)
PASS_ON(finish_run, FinishRunRequest, Empty, NOTHING, NOTHING)
PASS_ON(board, BoardRequest, BoardReply, NOTHING, NOTHING)
PASS_ON(get_run, GetRunRequest, GetRunReply, NOTHING, NOTHING)
PASS_ON(put_node, PutNodeRequest, Empty, NOTHING, NOTHING)

static bool list_active(struct cap_rpc_call *call, const Moecap__V1__Empty *request,
                        struct cap_err *err)
{
    struct shim *shim = cap_rpc_self(call);
    Moecap__V1__ActiveEvaluation *one;
    struct cap_rpc_call *from;

    if (!let_in(shim, err))
        return false;
    from = store_rpc_list_active_open(shim->channel, NULL, request);
    while ((one = store_rpc_list_active_next_reply(from)) != NULL)
        store_rpc_list_active_send_reply(call, one);
    return cap_rpc_close(from, err);
}

static bool read_evidence(struct cap_rpc_call *call, const Moecap__V1__ReadEvidenceRequest *request,
                          struct cap_err *err)
{
    struct shim *shim = cap_rpc_self(call);
    Moecap__V1__Evidence *one;
    struct cap_rpc_call *from;

    if (!let_in(shim, err))
        return false;
    from = store_rpc_read_evidence_open(shim->channel, NULL, request);
    while ((one = store_rpc_read_evidence_next_reply(from)) != NULL)
        store_rpc_read_evidence_send_reply(call, one);
    return cap_rpc_close(from, err) && let_out(shim, err);
}

void shim_start(struct shim *shim, const char *store_address)
{
    static const struct store_rpc_handlers handlers = {
        .list_tasks = list_tasks,
        .get_task = get_task,
        .read_docs = read_docs,
        .enqueue = enqueue,
        .list_active = list_active,
        .lease = lease,
        .renew = renew,
        .release = release,
        .sweep = sweep,
        .move_run = move_run,
        .append = append,
        .read_ungraded = read_ungraded,
        .put_verdicts = put_verdicts,
        .read_evidence = read_evidence,
        .finish_run = finish_run,
        .board = board,
        .get_run = get_run,
        .put_node = put_node,
    };
    struct cap_err err = {0};
    int port;

    shim->channel = cap_rpc_channel_new(store_address, NULL);
    shim->server = cap_rpc_server_new(&(struct cap_rpc_server_options){0});
    cap_rpc_server_add(shim->server, &store_rpc_service, &handlers, shim);
    if (!*shim->address)
        snprintf(shim->address, sizeof shim->address, "127.0.0.1:0");
    if (!cap_rpc_server_listen(shim->server, shim->address, &port, &err))
        fail_msg("%s", err.text);
    snprintf(shim->address, sizeof shim->address, "127.0.0.1:%d", port);
    cap_rpc_server_start(shim->server);
}

void shim_stop(struct shim *shim)
{
    cap_rpc_server_drain(shim->server, 0);
    cap_rpc_server_free(shim->server);
    cap_rpc_channel_free(shim->channel);
    shim->server = NULL;
}
