/* Rates: of the whole run by its wall clock, and of an engine's passes by their own time. */
#include "base/auto.h"
#include "measure.h"
#include "stats/stats.h"

static void none_from_to(struct eval_figures *f, unsigned first, unsigned last, const char *reason)
{
    for (unsigned id = first; id <= last; id++)
        eval_figure_none(f, id, reason);
}

/* ---- by the wall clock ---- */

static const char *why_no_wall(const struct eval_evidence *e)
{
    const char *problem = eval_timing_problem(e);

    if (problem)
        return problem;
    return e->timed == 0 ? "no times" : NULL;
}

/* ---- intervals ---- */

enum { ENDS_OF = 4 };
static const unsigned rates[ENDS_OF] = {
    EVAL_FIGURE_requests_per_s,
    EVAL_FIGURE_input_tokens_per_s,
    EVAL_FIGURE_output_tokens_per_s,
    EVAL_FIGURE_total_tokens_per_s,
};

static double amount_of(const struct eval_request *r, int rate)
{
    const double amounts[ENDS_OF] = {1, r->prompt_tokens, r->output_tokens,
                                     (double)r->prompt_tokens + r->output_tokens};

    return amounts[rate];
}

static void set_intervals(const struct eval_evidence *e, struct eval_figures *f)
{
    CAP_AUTO(eval_ends) ends = eval_ends_new(e);
    struct cap_interval between;

    for (int rate = 0; rate < ENDS_OF; rate++) {
        for (size_t i = 0; i < ends->count; i++)
            ends->amounts[i] = amount_of(ends->items[i], rate);
        if (eval_figure_has(f, rates[rate]) && eval_ends_interval(ends, &between))
            eval_figure_between(f, rates[rate], between.low, between.high);
    }
}

/* ---- values ---- */

static void measure_tokens(const struct eval_evidence *e, const struct eval_window *w,
                           struct eval_figures *f)
{
    const char *unknown = eval_counts_problem(e);
    bool input = e->without_prompt_tokens == 0, output = e->without_output_tokens == 0;

    if (input)
        eval_figure_set(f, EVAL_FIGURE_input_tokens_per_s, (double)w->prompt_tokens / w->seconds);
    else
        eval_figure_none(f, EVAL_FIGURE_input_tokens_per_s, unknown);
    if (e->run.scoring)
        eval_figure_none(f, EVAL_FIGURE_output_tokens_per_s, "no decode");
    else if (output)
        eval_figure_set(f, EVAL_FIGURE_output_tokens_per_s, (double)w->output_tokens / w->seconds);
    else
        eval_figure_none(f, EVAL_FIGURE_output_tokens_per_s, unknown);
    if (input && (output || e->run.scoring))
        eval_figure_set(f, EVAL_FIGURE_total_tokens_per_s,
                        (double)(w->prompt_tokens + w->output_tokens) / w->seconds);
    else
        eval_figure_none(f, EVAL_FIGURE_total_tokens_per_s, unknown);
}

static void measure_wall(const struct eval_evidence *e, struct eval_figures *f)
{
    double wall_s = (double)(e->last_ended_us - e->first_submitted_us) / 1e6;
    const struct eval_window w = eval_window_of(e);
    const char *problem = why_no_wall(e);

    if (problem) {
        none_from_to(f, EVAL_FIGURE_wall_s, EVAL_FIGURE_total_tokens_per_s, problem);
        return;
    }
    eval_figure_set(f, EVAL_FIGURE_wall_s, wall_s);
    if (wall_s <= 0) {
        for (unsigned id = EVAL_FIGURE_wall_s; id <= EVAL_FIGURE_total_tokens_per_s; id++)
            eval_figure_invalid(f, id, "the run took no time");
        return;
    }
    if (e->completed == 0) {
        none_from_to(f, EVAL_FIGURE_requests_per_s, EVAL_FIGURE_total_tokens_per_s,
                     "no completed samples");
        return;
    }
    eval_figure_set(f, EVAL_FIGURE_requests_per_s, (double)w.completed / w.seconds);
    measure_tokens(e, &w, f);
    set_intervals(e, f);
    if (e->disordered > 0)
        for (unsigned id = EVAL_FIGURE_wall_s; id <= EVAL_FIGURE_total_tokens_per_s; id++)
            if (eval_figure_has(f, id))
                eval_figure_invalid(f, id, "%llu answers with times out of order",
                                    (unsigned long long)e->disordered);
}

/* ---- by the passes' own time ---- */

static void measure_rate(const struct eval_evidence *e, enum eval_phase phase,
                         enum eval_figure_id id, struct eval_figures *f)
{
    const char *problem = eval_passes_problem(e, phase, true);
    const struct eval_phase_sums *sums = &e->phases[phase];

    if (problem) {
        eval_figure_none(f, id, problem);
        return;
    }
    eval_figure_set(f, id, (double)sums->tokens / ((double)sums->duration_ns / 1e9));
    eval_figure_between_series(f, id, &sums->tokens_by_ns, 1e9);
}

/* ---- passes themselves ---- */

static void measure_time(const struct eval_evidence *e, enum eval_phase phase,
                         enum eval_figure_id id, struct eval_figures *f)
{
    const char *problem = eval_passes_problem(e, phase, true);

    if (problem)
        eval_figure_none(f, id, problem);
    else
        eval_figure_set(f, id, (double)e->phases[phase].duration_ns / 1e9);
}

static void measure_batch(const struct eval_evidence *e, enum eval_phase phase,
                          enum eval_figure_id id, struct eval_figures *f)
{
    const char *problem = eval_passes_problem(e, phase, true);
    const struct eval_phase_sums *sums = &e->phases[phase];

    if (problem) {
        eval_figure_none(f, id, problem);
        return;
    }
    eval_figure_set(f, id, (double)sums->sequences / (double)sums->passes);
    eval_figure_between_series(f, id, &sums->sequences_by_pass, 1);
}

void eval_measure_throughput(struct eval_evidence *e, struct eval_figures *f)
{
    measure_wall(e, f);
    measure_rate(e, EVAL_PREFILL, EVAL_FIGURE_prefill_tokens_per_s, f);
    measure_rate(e, EVAL_DECODE, EVAL_FIGURE_decode_tokens_per_s, f);
    measure_time(e, EVAL_PREFILL, EVAL_FIGURE_prefill_s, f);
    measure_time(e, EVAL_DECODE, EVAL_FIGURE_decode_s, f);
    measure_time(e, EVAL_MIXED, EVAL_FIGURE_mixed_s, f);
    measure_batch(e, EVAL_PREFILL, EVAL_FIGURE_prefill_batch_mean, f);
    measure_batch(e, EVAL_DECODE, EVAL_FIGURE_decode_batch_mean, f);
}
