/* Whether a run can be believed: what the evidence says against it becomes a mark with its reason.
 *
 * An engine that wants to look better than it is has few ways: it answers what it was asked before
 * out of a cache, counts other tokens than it makes, shows a first token that is none or holds
 * tokens back, lets fewer experts work, computes less while it is timed, drops what fails, or is
 * something else than what the submitter says. Each leaves a trace, either in the answers or in the
 * few requests that the node makes of a server after the timed part (probes). A rule here looks for
 * one trace. It has to be blind to noise: where several probes are compared, all of them must
 * agree, and by a factor that no honest server shows.
 *
 * docs/audit.md says for each rule what it sees, how often it is wrong, and what it cannot see. */
#include <math.h>
#include <string.h>

#include "measure.h"

static const double CACHED_TIMES = 2, CACHED_LEAST_US = 5000; /* a repeat is that much earlier */
/* the first token of a long answer against that of a short one; and of the time of all tokens */
static const double HELD_TIMES = 1.6, HELD_SHARE = 0.25, HELD_LEAST_US = 5000;
static const double HELD_TOKEN_US = 200; /* below, the client reads several chunks at once */
static const double EARLY_TIMES = 2.5, EARLY_LEAST_US = 2000;  /* first gap against the others */
static const double SLOWER_TIMES = 1.3, SLOWER_LEAST_US = 500; /* a repeat against its timed twin */
static const double SAME_LEAST = 0.25;                         /* of an answer, until it differs */
static const double PADDED_TIMES = 1.25; /* tokens counted against those in the text */
static const double HIDDEN_TIMES = 1.5;
static const double BLANK_SHARE = 0.1, FAILED_SHARE = 0.05, OTHER_SHARE = 0.02, MARKS_SHARE = 0.1;
static const double SLOPE_TIMES = 3, SLOPE_CORRELATION = 0.9;

enum {
    PROBES_MIN = 2, /* of a kind, to say anything */
    LONG_CHUNKS = 8,
    COUNTED_MIN = 200, /* tokens of the texts that are counted */
    COUNT_MARGIN = 32, /* what a chat template adds, and ends of text that nobody sees */
    BLANK_MIN = 3,
    FAILED_MIN = 5,
    SLOPE_ANSWERS_MIN = 16,
};

/* ---- over probes ---- */

struct span {
    double low, high;
    size_t count;
};

static void widen(struct span *span, double value)
{
    if (span->count == 0 || value < span->low)
        span->low = value;
    if (span->count == 0 || value > span->high)
        span->high = value;
    span->count++;
}

static bool is_kind(const struct eval_probe *probe, const char *kind)
{
    return probe->completed && strcmp(probe->kind, kind) == 0;
}

/* The server says that it had most of the prompt. */
static bool says_cached(const struct eval_probe *probe)
{
    return probe->cached_tokens > 0 && probe->cached_tokens * 2 >= probe->prompt_tokens;
}

static void check_cache(const struct eval_audit_run *run, struct eval_figures *f)
{
    struct span again = {0}, fresh = {0};
    bool told = true;

    for (size_t i = 0; i < run->probe_count; i++) {
        const struct eval_probe *probe = &run->probes[i];

        if (probe->first_us < 0)
            continue;
        if (is_kind(probe, "repeat")) {
            widen(&again, probe->first_us);
            told = told && says_cached(probe);
        } else if (is_kind(probe, "fresh") || is_kind(probe, "short")) {
            widen(&fresh, probe->first_us);
        }
    }
    if (again.count < PROBES_MIN || fresh.count < PROBES_MIN || told)
        return;
    if (again.high * CACHED_TIMES < fresh.low && fresh.low - again.high >= CACHED_LEAST_US)
        eval_mark(
            f, "cached", true,
            "a prompt of the run, asked again, had its first token after %.1f ms at most, a "
            "new one of that length after %.1f ms at least, and the server does not say that "
            "it had it: TTFT and prefill may be those of a cache; start it so that it reports "
            "cached tokens, or without its prefix cache",
            again.high / 1000, fresh.low / 1000);
}

/* A prompt's first token takes as long for an answer of one token as for a long one. */
static void check_held_back(const struct eval_audit_run *run, struct eval_figures *f)
{
    struct span times = {0}, held_us = {0};

    for (size_t i = 0; i < run->probe_count; i++)
        for (size_t j = 0; j < run->probe_count; j++) {
            const struct eval_probe *one = &run->probes[i], *all = &run->probes[j];
            double held = all->first_us - one->first_us, gaps = (double)all->chunks - 1;

            if (!is_kind(one, "short") || !is_kind(all, "fresh") || one->ordinal != all->ordinal ||
                one->first_us < 0 || all->first_us < 0 || all->chunks < LONG_CHUNKS)
                continue;
            widen(&held_us,
                  held >= HELD_SHARE * (held + gaps * all->pace_us) && held >= HELD_TOKEN_US * gaps
                      ? held
                      : 0);
            widen(&times, all->first_us / fmax(one->first_us, 1));
        }
    if (times.count >= PROBES_MIN && times.low > HELD_TIMES && held_us.low >= HELD_LEAST_US)
        eval_mark(f, "held-back", true,
                  "the first token of a long answer came at least %.1f ms later, %.1f times as "
                  "late, than that of an answer of one token to the same words: tokens are held "
                  "back, so that the gaps between them look small",
                  held_us.low / 1000, times.low);
}

/* Of new prompts only: where the prompt is cached, the first token is soon there. */
static void check_early(const struct eval_audit_run *run, struct eval_figures *f)
{
    struct span times = {0};

    for (size_t i = 0; i < run->probe_count; i++) {
        const struct eval_probe *probe = &run->probes[i];

        if (!is_kind(probe, "fresh") || probe->chunks < LONG_CHUNKS || probe->first_gap_us < 0 ||
            probe->pace_us < 0)
            continue;
        widen(&times, probe->first_gap_us < EARLY_LEAST_US
                          ? 0
                          : probe->first_gap_us / fmax(probe->pace_us, 1));
    }
    if (times.count >= PROBES_MIN && times.low > EARLY_TIMES)
        eval_mark(f, "early-first-token", true,
                  "after the first piece of an answer came nothing for at least %.1f times the gap "
                  "between later ones, also when the server did nothing else: the first piece is "
                  "sent before the first token is there",
                  times.low);
}

static void check_slower_alone(const struct eval_audit_run *run, struct eval_figures *f)
{
    struct span times = {0};

    for (size_t i = 0; i < run->probe_count; i++) {
        const struct eval_probe *probe = &run->probes[i];
        bool is_clear = probe->pace_us - probe->timed_pace_us >= SLOWER_LEAST_US;

        if (is_kind(probe, "repeat") && probe->chunks >= LONG_CHUNKS && probe->pace_us >= 0 &&
            probe->timed_pace_us >= 0)
            widen(&times, is_clear ? probe->pace_us / fmax(probe->timed_pace_us, 1) : 0);
    }
    if (times.count >= PROBES_MIN && times.low > SLOWER_TIMES)
        eval_mark(f, "faster-while-timed", true,
                  "prompts of the run, asked again alone, took at least %.1f times as long for "
                  "each token as in the timed part: it computed less there, or something else",
                  times.low);
}

static void check_same(const struct eval_audit_run *run, struct eval_figures *f)
{
    struct span same = {0};

    for (size_t i = 0; i < run->probe_count; i++)
        if (is_kind(&run->probes[i], "repeat") && run->probes[i].same >= 0)
            widen(&same, run->probes[i].same);
    if (same.count >= PROBES_MIN && same.high < SAME_LEAST)
        eval_mark(f, "other-answers", true,
                  "prompts of the run, asked again without sampling, were answered differently "
                  "after %.0f %% of the text or less: the timed part ran another model, "
                  "precision or number of experts, or the server draws tokens at temperature 0",
                  same.high * 100);
}

static void check_counts(const struct eval_audit_run *run, struct eval_figures *f)
{
    for (size_t i = 0; i < run->probe_count; i++) {
        const struct eval_probe *probe = &run->probes[i];
        double counted = (double)probe->counted_tokens, found = (double)probe->prompt_tokens;

        if (!is_kind(probe, "count") || counted < COUNTED_MIN || found <= 0)
            continue;
        if (counted > found * PADDED_TIMES + COUNT_MARGIN)
            eval_mark(f, "counts", true,
                      "the server counted %.0f output tokens for answers that it counts %.0f "
                      "tokens for when they are a prompt: rates and times per token are of tokens "
                      "that nobody saw",
                      counted, found);
        else if (found > counted * HIDDEN_TIMES + 2 * COUNT_MARGIN)
            eval_mark(f, "counts", true,
                      "the server counted %.0f output tokens for answers that it counts %.0f "
                      "tokens for when they are a prompt: times per token are too long",
                      counted, found);
    }
}

/* ---- over answers ---- */

static void check_samples(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_audit *audit = &e->audit;

    if (e->answers != e->run.attempted)
        eval_mark(f, "samples-missing", true, "%llu of %u samples have an answer",
                  (unsigned long long)e->answers, e->run.attempted);
    else if (audit->answered != audit->graded && e->verdicts[0] > 0)
        eval_mark(f, "other-requests", true,
                  "the samples that were graded are not those that were asked: accuracy and times "
                  "are of different requests");
    else if (audit->untimed > 0 && e->timed > 0)
        eval_mark(f, "other-requests", true,
                  "%llu completed answers have no times: accuracy and times are of different "
                  "requests",
                  (unsigned long long)audit->untimed);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void check_answers(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_audit_run *run = &e->run.audit;
    const struct eval_audit *audit = &e->audit;

    if (e->failed > 0)
        eval_mark(f, "failures",
                  e->failed >= FAILED_MIN && share(e->failed, e->answers) > FAILED_SHARE,
                  "%llu of %llu requests failed: they count as wrong, and their time is in no "
                  "latency",
                  (unsigned long long)e->failed, (unsigned long long)e->answers);
    if (run->blank >= BLANK_MIN && share(run->blank, run->completed) >= BLANK_SHARE)
        eval_mark(f, "blank-answers", true,
                  "%llu of %llu completed answers hold no text: a failure that is answered with "
                  "success costs no time",
                  (unsigned long long)run->blank, (unsigned long long)run->completed);
    if (audit->repeated_marks >= BLANK_MIN &&
        share(audit->repeated_marks, e->completed) >= MARKS_SHARE)
        eval_mark(f, "degenerate-answers", true,
                  "%llu of %llu completed answers are one character, repeated",
                  (unsigned long long)audit->repeated_marks, (unsigned long long)e->completed);
    if (e->run.exact_tokens && e->other_length > 0)
        eval_mark(f, "lengths", share(e->other_length, e->completed) > OTHER_SHARE,
                  "%llu of %llu answers are not the %u tokens asked for",
                  (unsigned long long)e->other_length, (unsigned long long)e->completed,
                  e->run.exact_tokens);
}

/* A token that nobody sees is none, and each has a byte. */
static void check_texts(const struct eval_audit_run *run, uint32_t top_k, struct eval_figures *f)
{
    if (run->counted >= BLANK_MIN && share(run->thin, run->counted) > 0.5)
        eval_mark(f, "counts", true,
                  "%llu of %llu answers have fewer bytes than the tokens that the server counted",
                  (unsigned long long)run->thin, (unsigned long long)run->counted);
    if (run->short_routing > 0)
        eval_mark(f, "skipped-experts", true,
                  "in %llu of %llu answers fewer experts worked than the %u that each token is to "
                  "choose",
                  (unsigned long long)run->short_routing, (unsigned long long)run->routed, top_k);
}

/* Held back to the end, each token of an answer makes its first one later. */
static void check_slope(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_line *line = &e->audit.first_by_tokens;
    double n = (double)line->count, sxx, sxy, syy, slope, pace;

    if (line->count < SLOPE_ANSWERS_MIN || e->run.in_engine)
        return;
    sxx = line->xx - line->x * line->x / n;
    sxy = line->xy - line->x * line->y / n;
    syy = line->yy - line->y * line->y / n;
    if (sxx <= 0 || syy <= 0)
        return;
    slope = sxy / sxx;
    pace = line->pace / n;
    if (sxy / sqrt(sxx * syy) > SLOPE_CORRELATION && slope > SLOPE_TIMES * pace &&
        slope * line->x > line->y / 2 && slope > HELD_TOKEN_US)
        eval_mark(f, "held-back", true,
                  "TTFT grows by %.2f ms with each token of the answer, and the tokens then come "
                  "%.2f ms apart: tokens are held back, so that the gaps between them look small",
                  slope / 1000, pace / 1000);
}

/* ---- what it is ---- */

/* A server may quantise while it loads, run on another machine than its owner says, or serve
 * another model under the name: nobody attests these. */
static void tell_declared(const struct eval_run *run, struct eval_figures *f)
{
    const char *precision = run->hardware.precision ? run->hardware.precision : "";
    const char *machine = run->hardware.declared ? run->hardware.declared : "";
    const char *before_machine = *precision ? ", hardware " : " hardware ";
    const char *before_shape = *precision || *machine ? "," : "";

    if (run->reported && !run->in_engine && (*precision || *machine || run->shape_declared))
        eval_mark(f, "declared", false,
                  "the submitter says it, and nobody measured it:%s%s%s%s%s%s",
                  *precision ? " precision " : "", precision, *machine ? before_machine : "",
                  machine, run->shape_declared ? before_shape : "",
                  run->shape_declared ? " shape of the model" : "");
}

static void check_identity(const struct eval_audit_run *run, struct eval_figures *f)
{
    if (run->is_null)
        eval_mark(f, "no-model", true,
                  "the null engine answers without a model: its figures are our own overhead");
    if (run->server_says && *run->server_says)
        eval_mark(f, "not-what-was-declared", true, "the run is of engine %s, and the server is %s",
                  run->engine, run->server_says);
    if (run->audit_unknown && *run->audit_unknown)
        eval_mark(f, "not-audited", false, "%s", run->audit_unknown);
}

void eval_measure_audit(struct eval_evidence *e, struct eval_figures *f)
{
    check_identity(&e->run.audit, f);
    tell_declared(&e->run, f);
    check_samples(e, f);
    check_answers(e, f);
    check_texts(&e->run.audit, e->run.top_k, f);
    if (e->run.attempts > 1) /* times of two clocks; marked as such elsewhere */
        return;
    check_slope(e, f);
    check_cache(&e->run.audit, f);
    check_held_back(&e->run.audit, f);
    check_early(&e->run.audit, f);
    check_slower_alone(&e->run.audit, f);
    check_same(&e->run.audit, f);
    check_counts(&e->run.audit, f);
}
