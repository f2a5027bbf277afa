/* Activation of experts: worked vectors, curves, and recordings that cannot be. */
#include "measuring.h"

static void add_phase_counts(struct eval_evidence *e, enum eval_phase phase, uint32_t layer,
                             uint64_t *counts, size_t experts)
{
    Moecap__V1__ExpertCount wire = MOECAP__V1__EXPERT_COUNT__INIT;

    wire.phase =
        phase == EVAL_DECODE ? MOECAP__V1__PHASE__PHASE_DECODE : MOECAP__V1__PHASE__PHASE_PREFILL;
    wire.layer = layer;
    wire.counts = counts;
    wire.n_counts = experts;
    eval_evidence_add_counts(e, &wire);
}

static struct eval_evidence *four_experts(void)
{
    struct eval_run header = generating(1);

    header.experts = 4;
    return eval_evidence_new(&header);
}

/* The second worked vector of docs/metrics.md: 4 experts, 2 for each token, model layers 1 and 3. */
static struct eval_evidence *worked_activation(void)
{
    struct eval_evidence *e = four_experts();

    add_pass(e, EVAL_PREFILL, 5, 1000, 4, 3, false);
    add_pass(e, EVAL_DECODE, 2, 1000, 3, 2, false);
    add_pass(e, EVAL_DECODE, 2, 1000, 4, 3, false);
    add_pass(e, EVAL_DECODE, 1, 1000, 2, 2, false);
    add_phase_counts(e, EVAL_PREFILL, 1, (uint64_t[]){3, 3, 2, 2}, 4);
    add_phase_counts(e, EVAL_PREFILL, 3, (uint64_t[]){4, 3, 3, 0}, 4);
    add_phase_counts(e, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
    add_phase_counts(e, EVAL_DECODE, 3, (uint64_t[]){5, 0, 4, 1}, 4);
    return e;
}

static double entropy(double a, double b, double c, double d)
{
    const double shares[] = {a, b, c, d};
    double sum = 0;

    for (size_t i = 0; i < 4; i++)
        sum -= shares[i] > 0 ? shares[i] * log(shares[i]) : 0;
    return sum / log(4);
}

static void the_worked_activation_gives_the_worked_figures(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();

    (void)state;
    assert_value(e, "activated_experts_decode", 16.0 / 6);
    assert_value(e, "activated_share_decode", 16.0 / 6 / 4);
    assert_value(e, "expert_load_max_ratio_decode", (4 / 2.5 + 5 / 2.5) / 2);
    assert_value(e, "expert_load_gini_decode", (0.25 + 0.45) / 2);
    assert_value(e, "expert_load_jain_decode", (100 / 120.0 + 100 / 168.0) / 2);
    assert_value(e, "expert_load_entropy_decode",
                 (entropy(0.4, 0.3, 0.2, 0.1) + entropy(0.5, 0, 0.4, 0.1)) / 2);
    assert_value(e, "expert_load_worst_decode", 2);
    assert_value(e, "expert_load_worst_layer_decode", 3);
    assert_value(e, "activated_share_prefill", 3.5 / 4);
    assert_value(e, "expert_load_max_ratio_prefill", (3 / 2.5 + 4 / 2.5) / 2);
    assert_value(e, "expert_load_worst_layer_prefill", 3);
    /* both phases together, under the older ids */
    assert_value(e, "expert_load_max_ratio", (7 / 5.0 + 9 / 5.0) / 2);
}

static const struct eval_curve *curve(const struct eval_curves *curves, const char *id)
{
    for (size_t i = 0; i < curves->count; i++)
        if (strcmp(curves->rows[i].id, id) == 0)
            return &curves->rows[i];
    return NULL;
}

static void a_point_of_the_curve_is_the_mean_of_passes_of_one_size(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();
    struct eval_curves curves = {.arena = arena};
    const struct eval_curve *batch, *layers, *load;

    (void)state;
    assert_true(eval_curves_of(e, &curves));
    batch = curve(&curves, "activation_batch_decode");
    assert_int_equal(batch->count, 2);
    assert_true(batch->x[0] == 1 && batch->y[0] == 2);
    assert_true(batch->x[1] == 2 && batch->y[1] == 3);
    /* 4 (1 - (1 - 2/4)^T) */
    assert_true(batch->reference[0] == 2 && batch->reference[1] == 3);
    assert_true(curve(&curves, "activation_batch_prefill")->reference[0] == 4 * (1 - 1 / 32.0));
    /* by layer: 3, 4, 2 and 2, 3, 2 experts in three passes; of 2, 2 and 1 tokens */
    layers = curve(&curves, "activation_layer_decode");
    assert_int_equal(layers->count, 2);
    assert_true(layers->x[0] == 1 && layers->y[0] == 3);
    assert_true(layers->x[1] == 3 && fabs(layers->y[1] - 7 / 3.0) < 1e-12);
    assert_true(fabs(layers->reference[1] - (3 + 3 + 2) / 3.0) < 1e-12);
    load = curve(&curves, "expert_load_decode");
    assert_int_equal(load->count, 2);
    assert_true(load->x[1] == 3 && load->y[1] == 2);
    assert_null(load->reference);
}

static void a_large_pass_shares_its_point_and_keeps_its_own_size(void **state)
{
    struct eval_run header = generating(1);
    CAP_AUTO(eval_evidence) e = eval_evidence_new(&header);
    struct eval_curves curves = {.arena = arena};
    const struct eval_curve *batch;

    (void)state;
    add_pass(e, EVAL_PREFILL, 500, 1000, 16, 16, false);
    add_pass(e, EVAL_PREFILL, 510, 1000, 14, 14, false);
    add_pass(e, EVAL_PREFILL, 4000000000u, 1000, 16, 16, false);
    assert_true(eval_curves_of(e, &curves));
    batch = curve(&curves, "activation_batch_prefill");
    assert_int_equal(batch->count, 2);
    assert_true(batch->x[0] == 505 && batch->y[0] == 15);
    assert_null(curve(&curves, "activation_batch_decode"));
}

/* The store refuses a summary with a point that is no number: the run would fail for a picture. */
static void a_run_without_power_has_no_curve_of_it(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();
    struct eval_curves curves = {.arena = arena};

    (void)state;
    add_answer(e, 0, 1000, 2000, 3000, 5, 2);
    assert_null(eval_timing_problem(e));
    assert_true(eval_curves_of(e, &curves));
    assert_null(curve(&curves, "power_over_time"));
    for (size_t i = 0; i < curves.count; i++)
        for (size_t at = 0; at < curves.rows[i].count; at++)
            assert_true(isfinite(curves.rows[i].x[at]) && isfinite(curves.rows[i].y[at]));
}

static void the_uniform_prediction_is_that_of_the_formula(void **state)
{
    (void)state;
    assert_true(fabs(eval_uniform_experts(128, 8, 1) - 8) < 1e-12);
    assert_true(fabs(eval_uniform_experts(128, 8, 32) - 128 * (1 - pow(120.0 / 128, 32))) < 1e-9);
    assert_true(fabs(eval_uniform_experts(8, 2, 1e6) - 8) < 1e-12);
}

static void an_even_layer_is_even_by_every_index(void **state)
{
    struct eval_layer_counts even = {(uint64_t[]){7, 7, 7}, 3}, one = {(uint64_t[]){0, 9, 0}, 3},
                             none = {(uint64_t[]){0, 0}, 2};
    struct eval_balance b;

    (void)state;
    assert_true(eval_balance_of(&even, &b));
    assert_true(fabs(b.max_ratio - 1) < 1e-12 && fabs(b.gini) < 1e-12);
    assert_true(fabs(b.jain - 1) < 1e-12 && fabs(b.entropy - 1) < 1e-12);
    assert_true(eval_balance_of(&one, &b));
    assert_true(fabs(b.max_ratio - 3) < 1e-12 && fabs(b.gini - 2.0 / 3) < 1e-12);
    assert_true(fabs(b.jain - 1.0 / 3) < 1e-12 && fabs(b.entropy) < 1e-12);
    assert_false(eval_balance_of(&none, &b));
}

/* A mean of 2.5 looks fine; one of its passes cannot be. */
static void each_pass_is_checked_not_only_their_mean(void **state)
{
    CAP_AUTO(eval_evidence) e = four_experts();

    (void)state;
    add_pass(e, EVAL_DECODE, 2, 1000, 3, 3, false);
    add_pass(e, EVAL_DECODE, 1, 1000, 2, 3, false); /* one token chose three */
    assert_invalid(e, "activated_experts_decode",
                   "1 passes in which a layer used fewer experts than one token chooses (2), or "
                   "more than its tokens can (4)");
    assert_true(figure(e, "activated_share_decode")->invalid);
}

/* Of two phases each has its own figures: prompts, which wake almost all experts, would make decode
 * look twice as expensive. */
static void trap_r1_prefill_is_not_counted_as_decode_in_any_layer(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();

    (void)state;
    add_pass(e, EVAL_PREFILL, 100, 1000, 4, 4, false);
    assert_value(e, "activated_experts_decode", 16.0 / 6);
    assert_value(e, "expert_load_worst_decode", 2);
}

/* Rows of padding and of sequences that have ended choose experts, too: then a layer has more
 * selections than the tokens of the passes make. */
static void trap_r2_selections_of_padding_are_seen(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();

    (void)state;
    add_phase_counts(e, EVAL_DECODE, 1, (uint64_t[]){2, 2, 2, 0}, 4); /* three rows more */
    assert_invalid(e, "expert_load_gini_decode",
                   "a layer does not have the 10 selections that 2 for each token of the passes "
                   "make");
    assert_value(e, "expert_load_max_ratio_prefill", 1.4);
}

/* Each of two stages, or ranks, sends the same counts. */
static void trap_c2_a_pass_that_two_stages_recorded_is_seen(void **state)
{
    CAP_AUTO(eval_evidence) e = worked_activation();

    (void)state;
    add_phase_counts(e, EVAL_DECODE, 1, (uint64_t[]){4, 3, 2, 1}, 4);
    add_phase_counts(e, EVAL_DECODE, 3, (uint64_t[]){5, 0, 4, 1}, 4);
    assert_true(figure(e, "expert_load_max_ratio_decode")->invalid);
}

/* Of two groups of ranks only one sends its counts. */
static void trap_c3_a_group_of_ranks_that_is_silent_is_seen(void **state)
{
    CAP_AUTO(eval_evidence) e = four_experts();

    (void)state;
    add_pass(e, EVAL_DECODE, 4, 1000, 4, 4, false);
    add_phase_counts(e, EVAL_DECODE, 1, (uint64_t[]){1, 1, 1, 1}, 4);
    assert_true(figure(e, "expert_load_max_ratio_decode")->invalid);
}

/* A router that nobody trained spreads its choices: figures stay, and every reader is told. */
static void random_weights_are_marked(void **state)
{
    struct eval_run header = generating(1);
    Moecap__V1__Summary summary;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    header.routing_source = "random weights";
    e = eval_evidence_new(&header);
    add_pass(e, EVAL_DECODE, 2, 1000, 3, 3, false);
    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_marks; i++)
        if (strcmp(summary.marks[i]->id, "random-weights") == 0)
            return;
    fail_msg("there is no mark");
}

static void trap_c37_a_model_that_activates_nothing_is_invalid(void **state)
{
    CAP_AUTO(eval_evidence) e = four_experts();

    (void)state;
    add_pass(e, EVAL_DECODE, 2, 1000, 0, 0, false);
    assert_invalid(e, "activated_experts_decode", "below the 2 experts that each token chooses");
    assert_none(e, "expert_load_gini_decode", "no routing records");
}

/* Two shared experts behind the four that are routed to. */
static void trap_c38_counts_beyond_the_models_experts_are_invalid(void **state)
{
    CAP_AUTO(eval_evidence) e = four_experts();

    (void)state;
    add_pass(e, EVAL_DECODE, 5, 1000, 4, 4, false);
    add_phase_counts(e, EVAL_DECODE, 1, (uint64_t[]){2, 2, 2, 2, 1, 1}, 6);
    assert_invalid(e, "expert_load_jain_decode",
                   "layer 1 has counts of 6 experts, the model has 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_activation_gives_the_worked_figures),
        cmocka_unit_test(a_point_of_the_curve_is_the_mean_of_passes_of_one_size),
        cmocka_unit_test(a_large_pass_shares_its_point_and_keeps_its_own_size),
        cmocka_unit_test(a_run_without_power_has_no_curve_of_it),
        cmocka_unit_test(the_uniform_prediction_is_that_of_the_formula),
        cmocka_unit_test(an_even_layer_is_even_by_every_index),
        cmocka_unit_test(each_pass_is_checked_not_only_their_mean),
        cmocka_unit_test(trap_r1_prefill_is_not_counted_as_decode_in_any_layer),
        cmocka_unit_test(trap_r2_selections_of_padding_are_seen),
        cmocka_unit_test(trap_c2_a_pass_that_two_stages_recorded_is_seen),
        cmocka_unit_test(trap_c3_a_group_of_ranks_that_is_silent_is_seen),
        cmocka_unit_test(random_weights_are_marked),
        cmocka_unit_test(trap_c37_a_model_that_activates_nothing_is_invalid),
        cmocka_unit_test(trap_c38_counts_beyond_the_models_experts_are_invalid),
    };

    return cmocka_run_group_tests_name("activation", tests, set_up, tear_down);
}
