/* Compare: two runs of one task on the same samples. Repeats: runs of one configuration.
 *
 * A sample's two verdicts are a pair: what is hard for both says nothing of either, and only the
 * samples on which they differ count. So the difference of two accuracies can be sure where their
 * intervals overlap. Figures of time have no pairs; their difference is as unsure as both together.
 * Which test says what: docs/methodology.md. */
#include <string.h>

#include "measure.h"
#include "moecap/v1/evaluator.rpc.h"
#include "service.h"
#include "stats/stats.h"
#include "words/words.h"

enum { FLIPS_MAX = 1000 }; /* ordinals listed of each kind */

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the runs are too large to compare in one call");
}

/* ---- accuracy ---- */

static bool check_pairs(const Moecap__V1__CompareRequest *request, struct cap_err *err)
{
    if (!request->a || !request->b)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the request lacks run %s",
                        request->a ? "b" : "a");
    if (request->n_ordinals == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no sample to compare");
    if (request->n_right_a != request->n_ordinals || request->n_right_b != request->n_ordinals)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "%zu samples come with %zu verdicts of run a and %zu of run b",
                        request->n_ordinals, request->n_right_a, request->n_right_b);
    for (size_t i = 1; i < request->n_ordinals; i++)
        if (request->ordinals[i] <= request->ordinals[i - 1])
            return cap_fail(err, CAP_INVALID_ARGUMENT, "sample %u is out of order or there twice",
                            request->ordinals[i]);
    return true;
}

static bool count_pairs(const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                        Moecap__V1__CompareReply *reply)
{
    reply->lost = cap_arena_array(arena, FLIPS_MAX, sizeof *reply->lost);
    reply->gained = cap_arena_array(arena, FLIPS_MAX, sizeof *reply->gained);
    if (!reply->lost || !reply->gained)
        return false;
    reply->samples = (uint32_t)request->n_ordinals;
    for (size_t i = 0; i < request->n_ordinals; i++) {
        bool a = request->right_a[i], b = request->right_b[i];

        reply->right_both += a && b;
        reply->right_a_only += a && !b;
        reply->right_b_only += !a && b;
        reply->wrong_both += !a && !b;
        if (a && !b && reply->n_lost < FLIPS_MAX)
            reply->lost[reply->n_lost++] = request->ordinals[i];
        if (!a && b && reply->n_gained < FLIPS_MAX)
            reply->gained[reply->n_gained++] = request->ordinals[i];
    }
    return true;
}

static Moecap__V1__Figure *new_figure(struct cap_arena *arena, const char *id, const char *unit)
{
    Moecap__V1__Figure *f = cap_arena_alloc(arena, sizeof *f);

    if (!f)
        return NULL;
    moecap__v1__figure__init(f);
    f->id = (char *)id;
    f->unit = (char *)unit;
    f->basis = "unavailable";
    return f;
}

static void set_figure(Moecap__V1__Figure *f, double value, const struct cap_interval *i)
{
    f->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    f->value = value;
    f->basis = "derived";
    if (!i)
        return;
    f->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    f->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    f->low = i->low;
    f->high = i->high;
}

static bool compare_accuracy(const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                             Moecap__V1__CompareReply *reply)
{
    struct cap_paired p;

    if (!count_pairs(request, arena, reply) ||
        !(reply->accuracy = new_figure(arena, "accuracy_difference", "ratio")))
        return false;
    p = cap_stats_paired(reply->right_b_only, reply->right_a_only, reply->samples);
    set_figure(reply->accuracy, p.difference, &p.interval);
    reply->p_exact = p.p_exact;
    reply->p_mid = p.p_mid;
    reply->detectable = p.detectable;
    return true;
}

/* ---- figures ---- */

static const Moecap__V1__Figure *find(const Moecap__V1__ComparedRun *run, const char *id)
{
    for (size_t i = 0; i < run->n_figures; i++)
        if (strcmp(run->figures[i]->id, id) == 0)
            return run->figures[i];
    return NULL;
}

static bool has_interval(const Moecap__V1__Figure *f)
{
    return f && f->opt_value_case && f->opt_low_case && f->opt_high_case;
}

/* Why a figure of one of the runs cannot be compared; NULL: it can. */
static const char *problem_of(const Moecap__V1__Figure *f, const char *run, struct cap_arena *arena)
{
    if (!f)
        return cap_arena_printf(arena, "run %s does not have it", run);
    if (!f->opt_value_case || f->invalid)
        return cap_arena_printf(arena, "run %s: %.200s", run, f->reason);
    return NULL;
}

/* b - a */
static Moecap__V1__Figure *difference_of(const Moecap__V1__Figure *a, const Moecap__V1__Figure *b,
                                         struct cap_arena *arena)
{
    const Moecap__V1__Figure *known = a ? a : b;
    Moecap__V1__Figure *out = new_figure(arena, known->id, known->unit);
    const char *problem = problem_of(a, "a", arena);
    struct cap_interval i;

    if (!out)
        return NULL;
    if (!problem)
        problem = problem_of(b, "b", arena);
    if (problem) {
        out->reason = (char *)problem;
        return out;
    }
    i = cap_stats_difference(b->value, (struct cap_interval){b->low, b->high}, a->value,
                             (struct cap_interval){a->low, a->high});
    set_figure(out, b->value - a->value, has_interval(a) && has_interval(b) ? &i : NULL);
    return out;
}

/* Figures with an interval, but for shares of right answers: those have pairs. A task's metrics are
 * not in the table. */
static bool is_compared(const Moecap__V1__Figure *f)
{
    return has_interval(f) && cap_words_has(cap_figure_words(), f->id) &&
           strcmp(f->id, "accuracy") != 0;
}

static bool compare_figures(const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                            Moecap__V1__CompareReply *reply)
{
    const Moecap__V1__ComparedRun *a = request->a, *b = request->b;
    size_t room = a->n_figures + b->n_figures + 1;

    if (!(reply->figures = cap_arena_array(arena, room, sizeof *reply->figures)))
        return false;
    for (size_t i = 0; i < a->n_figures + b->n_figures; i++) {
        bool of_a = i < a->n_figures;
        const Moecap__V1__Figure *f = of_a ? a->figures[i] : b->figures[i - a->n_figures];
        const Moecap__V1__Figure *other = find(of_a ? b : a, f->id);

        if (!is_compared(f) || (!of_a && is_compared(other)))
            continue;
        if (!(reply->figures[reply->n_figures] =
                  of_a ? difference_of(f, other, arena) : difference_of(other, f, arena)))
            return false;
        reply->n_figures++;
    }
    return true;
}

bool eval_handle_compare(struct cap_rpc_call *call, const Moecap__V1__CompareRequest *request,
                         Moecap__V1__CompareReply *reply, struct cap_err *err)
{
    struct cap_arena *arena = cap_rpc_arena(call);

    return eval_compare(request, arena, reply, err);
}

bool eval_compare(const Moecap__V1__CompareRequest *request, struct cap_arena *arena,
                  Moecap__V1__CompareReply *reply, struct cap_err *err)
{
    if (!check_pairs(request, err))
        return false;
    reply->run_a = cap_arena_strdup(arena, request->a->run_id);
    reply->run_b = cap_arena_strdup(arena, request->b->run_id);
    reply->task = cap_arena_strdup(arena, request->task);
    reply->metric = cap_arena_strdup(arena, request->metric);
    return (reply->run_a && reply->run_b && reply->task && reply->metric &&
            compare_accuracy(request, arena, reply) && compare_figures(request, arena, reply)) ||
           fail_full(err);
}

/* ---- repeats ---- */

/* A run is one observation, however many requests it had. */
static Moecap__V1__Figure *mean_over(const Moecap__V1__RepeatsRequest *request,
                                     const Moecap__V1__Figure *first, struct cap_arena *arena)
{
    Moecap__V1__Figure *out = new_figure(arena, first->id, first->unit);
    double *values = cap_arena_array(arena, request->n_runs, sizeof *values), mean;
    struct cap_interval i;
    size_t count = 0;
    bool declared = false, sure;

    if (!out || !values)
        return NULL;
    for (size_t r = 0; r < request->n_runs; r++) {
        const Moecap__V1__Figure *f = find(request->runs[r], first->id);

        if (!f || !f->opt_value_case || f->invalid)
            continue;
        values[count++] = f->value;
        declared |= strcmp(f->basis, "declared") == 0;
    }
    if (count < request->n_runs) {
        out->reason = cap_arena_printf(arena, "%zu of %zu runs have it", count, request->n_runs);
        return out->reason ? out : NULL;
    }
    sure = cap_stats_mean(values, count, &mean, &i);
    set_figure(out, mean, sure ? &i : NULL);
    out->basis = declared ? "declared" : "derived";
    return out;
}

bool eval_repeats(const Moecap__V1__RepeatsRequest *request, struct cap_arena *arena,
                  Moecap__V1__RepeatsReply *reply, struct cap_err *err)
{
    size_t count = request->n_runs > 0 ? request->runs[0]->n_figures : 0;

    if (request->n_runs == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no run to take a mean over");
    if (!(reply->figures = cap_arena_array(arena, count + 1, sizeof *reply->figures)))
        return fail_full(err);
    for (size_t i = 0; i < count; i++) {
        if (!(reply->figures[i] = mean_over(request, request->runs[0]->figures[i], arena)))
            return fail_full(err);
        reply->n_figures++;
    }
    return true;
}

bool eval_handle_repeats(struct cap_rpc_call *call, const Moecap__V1__RepeatsRequest *request,
                         Moecap__V1__RepeatsReply *reply, struct cap_err *err)
{
    return eval_repeats(request, cap_rpc_arena(call), reply, err);
}
