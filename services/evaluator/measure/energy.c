/* What the run cost in energy: of all devices, by kind, for each token, request and right answer.
 *
 * The node says what each device drew over the shard's window, or why it cannot say. A kind is the
 * sum of its devices: one that is not known leaves the kind unknown. The total needs the kind that
 * computes, GPUs where the node names any, else processors; the others are in it where they are
 * known, and energy_j_cpu or _dram says where they are not. A device that drew what cannot be makes
 * everything that holds it invalid. Where nothing was measured, and the table of hardware knows the
 * boards, figures of their own say what they may have drawn at most. Times of two attempts do not
 * add up, and energies of two machines do not either. */
#include <math.h>
#include <string.h>

#include "measure.h"

/* Two accounts of a device may differ by so much, over a window that is long enough for the lag
 * between them not to matter. A reading may pass the limit of a board by so much. */
static const double apart_max = 0.05, compared_s_min = 10, above_limit_max = 1.2;

/* Idle power of two stretches of time differs by so much: a run that draws it and no more may come
 * out a little below. */
static const double idle_noise_max = 0.05;

/* Of one kind of device, or of all. */
struct sum {
    bool asked; /* the node names the kind */
    double joules, idle_joules, seconds;
    const char *why, *idle_why; /* there is no energy; none without idle power. NULL = there is */
    const char *invalid;        /* NULL = nothing is wrong */
};

/* ---- devices ---- */

static const char *impossible(const struct eval_energy *d, struct cap_arena *arena)
{
    double mean = d->joules / d->seconds;
    double most = fmax(d->watts_max, mean), least = fmin(d->watts_min, mean); /* NAN is passed by */

    if (d->idle_watts < 0)
        return cap_arena_printf(arena, "%s drew %.4g W while idle, which cannot be", d->device,
                                d->idle_watts);
    if (least < 0)
        return cap_arena_printf(arena, "%s drew %.4g W, which cannot be", d->device, least);
    if (most > above_limit_max * d->limit_watts)
        return cap_arena_printf(arena, "%s drew %.4g W, more than %.1f times its limit of %.4g W",
                                d->device, most, above_limit_max, d->limit_watts);
    if (d->seconds >= compared_s_min && fabs(d->integrated - d->joules) > apart_max * d->joules)
        return cap_arena_printf(arena,
                                "%s drew %.4g J by its counter and %.4g J by its power over time: "
                                "more than %.0f %% apart",
                                d->device, d->joules, d->integrated, 100 * apart_max);
    return NULL;
}

static void add_device(struct sum *sum, const struct eval_energy *d, struct cap_arena *arena)
{
    sum->asked = true;
    if (!d->valid) {
        if (!sum->why)
            sum->why =
                *d->device ? cap_arena_printf(arena, "%s: %s", d->device, d->reason) : d->reason;
        return;
    }
    if (isnan(d->idle_watts) && !sum->idle_why)
        sum->idle_why = *d->idle_unknown ? d->idle_unknown : "idle power is not known";
    if (!sum->invalid)
        sum->invalid = impossible(d, arena);
    sum->joules += d->joules;
    sum->idle_joules += d->idle_watts * d->seconds;
    sum->seconds = fmax(sum->seconds, d->seconds);
}

static struct sum sum_of(const struct eval_evidence *e, enum eval_energy_kind kind,
                         struct cap_arena *arena)
{
    struct sum sum = {0};

    for (size_t i = 0; i < e->run.energy_count; i++)
        if (e->run.energy[i].kind == kind)
            add_device(&sum, &e->run.energy[i], arena);
    if (!sum.asked)
        sum.why = kind == EVAL_ENERGY_GPU ? "no GPU took part" : "the node does not name it";
    return sum;
}

static struct sum total_of(const struct sum kinds[EVAL_ENERGY_KINDS])
{
    enum eval_energy_kind main = kinds[EVAL_ENERGY_GPU].asked ? EVAL_ENERGY_GPU : EVAL_ENERGY_CPU;
    struct sum total = {.why = kinds[main].why};

    for (int i = 0; i < EVAL_ENERGY_KINDS; i++) {
        if (kinds[i].why)
            continue;
        total.joules += kinds[i].joules;
        total.idle_joules += kinds[i].idle_joules;
        total.seconds = fmax(total.seconds, kinds[i].seconds);
        if (!total.idle_why)
            total.idle_why = kinds[i].idle_why;
        if (!total.invalid)
            total.invalid = kinds[i].invalid;
    }
    return total;
}

/* ---- figures: one, and behind it in the table the one without idle power ---- */

static void set(struct eval_figures *f, enum eval_figure_id id, double value, const char *invalid)
{
    eval_figure_set(f, id, value);
    if (invalid)
        eval_figure_invalid(f, id, "%s", invalid);
}

/* NULL: what is left above idle power can be. */
static const char *below_idle(const struct sum *sum)
{
    if (sum->invalid)
        return sum->invalid;
    return sum->joules < (1 - idle_noise_max) * sum->idle_joules
               ? "less than it drew before the run: it was not idle then"
               : NULL;
}

/* Both, with energy divided by `by`; `why` is why there is nothing to divide by. */
static void set_both(struct eval_figures *f, enum eval_figure_id id, const struct sum *sum,
                     double by, const char *why)
{
    const char *none = sum->why ? sum->why : why;
    double above = sum->joules - sum->idle_joules;

    if (none)
        eval_figure_none(f, id, none);
    else
        set(f, id, sum->joules / by, sum->invalid);
    if (none || sum->idle_why)
        eval_figure_none(f, id + 1, none ? none : sum->idle_why);
    else
        set(f, id + 1, above / by, below_idle(sum));
}

static void measure_idle(const struct sum *total, struct eval_figures *f)
{
    const char *why = total->why ? total->why : total->idle_why;

    if (why)
        eval_figure_none(f, EVAL_FIGURE_power_w_idle, why);
    else
        eval_figure_set(f, EVAL_FIGURE_power_w_idle, total->idle_joules / total->seconds);
}

/* ---- for each token, request and right answer ---- */

/* What energy is divided by; `why` is why it cannot be. */
struct share {
    enum eval_figure_id measured, nameplate;
    double by;
    const char *why;
};

enum { SHARES = 4 };

static const char *why_no_tokens(const struct eval_evidence *e, uint64_t unknown, uint64_t count)
{
    if (e->completed == 0)
        return "no completed samples";
    if (unknown > 0)
        return eval_counts_problem(e);
    return count == 0 ? "no tokens" : NULL;
}

static const char *why_none_correct(const struct eval_evidence *e)
{
    if (e->run.metric_count == 0)
        return "the task has no metric";
    if (e->verdicts[0] < e->run.attempted)
        return "not every sample is graded";
    return e->correct[0] == 0 ? "no correct answer" : NULL;
}

static void find_shares(const struct eval_evidence *e, struct share out[SHARES])
{
    uint64_t tokens = e->prompt_tokens + e->output_tokens;
    uint64_t unknown_output = e->run.scoring ? 0 : e->without_output_tokens;

    out[0] = (struct share){EVAL_FIGURE_j_per_output_token,
                            EVAL_FIGURE_j_per_output_token_nameplate, (double)e->output_tokens,
                            e->run.scoring ? "no decode"
                                           : why_no_tokens(e, unknown_output, e->output_tokens)};
    out[1] =
        (struct share){EVAL_FIGURE_j_per_token, EVAL_FIGURE_j_per_token_nameplate, (double)tokens,
                       why_no_tokens(e, e->without_prompt_tokens + unknown_output, tokens)};
    out[2] = (struct share){EVAL_FIGURE_j_per_request, EVAL_FIGURE_j_per_request_nameplate,
                            (double)e->completed, why_no_tokens(e, 0, 1)};
    out[3] = (struct share){EVAL_FIGURE_j_per_correct, EVAL_FIGURE_j_per_correct_nameplate,
                            (double)e->correct[0], why_none_correct(e)};
}

/* ---- nameplate: a labelled fallback ---- */

static const char *why_no_nameplate(const struct eval_cost_machine *machine,
                                    const struct eval_figures *f)
{
    if (eval_figure_has(f, EVAL_FIGURE_energy_j))
        return "energy_j is measured";
    if (machine->problem)
        return machine->problem;
    if (!machine->device || !*machine->device)
        return "it is not known what the run ran on";
    if (isnan(machine->watts))
        return cap_arena_printf(f->arena, "no board power known for %.200s", machine->device);
    return eval_figure_has(f, EVAL_FIGURE_wall_s) ? NULL : f->rows[EVAL_FIGURE_wall_s].reason;
}

static void set_nameplate(struct eval_figures *f, enum eval_figure_id id, double value,
                          const char *why, bool declared)
{
    if (why) {
        eval_figure_none(f, id, why);
        return;
    }
    eval_figure_set(f, id, value);
    if (declared)
        eval_figure_declared(f, id);
    if (f->rows[EVAL_FIGURE_wall_s].invalid)
        eval_figure_invalid(f, id, "%s", f->rows[EVAL_FIGURE_wall_s].reason);
}

static void measure_nameplate(const struct eval_evidence *e, const struct share shares[SHARES],
                              struct eval_figures *f)
{
    const struct eval_cost_machine *machine = &e->run.cost.machine;
    const char *why = why_no_nameplate(machine, f);
    double joules = machine->watts * machine->devices * eval_figure_value(f, EVAL_FIGURE_wall_s);

    set_nameplate(f, EVAL_FIGURE_energy_j_nameplate, joules, why, machine->declared);
    for (int i = 0; i < SHARES; i++)
        set_nameplate(f, shares[i].nameplate, joules / shares[i].by, why ? why : shares[i].why,
                      machine->declared);
}

/* ---- marks ---- */

static const char *const kind_words[] = {"GPUs", "processors", "memory"};

/* A total of fewer kinds than another's is smaller for that reason alone. */
static void mark_parts(const struct sum kinds[EVAL_ENERGY_KINDS], struct eval_figures *f)
{
    const char *missing = NULL, *why = NULL;

    for (int i = 0; i < EVAL_ENERGY_KINDS; i++) {
        if (!kinds[i].asked || !kinds[i].why)
            continue;
        missing = missing ? cap_arena_printf(f->arena, "%s and %s", missing, kind_words[i])
                          : kind_words[i];
        why = why ? why : kinds[i].why;
    }
    if (missing)
        eval_mark(f, "energy-in-part", false,
                  "energy is without that of %s (%s), so it compares only with runs that are "
                  "without it, too",
                  missing, why);
}

static void mark_source(const struct eval_evidence *e, struct eval_figures *f)
{
    for (size_t i = 0; i < e->run.energy_count; i++)
        if (strcmp(e->run.energy[i].source, "prometheus") == 0)
            eval_mark(
                f, "energy-as-exported", false,
                "energy is what the exporter at the node's power_url reports: that of all GPUs "
                "of its machine, if power_gpus does not choose among them");
}

/* What is left is as large as what idle power varies by, and of either sign. */
static void mark_idle(const struct sum *total, struct eval_figures *f)
{
    double above = total->joules - total->idle_joules;

    if (!total->idle_why && !total->invalid && fabs(above) <= idle_noise_max * total->idle_joules)
        eval_mark(f, "energy-idle", false,
                  "the run drew its idle power to within %.0f %%: what is left above it is noise",
                  100 * idle_noise_max);
}

/* What others computed meanwhile was drawn from the same plug. Only of our engine is it known which
 * part of the host's load is its own. */
static void mark_shared(const struct eval_run *run, struct eval_figures *f)
{
    if (run->in_engine && run->threads > 0 && run->client.host_load > run->threads + 1)
        eval_mark(f, "energy-shared", false,
                  "the energy is the machine's, and others computed on it: %.1f threads on average "
                  "wanted to run, of which %u were the engine's",
                  run->client.host_load, run->threads);
}

/* ---- the whole ---- */

static void measure_kinds(const struct sum kinds[EVAL_ENERGY_KINDS], const struct sum *total,
                          struct eval_figures *f)
{
    set_both(f, EVAL_FIGURE_energy_j, total, 1, NULL);
    set_both(f, EVAL_FIGURE_energy_j_gpu, &kinds[EVAL_ENERGY_GPU], 1, NULL);
    set_both(f, EVAL_FIGURE_energy_j_cpu, &kinds[EVAL_ENERGY_CPU], 1, NULL);
    set_both(f, EVAL_FIGURE_energy_j_dram, &kinds[EVAL_ENERGY_DRAM], 1, NULL);
    set_both(f, EVAL_FIGURE_power_w_mean, total, total->seconds, NULL);
    measure_idle(total, f);
}

void eval_measure_energy(struct eval_evidence *e, struct eval_figures *f)
{
    const char *problem =
        e->run.energy_count == 0 ? "the node did not measure power" : eval_timing_problem(e);
    struct sum kinds[EVAL_ENERGY_KINDS], total;
    struct share shares[SHARES];

    for (int i = 0; i < EVAL_ENERGY_KINDS; i++) {
        kinds[i] = sum_of(e, (enum eval_energy_kind)i, f->arena);
        if (problem)
            kinds[i].why = problem;
    }
    total = total_of(kinds);
    measure_kinds(kinds, &total, f);
    find_shares(e, shares);
    for (int i = 0; i < SHARES; i++)
        set_both(f, shares[i].measured, &total, shares[i].by, shares[i].why);
    measure_nameplate(e, shares, f);
    if (total.why)
        return;
    mark_parts(kinds, f);
    mark_source(e, f);
    mark_idle(&total, f);
    mark_shared(&e->run, f);
}
