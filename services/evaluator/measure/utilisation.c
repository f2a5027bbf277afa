/* S-MBU and S-MFU: how much of what the machine can do the passes used.
 *
 * "Sparse", because of experts only those count that a pass chose. Over all passes of a phase, the
 * bytes moved / time / peak bandwidth, and operations / time / peak operations: a sum over a sum,
 * never a mean of ratios. Each is given of two peaks: of the data sheet (declared by the submitter,
 * else the table of lib/hardware) and of what the node's probe attained on that machine.
 *
 * Where a peak is not known the figure has none, with the reason; its neighbours are not touched.
 * What lies above a peak is kept and marked invalid. On a processor, bytes that the last-level
 * cache may have kept from the pass before are no memory traffic and do not count. */
#include "hardware/hardware.h"
#include "measure.h"

#include <string.h>

/* What a figure is divided by: GB/s or GFLOP/s, so that bytes or operations by ns can be. */
struct limit {
    double value; /* 0: not known, and: */
    const char *reason;
    bool declared, probed;
};

struct limits {
    struct limit bandwidth, compute, attained_bandwidth, attained_compute;
};

static struct limit known(double value, bool declared)
{
    return (struct limit){.value = value, .declared = declared};
}

static struct limit attained(double value)
{
    return (struct limit){.value = value, .probed = true};
}

static struct limit unknown(const char *reason)
{
    return (struct limit){.reason = reason ? reason : "no memory for the reason"};
}

/* ---- by the data sheet ---- */

/* A text without a number says nothing of how many; one with a number must be enough. */
static const char *count_declared(const struct eval_hardware *h, struct cap_arena *arena,
                                  struct cap_hardware *io_found)
{
    if (!io_found->counted && h->parallel > 1)
        io_found->count = h->parallel;
    return h->parallel <= io_found->count
               ? NULL
               : cap_arena_printf(arena, "parallelism needs %u devices, \"%.120s\" says %u",
                                  h->parallel, h->declared, io_found->count);
}

/* What a data sheet says of a processor does not hold for the share that a machine has of it. */
static const char *count_found(const struct eval_hardware *h, struct cap_arena *arena,
                               struct cap_hardware *io_found)
{
    unsigned cores = io_found->device->cores;

    if (h->found_count > 0)
        io_found->count = h->found_count;
    return h->cores == 0 || h->cores >= cores * io_found->count
               ? NULL
               : cap_arena_printf(arena,
                                  "the node has %u of the %u cores of %s; the data sheet is "
                                  "of all of them",
                                  h->cores, cores * io_found->count, io_found->device->name);
}

/* The device of the table that the run's machine is; false: `out_why`. */
static bool find_device(const struct eval_run *run, struct cap_arena *arena,
                        struct cap_hardware *out, const char **out_why)
{
    const struct eval_hardware *h = &run->hardware;
    const char *text = h->server ? h->declared : h->found;
    struct cap_err err = {0};

    if (!run->reported)
        *out_why = "no shard reported its machine";
    else if (!text || !*text)
        *out_why = h->server ? "hardware is not declared; --hardware says it"
                             : "the node does not know its processor";
    else if (!cap_hardware_find(text, h->card_gb, out, &err))
        *out_why = cap_arena_printf(
            arena, "%s; --peak-bandwidth and --peak-flops declare its peaks", err.text);
    else
        *out_why = h->server ? count_declared(h, arena, out) : count_found(h, arena, out);
    return !*out_why;
}

static const char *asked_precision(const struct eval_run *run)
{
    return run->hardware.precision ? run->hardware.precision : "";
}

static const char *precision_of(const struct eval_run *run, struct eval_figures *f)
{
    const char *stored = run->hardware.server ? eval_server_precision(run, f) : NULL;

    return stored ? stored : asked_precision(run);
}

static void limits_of_table(const struct eval_run *run, struct eval_figures *f, struct limits *out)
{
    struct cap_arena *arena = f->arena;
    struct cap_hardware found = {0};
    struct cap_peak peak;
    struct cap_err err = {0};
    const char *why;
    bool declared = run->hardware.server;

    if (!find_device(run, arena, &found, &why)) {
        out->bandwidth = out->compute = unknown(why);
        return;
    }
    if (found.device->bandwidth_gb_s > 0)
        out->bandwidth = known(found.count * found.device->bandwidth_gb_s, declared);
    else
        out->bandwidth = unknown(
            cap_arena_printf(arena, "the bandwidth of %s is not known", found.device->name));
    if (cap_hardware_peak(found.device, precision_of(run, f), &peak, &err))
        out->compute = known(found.count * peak.tflops * 1000, declared);
    else
        out->compute = unknown(cap_arena_strdup(arena, err.text));
}

/* ---- by the probe ---- */

static void limits_of_probe(const struct eval_run *run, struct cap_arena *arena, struct limits *out)
{
    const struct eval_hardware *h = &run->hardware;
    const char *why = !run->reported ? "no shard reported its machine"
                      : h->server    ? "nobody measured the server's machine"
                      : h->card      ? "the node's probe measures processors, and it ran on a card"
                                     : NULL;

    if (why) {
        out->attained_bandwidth = out->attained_compute = unknown(why);
        return;
    }
    out->attained_bandwidth =
        h->read_gb_s > 0 ? attained(h->read_gb_s) : unknown("the node did not measure its memory");
    out->attained_compute = unknown(cap_arena_printf(
        arena, "the node did not measure what it attains in %s", asked_precision(run)));
    for (size_t i = 0; i < h->rate_count; i++)
        if (strcmp(h->rates[i].precision, asked_precision(run)) == 0)
            out->attained_compute = attained(h->rates[i].gflop_s);
}

static void limits_of(const struct eval_run *run, struct eval_figures *f, struct limits *out)
{
    *out = (struct limits){0};
    limits_of_table(run, f, out);
    limits_of_probe(run, f->arena, out);
    if (run->hardware.peak_gb_s > 0)
        out->bandwidth = known(run->hardware.peak_gb_s, true);
    if (run->hardware.peak_gflop_s > 0)
        out->compute = known(run->hardware.peak_gflop_s, true);
}

static void set_limit(struct eval_figures *f, enum eval_figure_id id, const struct limit *limit)
{
    if (limit->reason) {
        eval_figure_none(f, id, limit->reason);
        return;
    }
    eval_figure_set(f, id, limit->value);
    if (limit->declared)
        eval_figure_declared(f, id);
}

/* ---- the passes ---- */

/* `rate`, in GB/s or GFLOP/s, of the limit; `series` is what it is the rate of. */
static void set_share(struct eval_figures *f, enum eval_figure_id id, double rate,
                      const struct eval_series *series, const struct limit *limit)
{
    if (limit->reason) {
        eval_figure_none(f, id, limit->reason);
        return;
    }
    eval_figure_set(f, id, rate / limit->value);
    eval_figure_between_series(f, id, series, 1 / limit->value);
    if (limit->declared)
        eval_figure_declared(f, id);
    if (rate > limit->value)
        eval_figure_invalid(f, id, "%.4g times what the machine %s", rate / limit->value,
                            limit->probed ? "attained when its node started: it was busy then"
                                          : "can do by its data sheet: the peak is another one");
}

static void measure_bytes(const struct eval_evidence *e, struct eval_figures *f,
                          enum eval_phase phase, const struct limit *limit, enum eval_figure_id id)
{
    const struct eval_phase_sums *s = &e->phases[phase];
    const char *problem = eval_work_problem(e, phase, s->bytes_passes, true);
    const char *no_cache = "the node does not know its last-level cache, so not what memory gave";
    bool all_in_cache = s->in_cache_passes == s->bytes_passes;
    double bytes =
        all_in_cache ? (double)s->weight_bytes + (double)s->kv_bytes : (double)s->memory_bytes;

    if (problem || e->run.hardware.cache_unknown) {
        eval_figure_none(f, id, problem ? problem : no_cache);
        return;
    }
    set_share(f, id, bytes / (double)s->bytes_ns, all_in_cache ? &s->bytes_by_ns : &s->memory_by_ns,
              limit);
    if (all_in_cache && eval_figure_has(f, id))
        eval_figure_invalid(f, id,
                            "what a pass reads fits in the last-level cache of %.3g MB: it is "
                            "no memory traffic",
                            (double)e->run.hardware.cache_bytes / 1e6);
}

static void measure_flops(const struct eval_evidence *e, struct eval_figures *f,
                          enum eval_phase phase, const struct limit *limit, enum eval_figure_id id)
{
    const struct eval_phase_sums *s = &e->phases[phase];
    const char *problem = eval_work_problem(e, phase, s->flops_passes, true);

    if (problem)
        eval_figure_none(f, id, problem);
    else
        set_share(f, id, s->flops / (double)s->flops_ns, &s->flops_by_ns, limit);
}

void eval_measure_utilisation(struct eval_evidence *e, struct eval_figures *f)
{
    static const struct {
        enum eval_phase phase;
        enum eval_figure_id smbu, smfu, attained_smbu, attained_smfu;
    } rows[] = {
#define ROW(phase, id)                                                                             \
    {phase, EVAL_FIGURE_smbu_##id, EVAL_FIGURE_smfu_##id, EVAL_FIGURE_smbu_##id##_attainable,      \
     EVAL_FIGURE_smfu_##id##_attainable}
        ROW(EVAL_PREFILL, prefill),
        ROW(EVAL_DECODE, decode),
        ROW(EVAL_MIXED, mixed),
#undef ROW
    };
    struct limits limits;

    limits_of(&e->run, f, &limits);
    set_limit(f, EVAL_FIGURE_peak_gb_per_s, &limits.bandwidth);
    set_limit(f, EVAL_FIGURE_peak_gflop_per_s, &limits.compute);
    set_limit(f, EVAL_FIGURE_attainable_gb_per_s, &limits.attained_bandwidth);
    set_limit(f, EVAL_FIGURE_attainable_gflop_per_s, &limits.attained_compute);
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        measure_bytes(e, f, rows[i].phase, &limits.bandwidth, rows[i].smbu);
        measure_bytes(e, f, rows[i].phase, &limits.attained_bandwidth, rows[i].attained_smbu);
        measure_flops(e, f, rows[i].phase, &limits.compute, rows[i].smfu);
        measure_flops(e, f, rows[i].phase, &limits.attained_compute, rows[i].attained_smfu);
    }
}
