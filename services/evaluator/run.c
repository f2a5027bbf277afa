/* From the header of a run's evidence to what is known before its answers come: the machine, its
 * energy, its cost, what was asked for and what the node reports. */
#include "run.h"

#include <math.h>
#include <string.h>

#include "model/stored.h"

/* ---- its machine ---- */

static void read_rates(const Moecap__V1__NodeHardware *node, struct cap_arena *arena,
                       struct eval_hardware *out)
{
    for (size_t i = 0; i < node->n_compute && out->rate_count < EVAL_RATES_MAX; i++) {
        const char *precision = cap_arena_strdup(arena, node->compute[i]->precision);

        if (precision && node->compute[i]->gflop_per_s > 0) {
            out->rates[out->rate_count].precision = precision;
            out->rates[out->rate_count++].gflop_s = node->compute[i]->gflop_per_s;
        }
    }
}

static bool read_node(const Moecap__V1__NodeHardware *node, bool on_processor,
                      struct cap_arena *arena, struct eval_hardware *out)
{
    out->card = node->n_devices > 0 && !on_processor;
    out->found = cap_arena_strdup(arena, out->card ? node->devices[0] : node->cpu);
    out->cores = out->card ? 0 : node->cores;
    out->found_count = out->card ? 1 : node->sockets; /* our engine computes on one card */
    if (out->card)
        out->card_gb = (double)node->device_memory_bytes / (double)node->n_devices / 1e9;
    out->read_gb_s = node->read_bandwidth_gb_s > 0 ? node->read_bandwidth_gb_s : 0;
    out->cache_bytes = out->card ? 0 : node->last_level_cache_bytes;
    out->cache_unknown = !out->card && node->last_level_cache_bytes == 0;
    read_rates(node, arena, out);
    return out->found != NULL;
}

/* What a server runs on is declared; what our engine runs on, the node found out. */
static bool read_hardware(const Moecap__V1__EvaluationSpec *spec,
                          const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                          struct eval_hardware *out)
{
    const Moecap__V1__Hardware *declared = spec ? spec->hardware : NULL;
    const Moecap__V1__Parallelism *p = spec ? spec->parallelism : NULL;
    const Moecap__V1__NodeHardware *node = report ? report->hardware : NULL;

    *out = (struct eval_hardware){
        .server = report && strcmp(report->timing_boundary, "engine") != 0,
        .declared = cap_arena_strdup(arena, declared ? declared->description : ""),
        .found = "",
        .precision = cap_arena_strdup(arena, spec ? spec->precision : ""),
    };
    if (declared) {
        out->peak_gb_s = declared->peak_bandwidth_gb_s; /* 0 where it was not declared */
        out->peak_gflop_s = declared->peak_tflops * 1000;
    }
    if (p)
        out->parallel =
            (p->tensor ? p->tensor : 1) * (p->pipeline ? p->pipeline : 1) * (p->data ? p->data : 1);
    return out->declared && out->precision &&
           (!node || out->server ||
            read_node(node, declared && strcmp(declared->device, "cpu") == 0, arena, out));
}

/* What a server runs, as the submitter says. */
static bool read_model(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                       struct eval_run *out)
{
    const Moecap__V1__EvaluationSpec *spec = header->spec;
    const char *config = spec && spec->external ? spec->external->model_config : "";

    out->replicas = spec && spec->parallelism ? spec->parallelism->data : 0;
    out->activation_profile = cap_arena_strdup(arena, spec ? spec->activation_profile : "");
    out->model_config = cap_arena_strdup(arena, config);
    if (out->hardware.server && out->model_config && !*out->hardware.precision)
        out->hardware.precision = cap_stored_precision(config);
    return out->activation_profile && out->model_config;
}

/* ---- its energy ---- */

/* NULL past the arena's limit. */
static const char *keep_text(struct cap_arena *arena, const char *text, bool *io_ok)
{
    const char *copy = cap_arena_strdup(arena, text);

    *io_ok = *io_ok && copy;
    return copy;
}

static enum eval_energy_kind kind_of(const char *word)
{
    return strcmp(word, "gpu") == 0    ? EVAL_ENERGY_GPU
           : strcmp(word, "dram") == 0 ? EVAL_ENERGY_DRAM
                                       : EVAL_ENERGY_CPU;
}

/* A node tells one reading a device; more than there is room for are devices that nobody has. */
static bool read_energy(const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_run *out)
{
    bool ok = true;

    out->threads = report->threads;
    for (size_t i = 0; i < report->n_energy && i < EVAL_ENERGY_MAX; i++) {
        const Moecap__V1__EnergyReading *r = report->energy[i];

        out->energy[out->energy_count++] = (struct eval_energy){
            .device = keep_text(arena, r->device, &ok),
            .source = keep_text(arena, r->source, &ok),
            .kind = kind_of(r->kind),
            .valid = r->validity == MOECAP__V1__POWER_VALIDITY__POWER_VALIDITY_OK &&
                     r->opt_joules_case && r->seconds > 0,
            .reason = keep_text(arena, *r->reason ? r->reason : "the node does not say why", &ok),
            .joules = r->opt_joules_case ? r->joules : NAN,
            .integrated = r->opt_integrated_case ? r->integrated_joules : NAN,
            .seconds = r->seconds,
            .watts_min = r->opt_watts_min_case ? r->watts_min : NAN,
            .watts_max = r->opt_watts_max_case ? r->watts_max : NAN,
            .limit_watts = r->opt_limit_case ? r->limit_watts : NAN,
            .idle_watts = r->opt_idle_case ? r->idle_watts : NAN,
            .idle_unknown = keep_text(arena, r->idle_unknown, &ok),
        };
    }
    return ok;
}

/* ---- its cost ---- */

/* The fields of CostInputs have the names of the inputs, each in a oneof of its own. */
static void read_given(const Moecap__V1__CostInputs *wire, double out[EVAL_COST_INPUTS])
{
    const ProtobufCMessageDescriptor *type = &moecap__v1__cost_inputs__descriptor;

    for (int i = 0; i < EVAL_COST_INPUTS; i++) {
        const char *id = eval_cost_input_id((enum eval_cost_input)i);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, id);
        const char *base = (const char *)wire;

        out[i] = NAN;
        if (wire && *(const uint32_t *)(base + field->quantifier_offset) == field->id)
            out[i] = *(const double *)(base + field->offset);
    }
}

bool eval_cost_run_read(const Moecap__V1__EvaluationSpec *spec,
                        const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_cost_run *out)
{
    const Moecap__V1__Load *load = spec ? spec->load : NULL;
    struct eval_hardware h;

    if (!read_hardware(spec, report, arena, &h))
        return false;
    read_given(spec ? spec->cost : NULL, out->given);
    out->alone =
        load && load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY && load->concurrency == 1;
    return h.server
               ? eval_cost_machine_declared(h.declared, h.parallel, arena, &out->machine)
               : eval_cost_machine_found(h.found, h.found_count, h.cores, arena, &out->machine);
}

/* ---- the run ---- */

/* What a node cannot have measured is not known. */
static double possible(double share)
{
    return isfinite(share) && share >= 0 ? share : -1;
}

static void read_client(const Moecap__V1__ShardReport *report, struct eval_client *out)
{
    if (report->opt_client_cpu_case == MOECAP__V1__SHARD_REPORT__OPT_CLIENT_CPU_CLIENT_CPU_SHARE)
        out->cpu_share = possible(report->client_cpu_share);
    if (report->opt_client_busy_case == MOECAP__V1__SHARD_REPORT__OPT_CLIENT_BUSY_CLIENT_BUSY_SHARE)
        out->busy_share = possible(report->client_busy_share);
    if (report->opt_host_load_case == MOECAP__V1__SHARD_REPORT__OPT_HOST_LOAD_HOST_LOAD)
        out->host_load = possible(report->host_load);
    out->host_cores = report->host_cores;
    out->held_arrivals = report->held_arrivals;
}

static bool read_report(const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_run *out)
{
    out->routing_source = cap_arena_strdup(arena, report->routing_source);
    out->counts_unknown = cap_arena_strdup(arena, report->counts_unknown);
    out->reported = true;
    read_client(report, &out->client);
    out->moe_layers = report->moe_layers;
    out->experts = report->experts;
    out->top_k = report->top_k;
    for (size_t i = 0; i < report->n_declared; i++)
        if (strcmp(report->declared[i], "experts") == 0)
            out->shape_declared = true;
    out->in_engine = strcmp(report->timing_boundary, "engine") == 0;
    return out->counts_unknown != NULL && read_energy(report, arena, out);
}

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the header needs too much memory");
}

bool eval_run_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                   struct eval_run *out, struct cap_err *err)
{
    const Moecap__V1__Generation *generation = header->spec ? header->spec->generation : NULL;
    const Moecap__V1__Load *load = header->spec ? header->spec->load : NULL;
    const char **metrics;

    if (!header->task)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the header holds no task");
    /* Messages live until the next one: what stays is copied. */
    if (!(metrics = cap_arena_array(arena, header->task->n_metrics + 1, sizeof *metrics)))
        return fail_full(err);
    for (size_t i = 0; i < header->task->n_metrics; i++)
        if (!(metrics[i] = cap_arena_strdup(arena, header->task->metrics[i])))
            return fail_full(err);
    *out = (struct eval_run){
        .attempted = header->attempted,
        .attempts = header->attempts,
        .scoring = strcmp(header->task->output_type, "generate_until") != 0,
        .metrics = metrics,
        .metric_count = header->task->n_metrics,
        .exact_tokens = load && load->output_tokens            ? load->output_tokens
                        : generation && generation->ignore_eos ? generation->max_tokens
                                                               : 0,
        .exact_input = load ? load->input_tokens : 0,
        .is_open = load && (load->kind_case == MOECAP__V1__LOAD__KIND_RATE_PER_S ||
                            load->kind_case == MOECAP__V1__LOAD__KIND_REPLAY),
        .client = {.cpu_share = -1, .busy_share = -1, .host_load = -1},
        .concurrency =
            load && load->kind_case == MOECAP__V1__LOAD__KIND_CONCURRENCY ? load->concurrency : 0,
    };
    if (header->spec && header->spec->slo)
        out->slo = (struct eval_slo){header->spec->slo->ttft_ms, header->spec->slo->tpot_ms,
                                     header->spec->slo->e2e_ms};
    return (eval_audit_read(header, arena, &out->audit) &&
            read_hardware(header->spec, header->report, arena, &out->hardware) &&
            read_model(header, arena, out) &&
            (!header->report || read_report(header->report, arena, out)) &&
            eval_cost_run_read(header->spec, header->report, arena, &out->cost)) ||
           fail_full(err);
}
