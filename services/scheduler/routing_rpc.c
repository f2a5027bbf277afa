/* CompareRouting: two runs' headers, expert counts and samples out of the store, one after the
 * other into the evaluator's stream.
 *
 * Nothing is kept here: a page of samples is sent on and forgotten. The evaluator pairs samples by
 * their ordinals, so the run that is behind sends its next page: then at most about a page of the
 * other one waits there. */
#include <stdio.h>
#include <string.h>

#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

enum {
    RUN_ARENA_BYTES = 64 << 20,
    PAGE_ARENA_BYTES = 256 << 20,
    SAMPLES_A_PAGE = 200,
    COMPARE_MS_MAX = 600000,
};

struct source {
    uint32_t number; /* 0 or 1 */
    const char *run_id;
    uint32_t last; /* ordinal sent last */
    bool begun, ended;
};

struct piping {
    struct cap_rpc_channel *store;
    struct cap_rpc_call *to;
    bool same_model;
};

static bool send(const struct piping *p, const struct source *source,
                 Moecap__V1__Evidence *evidence)
{
    Moecap__V1__RoutingEvidence message = MOECAP__V1__ROUTING_EVIDENCE__INIT;

    message.run = source->number;
    message.evidence = evidence;
    message.same_model = p->same_model;
    return evaluator_rpc_compare_routing_send_request(p->to, &message);
}

/* ---- headers ---- */

static bool is_measured(Moecap__V1__RunState state)
{
    return state == MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED ||
           state == MOECAP__V1__RUN_STATE__RUN_STATE_INVALID;
}

/* False with err clean when the evaluator's stream has broken: closing it says why. */
static bool send_header(const struct piping *p, const struct source *source, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(RUN_ARENA_BYTES);
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__EvidenceHeader header = MOECAP__V1__EVIDENCE_HEADER__INIT;
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    Moecap__V1__GetRunReply *run;

    request.run_id = (char *)source->run_id;
    if (!store_rpc_get_run(p->store, NULL, &request, arena, &run, err))
        return false;
    if (!run->row || !is_measured(run->row->state))
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "run %s has not finished: there is no routing to compare yet",
                        source->run_id);
    header.run_id = run->row->run_id;
    header.spec = run->row->spec;
    header.task = run->task;
    header.attempted = run->samples_total;
    header.attempts = (uint32_t)run->n_attempts;
    header.report = run->row->report;
    evidence.header = &header;
    return send(p, source, &evidence);
}

/* ---- counts ---- */

static bool send_counts(const struct piping *p, const struct source *source, struct cap_err *err)
{
    Moecap__V1__GetExpertCountsRequest request = MOECAP__V1__GET_EXPERT_COUNTS_REQUEST__INIT;
    char after[128] = "";

    request.run_id = (char *)source->run_id;
    request.after = after;
    for (;;) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(PAGE_ARENA_BYTES);
        Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
        Moecap__V1__GetExpertCountsReply *page;

        if (!store_rpc_get_expert_counts(p->store, NULL, &request, arena, &page, err))
            return false;
        evidence.expert_counts = page->counts;
        evidence.n_expert_counts = page->n_counts;
        if (!send(p, source, &evidence))
            return false;
        if (!page->opt_next_case)
            return true;
        snprintf(after, sizeof after, "%s", page->next_after);
    }
}

/* ---- samples ---- */

static bool send_rows(const struct piping *p, const struct source *source,
                      const Moecap__V1__ListSamplesReply *page, struct cap_arena *arena,
                      struct cap_err *err)
{
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;
    size_t verdicts = 0;

    for (size_t i = 0; i < page->n_samples; i++)
        verdicts += page->samples[i]->n_verdicts;
    evidence.answers = cap_arena_array(arena, page->n_samples + 1, sizeof *evidence.answers);
    evidence.verdicts = cap_arena_array(arena, verdicts + 1, sizeof *evidence.verdicts);
    if (!evidence.answers || !evidence.verdicts)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "a page of samples is too large");
    for (size_t i = 0; i < page->n_samples; i++) {
        const Moecap__V1__SampleRow *row = page->samples[i];

        evidence.answers[evidence.n_answers++] = row->answer;
        for (size_t v = 0; v < row->n_verdicts; v++)
            evidence.verdicts[evidence.n_verdicts++] = row->verdicts[v];
    }
    return send(p, source, &evidence);
}

static bool send_samples(const struct piping *p, struct source *source, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PAGE_ARENA_BYTES);
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *page;

    request.run_id = (char *)source->run_id;
    request.limit = SAMPLES_A_PAGE;
    request.with_routing = true;
    if (source->begun) {
        request.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        request.after_ordinal = source->last;
    }
    if (!store_rpc_list_samples(p->store, NULL, &request, arena, &page, err))
        return false;
    source->begun = true;
    source->ended = !page->opt_next_case;
    source->last = page->next_after;
    return page->n_samples == 0 || send_rows(p, source, page, arena, err);
}

/* The one that is behind goes on. */
static struct source *next_of(struct source sources[2])
{
    struct source *a = &sources[0], *b = &sources[1];

    if (a->ended || b->ended)
        return a->ended && b->ended ? NULL : a->ended ? b : a;
    if (!a->begun || !b->begun)
        return a->begun ? b : a;
    return a->last <= b->last ? a : b;
}

static bool pipe_all(const struct piping *p, struct source sources[2], struct cap_err *err)
{
    struct source *next;

    if (!send_header(p, &sources[0], err) || !send_header(p, &sources[1], err) ||
        !send_counts(p, &sources[0], err) || !send_counts(p, &sources[1], err))
        return false;
    while ((next = next_of(sources)) != NULL)
        if (!send_samples(p, next, err))
            return false;
    return true;
}

/* ---- the handler ---- */

/* The reply's parts are copied into the call's arena: the stream's own message goes with it. */
static bool take_reply(struct cap_rpc_call *to, struct cap_rpc_call *call,
                       Moecap__V1__RoutingComparison *reply, struct cap_err *err)
{
    const Moecap__V1__RoutingComparison *got = evaluator_rpc_compare_routing_next_reply(to);
    Moecap__V1__RoutingComparison *copy =
        got ? (Moecap__V1__RoutingComparison *)cap_rpc_copy(&got->base, cap_rpc_arena(call)) : NULL;

    if (!cap_rpc_close(to, err))
        return false;
    if (!copy)
        return cap_fail(err, CAP_INTERNAL, "the evaluator gave no comparison");
    *reply = *copy;
    return true;
}

bool sched_handle_compare_routing(struct cap_rpc_call *call,
                                  const Moecap__V1__CompareRoutingRequest *request,
                                  Moecap__V1__RoutingComparison *reply, struct cap_err *err)
{
    struct sched_service *service = cap_rpc_self(call);
    const struct cap_rpc_options options = {.timeout_ms = COMPARE_MS_MAX};
    struct source sources[2] = {{.number = 0, .run_id = request->run_a},
                                {.number = 1, .run_id = request->run_b}};
    struct piping p = {.store = service->clients.store, .same_model = request->same_model};
    struct cap_err ignored = {0};

    if (!*request->run_a || !*request->run_b)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "name two runs");
    p.to = evaluator_rpc_compare_routing_open(sched_evaluator_channel(service->clients.evaluator),
                                              &options);
    if (!pipe_all(&p, sources, err) && err->code != CAP_OK) {
        cap_rpc_cancel(p.to);
        cap_rpc_close(p.to, &ignored);
        return false;
    }
    cap_rpc_send_done(p.to);
    return take_reply(p.to, call, reply, err);
}
