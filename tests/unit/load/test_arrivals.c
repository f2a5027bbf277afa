/* When requests are due: each process against its own distribution (Kolmogorov and Smirnov), the
 * ramp against its integral, replays as files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/auto.h"
#include "load/arrivals.h"

enum { DRAWS = 10000 };

/* ---- the distribution of gaps ---- */

/* By its closed form for the shapes 1/2, 1 and 2; `gap` is of mean 1. */
static double gamma_below(double shape, double gap)
{
    double x = shape * gap;

    if (shape == 0.5)
        return erf(sqrt(x));
    return shape == 1 ? 1 - exp(-x) : 1 - exp(-x) * (1 + x);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void draw_gaps(const struct cap_arrivals_form *form, uint64_t seed, double gaps[DRAWS])
{
    struct cap_arrivals arrivals;
    double before = 0;

    cap_arrivals_start(&arrivals, form, seed);
    for (int i = 0; i < DRAWS; i++) {
        double due = cap_arrivals_next_s(&arrivals);

        gaps[i] = (due - before) * form->rate_per_s;
        before = due;
    }
}

/* The largest distance between what was drawn and what the distribution says. */
static double distance(const struct cap_arrivals_form *form, double shape, uint64_t seed)
{
    double gaps[DRAWS], most = 0;

    draw_gaps(form, seed, gaps);
    qsort(gaps, DRAWS, sizeof *gaps, compare);
    for (int i = 0; i < DRAWS; i++) {
        double below = gamma_below(shape, gaps[i]);

        most = fmax(most, fmax(below - (double)i / DRAWS, (double)(i + 1) / DRAWS - below));
    }
    return most;
}

/* At 1 % of error: 1.628 / sqrt(n). Fixed seeds, so it either always passes or never. */
static void gaps_pass_the_test_of_kolmogorov_and_smirnov(void **state)
{
    static const struct {
        struct cap_arrivals_form form;
        double shape;
    } cases[] = {
        {{.process = CAP_ARRIVALS_POISSON, .rate_per_s = 5}, 1},
        {{.process = CAP_ARRIVALS_GAMMA, .rate_per_s = 5, .burstiness = 1}, 1},
        {{.process = CAP_ARRIVALS_GAMMA, .rate_per_s = 200, .burstiness = 0.5}, 0.5},
        {{.process = CAP_ARRIVALS_GAMMA, .rate_per_s = 0.01, .burstiness = 2}, 2},
    };
    const double allowed = 1.628 / sqrt(DRAWS);

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            assert_true(distance(&cases[i].form, cases[i].shape, seed) < allowed);
    /* and the test can fail: gaps of one shape are not those of another */
    assert_true(distance(&cases[2].form, 1, 1) > 5 * allowed);
    assert_true(distance(&cases[0].form, 2, 1) > 5 * allowed);
}

static void constant_arrivals_keep_their_distance(void **state)
{
    const struct cap_arrivals_form form = {.process = CAP_ARRIVALS_CONSTANT, .rate_per_s = 4};
    struct cap_arrivals arrivals;

    (void)state;
    cap_arrivals_start(&arrivals, &form, 1);
    for (int i = 1; i <= 100000; i++)
        assert_true(cap_arrivals_next_s(&arrivals) == i / 4.0); /* no error adds up */
}

static void a_seed_gives_the_same_times_to_the_last_bit(void **state)
{
    const struct cap_arrivals_form form = {
        .process = CAP_ARRIVALS_GAMMA, .rate_per_s = 3, .burstiness = 0.7};
    struct cap_arrivals a, b, other;
    int equal = 0;

    (void)state;
    cap_arrivals_start(&a, &form, 42);
    cap_arrivals_start(&b, &form, 42);
    cap_arrivals_start(&other, &form, 43);
    for (int i = 0; i < 1000; i++) {
        double at = cap_arrivals_next_s(&a), same = cap_arrivals_next_s(&b);

        assert_memory_equal(&at, &same, sizeof at);
        equal += at == cap_arrivals_next_s(&other);
    }
    assert_int_equal(equal, 0);
}

/* ---- ramps ---- */

/* From 2 to 10 a second within 10 s: 60 are expected by then, and 10 a second afterwards. */
static void a_ramp_expects_what_its_integral_says(void **state)
{
    const struct cap_arrivals_form form = {
        .process = CAP_ARRIVALS_CONSTANT, .rate_per_s = 2, .ramp_to_per_s = 10, .ramp_s = 10};
    struct cap_arrivals arrivals;

    (void)state;
    cap_arrivals_start(&arrivals, &form, 1);
    for (int i = 1; i <= 100; i++) {
        double t = cap_arrivals_next_s(&arrivals);
        double expected = t < 10 ? 2 * t + 0.4 * t * t : 60 + 10 * (t - 10);

        assert_true(fabs(expected - i) < 1e-9);
    }
}

static void a_ramp_may_fall_or_be_flat(void **state)
{
    static const struct cap_arrivals_form forms[] = {
        {.process = CAP_ARRIVALS_CONSTANT, .rate_per_s = 10, .ramp_to_per_s = 1, .ramp_s = 4},
        {.process = CAP_ARRIVALS_CONSTANT, .rate_per_s = 10, .ramp_to_per_s = 10, .ramp_s = 4},
    };
    double at = 0;

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(forms); i++) {
        struct cap_arrivals arrivals;
        double before = 0;

        cap_arrivals_start(&arrivals, &forms[i], 1);
        for (int n = 0; n < 60; n++, before = at)
            assert_true((at = cap_arrivals_next_s(&arrivals)) > before);
    }
    assert_true(fabs(at - 6.0) < 1e-9); /* the flat one: 60 at 10 a second */
}

/* ---- replays ---- */

static void a_replay_is_its_times_from_the_first_on(void **state)
{
    CAP_AUTO_MEM double *times = NULL;
    struct cap_err err = {0};
    struct cap_arrivals arrivals;
    size_t count;

    (void)state;
    assert_true(
        cap_replay_read("# a trace\n1700000000.5\n1700000001\r\n\n1700000001,1700000003 # end",
                        &times, &count, &err));
    assert_int_equal(count, 4);
    cap_arrivals_start(&arrivals,
                       &(struct cap_arrivals_form){.times_s = times, .time_count = count}, 1);
    assert_true(cap_arrivals_next_s(&arrivals) == 0);
    assert_true(cap_arrivals_next_s(&arrivals) == 0.5);
    assert_true(cap_arrivals_next_s(&arrivals) == 0.5);
    assert_true(cap_arrivals_next_s(&arrivals) == 2.5);
    assert_true(isinf(cap_arrivals_next_s(&arrivals)));
}

static void a_replay_that_is_none_is_refused_by_its_line(void **state)
{
    static const char *const cases[][2] = {
        {"", "no time in it"},
        {"# nothing\n", "no time in it"},
        {"1\n2\nthree\n", "line 3: \"three\" is not a time in seconds"},
        {"1\n2x\n", "line 2: \"2x\" is not a time in seconds"},
        {"nan", "line 1: \"nan\" is not a time in seconds"},
        {"0\n1e999", "line 2: \"1e999\" is not a time in seconds"},
        {"5\n\n4\n", "line 3: 4 comes after 5: times go back"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        double *times = NULL;
        struct cap_err err = {0};
        size_t count;

        assert_false(cap_replay_read(cases[i][0], &times, &count, &err));
        assert_string_equal(err.text, cases[i][1]);
    }
}

static void a_word_that_is_no_process_is_refused(void **state)
{
    struct cap_arrivals_form form = {.rate_per_s = 1};
    struct cap_err err = {0};

    (void)state;
    assert_true(cap_arrivals_process("", 0, &form, &err));
    assert_int_equal(form.process, CAP_ARRIVALS_POISSON);
    assert_true(cap_arrivals_process("", 0.5, &form, &err));
    assert_int_equal(form.process, CAP_ARRIVALS_GAMMA);
    assert_true(cap_arrivals_process("gamma", 0, &form, &err));
    assert_true(form.burstiness == 1);
    assert_false(cap_arrivals_process("weibull", 0, &form, &err));
    assert_string_equal(err.text, "arrivals \"weibull\" are neither poisson, constant nor gamma");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_pass_the_test_of_kolmogorov_and_smirnov),
        cmocka_unit_test(constant_arrivals_keep_their_distance),
        cmocka_unit_test(a_seed_gives_the_same_times_to_the_last_bit),
        cmocka_unit_test(a_ramp_expects_what_its_integral_says),
        cmocka_unit_test(a_ramp_may_fall_or_be_flat),
        cmocka_unit_test(a_replay_is_its_times_from_the_first_on),
        cmocka_unit_test(a_replay_that_is_none_is_refused_by_its_line),
        cmocka_unit_test(a_word_that_is_no_process_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
