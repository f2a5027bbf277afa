/* Two runs on the same samples: pairs, tests, figures, and what is refused. */
#include "measuring.h"

#include "evaluator/service.h"

enum { SAMPLES = 200 };

struct pair {
    Moecap__V1__CompareRequest request;
    Moecap__V1__ComparedRun a, b;
    uint32_t ordinals[SAMPLES];
    protobuf_c_boolean right_a[SAMPLES], right_b[SAMPLES];
    Moecap__V1__Figure figures[6], *of_a[3], *of_b[3];
};

static void init_figure(Moecap__V1__Figure *f, const char *id, double value, double half)
{
    moecap__v1__figure__init(f);
    f->id = (char *)id;
    f->unit = "ms";
    f->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    f->value = value;
    f->opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    f->low = value - half;
    f->opt_high_case = MOECAP__V1__FIGURE__OPT_HIGH_HIGH;
    f->high = value + half;
}

/* 200 samples of which a has 100 right; b loses the first five of these and gains 15 others. */
static void init_pair(struct pair *p)
{
    moecap__v1__compare_request__init(&p->request);
    moecap__v1__compared_run__init(&p->a);
    moecap__v1__compared_run__init(&p->b);
    p->a.run_id = "run-a";
    p->b.run_id = "run-b";
    p->request.a = &p->a;
    p->request.b = &p->b;
    p->request.task = "gsm";
    p->request.metric = "acc";
    for (uint32_t i = 0; i < SAMPLES; i++) {
        p->ordinals[i] = 3 * i;
        p->right_a[i] = i < 100;
        p->right_b[i] = i >= 5 && i < 115;
    }
    p->request.ordinals = p->ordinals;
    p->request.right_a = p->right_a;
    p->request.right_b = p->right_b;
    p->request.n_ordinals = p->request.n_right_a = p->request.n_right_b = SAMPLES;
    init_figure(&p->figures[0], "ttft_ms_mean", 10, 3);
    init_figure(&p->figures[1], "acc", 0.5, 0.07);
    init_figure(&p->figures[2], "tpot_ms_mean", 2, 0.1);
    init_figure(&p->figures[3], "ttft_ms_mean", 20, 4);
    init_figure(&p->figures[4], "acc", 0.55, 0.07);
    init_figure(&p->figures[5], "e2e_ms_mean", 90, 1);
    for (int i = 0; i < 3; i++) {
        p->of_a[i] = &p->figures[i];
        p->of_b[i] = &p->figures[3 + i];
    }
    p->a.figures = p->of_a;
    p->b.figures = p->of_b;
    p->a.n_figures = p->b.n_figures = 3;
}

static void pairs_are_counted_and_tested(void **state)
{
    Moecap__V1__CompareReply reply = MOECAP__V1__COMPARE_REPLY__INIT;
    struct cap_err err = {0};
    static struct pair p;

    (void)state;
    init_pair(&p);
    assert_true(eval_compare(&p.request, arena, &reply, &err));
    assert_int_equal(reply.samples, 200);
    assert_int_equal(reply.right_both, 95);
    assert_int_equal(reply.right_a_only, 5);
    assert_int_equal(reply.right_b_only, 15);
    assert_int_equal(reply.wrong_both, 85);
    assert_true(fabs(reply.accuracy->value - 0.05) < 1e-12);
    assert_true(reply.accuracy->low > 0 && reply.accuracy->high < 0.1);
    assert_true(fabs(reply.p_exact - 0.04138946533203125) < 1e-12);
    assert_true(fabs(reply.p_mid - 0.026603698730468753) < 1e-12);
    assert_true(fabs(reply.detectable - 0.0626453) < 1e-6);
    assert_int_equal(reply.n_lost, 5);
    assert_int_equal(reply.lost[4], 12); /* the sample's ordinal, not its place */
    assert_int_equal(reply.n_gained, 15);
    assert_int_equal(reply.gained[0], 300);
}

/* Unpaired, 50 % and 55 % of 200 overlap widely: pairs see what shares do not. */
static void pairs_tell_more_than_two_shares(void **state)
{
    Moecap__V1__CompareReply reply = MOECAP__V1__COMPARE_REPLY__INIT;
    struct cap_err err = {0};
    static struct pair p;

    (void)state;
    init_pair(&p);
    assert_true(eval_compare(&p.request, arena, &reply, &err));
    assert_true(reply.accuracy->low > 0);
    assert_true(p.figures[1].high > p.figures[4].low); /* Wilson's overlap */
}

static void figures_differ_with_the_doubt_of_both(void **state)
{
    Moecap__V1__CompareReply reply = MOECAP__V1__COMPARE_REPLY__INIT;
    struct cap_err err = {0};
    static struct pair p;

    (void)state;
    init_pair(&p);
    assert_true(eval_compare(&p.request, arena, &reply, &err));
    assert_int_equal(reply.n_figures, 3); /* the share has its pairs */
    assert_string_equal(reply.figures[0]->id, "ttft_ms_mean");
    assert_true(reply.figures[0]->value == 10);
    assert_true(fabs(reply.figures[0]->low - 5) < 1e-12);
    assert_true(fabs(reply.figures[0]->high - 15) < 1e-12);
    assert_string_equal(reply.figures[1]->id, "tpot_ms_mean");
    assert_string_equal(reply.figures[1]->reason, "run b does not have it");
    assert_int_equal(reply.figures[1]->opt_value_case, 0);
    assert_string_equal(reply.figures[2]->reason, "run a does not have it");
}

static void what_is_no_pair_is_refused(void **state)
{
    Moecap__V1__CompareReply reply = MOECAP__V1__COMPARE_REPLY__INIT;
    struct cap_err err = {0};
    static struct pair p;

    (void)state;
    init_pair(&p);
    p.request.n_right_b = 199;
    assert_false(eval_compare(&p.request, arena, &reply, &err));
    assert_string_equal(err.text, "200 samples come with 200 verdicts of run a and 199 of run b");
    cap_err_clear(&err);
    init_pair(&p);
    p.ordinals[7] = p.ordinals[6];
    assert_false(eval_compare(&p.request, arena, &reply, &err));
    assert_string_equal(err.text, "sample 18 is out of order or there twice");
    cap_err_clear(&err);
    init_pair(&p);
    p.request.n_ordinals = p.request.n_right_a = p.request.n_right_b = 0;
    assert_false(eval_compare(&p.request, arena, &reply, &err));
    assert_string_equal(err.text, "there is no sample to compare");
    cap_err_clear(&err);
    p.request.b = NULL;
    assert_false(eval_compare(&p.request, arena, &reply, &err));
    assert_string_equal(err.text, "the request lacks run b");
}

/* 10, 12 and 14 have the mean 12 and Student's half width 4.303 * 2 / sqrt(3). */
static void repeats_have_an_interval_over_runs(void **state)
{
    Moecap__V1__RepeatsRequest request = MOECAP__V1__REPEATS_REQUEST__INIT;
    Moecap__V1__RepeatsReply reply = MOECAP__V1__REPEATS_REPLY__INIT;
    Moecap__V1__ComparedRun runs[3], *list[] = {&runs[0], &runs[1], &runs[2]};
    Moecap__V1__Figure figures[3][2], *lists[3][2];
    struct cap_err err = {0};

    (void)state;
    for (int r = 0; r < 3; r++) {
        moecap__v1__compared_run__init(&runs[r]);
        init_figure(&figures[r][0], "ttft_ms_mean", 10 + 2 * r, 0.1);
        init_figure(&figures[r][1], "tpot_ms_mean", 1, 0.1);
        figures[r][1].invalid = r == 2;
        figures[r][0].basis = r == 1 ? "declared" : "measured";
        lists[r][0] = &figures[r][0];
        lists[r][1] = &figures[r][1];
        runs[r].figures = lists[r];
        runs[r].n_figures = 2;
    }
    request.runs = list;
    request.n_runs = 3;
    assert_true(eval_repeats(&request, arena, &reply, &err));
    assert_int_equal(reply.n_figures, 2);
    assert_true(reply.figures[0]->value == 12);
    assert_true(fabs(reply.figures[0]->high - 12 - 4.302652729749462 * 2 / sqrt(3)) < 1e-9);
    assert_string_equal(reply.figures[0]->basis, "declared");
    assert_int_equal(reply.figures[1]->opt_value_case, 0);
    assert_string_equal(reply.figures[1]->reason, "2 of 3 runs have it");
    request.n_runs = 1; /* a run alone has no interval over runs */
    assert_true(eval_repeats(&request, arena, &reply, &err));
    assert_true(reply.figures[0]->value == 10 && reply.figures[0]->opt_low_case == 0);
    request.n_runs = 0;
    assert_false(eval_repeats(&request, arena, &reply, &err));
    assert_string_equal(err.text, "there is no run to take a mean over");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_counted_and_tested),
        cmocka_unit_test(pairs_tell_more_than_two_shares),
        cmocka_unit_test(figures_differ_with_the_doubt_of_both),
        cmocka_unit_test(what_is_no_pair_is_refused),
        cmocka_unit_test(repeats_have_an_interval_over_runs),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
