#include "answer_rows.pb-c.h"
#include "rpc/rpc.h"
#include "store_wire.h"

bool store_task_from_wire(const Moecap__V1__TaskInfo *wire, struct store_task *out_task)
{
    *out_task = (struct store_task){
        .name = wire->name,
        .version = wire->version,
        .output_type = wire->output_type,
        .definition = wire->definition,
        .definition_sha256 = wire->definition_sha256,
        .samples_file = wire->samples_file,
        .fewshot_file = wire->fewshot_file,
        .split = wire->split,
        .description = wire->description,
        .num_fewshot = wire->num_fewshot,
        .metrics = (const char **)wire->metrics,
        .metric_count = wire->n_metrics,
    };
    return true;
}

struct store_lease_ref store_lease_ref_from_wire(const Moecap__V1__LeaseRef *wire)
{
    return wire ? (struct store_lease_ref){wire->run_id, wire->shard, wire->fence}
                : (struct store_lease_ref){.run_id = ""};
}

bool store_lease_refs_from_wire(Moecap__V1__LeaseRef *const *wire, size_t count,
                                struct cap_arena *arena, struct store_lease_refs *out_refs)
{
    struct store_lease_ref *items = cap_arena_array(arena, count + 1, sizeof *items);

    for (size_t i = 0; items && i < count; i++)
        items[i] = store_lease_ref_from_wire(wire[i]);
    *out_refs = (struct store_lease_refs){items, count};
    return items != NULL;
}

bool store_verdicts_from_wire(Moecap__V1__Verdict *const *wire, size_t count,
                              struct cap_arena *arena, struct store_verdicts *out_verdicts)
{
    struct store_verdict *items = cap_arena_array(arena, count + 1, sizeof *items);

    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct store_verdict){
            .ordinal = wire[i]->ordinal,
            .metric = wire[i]->metric,
            .version = wire[i]->version,
            .kind = (enum store_verdict_kind)wire[i]->kind,
            .extracted = wire[i]->extracted,
            .reason = wire[i]->reason,
            .score = wire[i]->score,
            .unanswered = wire[i]->unanswered,
            .truncated = wire[i]->truncated,
        };
    *out_verdicts = (struct store_verdicts){items, count};
    return items != NULL;
}

bool store_figures_from_wire(Moecap__V1__Figure *const *wire, size_t count, struct cap_arena *arena,
                             struct store_figures *out_figures)
{
    struct store_figure *items = cap_arena_array(arena, count + 1, sizeof *items);

    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct store_figure){
            .id = wire[i]->id,
            .reason = wire[i]->reason,
            .unit = wire[i]->unit,
            .basis = wire[i]->basis,
            .value = {wire[i]->opt_value_case != 0, wire[i]->value},
            .low = {wire[i]->opt_low_case != 0, wire[i]->low},
            .high = {wire[i]->opt_high_case != 0, wire[i]->high},
            .invalid = wire[i]->invalid,
        };
    *out_figures = (struct store_figures){items, count};
    return items != NULL;
}

bool store_histograms_from_wire(Moecap__V1__Histogram *const *wire, size_t count,
                                struct cap_arena *arena, struct store_histograms *out_histograms)
{
    struct store_histogram *items = cap_arena_array(arena, count + 1, sizeof *items);

    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct store_histogram){
            wire[i]->id, wire[i]->lowest, wire[i]->growth, {wire[i]->counts, wire[i]->n_counts}};
    *out_histograms = (struct store_histograms){items, count};
    return items != NULL;
}

struct store_bytes store_packed(const ProtobufCMessage *message, struct cap_arena *arena)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *data = cap_arena_alloc(arena, length + 1);

    if (!data)
        return (struct store_bytes){0};
    protobuf_c_message_pack(message, data);
    return (struct store_bytes){data, length};
}

/* ---- a batch ---- */

static struct store_bytes bytes_of(ProtobufCBinaryData data)
{
    return (struct store_bytes){data.data, data.len};
}

static struct store_opt_int opt(bool known, uint64_t value)
{
    /* Above INT64_MAX it becomes negative, which no column of ours means: the store refuses it. */
    return (struct store_opt_int){known, known ? (int64_t)value : 0};
}

static void timing_from_wire(const Moecap__V1__Timing *wire, struct store_answer *answer)
{
    if (!wire)
        return;
    answer->timed = true;
    answer->submitted_us = wire->submitted_us;
    answer->ended_us = wire->ended_us;
    answer->first_token_us =
        (struct store_opt_int){wire->opt_first_case != 0, wire->first_token_us};
    answer->last_token_us = (struct store_opt_int){wire->opt_last_case != 0, wire->last_token_us};
    answer->itl_us = (struct store_u32s){wire->itl_us, wire->n_itl_us};
}

static bool scores_from_wire(const Moecap__Store__RawAnswer *wire, struct cap_arena *arena,
                             struct store_answer *answer)
{
    size_t n = wire->n_scores;

    answer->score_logs = (struct store_reals){cap_arena_array(arena, n + 1, sizeof(double)), n};
    answer->score_tokens = (struct store_u32s){cap_arena_array(arena, n + 1, sizeof(uint32_t)), n};
    answer->score_greedy = (struct store_u32s){cap_arena_array(arena, n + 1, sizeof(uint32_t)), n};
    if (!answer->score_logs.items || !answer->score_tokens.items || !answer->score_greedy.items)
        return false;
    for (size_t i = 0; i < n; i++) {
        answer->score_logs.items[i] = wire->scores[i]->log_likelihood;
        answer->score_tokens.items[i] = wire->scores[i]->tokens;
        answer->score_greedy.items[i] = wire->scores[i]->greedy != 0;
    }
    return true;
}

/* What is kept packed must be what a reader will take it for. */
static bool check_routing(const Moecap__Store__RawAnswer *wire, struct cap_arena *arena,
                          struct cap_err *err)
{
    struct store_bytes routing = bytes_of(wire->routing);

    if (routing.length > STORE_ROUTING_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the routing of sample %u has %zu bytes, at most %d", wire->ordinal,
                        routing.length, STORE_ROUTING_BYTES_MAX);
    if (routing.length == 0 || store_routing_to_wire(routing, arena))
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "the routing of sample %u is no SampleRouting, or the batch is too large",
                    wire->ordinal);
}

static bool answer_from_wire(const Moecap__Store__RawAnswer *wire, struct cap_arena *arena,
                             struct store_answer *answer, struct cap_err *err)
{
    if (wire->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED &&
        wire->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "sample %u has the status %d, must be completed "
                        "or failed",
                        wire->ordinal, (int)wire->status);
    *answer = (struct store_answer){
        .ordinal = wire->ordinal,
        .uid = wire->uid,
        .completed = wire->status == MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED,
        .error = bytes_of(wire->error),
        .prompt = bytes_of(wire->prompt),
        .text = bytes_of(wire->text),
        .reasoning = bytes_of(wire->reasoning),
        .finish_reason = wire->finish_reason,
        .prompt_tokens = opt(wire->opt_prompt_tokens_case != 0, wire->prompt_tokens),
        .output_tokens = opt(wire->opt_output_tokens_case != 0, wire->output_tokens),
        .cached_tokens = opt(wire->opt_cached_tokens_case != 0, wire->cached_tokens),
        .first_chunk_tokens = opt(wire->opt_first_chunk_tokens_case != 0, wire->first_chunk_tokens),
        .output_ids = {wire->output_ids, wire->n_output_ids},
        .routing = bytes_of(wire->routing),
    };
    timing_from_wire(wire->timing, answer);
    return check_routing(wire, arena, err) &&
           (scores_from_wire(wire, arena, answer) ||
            cap_fail(err, CAP_INVALID_ARGUMENT, "the batch is too large"));
}

static struct store_pass pass_from_wire(const Moecap__V1__Pass *wire)
{
    return (struct store_pass){
        .phase = (uint32_t)wire->phase,
        .sequences = wire->sequences,
        .tokens = wire->tokens,
        .context_sum = wire->context_sum,
        .duration_ns = wire->duration_ns,
        .started_us = wire->started_us,
        .distinct_experts = {wire->distinct_experts, wire->n_distinct_experts},
        .weight_bytes = opt(wire->opt_weight_bytes_case != 0, wire->weight_bytes),
        .kv_bytes = opt(wire->opt_kv_bytes_case != 0, wire->kv_bytes),
        .flops = {wire->opt_flops_case != 0, wire->flops},
        .warm_up = wire->warm_up,
    };
}

static bool fill_batch(const Moecap__Store__RawRows *wire, struct cap_arena *arena,
                       struct store_batch *batch, struct cap_err *err)
{
    for (size_t i = 0; i < wire->n_answers; i++)
        if (!answer_from_wire(wire->answers[i], arena, &batch->answers.items[i], err))
            return false;
    for (size_t i = 0; i < wire->n_passes; i++)
        batch->passes.items[i] = pass_from_wire(wire->passes[i]);
    for (size_t i = 0; i < wire->n_expert_counts; i++) {
        const Moecap__V1__ExpertCount *count = wire->expert_counts[i];
        batch->expert_counts.items[i] =
            (struct store_expert_count){(uint32_t)count->phase,
                                        count->layer,
                                        count->batch_bucket,
                                        {count->counts, count->n_counts}};
    }
    for (size_t i = 0; i < wire->n_power; i++)
        batch->power.items[i] = (struct store_power){wire->power[i]->at_us, wire->power[i]->device,
                                                     wire->power[i]->watts};
    if (wire->report.len > 0) {
        batch->report = bytes_of(wire->report);
        if (!store_report_to_wire(batch->report, arena))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "the report of the batch is no ShardReport");
    }
    return true;
}

bool store_rows_from_wire(struct store_bytes packed, struct cap_arena *arena,
                          struct store_batch *out_batch, struct cap_err *err)
{
    Moecap__Store__RawRows *wire =
        moecap__store__raw_rows__unpack(cap_rpc_allocator(arena), packed.length, packed.data);
    struct store_batch *b = out_batch;

    if (!wire)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the rows of the batch are no AnswerRows, or too large");
    b->answers = (struct store_answers){
        cap_arena_array(arena, wire->n_answers + 1, sizeof *b->answers.items), wire->n_answers};
    b->passes = (struct store_passes){
        cap_arena_array(arena, wire->n_passes + 1, sizeof *b->passes.items), wire->n_passes};
    b->expert_counts = (struct store_expert_counts){
        cap_arena_array(arena, wire->n_expert_counts + 1, sizeof *b->expert_counts.items),
        wire->n_expert_counts};
    b->power = (struct store_powers){
        cap_arena_array(arena, wire->n_power + 1, sizeof *b->power.items), wire->n_power};
    if (!b->answers.items || !b->passes.items || !b->expert_counts.items || !b->power.items)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the batch is too large");
    return fill_batch(wire, arena, b, err);
}
