#include "rpc/rpc.h"
#include "store_wire.h"

/* A message in the arena, initialised; the variable is NULL when the arena is full. */
#define NEW(variable, arena, init)                                                                 \
    do {                                                                                           \
        variable = cap_arena_alloc(arena, sizeof *variable);                                       \
        if (variable)                                                                              \
            init(variable);                                                                        \
    } while (0)

/* protobuf-c's members are not const; what they point to is never written. */
#define STR(text) ((char *)(text))

Moecap__V1__TaskInfo *store_task_to_wire(const struct store_task *task, struct cap_arena *arena)
{
    Moecap__V1__TaskInfo *wire;

    NEW(wire, arena, moecap__v1__task_info__init);
    if (!wire)
        return NULL;
    wire->name = STR(task->name);
    wire->version = STR(task->version);
    wire->output_type = STR(task->output_type);
    wire->definition = STR(task->definition);
    wire->definition_sha256 = STR(task->definition_sha256);
    wire->samples_file = STR(task->samples_file);
    wire->fewshot_file = STR(task->fewshot_file);
    wire->split = STR(task->split);
    wire->num_fewshot = task->num_fewshot;
    wire->metrics = (char **)task->metrics;
    wire->n_metrics = task->metric_count;
    wire->description = STR(task->description);
    wire->samples = task->samples;
    wire->fewshot_samples = task->fewshot_samples;
    wire->data_sha256 = STR(task->data_sha256);
    return wire;
}

Moecap__V1__TaskDoc *store_doc_to_wire(const struct store_doc *doc, struct cap_arena *arena)
{
    Moecap__V1__TaskDoc *wire;

    NEW(wire, arena, moecap__v1__task_doc__init);
    if (!wire)
        return NULL;
    wire->ordinal = doc->ordinal;
    wire->uid = STR(doc->uid);
    wire->json = STR(doc->json);
    return wire;
}

Moecap__V1__LeaseRef *store_lease_ref_to_wire(const struct store_lease_ref *ref,
                                              struct cap_arena *arena)
{
    Moecap__V1__LeaseRef *wire;

    NEW(wire, arena, moecap__v1__lease_ref__init);
    if (!wire)
        return NULL;
    wire->run_id = STR(ref->run_id);
    wire->shard = ref->shard;
    wire->fence = ref->fence;
    return wire;
}

/* ---- evidence ---- */

static Moecap__V1__Timing *timing_to_wire(const struct store_answer *answer,
                                          struct cap_arena *arena)
{
    Moecap__V1__Timing *wire;

    NEW(wire, arena, moecap__v1__timing__init);
    if (!wire)
        return NULL;
    wire->submitted_us = answer->submitted_us;
    wire->ended_us = answer->ended_us;
    if (answer->first_token_us.known) {
        wire->opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
        wire->first_token_us = answer->first_token_us.value;
    }
    if (answer->last_token_us.known) {
        wire->opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
        wire->last_token_us = answer->last_token_us.value;
    }
    wire->itl_us = answer->itl_us.items;
    wire->n_itl_us = answer->itl_us.count;
    return wire;
}

static bool scores_to_wire(const struct store_answer *answer, struct cap_arena *arena,
                           Moecap__V1__SampleAnswer *wire)
{
    wire->n_scores = answer->score_logs.count;
    wire->scores = cap_arena_array(arena, wire->n_scores + 1, sizeof *wire->scores);
    for (size_t i = 0; wire->scores && i < wire->n_scores; i++) {
        NEW(wire->scores[i], arena, moecap__v1__score__init);
        if (!wire->scores[i])
            return false;
        wire->scores[i]->log_likelihood = answer->score_logs.items[i];
        wire->scores[i]->tokens = answer->score_tokens.items[i];
        wire->scores[i]->greedy = answer->score_greedy.items[i] != 0;
    }
    return wire->scores != NULL;
}

static void tokens_to_wire(const struct store_answer *answer, Moecap__V1__SampleAnswer *wire)
{
    if (answer->prompt_tokens.known) {
        wire->opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
        wire->prompt_tokens = (uint32_t)answer->prompt_tokens.value;
    }
    if (answer->output_tokens.known) {
        wire->opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
        wire->output_tokens = (uint32_t)answer->output_tokens.value;
    }
    if (answer->cached_tokens.known) {
        wire->opt_cached_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_CACHED_TOKENS_CACHED_TOKENS;
        wire->cached_tokens = (uint32_t)answer->cached_tokens.value;
    }
    if (answer->first_chunk_tokens.known) {
        wire->opt_first_chunk_tokens_case =
            MOECAP__V1__SAMPLE_ANSWER__OPT_FIRST_CHUNK_TOKENS_FIRST_CHUNK_TOKENS;
        wire->first_chunk_tokens = (uint32_t)answer->first_chunk_tokens.value;
    }
}

Moecap__V1__SampleAnswer *store_answer_to_wire(const struct store_answer *answer,
                                               struct cap_arena *arena)
{
    Moecap__V1__SampleAnswer *wire;

    NEW(wire, arena, moecap__v1__sample_answer__init);
    if (!wire)
        return NULL;
    wire->ordinal = answer->ordinal;
    wire->uid = STR(answer->uid);
    wire->status = answer->completed ? MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED
                                     : MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_FAILED;
    wire->error = STR(answer->error.data);
    wire->prompt = STR(answer->prompt.data);
    wire->text = STR(answer->text.data);
    wire->reasoning = STR(answer->reasoning.data);
    wire->finish_reason = STR(answer->finish_reason);
    tokens_to_wire(answer, wire);
    wire->output_ids = answer->output_ids.items;
    wire->n_output_ids = answer->output_ids.count;
    if (answer->timed && !(wire->timing = timing_to_wire(answer, arena)))
        return NULL;
    if (answer->routing.length && !(wire->routing = store_routing_to_wire(answer->routing, arena)))
        return NULL;
    return scores_to_wire(answer, arena, wire) ? wire : NULL;
}

static Moecap__V1__Verdict *verdict_to_wire(const struct store_verdict *verdict,
                                            struct cap_arena *arena)
{
    Moecap__V1__Verdict *wire;

    NEW(wire, arena, moecap__v1__verdict__init);
    if (!wire)
        return NULL;
    wire->ordinal = verdict->ordinal;
    wire->metric = STR(verdict->metric);
    wire->version = STR(verdict->version);
    wire->kind = (Moecap__V1__VerdictKind)verdict->kind;
    wire->extracted = STR(verdict->extracted);
    wire->reason = STR(verdict->reason);
    wire->score = verdict->score;
    wire->unanswered = verdict->unanswered;
    wire->truncated = verdict->truncated;
    return wire;
}

static void pass_bytes_to_wire(const struct store_pass *pass, Moecap__V1__Pass *wire)
{
    if (pass->weight_bytes.known) {
        wire->opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
        wire->weight_bytes = (uint64_t)pass->weight_bytes.value;
    }
    if (pass->kv_bytes.known) {
        wire->opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
        wire->kv_bytes = (uint64_t)pass->kv_bytes.value;
    }
    if (pass->flops.known) {
        wire->opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
        wire->flops = pass->flops.value;
    }
}

static Moecap__V1__Pass *pass_to_wire(const struct store_pass *pass, struct cap_arena *arena)
{
    Moecap__V1__Pass *wire;

    NEW(wire, arena, moecap__v1__pass__init);
    if (!wire)
        return NULL;
    wire->phase = (Moecap__V1__Phase)pass->phase;
    wire->sequences = pass->sequences;
    wire->tokens = pass->tokens;
    wire->context_sum = pass->context_sum;
    wire->duration_ns = pass->duration_ns;
    wire->started_us = pass->started_us;
    wire->distinct_experts = pass->distinct_experts.items;
    wire->n_distinct_experts = pass->distinct_experts.count;
    pass_bytes_to_wire(pass, wire);
    wire->warm_up = pass->warm_up;
    return wire;
}

static Moecap__V1__ExpertCount *count_to_wire(const struct store_expert_count *count,
                                              struct cap_arena *arena)
{
    Moecap__V1__ExpertCount *wire;

    NEW(wire, arena, moecap__v1__expert_count__init);
    if (!wire)
        return NULL;
    wire->phase = (Moecap__V1__Phase)count->phase;
    wire->layer = count->layer;
    wire->batch_bucket = count->batch_bucket;
    wire->counts = count->counts.items;
    wire->n_counts = count->counts.count;
    return wire;
}

static Moecap__V1__PowerSample *power_to_wire(const struct store_power *power,
                                              struct cap_arena *arena)
{
    Moecap__V1__PowerSample *wire;

    NEW(wire, arena, moecap__v1__power_sample__init);
    if (!wire)
        return NULL;
    wire->at_us = power->at_us;
    wire->device = STR(power->device);
    wire->watts = power->watts;
    return wire;
}

/* ---- summaries ---- */

static Moecap__V1__Figure *figure_to_wire(const struct store_figure *figure,
                                          struct cap_arena *arena)
{
    Moecap__V1__Figure *wire;

    NEW(wire, arena, moecap__v1__figure__init);
    if (!wire)
        return NULL;
    wire->id = STR(figure->id);
    wire->reason = STR(figure->reason);
    wire->unit = STR(figure->unit);
    wire->basis = STR(figure->basis);
    wire->invalid = figure->invalid;
    if (figure->value.known) {
        wire->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        wire->value = figure->value.value;
    }
    if (figure->low.known) {
        wire->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
        wire->low = figure->low.value;
    }
    if (figure->high.known) {
        wire->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
        wire->high = figure->high.value;
    }
    return wire;
}

static Moecap__V1__Histogram *histogram_to_wire(const struct store_histogram *histogram,
                                                struct cap_arena *arena)
{
    Moecap__V1__Histogram *wire;

    NEW(wire, arena, moecap__v1__histogram__init);
    if (!wire)
        return NULL;
    wire->id = STR(histogram->id);
    wire->lowest = histogram->lowest;
    wire->growth = histogram->growth;
    wire->counts = histogram->counts.items;
    wire->n_counts = histogram->counts.count;
    return wire;
}

/* ---- lists ---- */

/* bool list_to_wire(struct list, arena, &wire): each item by `one`. */
#define DEFINE_LIST(name, list, item_type, one)                                                    \
    bool name(list items, struct cap_arena *arena, item_type ***out_wire)                          \
    {                                                                                              \
        item_type **wire = cap_arena_array(arena, items.count + 1, sizeof *wire);                  \
        for (size_t i = 0; wire && i < items.count; i++)                                           \
            if (!(wire[i] = one(&items.items[i], arena)))                                          \
                return false;                                                                      \
        *out_wire = wire;                                                                          \
        return wire != NULL;                                                                       \
    }

DEFINE_LIST(store_docs_to_wire, struct store_docs, Moecap__V1__TaskDoc, store_doc_to_wire)
DEFINE_LIST(store_lease_refs_to_wire, struct store_lease_refs, Moecap__V1__LeaseRef,
            store_lease_ref_to_wire)
DEFINE_LIST(store_verdicts_to_wire, struct store_verdicts, Moecap__V1__Verdict, verdict_to_wire)
DEFINE_LIST(store_passes_to_wire, struct store_passes, Moecap__V1__Pass, pass_to_wire)
DEFINE_LIST(store_counts_to_wire, struct store_expert_counts, Moecap__V1__ExpertCount,
            count_to_wire)
DEFINE_LIST(store_powers_to_wire, struct store_powers, Moecap__V1__PowerSample, power_to_wire)
DEFINE_LIST(store_histograms_to_wire, struct store_histograms, Moecap__V1__Histogram,
            histogram_to_wire)
static DEFINE_LIST(figures_to_wire, struct store_figures, Moecap__V1__Figure, figure_to_wire)

    /* ---- what only passes through ---- */

    Moecap__V1__EvaluationSpec *store_spec_to_wire(struct store_bytes packed,
                                                   struct cap_arena *arena)
{
    return moecap__v1__evaluation_spec__unpack(cap_rpc_allocator(arena), packed.length,
                                               packed.data);
}

Moecap__V1__ShardReport *store_report_to_wire(struct store_bytes packed, struct cap_arena *arena)
{
    return moecap__v1__shard_report__unpack(cap_rpc_allocator(arena), packed.length, packed.data);
}

Moecap__V1__SampleRouting *store_routing_to_wire(struct store_bytes packed, struct cap_arena *arena)
{
    return moecap__v1__sample_routing__unpack(cap_rpc_allocator(arena), packed.length, packed.data);
}

Moecap__V1__BoardRow *store_board_row_to_wire(const struct store_board_row *row,
                                              struct cap_arena *arena)
{
    Moecap__V1__BoardRow *wire;

    NEW(wire, arena, moecap__v1__board_row__init);
    if (!wire || !(wire->spec = store_spec_to_wire(row->spec, arena)) ||
        !figures_to_wire(row->figures, arena, &wire->figures) ||
        (row->report.data && !(wire->report = store_report_to_wire(row->report, arena))))
        return NULL;
    wire->n_figures = row->figures.count;
    wire->run_id = STR(row->run_id);
    wire->evaluation_id = STR(row->evaluation_id);
    wire->task = STR(row->task);
    wire->repeat = row->repeat;
    wire->state = (Moecap__V1__RunState)row->state;
    wire->reason = STR(row->reason);
    wire->node = STR(row->node);
    wire->queued_at_ms = row->queued_at_ms;
    wire->ended_at_ms = row->ended_at_ms;
    wire->config_hash = STR(row->config_hash);
    wire->headline_metric = STR(row->headline_metric);
    wire->opt_samples_total_case = MOECAP__V1__BOARD_ROW__OPT_SAMPLES_TOTAL_SAMPLES_TOTAL;
    wire->samples_total = row->samples_total;
    wire->opt_samples_answered_case = MOECAP__V1__BOARD_ROW__OPT_SAMPLES_ANSWERED_SAMPLES_ANSWERED;
    wire->samples_answered = row->samples_answered;
    wire->opt_samples_graded_case = MOECAP__V1__BOARD_ROW__OPT_SAMPLES_GRADED_SAMPLES_GRADED;
    wire->samples_graded = row->samples_graded;
    return wire;
}
