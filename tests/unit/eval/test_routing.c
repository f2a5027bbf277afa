/* Two runs' routing side by side: worked vectors, and what cannot be compared. */
#include "vectors.h"

#include <math.h>

#include "evaluator/routing.h"

static struct eval_routing_run run_of(const char *id)
{
    return (struct eval_routing_run){.run_id = id,
                                     .model = "tiny",
                                     .model_sha256 = "aa",
                                     .task = "gsm",
                                     .task_sha256 = "t",
                                     .data_sha256 = "d",
                                     .prompt_format = "text",
                                     .num_fewshot = -1,
                                     .moe_layers = 2,
                                     .experts = 4,
                                     .top_k = 2,
                                     .routing_unknown = "",
                                     .source = "real weights and text"};
}

static struct eval_routing *two_runs(struct eval_routing_run runs[2])
{
    struct cap_err err = {0};
    struct eval_routing *r = eval_routing_open(runs, false, &err);

    assert_non_null(r);
    return r;
}

static void add(struct eval_routing *r, int run, uint32_t ordinal, const uint32_t *prefill,
                const uint32_t *decode, bool correct)
{
    const struct eval_routing_layer layer = {
        .layer = 1, .counts = {prefill, decode}, .experts = {4, decode ? 4 : 0}};
    const struct eval_routing_sample sample = {.ordinal = ordinal,
                                               .uid = "u",
                                               .graded = true,
                                               .correct = correct,
                                               .layers = &layer,
                                               .layer_count = 1};
    struct cap_err err = {0};

    assert_true(eval_routing_add_sample(r, run, &sample, &err));
}

static double value(const struct eval_routing_result *result, const char *id)
{
    for (size_t i = 0; i < EVAL_ROUTING_FIGURE_COUNT; i++)
        if (strcmp(result->figures[i].id, id) == 0)
            return result->figures[i].value;
    fail_msg("there is no %s", id);
    return NAN;
}

static const char *reason(const struct eval_routing_result *result, const char *id)
{
    for (size_t i = 0; i < EVAL_ROUTING_FIGURE_COUNT; i++)
        if (strcmp(result->figures[i].id, id) == 0)
            return result->figures[i].reason;
    return NULL;
}

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) < 1e-12))
        fail_msg("%.17g, expected %.17g", got, expected);
}

/* The worked vector of docs/activation.md. */
static void the_worked_loads_overlap_as_worked(void **state)
{
    struct eval_layer_counts a = {(uint64_t[]){4, 3, 2, 1}, 4}, b = {(uint64_t[]){2, 6, 2, 0}, 4};
    struct eval_overlap o;

    (void)state;
    assert_true(eval_overlap_of(&a, &b, 2, &o));
    assert_near(o.cosine, (0.08 + 0.18 + 0.04) / sqrt(0.30 * 0.44));
    assert_near(o.jaccard, 1); /* {0, 1} and {1, 0}: of equals the lower number */
    assert_near(o.total_variation, (0.2 + 0.3 + 0 + 0.1) / 2);
    assert_near(o.jensen_shannon,
                (0.4 * log2(0.4 / 0.3) + 0.3 * log2(0.3 / 0.45) + 0.1 * log2(0.1 / 0.05) +
                 0.2 * log2(0.2 / 0.3) + 0.6 * log2(0.6 / 0.45)) /
                    2);
    assert_true(eval_overlap_of(&a, &b, 3, &o));
    assert_near(o.jaccard, 1);
    assert_true(eval_overlap_of(&a, &b, 1, &o));
    assert_near(o.jaccard, 0);
}

static void loads_without_a_common_expert_are_as_far_apart_as_can_be(void **state)
{
    struct eval_layer_counts a = {(uint64_t[]){5, 5, 0, 0}, 4}, b = {(uint64_t[]){0, 0, 1, 1}, 4},
                             none = {(uint64_t[]){0, 0, 0, 0}, 4};
    struct eval_overlap o;

    (void)state;
    assert_true(eval_overlap_of(&a, &b, 2, &o));
    assert_near(o.cosine, 0);
    assert_near(o.jaccard, 0);
    assert_near(o.jensen_shannon, 1);
    assert_near(o.total_variation, 1);
    assert_true(eval_overlap_of(&a, &a, 2, &o));
    assert_near(o.cosine, 1);
    assert_near(o.jensen_shannon, 0);
    assert_false(eval_overlap_of(&a, &none, 2, &o));
}

/* Whichever run's samples come first, and though each lacks one of the other's. */
static void samples_meet_by_their_ordinals(void **state)
{
    static const uint32_t same[] = {4, 3, 2, 1}, moved[] = {2, 5, 2, 1};

    (void)state;
    for (int first = 0; first < 2; first++) {
        struct eval_routing_run runs[] = {run_of("a"), run_of("b")};
        CAP_AUTO(eval_routing) r = two_runs(runs);
        struct eval_routing_result result;

        add(r, first, 0, same, same, true);
        add(r, first, 2, same, NULL, true);
        add(r, first, 7, first ? moved : same, same, true);
        add(r, !first, 2, same, NULL, false);
        add(r, !first, 5, moved, moved, false);
        add(r, !first, 7, first ? same : moved, same, false);
        eval_routing_add_counts(r, 0, EVAL_PREFILL, 1, (uint64_t[]){8, 6, 4, 2}, 4);
        eval_routing_add_counts(r, 1, EVAL_PREFILL, 1, (uint64_t[]){6, 8, 4, 2}, 4);
        eval_routing_add_counts(r, 0, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
        eval_routing_add_counts(r, 1, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
        eval_routing_end(r, &result);
        assert_near(value(&result, "routing_samples"), 2); /* 2 and 7 */
        assert_near(value(&result, "routing_samples_moved"), 0.5);
        assert_near(value(&result, "routing_moved_prefill"), (0 + 0.2) / 2);
        assert_near(value(&result, "routing_moved_decode"), 0);
        assert_near(value(&result, "routing_total_variation_prefill"), 0.1);
        assert_near(value(&result, "accuracy_a"), first ? 0 : 1);
        assert_near(value(&result, "accuracy_change"), first ? 1 : -1);
        assert_int_equal(result.most_moved_count, 1);
        assert_int_equal(result.most_moved[0].ordinal, 7);
        assert_near(result.most_moved[0].moved, 0.1); /* over both phases */
        assert_int_equal(result.row_count, 2);
        assert_near(result.rows[0].moved, 0.1);
    }
}

static void the_most_moved_samples_come_first(void **state)
{
    static const uint32_t even[] = {10, 10, 10, 10};
    struct eval_routing_run runs[] = {run_of("a"), run_of("b")};
    CAP_AUTO(eval_routing) r = two_runs(runs);
    struct eval_routing_result result;

    (void)state;
    for (uint32_t i = 0; i < 30; i++) {
        uint32_t shifted[] = {10 - i / 3, 10 + i / 3, 10, 10};

        add(r, 0, i, even, NULL, true);
        add(r, 1, i, shifted, NULL, true);
    }
    eval_routing_end(r, &result);
    assert_int_equal(result.most_moved_count, EVAL_ROUTING_MOST_MOVED);
    assert_near(result.most_moved[0].moved, 9.0 / 40);
    for (size_t i = 1; i < result.most_moved_count; i++)
        assert_true(result.most_moved[i].moved <= result.most_moved[i - 1].moved);
}

static void refuse(struct eval_routing_run a, struct eval_routing_run b, const char *text)
{
    const struct eval_routing_run runs[] = {a, b};
    struct cap_err err = {0};

    assert_null(eval_routing_open(runs, false, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    assert_string_equal(err.text, text);
}

static void experts_of_two_models_are_not_compared(void **state)
{
    struct eval_routing_run a = run_of("a"), b = run_of("b"), runs[2];
    struct eval_routing_result result;
    struct cap_err err = {0};

    (void)state;
    b.model_sha256 = "bb";
    refuse(
        a, b,
        "run a is of \"tiny\" and run b of \"tiny\", from other files: experts of two models are "
        "not the same experts; if it is one model at two precisions, say so with --same-model");
    runs[0] = a;
    runs[1] = b;
    CAP_AUTO(eval_routing) r = eval_routing_open(runs, true, &err);
    assert_non_null(r);
    eval_routing_end(r, &result);
    assert_true(result.declared);
    assert_int_equal(result.note_count, 1);
    b = run_of("b");
    b.experts = 8;
    refuse(a, b,
           "the models have other shapes: 2 layers of 4 experts, top-2, and 2 layers of 8 experts, "
           "top-2");
    b.moe_layers = 0;
    refuse(a, b, "run b reports no layers with experts: there is no routing to compare");
}

/* One model under two names, or under one without digests: by what is known. */
static void a_model_is_known_by_its_files_and_else_by_its_name(void **state)
{
    struct eval_routing_run runs[] = {run_of("a"), run_of("b")};
    struct cap_err err = {0};

    (void)state;
    runs[1].model = "tiny-int8";
    eval_routing_free(eval_routing_open(runs, false, &err));
    assert_int_equal(err.code, CAP_OK);
    runs[1].model_sha256 = "";
    assert_null(eval_routing_open(runs, false, &err));
    cap_err_clear(&err);
    runs[1].model = "tiny";
    eval_routing_free(eval_routing_open(runs, false, &err));
    assert_int_equal(err.code, CAP_OK);
}

static void other_prompts_have_overlap_and_no_drift(void **state)
{
    static const uint32_t counts[] = {4, 3, 2, 1};
    struct eval_routing_run runs[] = {run_of("a"), run_of("b")};
    struct eval_routing_result result;

    (void)state;
    runs[1].task_sha256 = "other";
    runs[1].task = "choice";
    CAP_AUTO(eval_routing) r = two_runs(runs);
    add(r, 0, 1, counts, counts, true);
    add(r, 1, 1, counts, counts, true);
    eval_routing_add_counts(r, 0, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
    eval_routing_add_counts(r, 1, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
    eval_routing_end(r, &result);
    assert_near(value(&result, "routing_cosine_decode"), 1);
    assert_true(isnan(value(&result, "routing_moved_decode")));
    assert_string_equal(reason(&result, "routing_moved_decode"), "the runs are of two tasks");
    assert_string_equal(reason(&result, "accuracy_change"), "the runs are of two tasks");
    assert_string_equal(reason(&result, "routing_cosine_prefill"),
                        "one of the runs has no selections in this phase");
    assert_true(isnan(result.rows[0].moved));
}

static void runs_that_tell_no_routing_say_why_there_is_no_drift(void **state)
{
    struct eval_routing_run runs[] = {run_of("a"), run_of("b")};
    struct eval_routing_result result;

    (void)state;
    runs[0].routing_unknown = "servers of this kind do not report the experts of a request";
    CAP_AUTO(eval_routing) r = two_runs(runs);
    eval_routing_end(r, &result);
    assert_string_equal(reason(&result, "routing_samples"), runs[0].routing_unknown);
    assert_string_equal(reason(&result, "accuracy_a"), "no sample is graded in both runs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_loads_overlap_as_worked),
        cmocka_unit_test(loads_without_a_common_expert_are_as_far_apart_as_can_be),
        cmocka_unit_test(samples_meet_by_their_ordinals),
        cmocka_unit_test(the_most_moved_samples_come_first),
        cmocka_unit_test(experts_of_two_models_are_not_compared),
        cmocka_unit_test(a_model_is_known_by_its_files_and_else_by_its_name),
        cmocka_unit_test(other_prompts_have_overlap_and_no_drift),
        cmocka_unit_test(runs_that_tell_no_routing_say_why_there_is_no_drift),
    };

    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}
