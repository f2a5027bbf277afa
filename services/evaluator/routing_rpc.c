/* CompareRouting on the wire: two runs' headers, counts and samples out of the stream, and the
 * comparison into its reply. */
#include <math.h>
#include <string.h>

#include "moecap/v1/evaluator.rpc.h"
#include "routing.h"
#include "service.h"

struct comparing {
    struct cap_arena *arena; /* of the call: what stays of headers */
    struct eval_routing_run runs[2];
    const char *metrics[2]; /* the headline of each run's task */
    bool has_header[2], same_model;
    struct eval_routing *routing; /* once both headers are there */
};

static bool fail_full(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                    "the comparison needs more memory than a call may use");
}

/* ---- headers ---- */

static void read_report(const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_routing_run *out)
{
    out->moe_layers = report->moe_layers;
    out->experts = report->experts;
    out->top_k = report->top_k;
    out->model_sha256 = cap_arena_strdup(arena, report->model_sha256);
    out->routing_unknown = cap_arena_strdup(arena, report->routing_unknown);
    out->source = cap_arena_strdup(arena, report->routing_source);
}

static bool read_header(struct comparing *c, int run, const Moecap__V1__EvidenceHeader *header,
                        struct cap_err *err)
{
    const Moecap__V1__EvaluationSpec *spec = header->spec;
    const Moecap__V1__TaskInfo *task = header->task;
    struct eval_routing_run *out = &c->runs[run];

    if (!spec || !task)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a header holds no specification or no task");
    *out = (struct eval_routing_run){
        .run_id = cap_arena_strdup(c->arena, header->run_id),
        .model = cap_arena_strdup(c->arena, spec->model),
        .task = cap_arena_strdup(c->arena, task->name),
        .task_sha256 = cap_arena_strdup(c->arena, task->definition_sha256),
        .data_sha256 = cap_arena_strdup(c->arena, task->data_sha256),
        .prompt_format = strcmp(spec->prompt_format, "chat") == 0 ? "chat" : "text",
        .num_fewshot = spec->opt_num_fewshot_case ? (int64_t)spec->num_fewshot : -1,
        .interrupted = header->attempts > 1,
        .model_sha256 = "",
        .routing_unknown = "the run has no report",
        .source = "",
    };
    if (header->report)
        read_report(header->report, c->arena, out);
    c->metrics[run] = cap_arena_strdup(c->arena, task->n_metrics ? task->metrics[0] : "");
    c->has_header[run] = true;
    return (out->run_id && out->model && out->task && out->task_sha256 && out->data_sha256 &&
            out->model_sha256 && out->routing_unknown && out->source && c->metrics[run]) ||
           fail_full(err);
}

/* ---- samples ---- */

static void read_layer(const Moecap__V1__LayerRouting *wire, struct eval_routing_layer *out)
{
    *out = (struct eval_routing_layer){
        .layer = wire->layer,
        .counts = {[EVAL_PREFILL] = wire->prefill, [EVAL_DECODE] = wire->decode},
        .experts = {[EVAL_PREFILL] = wire->n_prefill, [EVAL_DECODE] = wire->n_decode},
    };
}

/* The latest version of a verdict is the last. */
static void read_verdict(const Moecap__V1__Evidence *evidence, const char *metric,
                         struct eval_routing_sample *out)
{
    for (size_t i = 0; i < evidence->n_verdicts; i++) {
        const Moecap__V1__Verdict *verdict = evidence->verdicts[i];

        if (verdict->ordinal != out->ordinal || strcmp(verdict->metric, metric) != 0)
            continue;
        out->graded = true;
        out->correct = verdict->kind == MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
    }
}

static bool add_answer(struct comparing *c, int run, const Moecap__V1__Evidence *evidence,
                       const Moecap__V1__SampleAnswer *answer, struct cap_err *err)
{
    struct eval_routing_layer layers[EVAL_LAYERS_MAX];
    struct eval_routing_sample sample = {
        .ordinal = answer->ordinal, .uid = answer->uid, .layers = layers};

    if (answer->routing && answer->routing->n_layers <= EVAL_LAYERS_MAX)
        for (size_t i = 0; i < answer->routing->n_layers; i++)
            read_layer(answer->routing->layers[i], &layers[sample.layer_count++]);
    read_verdict(evidence, c->metrics[run], &sample);
    return eval_routing_add_sample(c->routing, run, &sample, err);
}

static void add_counts(struct comparing *c, int run, const Moecap__V1__ExpertCount *counts)
{
    if (counts->phase == MOECAP__V1__PHASE__PHASE_PREFILL ||
        counts->phase == MOECAP__V1__PHASE__PHASE_DECODE)
        eval_routing_add_counts(c->routing, run,
                                counts->phase == MOECAP__V1__PHASE__PHASE_DECODE ? EVAL_DECODE
                                                                                 : EVAL_PREFILL,
                                counts->layer, counts->counts, counts->n_counts);
}

/* ---- the stream ---- */

static bool add_evidence(struct comparing *c, int run, const Moecap__V1__Evidence *evidence,
                         struct cap_err *err)
{
    if (evidence->header && !c->routing && !read_header(c, run, evidence->header, err))
        return false;
    if (!c->routing && c->has_header[0] && c->has_header[1] &&
        !(c->routing = eval_routing_open(c->runs, c->same_model, err)))
        return false;
    if (!c->routing)
        return (evidence->n_answers == 0 && evidence->n_expert_counts == 0) ||
               cap_fail(err, CAP_INVALID_ARGUMENT, "the headers of both runs come first");
    for (size_t i = 0; i < evidence->n_expert_counts; i++)
        add_counts(c, run, evidence->expert_counts[i]);
    for (size_t i = 0; i < evidence->n_answers; i++)
        if (!add_answer(c, run, evidence, evidence->answers[i], err))
            return false;
    return true;
}

static bool read_stream(struct cap_rpc_call *call, struct comparing *c, struct cap_err *err)
{
    const Moecap__V1__RoutingEvidence *message;

    while ((message = evaluator_rpc_compare_routing_next_request(call)) != NULL) {
        if (message->run > 1 || !message->evidence)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "a message says not of which run it is");
        c->same_model |= message->same_model;
        if (!add_evidence(c, (int)message->run, message->evidence, err))
            return false;
    }
    if (cap_rpc_cancelled(call))
        return cap_fail(err, CAP_CANCELLED, "the caller is gone");
    return c->routing || cap_fail(err, CAP_INVALID_ARGUMENT, "the headers of two runs are missing");
}

/* ---- the reply ---- */

#define NEW(arena, type) ((type *)cap_arena_alloc(arena, sizeof(type)))

static Moecap__V1__RoutingLayer *layer_to_wire(const struct eval_routing_row *row,
                                               struct cap_arena *arena)
{
    Moecap__V1__RoutingLayer *wire = NEW(arena, Moecap__V1__RoutingLayer);

    if (!wire)
        return NULL;
    moecap__v1__routing_layer__init(wire);
    wire->phase = row->phase == EVAL_DECODE ? MOECAP__V1__PHASE__PHASE_DECODE
                                            : MOECAP__V1__PHASE__PHASE_PREFILL;
    wire->layer = row->layer;
    wire->cosine = row->overlap.cosine;
    wire->jaccard = row->overlap.jaccard;
    wire->jensen_shannon = row->overlap.jensen_shannon;
    wire->total_variation = row->overlap.total_variation;
    if (!isnan(row->moved)) {
        wire->opt_moved_case = MOECAP__V1__ROUTING_LAYER__OPT_MOVED_MOVED;
        wire->moved = row->moved;
    }
    return wire;
}

static Moecap__V1__Figure *figure_to_wire(const struct eval_routing_figure *figure, bool declared,
                                          struct cap_arena *arena)
{
    Moecap__V1__Figure *wire = NEW(arena, Moecap__V1__Figure);

    if (!wire)
        return NULL;
    moecap__v1__figure__init(wire);
    wire->id = (char *)figure->id;
    wire->unit = (char *)figure->unit;
    wire->reason = cap_arena_strdup(arena, figure->reason);
    wire->basis = isnan(figure->value) ? "unavailable" : declared ? "declared" : "measured";
    if (!isnan(figure->value)) {
        wire->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        wire->value = figure->value;
    }
    return wire->reason ? wire : NULL;
}

static Moecap__V1__RoutingSample *sample_to_wire(const struct eval_routing_moved *moved,
                                                 struct cap_arena *arena)
{
    Moecap__V1__RoutingSample *wire = NEW(arena, Moecap__V1__RoutingSample);

    if (!wire)
        return NULL;
    moecap__v1__routing_sample__init(wire);
    wire->ordinal = moved->ordinal;
    wire->uid = cap_arena_strdup(arena, moved->uid);
    wire->moved = moved->moved;
    return wire->uid ? wire : NULL;
}

static bool fill_lists(const struct comparing *c, const struct eval_routing_result *result,
                       Moecap__V1__RoutingComparison *reply)
{
    for (size_t i = 0; i < result->row_count; i++)
        if (!(reply->layers[reply->n_layers++] = layer_to_wire(&result->rows[i], c->arena)))
            return false;
    for (size_t i = 0; i < EVAL_ROUTING_FIGURE_COUNT; i++)
        if (!(reply->figures[reply->n_figures++] =
                  figure_to_wire(&result->figures[i], result->declared, c->arena)))
            return false;
    for (size_t i = 0; i < result->most_moved_count; i++)
        if (!(reply->most_moved[reply->n_most_moved++] =
                  sample_to_wire(&result->most_moved[i], c->arena)))
            return false;
    for (size_t i = 0; i < result->note_count; i++)
        if (!(reply->notes[reply->n_notes++] = cap_arena_strdup(c->arena, result->notes[i])))
            return false;
    for (int i = 0; i < 2; i++)
        reply->run_ids[reply->n_run_ids++] = (char *)c->runs[i].run_id;
    return true;
}

static bool to_wire(const struct comparing *c, const struct eval_routing_result *result,
                    Moecap__V1__RoutingComparison *reply)
{
    reply->top = (uint32_t)result->top;
    reply->run_ids = cap_arena_array(c->arena, 2, sizeof *reply->run_ids);
    reply->layers = cap_arena_array(c->arena, result->row_count + 1, sizeof *reply->layers);
    reply->figures = cap_arena_array(c->arena, EVAL_ROUTING_FIGURE_COUNT, sizeof *reply->figures);
    reply->most_moved =
        cap_arena_array(c->arena, EVAL_ROUTING_MOST_MOVED, sizeof *reply->most_moved);
    reply->notes = cap_arena_array(c->arena, CAP_COUNT_OF(result->notes), sizeof *reply->notes);
    return reply->run_ids && reply->layers && reply->figures && reply->most_moved && reply->notes &&
           fill_lists(c, result, reply);
}

bool eval_handle_compare_routing(struct cap_rpc_call *call, Moecap__V1__RoutingComparison *reply,
                                 struct cap_err *err)
{
    struct comparing c = {.arena = cap_rpc_arena(call)};
    struct eval_routing_result *result = cap_arena_alloc(c.arena, sizeof *result);
    bool ok = read_stream(call, &c, err) && (result || fail_full(err));

    if (ok && result) {
        eval_routing_end(c.routing, result);
        ok = to_wire(&c, result, reply) || fail_full(err);
    }
    eval_routing_free(c.routing);
    return ok;
}
