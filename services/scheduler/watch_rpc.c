/* Watch: the progress of an evaluation or a run, until it ends. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "handlers_rpc.h"
#include "moecap/v1/store.rpc.h"

enum {
    WATCH_PAUSE_MS = 500,
    WATCH_STEP_MS = 50,
};

static bool send_views(struct cap_rpc_call *call, const char *evaluation_id,
                       const struct sched_view *views, size_t count, bool *out_ended)
{
    CAP_AUTO_MEM Moecap__V1__RunProgress *runs = calloc(count + 1, sizeof *runs);
    CAP_AUTO_MEM Moecap__V1__RunProgress **list = calloc(count + 1, sizeof *list);
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;

    if (!runs || !list)
        abort();
    progress.ended = true;
    for (size_t i = 0; i < count; i++) {
        sched_view_to_wire(&views[i], &runs[i]);
        list[i] = &runs[i];
        progress.ended = progress.ended && sched_state_ended(views[i].run.state) && views[i].stored;
    }
    progress.evaluation_id = (char *)evaluation_id;
    progress.runs = list;
    progress.n_runs = count;
    *out_ended = progress.ended;
    return scheduler_rpc_watch_send_reply(call, &progress);
}

/* Nobody here knows the id: an evaluation or run that ended before this program started. */
static bool send_from_store(struct cap_rpc_call *call, const char *id, struct cap_err *err)
{
    Moecap__V1__Progress progress = MOECAP__V1__PROGRESS__INIT;
    struct sched_found found;

    if (!sched_find_in_store(cap_rpc_self(call), id, cap_rpc_arena(call), &found, err))
        return false;
    progress.evaluation_id = (char *)found.evaluation_id;
    progress.runs = found.runs;
    progress.n_runs = found.count;
    progress.ended = found.ended;
    scheduler_rpc_watch_send_reply(call, &progress);
    return found.ended ||
           cap_fail(err, CAP_UNAVAILABLE, "\"%.64s\" has not been taken over yet", id);
}

/* A number that differs when a run has changed its state; counts alone may wait. */
static uint64_t sum_states(const struct sched_view *views, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + 2 * (uint64_t)views[i].run.state + views[i].stored;
    return sum;
}

struct watch {
    struct cap_rpc_call *call;
    const char *id;
    uint64_t states;
    int64_t sent_at_ms;
    bool known, ended;
};

/* Sends what there is now, if it is time to or a state has changed. False: the watching ends. */
static bool look(struct watch *w, struct sched_dispatcher *dispatcher)
{
    int64_t now_ms = cap_clock_ms(cap_clock_system());
    struct sched_view *views;
    size_t count = sched_dispatcher_views(dispatcher, w->id, &views);
    uint64_t states = sum_states(views, count);
    bool ok = true;

    w->known = count > 0;
    if (count > 0 && (states != w->states || now_ms - w->sent_at_ms >= WATCH_PAUSE_MS)) {
        ok = send_views(w->call, views[0].run.evaluation_id, views, count, &w->ended);
        w->states = states;
        w->sent_at_ms = now_ms;
    }
    sched_views_free(views, count);
    return ok && w->known && !w->ended;
}

bool sched_handle_watch(struct cap_rpc_call *call, const Moecap__V1__WatchRequest *request,
                        struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    struct watch watch = {.call = call, .id = request->id};
    uint64_t version = 0;

    if (!*request->id)
        return cap_fail_field(err, CAP_INVALID_ARGUMENT, "id",
                              "watch needs the id of a run or an evaluation");
    if (!sched_restore_wait(service, call, err))
        return false;
    while (look(&watch, service->dispatcher) && !cap_rpc_cancelled(call)) {
        if (service->draining)
            return cap_fail(err, CAP_UNAVAILABLE, "the scheduler is going away");
        cap_sleep_ms(WATCH_STEP_MS); /* changes in bursts are one change to people */
        sched_dispatcher_wait(service->dispatcher, &version, WATCH_PAUSE_MS);
    }
    return watch.known || send_from_store(call, request->id, err);
}
