/* What a run costs: other figures of it, times the price of its machine's hour.
 *
 * Everything but the machine and the inputs is taken from figures, so that a stored run can be
 * priced again with other inputs (the call Cost), and a figure that is missing says why here, too.
 * Costs by token and request are prices by time over rates; a request that failed took time as
 * well, and those that completed pay for it. */
#include "measure.h"

#include <math.h>

#include "../cost.h"

struct pricing {
    const struct eval_cost_run *run;
    struct eval_figures *f;
    struct eval_cost_term terms[EVAL_COST_INPUTS];
    struct eval_cost_hour hour;
    double usd_per_s;
    bool declared; /* somebody said what the price depends on */
};

/* ---- the machine ---- */

/* NULL: no memory for the sentence. */
static const char *why_unpriced(const struct pricing *p)
{
    const struct eval_cost_machine *m = &p->run->machine;
    bool watts;

    if (m->problem)
        return m->problem;
    if (!*m->device)
        return "it is not known what the run ran on; give --rent, or --hardware and --price";
    watts = p->hour.missing == EVAL_COST_device_watts;
    return cap_arena_printf(p->f->arena, "no %s known for %.200s; give %s or --rent",
                            watts ? "power" : "price", m->device,
                            watts ? "--device-watts" : "--price");
}

static void set(struct pricing *p, enum eval_figure_id id, double value)
{
    eval_figure_set(p->f, id, value);
    if (p->declared)
        eval_figure_declared(p->f, id);
}

static void measure_purchase(struct pricing *p)
{
    const struct eval_cost_machine *m = &p->run->machine;
    double price = eval_cost_purchase(p->terms, m->devices);

    if (m->problem)
        eval_figure_none(p->f, EVAL_FIGURE_machine_price, m->problem);
    else if (isnan(price))
        eval_figure_none(p->f, EVAL_FIGURE_machine_price,
                         *m->device ? cap_arena_printf(p->f->arena,
                                                       "no price known for %.200s; give --price",
                                                       m->device)
                                    : "it is not known what the run ran on; give --price");
    else
        eval_figure_set(p->f, EVAL_FIGURE_machine_price, price);
    if (m->declared || p->terms[EVAL_COST_price].source == EVAL_COST_GIVEN ||
        p->terms[EVAL_COST_host_price].source == EVAL_COST_GIVEN)
        eval_figure_declared(p->f, EVAL_FIGURE_machine_price);
}

static void measure_hour(struct pricing *p)
{
    static const char covered[] = "the rent covers it";

    set(p, EVAL_FIGURE_cost_per_hour, p->hour.total);
    set(p, EVAL_FIGURE_cost_per_hour_devices, p->hour.devices);
    if (p->hour.rented) {
        eval_figure_none(p->f, EVAL_FIGURE_cost_per_hour_host, covered);
        eval_figure_none(p->f, EVAL_FIGURE_cost_per_hour_energy, covered);
        return;
    }
    set(p, EVAL_FIGURE_cost_per_hour_host, p->hour.host);
    set(p, EVAL_FIGURE_cost_per_hour_energy, p->hour.energy);
}

/* ---- the run ---- */

static const char *reason_of(const struct pricing *p, enum eval_figure_id id)
{
    return p->f->rows[id].reason;
}

/* A figure rests on others: without one there is none, and a wrong one makes it wrong. */
static bool rests_on(struct pricing *p, enum eval_figure_id id, enum eval_figure_id other)
{
    if (eval_figure_has(p->f, other))
        return true;
    eval_figure_none(p->f, id, reason_of(p, other));
    return false;
}

static void pass_on_invalid(struct pricing *p, enum eval_figure_id id, enum eval_figure_id other)
{
    if (p->f->rows[other].invalid && eval_figure_has(p->f, id))
        eval_figure_invalid(p->f, id, "%s", reason_of(p, other));
}

/* How far a figure's interval reaches, as a factor downwards and upwards; 1 where it has none. */
struct reach {
    double down, up;
};

static struct reach reach_of(const struct pricing *p, enum eval_figure_id id)
{
    double value = p->f->rows[id].value, low, high;

    if (!eval_figure_interval(p->f, id, &low, &high) || value <= 0)
        return (struct reach){1, 1};
    return (struct reach){low / value, high / value};
}

/* A price over something that is uncertain: the more of it there may be, the less each costs. */
static void set_over(struct pricing *p, enum eval_figure_id id, double value, struct reach r)
{
    set(p, id, value);
    if (r.down < 1 || r.up > 1)
        eval_figure_between(p->f, id, value / r.up, value / r.down);
}

/* USD for each of what `rate` counts, of the share of the time that goes into it. */
static void measure_by_rate(struct pricing *p, enum eval_figure_id id, enum eval_figure_id rate,
                            double share)
{
    if (!rests_on(p, id, rate))
        return;
    if (eval_figure_value(p->f, rate) > 0)
        set_over(p, id, p->usd_per_s * share / eval_figure_value(p->f, rate), reach_of(p, rate));
    else
        eval_figure_none(p->f, id, "none completed");
    pass_on_invalid(p, id, rate);
}

static void measure_run(struct pricing *p)
{
    if (rests_on(p, EVAL_FIGURE_run_cost, EVAL_FIGURE_wall_s))
        set(p, EVAL_FIGURE_run_cost, p->usd_per_s * eval_figure_value(p->f, EVAL_FIGURE_wall_s));
    pass_on_invalid(p, EVAL_FIGURE_run_cost, EVAL_FIGURE_wall_s);
    measure_by_rate(p, EVAL_FIGURE_cost_per_request, EVAL_FIGURE_requests_per_s, 1);
}

/* Of a product of two that know nothing of each other: errors of the logarithms by Pythagoras. */
static struct reach both(struct reach a, struct reach b)
{
    return (struct reach){exp(-hypot(log(a.down), log(b.down))), exp(hypot(log(a.up), log(b.up)))};
}

static void measure_correct(struct pricing *p)
{
    enum eval_figure_id id = EVAL_FIGURE_cost_per_correct;
    double correct;

    if (!rests_on(p, id, EVAL_FIGURE_cost_per_request) || !rests_on(p, id, EVAL_FIGURE_accuracy) ||
        !rests_on(p, id, EVAL_FIGURE_completed) || !rests_on(p, id, EVAL_FIGURE_attempted))
        return;
    correct = round(eval_figure_value(p->f, EVAL_FIGURE_accuracy) *
                    eval_figure_value(p->f, EVAL_FIGURE_attempted));
    if (correct > 0)
        set_over(p, id,
                 eval_figure_value(p->f, EVAL_FIGURE_cost_per_request) *
                     eval_figure_value(p->f, EVAL_FIGURE_completed) / correct,
                 both(reach_of(p, EVAL_FIGURE_requests_per_s), reach_of(p, EVAL_FIGURE_accuracy)));
    else
        eval_figure_none(p->f, id, "no right answer");
    pass_on_invalid(p, id, EVAL_FIGURE_cost_per_request);
    pass_on_invalid(p, id, EVAL_FIGURE_accuracy);
}

/* ---- input and output ---- */

/* False where nobody timed both phases apart: one that is missing did not take 0 s, and the time of
 * a pass that does both is of both. Without output (only log-likelihoods) all is input. */
static bool prefill_share(const struct eval_figures *f, double *out_share)
{
    double in, out = 0;

    if (!eval_figure_has(f, EVAL_FIGURE_prefill_s) || eval_figure_has(f, EVAL_FIGURE_mixed_s))
        return false;
    in = eval_figure_value(f, EVAL_FIGURE_prefill_s);
    if (eval_figure_has(f, EVAL_FIGURE_decode_s))
        out = eval_figure_value(f, EVAL_FIGURE_decode_s);
    else if (eval_figure_has(f, EVAL_FIGURE_output_tokens_per_s))
        return false;
    *out_share = in / (in + out);
    return in + out > 0;
}

const char *eval_cost_sharing(const struct eval_figures *f)
{
    double ignored;

    return prefill_share(f, &ignored)
               ? "input and output share the cost as prefill and decode passes share their time"
               : "every token costs the same, input or output: how they share the time is not "
                 "known";
}

static void measure_tokens(struct pricing *p)
{
    const double million = 1e6;
    double share;

    measure_by_rate(p, EVAL_FIGURE_cost_per_1m_tokens, EVAL_FIGURE_total_tokens_per_s, million);
    if (prefill_share(p->f, &share)) {
        measure_by_rate(p, EVAL_FIGURE_cost_per_1m_input_tokens, EVAL_FIGURE_input_tokens_per_s,
                        million * share);
        measure_by_rate(p, EVAL_FIGURE_cost_per_1m_output_tokens, EVAL_FIGURE_output_tokens_per_s,
                        million * (1 - share));
        return;
    }
    measure_by_rate(p, EVAL_FIGURE_cost_per_1m_input_tokens, EVAL_FIGURE_total_tokens_per_s,
                    million);
    if (rests_on(p, EVAL_FIGURE_cost_per_1m_output_tokens, EVAL_FIGURE_output_tokens_per_s))
        measure_by_rate(p, EVAL_FIGURE_cost_per_1m_output_tokens, EVAL_FIGURE_total_tokens_per_s,
                        million);
}

/* ---- by the engine's own times ---- */

static const char unknown_batch[] = "how many requests shared a pass is not known";

/* How many requests share a step. Where no engine says so, only a run that asks for one at a time
 * does: a price of 1 / TPOT for all of a batch would be that many times too high. */
static double batch_of(const struct pricing *p, enum eval_figure_id id)
{
    if (eval_figure_has(p->f, id))
        return eval_figure_value(p->f, id);
    return p->run->alone ? 1 : NAN;
}

static void measure_busy_request(struct pricing *p, double prefill, double decode)
{
    enum eval_figure_id id = EVAL_FIGURE_cost_per_request_busy;
    double tokens;

    if (!rests_on(p, id, EVAL_FIGURE_ttft_ms_mean) || !rests_on(p, id, EVAL_FIGURE_tpot_ms_mean) ||
        !rests_on(p, id, EVAL_FIGURE_output_tokens_per_s) ||
        !rests_on(p, id, EVAL_FIGURE_requests_per_s))
        return;
    if (isnan(prefill) || isnan(decode)) {
        eval_figure_none(p->f, id, unknown_batch);
        return;
    }
    tokens = eval_figure_value(p->f, EVAL_FIGURE_output_tokens_per_s) /
             eval_figure_value(p->f, EVAL_FIGURE_requests_per_s);
    set(p, id,
        eval_cost_busy(p->usd_per_s, eval_figure_value(p->f, EVAL_FIGURE_ttft_ms_mean), prefill) +
            eval_cost_busy(p->usd_per_s, eval_figure_value(p->f, EVAL_FIGURE_tpot_ms_mean) * tokens,
                           decode));
    pass_on_invalid(p, id, EVAL_FIGURE_output_tokens_per_s);
}

static void measure_busy_output(struct pricing *p, double decode)
{
    enum eval_figure_id id = EVAL_FIGURE_cost_per_1m_output_tokens_busy;

    if (!rests_on(p, id, EVAL_FIGURE_tpot_ms_mean))
        return;
    if (isnan(decode))
        eval_figure_none(p->f, id, unknown_batch);
    else
        set(p, id,
            eval_cost_busy(p->usd_per_s, eval_figure_value(p->f, EVAL_FIGURE_tpot_ms_mean) * 1e6,
                           decode));
}

static void measure_busy(struct pricing *p)
{
    double prefill = batch_of(p, EVAL_FIGURE_prefill_batch_mean),
           decode = batch_of(p, EVAL_FIGURE_decode_batch_mean);

    measure_busy_request(p, prefill, decode);
    measure_busy_output(p, decode);
}

/* Good requests for each dollar: their rate over that of the price. */
static void measure_goodput(struct pricing *p, enum eval_figure_id id, enum eval_figure_id rate)
{
    double low, high;

    if (!rests_on(p, id, rate))
        return;
    if (p->usd_per_s <= 0) {
        eval_figure_none(p->f, id, "the machine costs nothing");
        return;
    }
    set(p, id, eval_figure_value(p->f, rate) / p->usd_per_s);
    if (eval_figure_interval(p->f, rate, &low, &high))
        eval_figure_between(p->f, id, low / p->usd_per_s, high / p->usd_per_s);
    pass_on_invalid(p, id, rate);
}

/* ---- the whole ---- */

/* Mean power of a kind of device over the run; NAN where it was not measured, or wrongly. */
static double watts_of(const struct eval_figures *f, enum eval_figure_id id)
{
    double seconds;

    if (!eval_figure_has(f, id) || f->rows[id].invalid ||
        !eval_figure_has(f, EVAL_FIGURE_energy_j) || !eval_figure_has(f, EVAL_FIGURE_power_w_mean))
        return NAN;
    seconds =
        eval_figure_value(f, EVAL_FIGURE_energy_j) / eval_figure_value(f, EVAL_FIGURE_power_w_mean);
    return eval_figure_value(f, id) / seconds;
}

/* Cards sit in a host of processors and memory; a processor is the device, its memory with it. */
static void read_meter(const struct eval_figures *f, struct eval_cost_machine *io_machine)
{
    double memory = watts_of(f, EVAL_FIGURE_energy_j_dram),
           host = watts_of(f, EVAL_FIGURE_energy_j_cpu) + (isnan(memory) ? 0 : memory);

    io_machine->measured_w = io_machine->processor ? host : watts_of(f, EVAL_FIGURE_energy_j_gpu);
    if (!io_machine->processor)
        io_machine->measured_host_w = host;
}

void eval_cost_terms_of(const struct eval_cost_run *run, const struct eval_figures *f,
                        struct eval_cost_term out[EVAL_COST_INPUTS])
{
    struct eval_cost_machine machine = run->machine;

    read_meter(f, &machine);
    eval_cost_terms(&machine, run->given, out);
}

static void price(struct pricing *p)
{
    const struct eval_cost_machine *m = &p->run->machine;

    eval_cost_terms_of(p->run, p->f, p->terms);
    p->hour = eval_cost_of_hour(p->terms, m->devices);
    p->usd_per_s = p->hour.total / 3600;
    p->declared = m->declared;
    for (int i = 0; i < EVAL_COST_INPUTS; i++)
        p->declared |= p->terms[i].source == EVAL_COST_GIVEN;
}

void eval_cost_figures(const struct eval_cost_run *run, struct eval_figures *f)
{
    struct pricing p = {.run = run, .f = f};

    price(&p);
    measure_purchase(&p);
    if (run->machine.problem || !p.hour.is_known) {
        const char *why = why_unpriced(&p);

        for (unsigned id = EVAL_FIGURE_cost_per_hour; id <= EVAL_FIGURE_cost_per_correct; id++)
            eval_figure_none(f, id, why);
        return;
    }
    measure_hour(&p);
    measure_run(&p);
    measure_correct(&p);
    measure_tokens(&p);
    measure_busy(&p);
    measure_goodput(&p, EVAL_FIGURE_goodput_per_usd, EVAL_FIGURE_goodput_per_s);
    measure_goodput(&p, EVAL_FIGURE_quality_goodput_per_usd, EVAL_FIGURE_quality_goodput_per_s);
}

void eval_measure_cost(struct eval_evidence *e, struct eval_figures *f)
{
    eval_cost_figures(&e->run.cost, f);
}
