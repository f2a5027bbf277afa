/* Figures: worked vectors, and the reason where there is no figure. */
#include "vectors.h"

#include <math.h>

#include "evaluator/measure/measure.h"

static struct cap_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

static const char *const metrics[] = {"acc", "acc_norm"};

static struct eval_run_header generating(uint32_t attempted)
{
    return (struct eval_run_header){.attempted = attempted,
                                    .attempts = 1,
                                    .metrics = metrics,
                                    .metric_count = 2,
                                    .reported = true,
                                    .moe_layers = 2,
                                    .experts = 16,
                                    .top_k = 2,
                                    .in_engine = true};
}

static void add_answer(struct eval_evidence *e, int64_t submitted, int64_t first, int64_t last,
                       int64_t ended, uint32_t prompt_tokens, uint32_t output_tokens)
{
    const uint32_t gap = output_tokens > 1 ? (uint32_t)(last - first) / (output_tokens - 1) : 0;
    uint32_t gaps[64];
    struct eval_timing timing = {.submitted_us = submitted,
                                 .ended_us = ended,
                                 .has_first = true,
                                 .has_last = true,
                                 .first_token_us = first,
                                 .last_token_us = last,
                                 .gaps_us = gaps,
                                 .gap_count = output_tokens ? output_tokens - 1 : 0};
    struct eval_run_answer answer = {.completed = true,
                                     .has_prompt_tokens = true,
                                     .has_output_tokens = true,
                                     .prompt_tokens = prompt_tokens,
                                     .output_tokens = output_tokens,
                                     .timing = &timing};

    for (size_t i = 0; i < timing.gap_count; i++)
        gaps[i] = gap;
    eval_evidence_add_answer(e, &answer);
}

static void add_failed(struct eval_evidence *e)
{
    struct eval_run_answer answer = {0};

    eval_evidence_add_answer(e, &answer);
}

static void add_verdicts(struct eval_evidence *e, bool correct, bool unanswered)
{
    for (size_t i = 0; i < 2; i++) {
        struct eval_run_verdict verdict = {metrics[i], correct, unanswered};

        eval_evidence_add_verdict(e, &verdict);
    }
}

static void add_pass(struct eval_evidence *e, enum eval_phase phase, uint32_t tokens, uint64_t ns,
                     uint32_t first_layer, uint32_t second_layer, bool warm_up)
{
    uint32_t distinct[] = {first_layer, second_layer};
    struct eval_pass pass = {.phase = phase,
                             .warm_up = warm_up,
                             .sequences = tokens,
                             .tokens = tokens,
                             .duration_ns = ns,
                             .distinct_experts = distinct,
                             .layer_count = 2};

    eval_evidence_add_pass(e, &pass);
}

static struct eval_figure figure(struct eval_evidence *e, const char *id)
{
    struct eval_summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.figure_count; i++)
        if (strcmp(summary.figures[i].id, id) == 0)
            return summary.figures[i];
    fail_msg("there is no figure %s", id);
    return (struct eval_figure){0};
}

static void assert_value(struct eval_evidence *e, const char *id, double expected)
{
    struct eval_figure f = figure(e, id);

    if (!f.has_value || fabs(f.value - expected) > 1e-9 * fmax(1, fabs(expected)))
        fail_msg("%s is %.17g (%s), expected %.17g", id, f.value, f.reason, expected);
    assert_string_equal(f.reason, "");
    assert_false(f.invalid);
}

static void assert_none(struct eval_evidence *e, const char *id, const char *reason)
{
    struct eval_figure f = figure(e, id);

    if (f.has_value || strcmp(f.reason, reason) != 0)
        fail_msg("%s has value %d, reason \"%s\", expected \"%s\"", id, f.has_value, f.reason,
                 reason);
    assert_string_equal(f.basis, "unavailable");
}

static void assert_invalid(struct eval_evidence *e, const char *id, const char *reason)
{
    struct eval_figure f = figure(e, id);

    assert_true(f.invalid);
    assert_string_equal(f.reason, reason);
}

/* The worked vector of docs/metrics.md. */
static struct eval_evidence *worked_run(void)
{
    struct eval_run_header header = generating(4);
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
    eval_evidence_add_counts(e, 0, (uint64_t[]){10, 10, 10, 10}, 4);
    eval_evidence_add_counts(e, 1, (uint64_t[]){20, 0, 0, 20}, 4);
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
    assert_value(e, "decode_batch_mean", 5.0 / 3);
    assert_value(e, "activated_experts_prefill", 12);
    assert_value(e, "activated_experts_decode", 16.0 / 6);
    assert_value(e, "expert_load_entropy", 0.75);
    assert_value(e, "expert_load_max_ratio", 1.5);
}

static void wilsons_interval_holds_what_the_model_card_says(void **state)
{
    double low, high;

    (void)state;
    eval_wilson(541, 600, &low, &high);
    assert_true(fabs(low - 0.875) < 0.0006 && fabs(high - 0.923) < 0.0006);
    eval_wilson(107, 107, &low, &high);
    assert_true(fabs(low - 0.965) < 0.0006 && high == 1);
    eval_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.2775) < 0.0001);
}

static void failures_count_as_wrong_and_stay_in_the_denominator(void **state)
{
    struct eval_run_header header = generating(2);
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
    struct eval_run_header header = generating(2);
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
    struct eval_run_header header = generating(2);
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
    assert_true(eval_percentile(values, 4, 50) == 2.5);
    assert_true(fabs(eval_percentile(values, 4, 90) - 3.7) < 1e-12);
    assert_true(eval_percentile(values, 1, 99) == 1);
    assert_true(eval_percentile(values, 4, 100) == 4);
}

static void a_percentile_without_enough_samples_is_null(void **state)
{
    struct eval_run_header header = generating(100);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_mean", 1);
    assert_none(e, "ttft_ms_p50", "not enough samples");
    for (int i = 0; i < 9; i++)
        add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_p90", 1);
    assert_none(e, "ttft_ms_p99", "not enough samples");
    for (int i = 0; i < 90; i++)
        add_answer(e, 0, 1000, 2000, 3000, 1, 2);
    assert_value(e, "ttft_ms_p99", 1);
}

static void scoring_has_no_decode(void **state)
{
    struct eval_run_header header = generating(1);
    struct eval_timing timing = {.submitted_us = 0, .ended_us = 5000};
    struct eval_run_answer answer = {
        .completed = true, .has_prompt_tokens = true, .prompt_tokens = 40, .timing = &timing};
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.scoring = true;
    e = eval_evidence_new(&header);
    eval_evidence_add_answer(e, &answer);
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
    struct eval_run_header header = generating(1);
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
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.in_engine = false;
    header.shape_declared = true;
    e = eval_evidence_new(&header);
    eval_evidence_add_counts(e, 0, (uint64_t[]){30, 10, 0, 0}, 4);
    assert_value(e, "expert_load_max_ratio", 3);
    assert_string_equal(figure(e, "expert_load_max_ratio").basis, "declared");
    assert_string_equal(figure(e, "expert_load_entropy").basis, "declared");
    assert_none(e, "activated_experts_decode", "engine does not report passes");
}

/* Over HTTP: `whole` answers with a gap a token, `merged` ones whose chunks held more. */
static struct eval_evidence *http_run(int whole, int merged)
{
    struct eval_run_header header = generating((uint32_t)(whole + merged));
    const uint32_t gap_us = 10000;
    struct eval_evidence *e;

    header.reported = true;
    header.in_engine = false;
    e = eval_evidence_new(&header);
    for (int i = 0; i < whole + merged; i++) {
        struct eval_timing timing = {.ended_us = 21000,
                                     .has_first = true,
                                     .has_last = true,
                                     .first_token_us = 10000,
                                     .last_token_us = 20000,
                                     .gaps_us = &gap_us,
                                     .gap_count = i < whole};
        struct eval_run_answer answer = {
            .completed = true, .has_output_tokens = true, .output_tokens = 2, .timing = &timing};

        eval_evidence_add_answer(e, &answer);
    }
    return e;
}

static void gaps_of_chunks_that_are_no_tokens_are_dropped_with_their_reason(void **state)
{
    CAP_AUTO(eval_evidence) few = http_run(98, 2);
    CAP_AUTO(eval_evidence) more = http_run(97, 3);

    (void)state;
    assert_value(few, "itl_ms_mean", 10);
    assert_none(more, "itl_ms_mean", "chunks are not tokens");
    assert_none(more, "itl_ms_p99", "chunks are not tokens");
    assert_value(more, "tpot_ms_mean", 10);
}

static void an_interrupted_run_has_no_times_but_keeps_the_rest(void **state)
{
    struct eval_run_header header = generating(1);
    struct eval_summary summary;
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
    assert_int_equal(summary.histogram_count, 0);
}

static void unknown_token_counts_are_null_and_not_zero(void **state)
{
    struct eval_run_header header = generating(2);
    struct eval_timing timing = {.submitted_us = 0,
                                 .ended_us = 5000,
                                 .has_first = true,
                                 .first_token_us = 100,
                                 .has_last = true,
                                 .last_token_us = 4000};
    struct eval_run_answer answer = {.completed = true, .timing = &timing};
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    eval_evidence_add_answer(e, &answer);
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    assert_none(e, "output_tokens_per_s", "token counts are not known");
    assert_none(e, "total_tokens_per_s", "token counts are not known");
    assert_value(e, "requests_per_s", 400);
}

static void a_run_without_times_passes_or_answers_says_so(void **state)
{
    struct eval_run_header header = generating(3);
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

static void an_engine_behind_http_reports_no_passes(void **state)
{
    struct eval_run_header header = generating(1);
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
    struct eval_run_header header = generating(1);
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
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_pass(e, EVAL_DECODE, 100, 1, 16, 16, true);
    add_pass(e, EVAL_DECODE, 2, 1000000, 3, 3, false);
    assert_value(e, "decode_tokens_per_s", 2000);
    assert_value(e, "activated_experts_decode", 3);
}

static void a_pass_without_duration_is_in_no_rate(void **state)
{
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_pass(e, EVAL_DECODE, 1000, 0, 3, 3, false);
    assert_none(e, "decode_tokens_per_s", "passes without duration");
    add_pass(e, EVAL_DECODE, 2, 1000000, 3, 3, false);
    assert_value(e, "decode_tokens_per_s", 2000);
}

static void a_run_of_no_time_has_invalid_rates(void **state)
{
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 5, 5, 5, 5, 3, 2);
    assert_invalid(e, "output_tokens_per_s", "the run took no time");
    assert_false(figure(e, "output_tokens_per_s").has_value);
}

static void times_out_of_order_make_figures_invalid(void **state)
{
    struct eval_run_header header = generating(2);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1000, 2000, 3000, 3, 2);
    add_answer(e, 5000, 4000, 6000, 7000, 3, 2);
    assert_invalid(e, "ttft_ms_mean", "1 answers with times out of order");
    assert_invalid(e, "requests_per_s", "1 answers with times out of order");
}

static void a_fixed_length_that_was_not_kept_makes_times_invalid(void **state)
{
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.exact_tokens = 4;
    e = eval_evidence_new(&header);
    add_answer(e, 0, 1000, 2000, 3000, 3, 3);
    assert_invalid(e, "tpot_ms_mean", "1 answers have not the 4 tokens that were asked for");
}

static void sub_second_walls_are_not_rounded(void **state)
{
    struct eval_run_header header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);

    (void)state;
    add_answer(e, 0, 1, 3, 1234, 3, 2);
    assert_value(e, "wall_s", 0.001234);
    assert_value(e, "ttft_ms_mean", 0.001);
}

static void histograms_hold_every_value_once(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_run();
    struct eval_summary summary;
    uint64_t sum = 0;

    (void)state;
    assert_true(eval_measure(e, arena, &summary));
    assert_int_equal(summary.histogram_count, 4);
    assert_string_equal(summary.histograms[0].id, "ttft_us");
    for (size_t i = 0; i < summary.histograms[0].count; i++) {
        const struct eval_histogram *h = &summary.histograms[0];

        sum += h->counts[i];
        if (h->counts[i])
            assert_true(h->lowest * pow(h->growth, (double)i + 1) > 10000);
    }
    assert_int_equal(sum, 3);
}

static void every_figure_has_a_value_or_a_reason(void **state)
{
    struct eval_run_header header = {0};
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
    struct eval_summary summary;

    (void)state;
    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.figure_count; i++)
        if (!summary.figures[i].has_value && !*summary.figures[i].reason)
            fail_msg("%s has neither", summary.figures[i].id);
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
        struct eval_run_header header = generating((uint32_t)json_array_size(values));
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
        cmocka_unit_test(unknown_token_counts_are_null_and_not_zero),
        cmocka_unit_test(a_run_without_times_passes_or_answers_says_so),
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
