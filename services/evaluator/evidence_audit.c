/* The part of the evidence that says whether the rest can be believed (measure/audit.c judges it):
 * which samples were answered and which were graded, how TTFT goes with the answer's length, what
 * the node found in texts and routing, and the probes of its audit. */
#include <string.h>

#include "evidence.h"

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
    if (a->opt_output_tokens_case == MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS)
        add_point(&audit->first_by_tokens, a);
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

static void read_check(const Moecap__V1__AnswerCheck *in, struct eval_audit_run *out)
{
    out->completed = in->completed;
    out->blank = in->blank;
    out->counted = in->counted;
    out->thin = in->thin;
    out->routed = in->routed;
    out->short_routing = in->short_routing;
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
    if (report && report->answers)
        read_check(report->answers, out);
    return !report || read_probes(report, arena, out);
}
