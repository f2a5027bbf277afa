/* Structs to rows: each row is packed as one message and appended; see rows.h. */
#include "node/rows.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moecap/v1/inference.pb-c.h"

void infer_rows_init(struct infer_rows *rows)
{
    *rows = (struct infer_rows){0};
    cap_buf_init(&rows->bytes, INFER_ROWS_BYTES_MAX);
}

void infer_rows_done(struct infer_rows *rows)
{
    cap_buf_done(&rows->bytes);
}

struct sink {
    ProtobufCBuffer base;
    struct cap_buf *bytes;
};

static void append(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
    cap_buf_add(((struct sink *)buffer)->bytes, data, length);
}

static void pack(struct infer_rows *rows, const Moecap__V1__AnswerRows *message)
{
    struct sink sink = {.base = {.append = append}, .bytes = &rows->bytes};

    protobuf_c_message_pack_to_buffer(&message->base, &sink.base);
    assert(!rows->bytes.overflowed && "the limits of a row keep a batch below its maximum");
}

/* protobuf-c wants pointers that are not const and never NULL. */
static char *text_or_empty(const char *text)
{
    return (char *)(text ? text : "");
}

/* ---- answers ---- */

static void set_timing(Moecap__V1__Timing *timing, const struct infer_answer *answer)
{
    timing->submitted_us = answer->submitted_us;
    timing->ended_us = answer->ended_us;
    if (answer->first_us >= 0) {
        timing->opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
        timing->first_token_us = answer->first_us;
        timing->opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
        timing->last_token_us = answer->last_us;
    }
    timing->opt_sent_case = MOECAP__V1__TIMING__OPT_SENT_SENT_US;
    timing->sent_us = answer->sent_us;
    if (answer->started_us >= 0) {
        timing->opt_started_case = MOECAP__V1__TIMING__OPT_STARTED_STARTED_US;
        timing->started_us = answer->started_us;
    }
    timing->n_itl_us = answer->itl_count;
    timing->itl_us = (uint32_t *)answer->itl_us;
}

static void set_counts(Moecap__V1__SampleAnswer *row, const struct infer_answer *answer)
{
    if (answer->prompt_tokens >= 0) {
        row->opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
        row->prompt_tokens = (uint32_t)answer->prompt_tokens;
    }
    if (answer->output_tokens >= 0) {
        row->opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        row->output_tokens = (uint32_t)answer->output_tokens;
    }
    if (answer->cached_tokens >= 0) {
        row->opt_cached_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_CACHED_TOKENS_CACHED_TOKENS;
        row->cached_tokens = (uint32_t)answer->cached_tokens;
    }
}

static void set_first_chunk(Moecap__V1__SampleAnswer *row, const struct infer_answer *answer)
{
    if (answer->first_chunk_tokens <= 0)
        return;
    row->opt_first_chunk_tokens_case =
        MOECAP__V1__SAMPLE_ANSWER__OPT_FIRST_CHUNK_TOKENS_FIRST_CHUNK_TOKENS;
    row->first_chunk_tokens = (uint32_t)answer->first_chunk_tokens;
}

static void set_texts(Moecap__V1__SampleAnswer *row, const struct infer_answer *answer)
{
    row->uid = text_or_empty(answer->uid);
    row->error = text_or_empty(answer->error);
    row->text = text_or_empty(answer->text);
    row->reasoning = text_or_empty(answer->reasoning);
    row->finish_reason = text_or_empty(answer->finish_reason);
    if (answer->prompt && strlen(answer->prompt) <= INFER_PROMPT_BYTES_MAX)
        row->prompt = text_or_empty(answer->prompt);
    if (answer->output_id_count <= INFER_OUTPUT_IDS_MAX) {
        row->output_ids = (uint32_t *)answer->output_ids;
        row->n_output_ids = answer->output_id_count;
    }
}

/* The scores as messages, and the pointers to them that protobuf-c wants: one block, free() it. */
static void *make_scores(Moecap__V1__SampleAnswer *row, const struct infer_answer *answer)
{
    size_t count = (size_t)answer->score_count;
    Moecap__V1__Score *scores = calloc(count + 1, sizeof *scores + sizeof(void *));
    Moecap__V1__Score **pointers = (Moecap__V1__Score **)(scores + count + 1);

    assert(scores);
    for (size_t i = 0; i < count; i++) {
        moecap__v1__score__init(&scores[i]);
        scores[i].log_likelihood = answer->scores[i].log_likelihood;
        scores[i].tokens = (uint32_t)answer->scores[i].tokens;
        scores[i].greedy = answer->scores[i].greedy;
        pointers[i] = &scores[i];
    }
    row->scores = pointers;
    row->n_scores = count;
    return scores;
}

/* ---- its routing ---- */

/* The counts of one layer and phase; left out when none is set. */
static size_t count_of(const struct infer_routing *routing, const uint32_t *phase, int layer,
                       uint32_t **out_counts)
{
    size_t experts = (size_t)routing->experts;
    const uint32_t *counts = phase ? phase + (size_t)layer * experts : NULL;

    for (size_t i = 0; counts && i < experts; i++)
        if (counts[i]) {
            *out_counts = (uint32_t *)counts;
            return experts;
        }
    return 0;
}

static void set_layer(Moecap__V1__LayerRouting *row, const struct infer_routing *routing, int layer)
{
    moecap__v1__layer_routing__init(row);
    row->layer = (uint32_t)routing->moe_layer_ids[layer];
    row->n_prefill = count_of(routing, routing->prefill, layer, &row->prefill);
    row->n_decode = count_of(routing, routing->decode, layer, &row->decode);
}

/* The layers as messages, like make_scores. */
static void *make_layers(Moecap__V1__SampleRouting *row, const struct infer_routing *routing)
{
    size_t count = routing ? (size_t)routing->moe_layers : 0;
    Moecap__V1__LayerRouting *layers = calloc(count + 1, sizeof *layers + sizeof(void *));
    Moecap__V1__LayerRouting **pointers = (Moecap__V1__LayerRouting **)(layers + count + 1);

    assert(layers);
    for (size_t i = 0; i < count; i++) {
        set_layer(&layers[i], routing, (int)i);
        pointers[i] = &layers[i];
    }
    row->layers = pointers;
    row->n_layers = count;
    return layers;
}

static void set_routing(struct infer_rows *rows, Moecap__V1__SampleAnswer *answer,
                        Moecap__V1__SampleRouting *row, const struct infer_routing *routing)
{
    row->source = text_or_empty(routing->source);
    row->experts = (uint32_t)routing->experts;
    row->top_k = (uint32_t)routing->top_k;
    if (protobuf_c_message_get_packed_size(&row->base) <= INFER_ROUTING_BYTES_MAX) {
        answer->routing = row;
        rows->routing_seen = true;
    } else {
        rows->routing_left_out = true;
    }
}

void infer_rows_answer(struct infer_rows *rows, const struct infer_answer *answer)
{
    Moecap__V1__AnswerRows message = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__SampleAnswer row = MOECAP__V1__SAMPLE_ANSWER__INIT, *row_at = &row;
    Moecap__V1__Timing timing = MOECAP__V1__TIMING__INIT;
    Moecap__V1__SampleRouting routing = MOECAP__V1__SAMPLE_ROUTING__INIT;
    CAP_AUTO_MEM void *scores = make_scores(&row, answer);
    CAP_AUTO_MEM void *layers = make_layers(&routing, answer->routing);

    row.ordinal = answer->ordinal;
    row.status = answer->error ? MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED
                               : MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    set_texts(&row, answer);
    set_counts(&row, answer);
    set_first_chunk(&row, answer);
    set_timing(&timing, answer);
    row.timing = &timing;
    if (answer->routing)
        set_routing(rows, &row, &routing, answer->routing);
    message.answers = &row_at;
    message.n_answers = 1;
    pack(rows, &message);
    rows->answers++;
    rows->completed += !answer->error;
}

/* ---- passes and routing ---- */

void infer_rows_pass(struct infer_rows *rows, const struct infer_pass *pass, int64_t started_us,
                     bool warm_up)
{
    Moecap__V1__AnswerRows message = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__Pass row = MOECAP__V1__PASS__INIT, *row_at = &row;

    row.phase = (Moecap__V1__Phase)pass->phase;
    row.sequences = (uint32_t)pass->sequences;
    row.tokens = (uint32_t)pass->tokens;
    row.context_sum = (uint64_t)pass->context_sum;
    row.duration_ns = (uint64_t)pass->duration_ns;
    row.started_us = started_us;
    row.distinct_experts = (uint32_t *)pass->distinct_experts;
    row.n_distinct_experts = pass->distinct_experts ? (size_t)pass->moe_layers : 0;
    if (pass->has_bytes) {
        row.opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
        row.weight_bytes = pass->weight_bytes;
        row.opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
        row.kv_bytes = pass->kv_bytes;
        row.opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
        row.flops = pass->flops;
    }
    row.warm_up = warm_up;
    message.passes = &row_at;
    message.n_passes = 1;
    pack(rows, &message);
}

void infer_rows_experts(struct infer_rows *rows, enum infer_phase phase, int layer,
                        uint32_t batch_bucket, const uint64_t *counts, int experts)
{
    Moecap__V1__AnswerRows message = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__ExpertCount row = MOECAP__V1__EXPERT_COUNT__INIT, *row_at = &row;

    row.phase = (Moecap__V1__Phase)phase;
    row.layer = (uint32_t)layer;
    row.batch_bucket = batch_bucket;
    row.counts = (uint64_t *)counts;
    row.n_counts = (size_t)experts;
    message.expert_counts = &row_at;
    message.n_expert_counts = 1;
    pack(rows, &message);
}

/* ---- power ---- */

void infer_rows_power(struct infer_rows *rows, const struct infer_power_row *row, int64_t at_us)
{
    Moecap__V1__AnswerRows message = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__PowerSample sample = MOECAP__V1__POWER_SAMPLE__INIT, *sample_at = &sample;

    sample.at_us = at_us;
    sample.device = (char *)row->device;
    sample.watts = row->watts;
    sample.kind = (char *)infer_power_kind_word(row->kind);
    sample.source = (char *)row->source;
    message.power = &sample_at;
    message.n_power = 1;
    pack(rows, &message);
}

static void set_energy(Moecap__V1__EnergyReading *out, const struct infer_energy *energy)
{
    moecap__v1__energy_reading__init(out);
    out->device = (char *)energy->device;
    out->model = (char *)energy->model;
    out->kind = (char *)infer_power_kind_word(energy->kind);
    out->source = (char *)energy->source;
    out->validity = (Moecap__V1__PowerValidity)energy->validity;
    out->reason = (char *)energy->why;
    out->seconds = energy->seconds;
    out->idle_unknown = (char *)energy->idle_unknown;
#define SET_IF_KNOWN(CASE, member, field, value)                                                   \
    if (isfinite(value)) {                                                                         \
        out->member##_case = MOECAP__V1__ENERGY_READING__##CASE;                                   \
        out->field = value;                                                                        \
    }
    SET_IF_KNOWN(OPT_JOULES_JOULES, opt_joules, joules, energy->joules)
    SET_IF_KNOWN(OPT_INTEGRATED_INTEGRATED_JOULES, opt_integrated, integrated_joules,
                 energy->integrated)
    SET_IF_KNOWN(OPT_WATTS_MIN_WATTS_MIN, opt_watts_min, watts_min, energy->watts_min)
    SET_IF_KNOWN(OPT_WATTS_MAX_WATTS_MAX, opt_watts_max, watts_max, energy->watts_max)
    SET_IF_KNOWN(OPT_LIMIT_LIMIT_WATTS, opt_limit, limit_watts, energy->limit_watts)
    SET_IF_KNOWN(OPT_IDLE_IDLE_WATTS, opt_idle, idle_watts, energy->idle_watts)
#undef SET_IF_KNOWN
}

/* The readings as messages, like make_scores. */
static void *make_energy(Moecap__V1__ShardReport *row, const struct infer_shard_report *report)
{
    size_t count = (size_t)report->energy_count;
    Moecap__V1__EnergyReading *readings = calloc(count + 1, sizeof *readings + sizeof(void *));
    Moecap__V1__EnergyReading **pointers = (Moecap__V1__EnergyReading **)(readings + count + 1);

    assert(readings);
    for (size_t i = 0; i < count; i++) {
        set_energy(&readings[i], &report->energy[i]);
        pointers[i] = &readings[i];
    }
    row->energy = pointers;
    row->n_energy = count;
    return readings;
}

/* ---- the report ---- */

/* Unknown, which the engine says as -1, is 0 on the wire: none of these can be 0. */
static uint32_t count_or_0(int count)
{
    return count > 0 ? (uint32_t)count : 0;
}

static void set_engine(Moecap__V1__ShardReport *row, const struct infer_engine_report *engine)
{
    row->engine_version = text_or_empty(engine->version);
    row->timing_boundary = text_or_empty(engine->timing_boundary);
    row->model_family = text_or_empty(engine->family);
    row->isa = text_or_empty(engine->isa);
    row->server_says = text_or_empty(engine->server_says);
    row->moe_layers = count_or_0(engine->moe_layers);
    row->experts = count_or_0(engine->experts);
    row->top_k = count_or_0(engine->top_k);
    row->threads = count_or_0(engine->threads);
    row->declared = (char **)engine->declared;
    row->n_declared = (size_t)engine->declared_count;
    if (engine->parameters >= 0) {
        row->opt_parameters_case = MOECAP__V1__SHARD_REPORT__OPT_PARAMETERS_PARAMETERS;
        row->parameters = (uint64_t)engine->parameters;
    }
    if (engine->active_parameters >= 0) {
        row->opt_active_parameters_case =
            MOECAP__V1__SHARD_REPORT__OPT_ACTIVE_PARAMETERS_ACTIVE_PARAMETERS;
        row->active_parameters = (uint64_t)engine->active_parameters;
    }
}

static void set_self(Moecap__V1__ShardReport *row, const struct infer_shard_report *report)
{
    const struct infer_self_report *self = &report->self;

    row->opt_client_cpu_case = MOECAP__V1__SHARD_REPORT__OPT_CLIENT_CPU_CLIENT_CPU_SHARE;
    row->client_cpu_share = self->cpu_share;
    row->opt_client_busy_case = MOECAP__V1__SHARD_REPORT__OPT_CLIENT_BUSY_CLIENT_BUSY_SHARE;
    row->client_busy_share = self->busy_share;
    if (self->host_load >= 0) {
        row->opt_host_load_case = MOECAP__V1__SHARD_REPORT__OPT_HOST_LOAD_HOST_LOAD;
        row->host_load = self->host_load;
    }
    row->host_cores = count_or_0(self->host_cores);
    row->held_arrivals = (uint32_t)report->held_arrivals;
}

/* Sets an optional field of `row` where its value is known. */
#define SET_KNOWN(row, option, OPTION, field, value)                                               \
    do {                                                                                           \
        if ((value) >= 0) {                                                                        \
            (row)->opt_##option##_case = MOECAP__V1__AUDIT_PROBE__OPT_##OPTION;                    \
            (row)->field = (__typeof__((row)->field))(value);                                      \
        }                                                                                          \
    } while (0)

static void set_probe(Moecap__V1__AuditProbe *row, const struct infer_probe *probe)
{
    moecap__v1__audit_probe__init(row);
    row->kind = (char *)probe->kind;
    row->ordinal = probe->ordinal;
    row->error = (char *)probe->error;
    row->chunks = (uint32_t)probe->chunks;
    SET_KNOWN(row, first, FIRST_FIRST_US, first_us, probe->first_us);
    SET_KNOWN(row, first_gap, FIRST_GAP_FIRST_GAP_US, first_gap_us, probe->first_gap_us);
    SET_KNOWN(row, pace, PACE_PACE_US, pace_us, probe->pace_us);
    SET_KNOWN(row, timed_pace, TIMED_PACE_TIMED_PACE_US, timed_pace_us, probe->timed_pace_us);
    SET_KNOWN(row, same, SAME_SAME, same, probe->same);
    SET_KNOWN(row, prompt_tokens, PROMPT_TOKENS_PROMPT_TOKENS, prompt_tokens, probe->prompt_tokens);
    SET_KNOWN(row, output_tokens, OUTPUT_TOKENS_OUTPUT_TOKENS, output_tokens, probe->output_tokens);
    SET_KNOWN(row, cached_tokens, CACHED_TOKENS_CACHED_TOKENS, cached_tokens, probe->cached_tokens);
    SET_KNOWN(row, counted, COUNTED_COUNTED_TOKENS, counted_tokens, probe->counted_tokens);
}

static void set_check(Moecap__V1__AnswerCheck *row, const struct infer_answer_check *check)
{
    moecap__v1__answer_check__init(row);
    row->completed = (uint32_t)check->completed;
    row->blank = (uint32_t)check->blank;
    row->counted = (uint32_t)check->counted;
    row->thin = (uint32_t)check->thin;
    row->routed = (uint32_t)check->routed;
    row->short_routing = (uint32_t)check->short_routing;
}

void infer_rows_report(struct infer_rows *rows, const struct infer_shard_report *report)
{
    Moecap__V1__AnswerRows message = MOECAP__V1__ANSWER_ROWS__INIT;
    Moecap__V1__ShardReport row = MOECAP__V1__SHARD_REPORT__INIT;
    Moecap__V1__AuditProbe probes[INFER_PROBES_MAX], *probes_at[INFER_PROBES_MAX];
    Moecap__V1__AnswerCheck check;
    struct infer_hardware_message hardware;
    CAP_AUTO_MEM void *energy = make_energy(&row, report);

    for (int i = 0; i < report->probe_count && i < INFER_PROBES_MAX; i++) {
        set_probe(&probes[i], &report->probes[i]);
        probes_at[row.n_audit++] = &probes[i];
    }
    if (report->check) {
        set_check(&check, report->check);
        row.answers = &check;
    }
    row.audit = probes_at;
    row.audit_unknown = text_or_empty(report->audit_unknown);
    set_engine(&row, report->engine);
    row.model_sha256 = text_or_empty(report->model_sha256);
    row.started_wall_ms = report->started_wall_ms;
    row.ended_us = report->ended_us;
    row.load_average = report->load_average;
    row.retries = (uint32_t)report->retries;
    set_self(&row, report);
    row.notes = (char **)report->notes;
    row.n_notes = (size_t)report->note_count;
    row.counts_unknown = text_or_empty(report->counts_unknown);
    row.routing_unknown = text_or_empty(report->routing_unknown);
    row.routing_source = text_or_empty(report->routing_source);
    row.hardware = infer_hardware_to_wire(report->hardware, &hardware);
    message.report = &row;
    pack(rows, &message);
}

/* ---- the machine ---- */

static void set_power_source(Moecap__V1__PowerSource *out, const struct infer_power_state *state)
{
    moecap__v1__power_source__init(out);
    out->source = (char *)state->source;
    out->works = state->works;
    out->reason = (char *)state->why;
    out->devices = (char *)state->devices;
}

static void measured_to_wire(const struct infer_hardware *hardware,
                             struct infer_hardware_message *out)
{
    Moecap__V1__NodeHardware *message = &out->message;

    message->sockets = (uint32_t)hardware->topology.sockets;
    message->numa_nodes = (uint32_t)hardware->topology.numa_nodes;
    message->last_level_cache_bytes = hardware->topology.cache_bytes;
    if (hardware->topology.has_throttled) {
        message->opt_throttled_case = MOECAP__V1__NODE_HARDWARE__OPT_THROTTLED_THROTTLE_EVENTS;
        message->throttle_events = hardware->topology.throttled;
    }
    if (hardware->has_probe_load) {
        message->opt_probe_load_case = MOECAP__V1__NODE_HARDWARE__OPT_PROBE_LOAD_PROBE_LOAD;
        message->probe_load = hardware->probe_load;
    }
    message->compute = out->rate_rows;
    for (int i = 0; i < NATIVE_PRECISION_COUNT; i++) {
        Moecap__V1__ComputeRate *rate = &out->rates[message->n_compute];

        if (hardware->gflop_s[i] <= 0)
            continue;
        moecap__v1__compute_rate__init(rate);
        rate->precision = (char *)native_precision_name((enum native_precision)i);
        rate->gflop_per_s = hardware->gflop_s[i];
        out->rate_rows[message->n_compute++] = rate;
    }
}

Moecap__V1__NodeHardware *infer_hardware_to_wire(const struct infer_hardware *hardware,
                                                 struct infer_hardware_message *out)
{
    Moecap__V1__NodeHardware *message = &out->message;

    moecap__v1__node_hardware__init(message);
    for (int i = 0; i < hardware->isa_count; i++)
        out->isa[i] = (char *)hardware->isa[i];
    message->cpu = (char *)hardware->cpu;
    message->kernel = (char *)hardware->kernel;
    message->governor = (char *)hardware->governor;
    message->cores = (uint32_t)hardware->cores;
    message->memory_bytes = hardware->memory_bytes;
    message->isa = out->isa;
    message->n_isa = (size_t)hardware->isa_count;
    for (int i = 0; i < hardware->device_count; i++)
        out->devices[i] = (char *)hardware->devices[i];
    message->devices = out->devices;
    message->n_devices = (size_t)hardware->device_count;
    message->device_memory_bytes = hardware->device_memory_bytes;
    if (hardware->read_bandwidth_gb_s > 0) {
        message->opt_read_bandwidth_case =
            MOECAP__V1__NODE_HARDWARE__OPT_READ_BANDWIDTH_READ_BANDWIDTH_GB_S;
        message->read_bandwidth_gb_s = hardware->read_bandwidth_gb_s;
    }
    for (int i = 0; i < hardware->power_count; i++)
        set_power_source(&out->power[i], &hardware->power[i]);
    for (int i = 0; i < hardware->power_count; i++)
        out->power_at[i] = &out->power[i];
    message->power = out->power_at;
    message->n_power = (size_t)hardware->power_count;
    message->known_as = (char *)(hardware->known_as ? hardware->known_as : "");
    measured_to_wire(hardware, out);
    return message;
}

/* ---- how often the router chose each expert ---- */

void infer_expert_sums_done(struct infer_expert_sums *sums)
{
    for (int phase = 0; phase < 2; phase++)
        for (int i = 0; i <= INFER_EXPERT_NO_BUCKET; i++)
            free(sums->of[phase][i]);
    free(sums->layer_ids);
    *sums = (struct infer_expert_sums){0};
}

/* The first one tells the shape; it is the same for all that an engine tells. */
static void learn_shape(struct infer_expert_sums *sums, int moe_layers, int experts,
                        const int *layer_ids)
{
    size_t layers = (size_t)moe_layers;

    if (sums->layer_ids) {
        assert(sums->moe_layers == moe_layers && sums->experts == experts);
        return;
    }
    sums->moe_layers = moe_layers;
    sums->experts = experts;
    sums->layer_ids = calloc(layers, sizeof *sums->layer_ids);
    assert(sums->layer_ids);
    memcpy(sums->layer_ids, layer_ids, layers * sizeof *sums->layer_ids);
}

static int bucket_of(int sequences)
{
    int bucket = 0;

    while (bucket < INFER_EXPERT_BUCKETS - 1 && 1 << bucket < sequences)
        bucket++;
    return bucket;
}

static size_t cells(const struct infer_expert_sums *sums)
{
    return (size_t)sums->moe_layers * (size_t)sums->experts;
}

static void add_counts(struct infer_expert_sums *sums, int phase, int bucket,
                       const uint32_t *counts)
{
    uint64_t **cell = &sums->of[phase][bucket];

    if (!*cell)
        *cell = calloc(cells(sums) + 1, sizeof **cell);
    assert(*cell);
    for (size_t i = 0; i < cells(sums); i++)
        (*cell)[i] += counts[i];
    sums->touched[phase][bucket] = true;
}

void infer_expert_sums_pass(struct infer_expert_sums *sums, const struct infer_pass *pass)
{
    if (!pass->expert_counts || pass->moe_layers == 0)
        return;
    learn_shape(sums, pass->moe_layers, pass->experts, pass->moe_layer_ids);
    add_counts(sums, (int)pass->phase - 1, bucket_of(pass->sequences), pass->expert_counts);
}

void infer_expert_sums_routing(struct infer_expert_sums *sums, const struct infer_routing *routing)
{
    if (routing->moe_layers == 0)
        return;
    learn_shape(sums, routing->moe_layers, routing->experts, routing->moe_layer_ids);
    if (routing->prefill)
        add_counts(sums, INFER_PREFILL - 1, INFER_EXPERT_NO_BUCKET, routing->prefill);
    if (routing->decode)
        add_counts(sums, INFER_DECODE - 1, INFER_EXPERT_NO_BUCKET, routing->decode);
}

static void flush_bucket(struct infer_expert_sums *sums, int phase, int bucket,
                         struct infer_rows *rows, void (*full)(void *arg), void *arg)
{
    uint64_t *cell = sums->of[phase][bucket];

    for (int layer = 0; layer < sums->moe_layers; layer++) {
        infer_rows_experts(rows, (enum infer_phase)(phase + 1), sums->layer_ids[layer],
                           bucket == INFER_EXPERT_NO_BUCKET ? 0 : (uint32_t)1 << bucket,
                           cell + (size_t)layer * (size_t)sums->experts, sums->experts);
        if (rows->bytes.length >= INFER_ROWS_FLUSH_BYTES)
            full(arg);
    }
    memset(cell, 0, cells(sums) * sizeof *cell);
    sums->touched[phase][bucket] = false;
}

void infer_expert_sums_flush(struct infer_expert_sums *sums, struct infer_rows *rows,
                             void (*full)(void *arg), void *arg)
{
    for (int phase = 0; phase < 2; phase++)
        for (int bucket = 0; bucket <= INFER_EXPERT_NO_BUCKET; bucket++)
            if (sums->touched[phase][bucket])
                flush_bucket(sums, phase, bucket, rows, full, arg);
}
