/* The part of the evidence that says whether the rest can be believed (measure/audit.c judges it):
 * which samples were answered and which were graded, what texts hold against what was counted, how
 * many experts worked, and the probes of the node's audit. */
#include <string.h>

#include "measure.h"

/* ---- the same samples? ---- */

/* A sum of these is the same for the same set, in whatever order it comes; for another one it is
 * the same with a chance of 2^-64. (splitmix64) */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void eval_audit_add_verdict(struct eval_evidence *e, const Moecap__V1__Verdict *verdict)
{
    if (e->run.metric_count == 0 || strcmp(e->run.metrics[0], verdict->metric) != 0)
        return;
    e->audit.graded += mix(verdict->ordinal);
    e->audit.repeated_marks += strstr(verdict->reason, "one character repeated") != NULL;
}

/* ---- answers ---- */

static bool is_blank(const Moecap__V1__SampleAnswer *a)
{
    return a->text[strspn(a->text, " \t\r\n")] == '\0' && *a->reasoning == '\0';
}

static uint64_t sum(const uint32_t *counts, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += counts[i];
    return total;
}

/* Every token of the prompt that was computed, and every one of the answer but the last, chooses
 * top_k experts in each layer. A server need not tell how much of a prompt was cached: then only
 * the answer's tokens count. */
static bool lacks_experts(const struct eval_run *run, const Moecap__V1__SampleAnswer *a)
{
    bool knows_cached = run->in_engine || a->opt_cached_tokens_case;
    uint64_t top_k = run->top_k ? run->top_k : a->routing->top_k;
    uint64_t cached = a->opt_cached_tokens_case ? a->cached_tokens : 0;
    uint64_t prompt = knows_cached && a->prompt_tokens > cached ? a->prompt_tokens - cached : 0;
    uint64_t wanted = top_k * (prompt + (a->output_tokens > 0 ? a->output_tokens - 1 : 0));

    for (size_t i = 0; i < a->routing->n_layers; i++) {
        const Moecap__V1__LayerRouting *layer = a->routing->layers[i];
        uint64_t found = sum(layer->decode, layer->n_decode);

        if (knows_cached)
            found += sum(layer->prefill, layer->n_prefill);
        if (found < wanted)
            return true;
    }
    return false;
}

static void add_routing(struct eval_evidence *e, const Moecap__V1__SampleAnswer *a)
{
    if (e->run.scoring || !a->routing || a->routing->n_layers == 0 ||
        a->opt_prompt_tokens_case != MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS ||
        a->opt_output_tokens_case != MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS)
        return;
    e->audit.routed++;
    e->audit.short_routing += lacks_experts(&e->run, a);
}

static void add_point(struct eval_line *line, const Moecap__V1__SampleAnswer *a)
{
    const Moecap__V1__Timing *t = a->timing;
    double x = a->output_tokens, y;

    if (!t || t->opt_first_case != MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US ||
        t->opt_last_case != MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US || a->output_tokens < 2)
        return;
    y = (double)(t->first_token_us - t->submitted_us);
    line->count++;
    line->x += x;
    line->y += y;
    line->xx += x * x;
    line->xy += x * y;
    line->yy += y * y;
    line->pace += (double)(t->last_token_us - t->first_token_us) / (x - 1);
}

void eval_audit_add_answer(struct eval_evidence *e, const Moecap__V1__SampleAnswer *a)
{
    struct eval_audit *audit = &e->audit;

    audit->answered += mix(a->ordinal);
    if (a->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED)
        return;
    audit->untimed += !a->timing;
    audit->blank += is_blank(a);
    if (a->opt_output_tokens_case == MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS &&
        !is_blank(a)) {
        audit->counted++;
        audit->thin += strlen(a->text) + strlen(a->reasoning) + 2 < a->output_tokens;
        add_point(&audit->first_by_tokens, a);
    }
    add_routing(e, a);
}

/* ---- the report ---- */

static void read_probe(const Moecap__V1__AuditProbe *in, struct eval_probe *out)
{
    out->ordinal = in->ordinal;
    out->completed = *in->error == '\0';
    out->chunks = in->chunks;
    out->first_us = in->opt_first_case ? (double)in->first_us : -1;
    out->first_gap_us = in->opt_first_gap_case ? (double)in->first_gap_us : -1;
    out->pace_us = in->opt_pace_case ? in->pace_us : -1;
    out->timed_pace_us = in->opt_timed_pace_case ? in->timed_pace_us : -1;
    out->same = in->opt_same_case ? in->same : -1;
    out->prompt_tokens = in->opt_prompt_tokens_case ? (int64_t)in->prompt_tokens : -1;
    out->output_tokens = in->opt_output_tokens_case ? (int64_t)in->output_tokens : -1;
    out->cached_tokens = in->opt_cached_tokens_case ? (int64_t)in->cached_tokens : -1;
    out->counted_tokens = in->opt_counted_case ? (int64_t)in->counted_tokens : -1;
}

static bool read_probes(const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_audit_run *out)
{
    struct eval_probe *probes = cap_arena_array(arena, report->n_audit + 1, sizeof *probes);

    if (!probes)
        return false;
    for (size_t i = 0; i < report->n_audit; i++) {
        read_probe(report->audit[i], &probes[i]);
        if (!(probes[i].kind = cap_arena_strdup(arena, report->audit[i]->kind)))
            return false;
    }
    out->probes = probes;
    out->probe_count = report->n_audit;
    return true;
}

bool eval_audit_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                     struct eval_audit_run *out)
{
    const Moecap__V1__ShardReport *report = header->report;

    *out = (struct eval_audit_run){
        .engine = cap_arena_strdup(arena, header->spec ? header->spec->engine : ""),
        .server_says = cap_arena_strdup(arena, report ? report->server_says : ""),
        .audit_unknown = cap_arena_strdup(arena, report ? report->audit_unknown : ""),
    };
    if (!out->engine || !out->server_says || !out->audit_unknown)
        return false;
    out->is_null = strcmp(out->engine, "null") == 0;
    return !report || read_probes(report, arena, out);
}
