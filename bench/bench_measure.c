/* What the measures of a large run cost, on one core: messages of evidence as the store sends them,
 * unpacked, added and measured, without a network.
 *
 *     bench-measure SAMPLES PASSES
 *
 * Prints the seconds of CPU for reading the messages and for the figures. Samples have ten output
 * tokens and one verdict, passes eight layers of experts; times are those of a closed loop of 64.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "evaluator/measure.h"

enum {
    ROWS = 2000, /* of a message */
    TOKENS = 10,
    LAYERS = 8,
    IN_FLIGHT = 64,
    ARENA_BYTES = 256 << 20,
};

struct packed {
    uint8_t *bytes;
    size_t length;
};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t noise(uint32_t below)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static struct packed pack(const Moecap__V1__Evidence *evidence)
{
    struct packed p = {NULL, moecap__v1__evidence__get_packed_size(evidence)};

    if (!(p.bytes = malloc(p.length + 1)))
        abort();
    moecap__v1__evidence__pack(evidence, p.bytes);
    return p;
}

/* ---- the run ---- */

struct sample {
    Moecap__V1__SampleAnswer answer;
    Moecap__V1__Timing timing;
    Moecap__V1__Verdict verdict;
    uint32_t gaps[TOKENS - 1];
};

static void make_sample(struct sample *s, uint32_t ordinal)
{
    int64_t submitted = (int64_t)(ordinal / IN_FLIGHT) * 60000 + noise(2000);
    int64_t first = submitted + 5000 + noise(3000), last = first;

    moecap__v1__sample_answer__init(&s->answer);
    moecap__v1__timing__init(&s->timing);
    moecap__v1__verdict__init(&s->verdict);
    for (int i = 0; i < TOKENS - 1; i++)
        last += s->gaps[i] = 4000 + noise(2000);
    s->timing.submitted_us = submitted;
    s->timing.opt_first_case = MOECAP__V1__TIMING__OPT_FIRST_FIRST_TOKEN_US;
    s->timing.first_token_us = first;
    s->timing.opt_last_case = MOECAP__V1__TIMING__OPT_LAST_LAST_TOKEN_US;
    s->timing.last_token_us = last;
    s->timing.ended_us = last + 10;
    s->timing.n_itl_us = TOKENS - 1;
    s->timing.itl_us = s->gaps;
    s->answer.ordinal = s->verdict.ordinal = ordinal;
    s->answer.uid = "0123456789abcdef";
    s->answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    s->answer.finish_reason = "stop";
    s->answer.opt_prompt_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_PROMPT_TOKENS_PROMPT_TOKENS;
    s->answer.prompt_tokens = 100 + noise(50);
    s->answer.opt_output_tokens_case = MOECAP__V1__SAMPLE_ANSWER__OPT_OUTPUT_TOKENS_OUTPUT_TOKENS;
    s->answer.output_tokens = TOKENS;
    s->answer.timing = &s->timing;
    s->verdict.metric = "acc";
    s->verdict.version = "1";
    s->verdict.kind = noise(2) ? MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT
                               : MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG;
    s->verdict.extracted = "42";
}

static struct packed pack_samples(uint32_t from, uint32_t count)
{
    static struct sample samples[ROWS];
    static Moecap__V1__SampleAnswer *answers[ROWS];
    static Moecap__V1__Verdict *verdicts[ROWS];
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;

    for (uint32_t i = 0; i < count; i++) {
        make_sample(&samples[i], from + i);
        answers[i] = &samples[i].answer;
        verdicts[i] = &samples[i].verdict;
    }
    evidence.answers = answers;
    evidence.verdicts = verdicts;
    evidence.n_answers = evidence.n_verdicts = count;
    return pack(&evidence);
}

static struct packed pack_passes(uint32_t from, uint32_t count)
{
    static Moecap__V1__Pass passes[ROWS], *list[ROWS];
    static uint32_t distinct[ROWS][LAYERS];
    Moecap__V1__Evidence evidence = MOECAP__V1__EVIDENCE__INIT;

    for (uint32_t i = 0; i < count; i++) {
        Moecap__V1__Pass *pass = &passes[i];

        moecap__v1__pass__init(pass);
        pass->phase =
            (from + i) % 10 ? MOECAP__V1__PHASE__PHASE_DECODE : MOECAP__V1__PHASE__PHASE_PREFILL;
        pass->sequences = pass->tokens = IN_FLIGHT;
        pass->context_sum = 100 * IN_FLIGHT;
        pass->duration_ns = 4000000 + noise(2000000);
        pass->started_us = 5000 * (int64_t)(from + i);
        pass->opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
        pass->weight_bytes = 900000000 + noise(1000000);
        pass->opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
        pass->kv_bytes = 1000000;
        pass->opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
        pass->flops = 1e9;
        for (int l = 0; l < LAYERS; l++)
            distinct[i][l] = 90 + noise(20);
        pass->distinct_experts = distinct[i];
        pass->n_distinct_experts = LAYERS;
        list[i] = pass;
    }
    evidence.passes = list;
    evidence.n_passes = count;
    return pack(&evidence);
}

static size_t make_run(uint32_t samples, uint32_t passes, struct packed *out)
{
    size_t count = 0;

    for (uint32_t from = 0; from < samples; from += ROWS)
        out[count++] = pack_samples(from, samples - from < ROWS ? samples - from : ROWS);
    for (uint32_t from = 0; from < passes; from += ROWS)
        out[count++] = pack_passes(from, passes - from < ROWS ? passes - from : ROWS);
    return count;
}

/* ---- the bench ---- */

static void read_all(const struct packed *messages, size_t count, struct eval_evidence *e)
{
    for (size_t i = 0; i < count; i++) {
        Moecap__V1__Evidence *evidence =
            moecap__v1__evidence__unpack(NULL, messages[i].length, messages[i].bytes);

        if (!evidence)
            abort();
        eval_evidence_add(e, evidence);
        moecap__v1__evidence__free_unpacked(evidence, NULL);
    }
}

int main(int argc, char **argv)
{
    static const char *const metrics[] = {"acc"};
    uint32_t samples = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t passes = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    struct eval_run run = {.attempted = samples,
                           .attempts = 1,
                           .metrics = metrics,
                           .metric_count = 1,
                           .reported = true,
                           .in_engine = true,
                           .moe_layers = LAYERS,
                           .experts = 128,
                           .top_k = 8,
                           .concurrency = IN_FLIGHT,
                           .slo = {.ttft_ms = 7}};
    CAP_AUTO(eval_evidence) e = NULL;
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES);
    Moecap__V1__Summary summary;
    struct packed *messages;
    double began, read, measured;
    size_t count;

    if (samples == 0 || !(messages = calloc((samples + passes) / ROWS + 4, sizeof *messages))) {
        fprintf(stderr, "usage: bench-measure SAMPLES PASSES\n");
        return 2;
    }
    count = make_run(samples, passes, messages);
    e = eval_evidence_new(&run);
    began = cpu_s();
    read_all(messages, count, e);
    read = cpu_s();
    if (!eval_measure(e, arena, &summary))
        abort();
    measured = cpu_s();
    printf("read_s %.3f\nmeasure_s %.3f\nall_s %.3f\n", read - began, measured - read,
           measured - began);
    for (size_t i = 0; i < count; i++)
        free(messages[i].bytes);
    free(messages);
    return 0;
}
