/* Figures: worked vectors, and the reason where there is no figure. */
#include "measuring.h"

#include "stats/stats.h"

/* The worked vector of docs/metrics.md. */
static struct eval_evidence *worked_run(void)
{
    struct eval_run header = generating(4);
    struct eval_evidence *e = eval_evidence_new(&header);

    add_answer(e, 0, 10000, 40000, 41000, 20, 4);
    add_answer(e, 0, 20000, 60000, 61000, 30, 5);
    add_answer(e, 41000, 56000, 56000, 57000, 25, 1);
    add_failed(e);
    add_verdicts(e, true, false);
    add_verdicts(e, false, false);
    add_verdicts(e, false, true);
    add_verdicts(e, false, false);
    add_pass(e, EVAL_PREFILL, 8, 1000000, 9, 9, true);
    add_pass(e, EVAL_PREFILL, 50, 10000000, 12, 14, false);
    add_pass(e, EVAL_PREFILL, 25, 5000000, 10, 12, false);
    add_pass(e, EVAL_DECODE, 2, 4000000, 3, 4, false);
    add_pass(e, EVAL_DECODE, 2, 4000000, 2, 3, false);
    add_pass(e, EVAL_DECODE, 1, 2000000, 2, 2, false);
    add_counts(e, 0, (uint64_t[]){10, 10, 10, 10}, 4);
    add_counts(e, 1, (uint64_t[]){20, 0, 0, 20}, 4);
    return e;
}

static void the_worked_run_gives_the_worked_figures(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_run();

    (void)state;
    assert_value(e, "attempted", 4);
    assert_value(e, "served", 3);
    assert_value(e, "completed", 3);
    assert_value(e, "failed", 1);
    assert_value(e, "unanswered", 1);
    assert_value(e, "truncated", 0);
    assert_value(e, "acc", 0.25);
    assert_value(e, "accuracy", 0.25);
    assert_value(e, "ttft_ms_mean", 15);
    assert_value(e, "ttft_ms_p50", 15);
    assert_value(e, "tpot_ms_mean", 10);
    assert_value(e, "itl_ms_mean", 10);
    assert_value(e, "e2e_ms_mean", 118.0 / 3);
    assert_value(e, "wall_s", 0.061);
    assert_value(e, "requests_per_s", 3 / 0.061);
    assert_value(e, "input_tokens_per_s", 75 / 0.061);
    assert_value(e, "output_tokens_per_s", 10 / 0.061);
    assert_value(e, "total_tokens_per_s", 85 / 0.061);
    assert_value(e, "prefill_tokens_per_s", 5000);
    assert_value(e, "decode_tokens_per_s", 500);
    assert_value(e, "prefill_s", 0.015);
    assert_value(e, "decode_s", 0.01);
    assert_none(e, "mixed_s", "no mixed passes");
    assert_value(e, "prefill_batch_mean", 37.5);
    assert_value(e, "decode_batch_mean", 5.0 / 3);
    assert_value(e, "activated_experts_prefill", 12);
    assert_value(e, "activated_experts_decode", 16.0 / 6);
    assert_value(e, "expert_load_entropy", 0.75);
    assert_value(e, "expert_load_max_ratio", 1.5);
}

static void wilsons_interval_holds_what_the_model_card_says(void **state)
{
    struct cap_interval i = cap_stats_wilson(541, 600);

    (void)state;
    assert_true(fabs(i.low - 0.875) < 0.0006 && fabs(i.high - 0.923) < 0.0006);
    i = cap_stats_wilson(107, 107);
    assert_true(fabs(i.low - 0.965) < 0.0006 && i.high == 1);
    i = cap_stats_wilson(0, 10);
    assert_true(i.low == 0 && fabs(i.high - 0.2775) < 0.0001);
}

static void failures_count_as_wrong_and_stay_in_the_denominator(void **state)
{
    struct eval_run header = generating(2);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1, 2, 3, 1, 2);
    add_failed(e);
    add_verdicts(e, true, false);
    add_verdicts(e, false, false);
    assert_value(e, "acc", 0.5);
    assert_value(e, "failed", 1);
}

static void a_run_in_which_every_request_failed_has_no_valid_accuracy(void **state)
{
    struct eval_run header = generating(2);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_failed(e);
    add_failed(e);
    add_verdicts(e, false, false);
    add_verdicts(e, false, false);
    assert_invalid(e, "acc", "every request failed");
}

static void a_sample_without_verdict_leaves_no_accuracy(void **state)
{
    struct eval_run header = generating(2);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_verdicts(e, true, false);
    assert_none(e, "acc", "not every sample is graded");
    add_verdicts(e, true, false);
    add_verdicts(e, true, false);
    assert_invalid(e, "acc", "more verdicts than samples");
}

static void percentiles_lie_between_values(void **state)
{
    double values[] = {1, 2, 3, 4};

    (void)state;
    assert_true(cap_stats_percentile(values, 4, 50) == 2.5);
    assert_true(fabs(cap_stats_percentile(values, 4, 90) - 3.7) < 1e-12);
    assert_true(cap_stats_percentile(values, 1, 99) == 1);
    assert_true(cap_stats_percentile(values, 4, 100) == 4);
}

static void a_percentile_without_enough_samples_is_null(void **state)
{
    struct eval_run header = generating(100);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_mean", 1);
    assert_none(e, "ttft_ms_p50", "not enough samples");
    for (int i = 1; i < 63; i++)
        add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_none(e, "ttft_ms_p90", "not enough samples");
    assert_false(figure(e, "ttft_ms_p90")->opt_certified_case);
    add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_p90", 1);
    assert_true(figure(e, "ttft_ms_p90")->certified == 1);
    for (int i = 64; i < 661; i++)
        add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_none(e, "ttft_ms_p99", "not enough samples");
    add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_p99", 1);
}

static void scoring_has_no_decode(void **state)
{
    struct eval_run header = generating(1);
    struct told told = {0, -1, -1, 5000, 40, -1, -1, NULL, 0};
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.scoring = true;
    e = eval_evidence_new(&header);
    add_told(e, &told);
    add_pass(e, EVAL_PREFILL, 44, 1000000, 10, 12, false);
    assert_none(e, "ttft_ms_mean", "no decode");
    assert_none(e, "tpot_ms_mean", "no decode");
    assert_none(e, "tpot_ms_p99", "no decode");
    assert_none(e, "itl_ms_p50", "no decode");
    assert_none(e, "output_tokens_per_s", "no decode");
    assert_none(e, "decode_tokens_per_s", "no decode");
    assert_none(e, "activated_experts_decode", "no decode");
    assert_value(e, "e2e_ms_mean", 5);
    assert_value(e, "prefill_tokens_per_s", 44000);
    assert_value(e, "activated_experts_prefill", 11);
    assert_value(e, "input_tokens_per_s", 8000);
}

static void answers_of_one_token_have_a_first_token_and_no_decode(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1000, 1000, 1000, 5, 1);
    assert_value(e, "ttft_ms_mean", 1);
    assert_none(e, "tpot_ms_mean", "no decode");
    assert_none(e, "itl_ms_mean", "no decode");
}

/* Counts that a server told by request; how many experts there are is the submitter's word. */
static void load_over_http_rests_on_the_declared_number_of_experts(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    header.shape_declared = true;
    e = eval_evidence_new(&header);
    add_counts(e, 0, (uint64_t[]){30, 10, 0, 0}, 4);
    assert_value(e, "expert_load_max_ratio", 3);
    assert_string_equal(figure(e, "expert_load_max_ratio")->basis, "declared");
    assert_string_equal(figure(e, "expert_load_entropy")->basis, "declared");
    assert_none(e, "activated_experts_decode", "engine does not report passes");
}

/* Over HTTP: `whole` answers with a gap a token, `merged` ones whose chunks held more. */
static struct eval_evidence *http_run(int whole, int merged)
{
    struct eval_run header = generating((uint32_t)(whole + merged));
    const uint32_t gap_us = 10000;
    struct eval_evidence *e;

    header.reported = true;
    header.in_engine = false;
    e = eval_evidence_new(&header);
    for (int i = 0; i < whole + merged; i++) {
        struct told told = {0, 10000, 20000, 21000, -1, 2, -1, &gap_us, i < whole};

        add_told(e, &told);
    }
    return e;
}

/* A run of ten answers, each of a first token and one after `gap_us`. */
static struct eval_evidence *run_with_gap(uint32_t gap_us, bool in_engine)
{
    struct eval_run header = generating(10);
    struct eval_evidence *e;

    header.reported = true;
    header.in_engine = in_engine;
    e = eval_evidence_new(&header);
    for (int i = 0; i < 10; i++) {
        struct told told = {0, 10000, 10000 + gap_us, 21000, -1, 2, 1, &gap_us, 1};

        add_told(e, &told);
    }
    return e;
}

static void tokens_that_arrive_together_over_http_have_no_times(void **state)
{
    CAP_AUTO(eval_evidence) together = run_with_gap(19, false);
    CAP_AUTO(eval_evidence) apart = run_with_gap(20, false);
    CAP_AUTO(eval_evidence) engine = run_with_gap(19, true);

    (void)state;
    assert_invalid(together, "tpot_ms_p50",
                   "the tokens of an answer arrive together over HTTP (below 0.02 ms each): these "
                   "are times of the transport, not of the model");
    assert_true(figure(together, "tpot_ms_mean")->invalid);
    assert_true(figure(together, "itl_ms_p50")->invalid);
    assert_false(figure(together, "ttft_ms_p50")->invalid);
    assert_false(figure(together, "e2e_ms_mean")->invalid);
    assert_false(figure(apart, "tpot_ms_p50")->invalid);
    assert_false(figure(engine, "tpot_ms_p50")->invalid);
}

static void gaps_of_chunks_that_are_no_tokens_are_dropped_with_their_reason(void **state)
{
    CAP_AUTO(eval_evidence) few = http_run(98, 2);
    CAP_AUTO(eval_evidence) more = http_run(97, 3);

    (void)state;
    assert_value(few, "itl_ms_mean", 10);
    assert_none(more, "itl_ms_mean", "chunks are not tokens");
    assert_none(more, "itl_ms_p99", "chunks are not tokens");
    assert_value(few, "tpot_ms_mean", 10);
    assert_none(more, "tpot_ms_mean", "how many tokens came with the first chunk is not known");
}

static void an_interrupted_run_has_no_times_but_keeps_the_rest(void **state)
{
    struct eval_run header = generating(1);
    Moecap__V1__Summary summary;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.attempts = 2;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    add_verdicts(e, true, false);
    add_pass(e, EVAL_DECODE, 2, 1000, 2, 3, false);
    assert_none(e, "ttft_ms_mean", "interrupted");
    assert_none(e, "e2e_ms_p50", "interrupted");
    assert_none(e, "wall_s", "interrupted");
    assert_none(e, "output_tokens_per_s", "interrupted");
    assert_none(e, "decode_tokens_per_s", "interrupted");
    assert_value(e, "acc", 1);
    assert_value(e, "activated_experts_decode", 2.5);
    assert_true(eval_measure(e, arena, &summary));
    assert_int_equal(summary.n_histograms, 0);
    assert_int_equal(summary.n_marks, 1);
    assert_string_equal(summary.marks[0]->id, "interrupted");
    assert_string_equal(summary.marks[0]->text,
                        "the run took 2 leases: it was interrupted, and its "
                        "times are not measurements");
    assert_false(summary.marks[0]->bad);
}

static void a_mark_is_said_once(void **state)
{
    struct eval_figures *f = eval_figures_new(arena);

    (void)state;
    assert_non_null(f);
    eval_mark(f, "noisy host", true, "load %d", 9);
    eval_mark(f, "noisy host", false, "load %d", 1);
    eval_mark(f, "declared", false, "the hardware is declared");
    assert_int_equal(f->mark_count, 2);
    assert_string_equal(f->marks[0].text, "load 9");
    assert_true(f->marks[0].bad);
    assert_string_equal(f->marks[1].id, "declared");
}

static void unknown_token_counts_are_null_and_not_zero(void **state)
{
    struct eval_run header = generating(2);
    struct told told = {0, 100, 4000, 5000, -1, -1, -1, NULL, 0};
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_told(e, &told);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    assert_none(e, "output_tokens_per_s", "token counts are not known");
    assert_none(e, "total_tokens_per_s", "token counts are not known");
    assert_value(e, "requests_per_s", 400);
}

static void counts_of_a_server_that_cannot_be_are_unknown(void **state)
{
    struct eval_run header = generating(1);
    struct told told = {0, 100, 4000, 5000, 0, 0, -1, NULL, 0};
    static const char why[] =
        "the server's token counts are impossible: it counted 0 tokens of an answer that has text";
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    e = eval_evidence_new(&header);
    add_told(e, &told);
    assert_none(e, "input_tokens_per_s", why);
    assert_none(e, "output_tokens_per_s", why);
    assert_none(e, "tpot_ms_mean", why);
    assert_value(e, "ttft_ms_mean", 0.1);
}

static void the_node_says_why_it_left_out_token_counts(void **state)
{
    static const char why[] =
        "the server's counts are impossible for 1 of 1 answers: it counts 0 ...";
    struct eval_run header = generating(1);
    struct told told = {0, 100, 4000, 5000, -1, -1, -1, NULL, 0};
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    header.counts_unknown = why;
    e = eval_evidence_new(&header);
    add_told(e, &told);
    assert_none(e, "input_tokens_per_s", why);
    assert_none(e, "output_tokens_per_s", why);
    assert_none(e, "tpot_ms_mean", why);
}

static void without_a_finish_reason_nobody_knows_what_was_cut(void **state)
{
    Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
    eval_evidence_add_answer(e, &answer);
    assert_none(e, "truncated", "the server gave no finish reason for some of the samples");
    assert_value(e, "completed", 1);
}

static void the_words_of_many_servers_say_what_was_cut(void **state)
{
    static const struct {
        const char *words[2];
        int cut; /* -1: unknown */
    } rows[] = {
        {{"stop", "length"}, 1},   {{"max_tokens", "MAX_TOKENS"}, 2}, {{"model_length", "eos"}, 1},
        {{"end_turn", "STOP"}, 0}, {{"stop", "banana"}, -1},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        Moecap__V1__SampleAnswer answer = MOECAP__V1__SAMPLE_ANSWER__INIT;
        struct eval_run header = generating(2);
        CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

        answer.status = MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED;
        for (int k = 0; k < 2; k++) {
            answer.finish_reason = (char *)rows[i].words[k];
            eval_evidence_add_answer(e, &answer);
        }
        if (rows[i].cut >= 0)
            assert_value(e, "truncated", rows[i].cut);
        else
            assert_none(e, "truncated",
                        "the server gave a finish reason that we do not know for some of the "
                        "samples");
    }
}

static void time_per_token_counts_what_came_behind_the_first_chunk(void **state)
{
    struct eval_run header = generating(2);
    struct told told = {0, 100000, 500000, 510000, 5, 16, 8, NULL, 0}; /* 8 more in 400 ms */
    struct told at_once = {0, 100000, 100000, 110000, 5, 16, 16, NULL, 0};
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    e = eval_evidence_new(&header);
    add_told(e, &told);
    add_told(e, &at_once);
    assert_value(e, "tpot_ms_mean", 50);
}

static void work_of_passes_is_what_the_engine_counted(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
    Moecap__V1__Pass pass = pass_of(EVAL_DECODE, 2, 4000);

    (void)state;
    pass.opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
    pass.weight_bytes = 90000;
    pass.opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
    pass.kv_bytes = 10000;
    pass.opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
    pass.flops = 80000;
    eval_evidence_add_pass(e, &pass);
    pass.weight_bytes = 190000;
    eval_evidence_add_pass(e, &pass);
    assert_value(e, "decode_bytes_per_step", 150000);
    assert_value(e, "decode_gb_per_s", 300000 / 8000.0);
    assert_value(e, "decode_gflop_per_s", 20);
    assert_none(e, "prefill_gflop_per_s", "no prefill passes");
    assert_string_equal(figure(e, "decode_gb_per_s")->basis, "derived");
    add_pass(e, EVAL_DECODE, 2, 4000, 3, 4, false);
    assert_none(e, "decode_bytes_per_step", "not every pass counts its work");
}

static void operations_that_cannot_be_are_not_counted(void **state)
{
    static const double impossible[] = {-1, NAN, INFINITY};

    (void)state;
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        struct eval_run header = generating(1);
        CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
        Moecap__V1__Pass pass = pass_of(EVAL_DECODE, 2, 4000);

        pass.opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
        pass.flops = 80000;
        eval_evidence_add_pass(e, &pass);
        assert_value(e, "decode_gflop_per_s", 20);
        pass.flops = impossible[i];
        eval_evidence_add_pass(e, &pass);
        assert_none(e, "decode_gflop_per_s", "not every pass counts its work");
    }
}

static void load_of_an_interrupted_run_would_count_samples_twice(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.attempts = 2;
    e = eval_evidence_new(&header);
    add_counts(e, 0, (uint64_t[]){30, 10, 0, 0}, 4);
    assert_none(e, "expert_load_entropy",
                "interrupted: samples that were asked again are counted twice");
}

static void a_run_without_times_passes_or_answers_says_so(void **state)
{
    struct eval_run header = generating(3);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.reported = false;
    e = eval_evidence_new(&header);
    add_failed(e);
    assert_none(e, "ttft_ms_mean", "no completed samples");
    assert_none(e, "wall_s", "no times");
    assert_none(e, "prefill_tokens_per_s", "no pass records");
    assert_none(e, "activated_experts_decode", "no pass records");
    assert_none(e, "expert_load_entropy", "no routing records");
    assert_value(e, "failed", 1);
}

static void trap_c23_a_dense_model_has_its_times(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.moe_layers = header.experts = header.top_k = 0;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    assert_value(e, "ttft_ms_mean", 1);
    assert_value(e, "e2e_ms_mean", 3);
    assert_none(e, "activated_experts_decode", "no layer with experts was reported");
}

static const Moecap__V1__Mark *mark_of(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_marks; i++)
        if (strcmp(summary.marks[i]->id, id) == 0)
            return summary.marks[i];
    return NULL;
}

static void trap_t9_a_precision_that_nobody_attests_is_declared(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) ours = NULL;
    CAP_AUTO(eval_evidence) theirs = NULL;
    CAP_AUTO(eval_evidence) all = NULL;

    (void)state;
    header.hardware.precision = "fp8";
    ours = eval_evidence_new(&header);
    assert_null(mark_of(ours, "declared")); /* our engine computes in what it says */
    header.in_engine = false;
    theirs = eval_evidence_new(&header);
    assert_string_equal(mark_of(theirs, "declared")->text,
                        "the submitter says it, and nobody measured it: precision fp8");
    header.hardware.declared = "8x H100-SXM";
    header.shape_declared = true;
    all = eval_evidence_new(&header);
    assert_string_equal(mark_of(all, "declared")->text,
                        "the submitter says it, and nobody measured it: precision fp8, hardware "
                        "8x H100-SXM, shape of the model");
}

static void an_engine_behind_http_reports_no_passes(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    assert_none(e, "decode_tokens_per_s", "engine does not report passes");
    assert_none(e, "activated_experts_decode", "engine does not report passes");
    assert_none(e, "expert_load_entropy", "engine does not report routing");
}

static void activation_beyond_what_is_possible_is_invalid(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) low = eval_evidence_new(&header);
    CAP_AUTO(eval_evidence) high = eval_evidence_new(&header);
    CAP_AUTO(eval_evidence) layers = NULL;

    (void)state;
    add_pass(low, EVAL_DECODE, 1, 1000, 1, 1, false);
    assert_invalid(low, "activated_experts_decode", "below the 2 experts that each token chooses");
    add_pass(high, EVAL_PREFILL, 1, 1000, 17, 17, false);
    assert_invalid(high, "activated_experts_prefill", "above the 16 experts that there are");
    header.moe_layers = 3;
    layers = eval_evidence_new(&header);
    add_pass(layers, EVAL_PREFILL, 1, 1000, 4, 4, false);
    assert_invalid(layers, "activated_experts_prefill",
                   "1 passes do not report the model's 3 MoE layers");
}

static void warm_up_passes_are_in_no_figure(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_pass(e, EVAL_DECODE, 100, 1, 16, 16, true);
    add_pass(e, EVAL_DECODE, 2, 1000000, 3, 3, false);
    assert_value(e, "decode_tokens_per_s", 2000);
    assert_value(e, "activated_experts_decode", 3);
}

static void a_pass_without_duration_is_in_no_rate(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_pass(e, EVAL_DECODE, 1000, 0, 3, 3, false);
    assert_none(e, "decode_tokens_per_s", "passes without duration");
    add_pass(e, EVAL_DECODE, 2, 1000000, 3, 3, false);
    assert_value(e, "decode_tokens_per_s", 2000);
}

static void a_run_of_no_time_has_invalid_rates(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 5, 5, 5, 5, 3, 2);
    assert_invalid(e, "output_tokens_per_s", "the run took no time");
    assert_false(figure(e, "output_tokens_per_s")->opt_value_case);
}

static void times_out_of_order_make_figures_invalid(void **state)
{
    struct eval_run header = generating(2);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1000, 2000, 3000, 3, 2);
    add_answer(e, 5000, 4000, 6000, 7000, 3, 2);
    assert_invalid(e, "ttft_ms_mean", "1 answers with times out of order");
    assert_invalid(e, "requests_per_s", "1 answers with times out of order");
}

static void a_fixed_length_that_was_not_kept_makes_times_invalid(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.exact_tokens = 4;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 3, 3);
    assert_invalid(e, "tpot_ms_mean", "1 answers do not have the 4 tokens that were asked for");
}

static void sub_second_walls_are_not_rounded(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1, 3, 1234, 3, 2);
    assert_value(e, "wall_s", 0.001234);
    assert_value(e, "ttft_ms_mean", 0.001);
}

static void histograms_hold_every_value_once(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_run();
    Moecap__V1__Summary summary;
    uint64_t sum = 0;

    (void)state;
    assert_true(eval_measure(e, arena, &summary));
    assert_int_equal(summary.n_histograms, 4);
    assert_string_equal(summary.histograms[0]->id, "ttft_us");
    for (size_t i = 0; i < summary.histograms[0]->n_counts; i++) {
        const Moecap__V1__Histogram *h = summary.histograms[0];

        sum += h->counts[i];
        if (h->counts[i])
            assert_true(h->lowest * pow(h->growth, (double)i + 1) > 10000);
    }
    assert_int_equal(sum, 3);
}

static void every_figure_has_a_value_or_a_reason(void **state)
{
    struct eval_run header = {0};
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
    Moecap__V1__Summary summary;

    (void)state;
    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_figures; i++)
        if (!summary.figures[i]->opt_value_case && !*summary.figures[i]->reason)
            fail_msg("%s has neither", summary.figures[i]->id);
}

static void means_agree_with_the_references_statistics(void **state)
{
    json_t *rows = load_golden("metrics.jsonl"), *row;
    size_t i;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        json_t *values = json_object_get(json_object_get(row, "input"), "values");
        double mean = json_number_value(json_object_get(json_object_get(row, "expected"), "mean"));
        struct eval_run header = generating((uint32_t)json_array_size(values));
        CAP_AUTO(eval_evidence) e = NULL;
        bool binary = true;

        if (strcmp(text_at(row, "metric"), "stats_mean_stderr") != 0)
            continue;
        e = eval_evidence_new(&header);
        for (size_t k = 0; k < json_array_size(values); k++) {
            double v = json_number_value(json_array_get(values, k));

            binary = binary && (v == 0 || v == 1);
            add_verdicts(e, v == 1, false);
        }
        if (binary)
            assert_value(e, "acc", mean);
    }
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_over_http_rests_on_the_declared_number_of_experts),
        cmocka_unit_test(tokens_that_arrive_together_over_http_have_no_times),
        cmocka_unit_test(gaps_of_chunks_that_are_no_tokens_are_dropped_with_their_reason),
        cmocka_unit_test(the_worked_run_gives_the_worked_figures),
        cmocka_unit_test(wilsons_interval_holds_what_the_model_card_says),
        cmocka_unit_test(failures_count_as_wrong_and_stay_in_the_denominator),
        cmocka_unit_test(a_run_in_which_every_request_failed_has_no_valid_accuracy),
        cmocka_unit_test(a_sample_without_verdict_leaves_no_accuracy),
        cmocka_unit_test(percentiles_lie_between_values),
        cmocka_unit_test(a_percentile_without_enough_samples_is_null),
        cmocka_unit_test(scoring_has_no_decode),
        cmocka_unit_test(answers_of_one_token_have_a_first_token_and_no_decode),
        cmocka_unit_test(an_interrupted_run_has_no_times_but_keeps_the_rest),
        cmocka_unit_test(a_mark_is_said_once),
        cmocka_unit_test(unknown_token_counts_are_null_and_not_zero),
        cmocka_unit_test(counts_of_a_server_that_cannot_be_are_unknown),
        cmocka_unit_test(the_node_says_why_it_left_out_token_counts),
        cmocka_unit_test(without_a_finish_reason_nobody_knows_what_was_cut),
        cmocka_unit_test(the_words_of_many_servers_say_what_was_cut),
        cmocka_unit_test(time_per_token_counts_what_came_behind_the_first_chunk),
        cmocka_unit_test(work_of_passes_is_what_the_engine_counted),
        cmocka_unit_test(operations_that_cannot_be_are_not_counted),
        cmocka_unit_test(load_of_an_interrupted_run_would_count_samples_twice),
        cmocka_unit_test(a_run_without_times_passes_or_answers_says_so),
        cmocka_unit_test(trap_c23_a_dense_model_has_its_times),
        cmocka_unit_test(trap_t9_a_precision_that_nobody_attests_is_declared),
        cmocka_unit_test(an_engine_behind_http_reports_no_passes),
        cmocka_unit_test(activation_beyond_what_is_possible_is_invalid),
        cmocka_unit_test(warm_up_passes_are_in_no_figure),
        cmocka_unit_test(a_pass_without_duration_is_in_no_rate),
        cmocka_unit_test(a_run_of_no_time_has_invalid_rates),
        cmocka_unit_test(times_out_of_order_make_figures_invalid),
        cmocka_unit_test(a_fixed_length_that_was_not_kept_makes_times_invalid),
        cmocka_unit_test(sub_second_walls_are_not_rounded),
        cmocka_unit_test(histograms_hold_every_value_once),
        cmocka_unit_test(every_figure_has_a_value_or_a_reason),
        cmocka_unit_test(means_agree_with_the_references_statistics),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
