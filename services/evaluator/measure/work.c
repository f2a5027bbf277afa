/* What the engine's passes read and computed, by the engine's own count.
 *
 * A pass says how many bytes of weights (only of the experts that were chosen) and of KV cache it
 * read, and how many floating-point operations it made. Of a decode pass, which reads much and
 * computes little, the bytes over its time are what the memory gave; of a prefill pass the
 * operations over its time are what the processor gave. Dividing by what the hardware can do makes
 * utilisation of them: utilisation.c. */
#include "measure.h"

static void measure_bytes(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_phase_sums *s = &e->phases[EVAL_DECODE];
    const char *step = eval_work_problem(e, EVAL_DECODE, s->bytes_passes, false);
    const char *rate = eval_work_problem(e, EVAL_DECODE, s->bytes_passes, true);
    double bytes = (double)s->weight_bytes + (double)s->kv_bytes;

    if (step) {
        eval_figure_none(f, EVAL_FIGURE_decode_bytes_per_step, step);
    } else {
        eval_figure_set(f, EVAL_FIGURE_decode_bytes_per_step, bytes / (double)s->bytes_passes);
        eval_figure_between_series(f, EVAL_FIGURE_decode_bytes_per_step, &s->bytes_by_pass, 1);
    }
    if (rate) {
        eval_figure_none(f, EVAL_FIGURE_decode_gb_per_s, rate);
    } else {
        eval_figure_set(f, EVAL_FIGURE_decode_gb_per_s, bytes / (double)s->bytes_ns);
        eval_figure_between_series(f, EVAL_FIGURE_decode_gb_per_s, &s->bytes_by_ns, 1);
    }
}

static void measure_flops(const struct eval_evidence *e, enum eval_phase phase,
                          enum eval_figure_id id, struct eval_figures *f)
{
    const struct eval_phase_sums *s = &e->phases[phase];
    const char *problem = eval_work_problem(e, phase, s->flops_passes, true);

    if (problem) {
        eval_figure_none(f, id, problem);
        return;
    }
    eval_figure_set(f, id, s->flops / (double)s->flops_ns); /* 1e9 a second */
    eval_figure_between_series(f, id, &s->flops_by_ns, 1);
}

void eval_measure_work(struct eval_evidence *e, struct eval_figures *f)
{
    measure_bytes(e, f);
    measure_flops(e, EVAL_PREFILL, EVAL_FIGURE_prefill_gflop_per_s, f);
    measure_flops(e, EVAL_DECODE, EVAL_FIGURE_decode_gflop_per_s, f);
}
