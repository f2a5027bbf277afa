/* Pictures of runs: what is known is drawn at its place, what is not is named, and a picture of
 * nothing fails with a sentence. Every picture of every number of runs is drawn, and no text of one
 * covers another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pictures/pictures.h"

enum { RUNS = 8, FIGURES = 10 };

static const char *const ids[FIGURES] = {"accuracy",
                                         "tpot_ms_p50",
                                         "output_tokens_per_s",
                                         "cost_per_1m_output_tokens",
                                         "decode_gb_per_s",
                                         "decode_gflop_per_s",
                                         "peak_gb_per_s",
                                         "peak_gflop_per_s",
                                         "attainable_gb_per_s",
                                         "attainable_gflop_per_s"};
static const double values[FIGURES] = {0.5, 10, 1000, 2, 100, 200, 1000, 50000, 800, 40000};

/* A run that knows everything. */
struct known {
    Moecap__V1__GetRunReply run;
    Moecap__V1__BoardRow row;
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__Load load;
    Moecap__V1__Figure figures[FIGURES], *figure_list[FIGURES];
    Moecap__V1__Curve curve, *curves[1];
    Moecap__V1__Histogram histogram, *histograms[1];
    double x[3], y[3], reference[3];
    uint64_t counts[4];
    char id[16];
};

static void make_run(struct known *k, size_t number)
{
    k->run = (Moecap__V1__GetRunReply)MOECAP__V1__GET_RUN_REPLY__INIT;
    k->row = (Moecap__V1__BoardRow)MOECAP__V1__BOARD_ROW__INIT;
    k->spec = (Moecap__V1__EvaluationSpec)MOECAP__V1__EVALUATION_SPEC__INIT;
    k->load = (Moecap__V1__Load)MOECAP__V1__LOAD__INIT;
    k->load.kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    k->load.concurrency = 1u << number;
    k->spec.load = &k->load;
    k->spec.model = (char *)"a-model-whose-name-is-rather-long-30B-A3B-instruct";
    k->spec.engine = (char *)"native";
    k->spec.precision = (char *)"bf16";
    snprintf(k->id, sizeof k->id, "run-%06zu", number);
    k->row.run_id = k->id;
    k->row.task = (char *)"gsm-mini";
    k->row.spec = &k->spec;
    for (size_t i = 0; i < FIGURES; i++) {
        k->figures[i] = (Moecap__V1__Figure)MOECAP__V1__FIGURE__INIT;
        k->figures[i].id = (char *)ids[i];
        k->figures[i].opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        k->figures[i].value = values[i] * (i < 6 ? 1 + 0.1 * (double)number : 1);
        k->figure_list[i] = &k->figures[i];
    }
    k->row.figures = k->figure_list;
    k->row.n_figures = FIGURES;
    k->run.row = &k->row;
}

static void make_evidence(struct known *k)
{
    for (size_t i = 0; i < 3; i++) {
        k->x[i] = (double)(1 << i);
        k->y[i] = 2 + (double)i;
        k->reference[i] = 2.5 + (double)i;
    }
    k->curve = (Moecap__V1__Curve)MOECAP__V1__CURVE__INIT;
    k->curve.id = (char *)"activation_batch_decode";
    k->curve.x = k->x;
    k->curve.y = k->y;
    k->curve.reference = k->reference;
    k->curve.n_x = k->curve.n_y = k->curve.n_reference = 3;
    k->curves[0] = &k->curve;
    k->run.curves = k->curves;
    k->run.n_curves = 1;
    memcpy(k->counts, (uint64_t[]){1, 0, 2, 1}, sizeof k->counts);
    k->histogram = (Moecap__V1__Histogram)MOECAP__V1__HISTOGRAM__INIT;
    k->histogram.id = (char *)"ttft_us";
    k->histogram.lowest = 1000;
    k->histogram.growth = 2;
    k->histogram.counts = k->counts;
    k->histogram.n_counts = 4;
    k->histograms[0] = &k->histogram;
    k->run.histograms = k->histograms;
    k->run.n_histograms = 1;
}

static struct known known[RUNS];
static Moecap__V1__GetRunReply *runs[RUNS];
static uint64_t chosen[] = {4, 0, 4, 8};
static Moecap__V1__ExpertCount count_items[2], *counts[2] = {&count_items[0], &count_items[1]};

static int make_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        make_run(&known[i], i);
        make_evidence(&known[i]);
        runs[i] = &known[i].run;
    }
    for (uint32_t i = 0; i < 2; i++) {
        count_items[i] = (Moecap__V1__ExpertCount)MOECAP__V1__EXPERT_COUNT__INIT;
        count_items[i].phase = MOECAP__V1__PHASE__PHASE_DECODE;
        count_items[i].layer = 3;
        count_items[i].batch_bucket = 1 + i;
        count_items[i].counts = chosen;
        count_items[i].n_counts = 4;
    }
    return 0;
}

static struct cap_picture_ask ask_of(size_t run_count)
{
    return (struct cap_picture_ask){
        .runs = runs, .run_count = run_count, .counts = counts, .count_count = 2};
}

static json_t *numbers_of(const char *name, const struct cap_picture_ask *ask,
                          struct cap_arena *arena)
{
    struct cap_plot plot;
    struct cap_err err = {0};

    if (!cap_picture_make(cap_picture_find(name), ask, arena, &plot, &err))
        fail_msg("%s: %s", name, err.text);
    return cap_plot_numbers(&plot);
}

/* Point `point` of series `series`. */
static double number_at(json_t *numbers, size_t series, size_t point, const char *key)
{
    json_t *points =
        json_object_get(json_array_get(json_object_get(numbers, "series"), series), "points");

    assert_non_null(json_array_get(points, point));
    return json_number_value(json_object_get(json_array_get(points, point), key));
}

static void every_picture_of_any_number_of_runs_has_readable_texts(void **state)
{
    size_t count;
    const struct cap_picture *pictures = cap_pictures(&count);

    (void)state;
    for (size_t p = 0; p < count; p++)
        for (size_t n = 1; n <= RUNS && n <= pictures[p].runs_max; n++) {
            CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
            struct cap_picture_ask ask = ask_of(n);
            struct cap_err err = {0};
            struct cap_plot plot;
            size_t texts;

            if (!cap_picture_make(&pictures[p], &ask, arena, &plot, &err))
                fail_msg("%s: %s", pictures[p].name, err.text);
            CAP_AUTO(cap_paper) paper = cap_plot_paper(&plot, &(struct cap_plot_look){0});
            const struct cap_box *b = cap_paper_texts(paper, &texts);

            for (size_t i = 0; i < texts; i++) {
                if (b[i].x < 0 || b[i].x + b[i].width > cap_paper_width(paper) || b[i].y < 0 ||
                    b[i].y + b[i].height > cap_paper_height(paper))
                    fail_msg("%s of %zu runs: text %zu is cut", pictures[p].name, n, i);
                for (size_t k = 0; k < i; k++)
                    if (b[i].x + 0.5 < b[k].x + b[k].width && b[k].x + 0.5 < b[i].x + b[i].width &&
                        b[i].y + 0.5 < b[k].y + b[k].height && b[k].y + 0.5 < b[i].y + b[i].height)
                        fail_msg("%s of %zu runs: texts %zu and %zu overlap", pictures[p].name, n,
                                 i, k);
            }
        }
}

static void roofline_point_is_operations_by_byte_and_by_second(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(1);
    json_t *numbers = numbers_of("roofline", &ask, arena);

    (void)state;
    assert_float_equal(number_at(numbers, 0, 0, "x"), 2, 1e-9);
    assert_float_equal(number_at(numbers, 0, 0, "y"), 200, 1e-9);
    /* the roof by the data sheet bends where 50,000 / 1,000 operations are done for each byte */
    assert_float_equal(number_at(numbers, 1, 1, "x"), 50, 1e-9);
    assert_float_equal(number_at(numbers, 1, 1, "y"), 50000, 1e-9);
    json_decref(numbers);
}

static void frontier_holds_those_that_nobody_beats(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(4);
    json_t *numbers, *frontier;

    (void)state;
    make_all(NULL);
    known[1].figures[0].value = 0.4;  /* dearer than run 0 and worse */
    known[2].figures[3].value = 100;  /* dearer than run 3, */
    known[2].figures[0].value = 0.65; /* which is as accurate */
    known[3].figures[0].value = 0.65;
    numbers = numbers_of("pareto", &ask, arena);
    frontier = json_object_get(json_array_get(json_object_get(numbers, "series"), 4), "points");
    assert_int_equal(json_array_size(frontier), 2);
    assert_float_equal(number_at(numbers, 4, 0, "y"), 0.5, 1e-9);
    assert_float_equal(number_at(numbers, 4, 1, "x"), 2.6F, 1e-6);
    json_decref(numbers);
    make_all(NULL);
}

static void unknown_and_invalid_figures_are_left_out_by_name(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(3);
    json_t *numbers;
    const char *note;

    (void)state;
    known[0].figures[3].opt_value_case = 0;
    known[1].figures[3].invalid = true;
    numbers = numbers_of("pareto", &ask, arena);
    note = json_string_value(json_object_get(numbers, "note"));
    assert_non_null(note);
    assert_non_null(strstr(note, "batch 1;"));
    assert_non_null(strstr(note, "batch 2"));
    assert_null(strstr(note, "batch 4"));
    json_decref(numbers);
    make_all(NULL);
}

static void runs_that_differ_in_their_load_are_one_line_of_a_sweep(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(3);
    json_t *numbers;

    (void)state;
    known[0].figures[2].value = 5000; /* the fastest, first */
    numbers = numbers_of("sweep", &ask, arena);
    assert_int_equal(json_array_size(json_object_get(numbers, "series")), 1);
    assert_float_equal(number_at(numbers, 0, 2, "x"), 5000, 1e-9);
    assert_float_equal(number_at(numbers, 0, 0, "x"), 1100, 1e-9);
    json_decref(numbers);
    make_all(NULL);
}

static void ecdf_counts_up_to_the_upper_end_of_a_bucket(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(2);
    json_t *numbers = numbers_of("ecdf", &ask, arena);

    (void)state;
    assert_float_equal(number_at(numbers, 0, 0, "y"), 0, 0);
    assert_float_equal(number_at(numbers, 0, 1, "x"), 2, 1e-9); /* ms: the first bucket is 1 to 2 */
    assert_float_equal(number_at(numbers, 0, 1, "y"), 0.25, 1e-9);
    assert_float_equal(number_at(numbers, 0, 2, "x"), 8, 1e-9);
    assert_float_equal(number_at(numbers, 0, 2, "y"), 0.75, 1e-9);
    json_decref(numbers);
}

static void heatmap_sums_batches_of_one_phase(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
    struct cap_picture_ask ask = ask_of(1);
    json_t *numbers, *row;

    (void)state;
    ask.absolute = true;
    numbers = numbers_of("heatmap", &ask, arena);
    row = json_array_get(json_object_get(numbers, "cells"), 0);
    assert_float_equal(json_number_value(json_array_get(row, 3)), 16, 0);
    assert_float_equal(json_number_value(json_array_get(json_object_get(numbers, "layers"), 0)), 3,
                       0);
    json_decref(numbers);
}

static void a_picture_of_nothing_says_so(void **state)
{
    static const char *const names[] = {"roofline",   "pareto", "sweep",
                                        "activation", "ecdf",   "heatmap"};
    struct known bare;
    Moecap__V1__GetRunReply *one[1] = {&bare.run};
    struct cap_picture_ask ask = {.runs = one, .run_count = 1};

    (void)state;
    make_run(&bare, 0);
    bare.row.n_figures = 0;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(64 << 20);
        struct cap_err err = {0};
        struct cap_plot plot;

        assert_false(cap_picture_make(cap_picture_find(names[i]), &ask, arena, &plot, &err));
        assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
        assert_true(strlen(err.text) > 20);
    }
}

static void too_many_runs_are_refused(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_picture_ask ask = ask_of(2);
    struct cap_err err = {0};
    struct cap_plot plot;

    (void)state;
    assert_false(cap_picture_make(cap_picture_find("heatmap"), &ask, arena, &plot, &err));
    assert_string_equal(err.text, "heatmap shows 1 run, not 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_picture_of_any_number_of_runs_has_readable_texts),
        cmocka_unit_test(roofline_point_is_operations_by_byte_and_by_second),
        cmocka_unit_test(frontier_holds_those_that_nobody_beats),
        cmocka_unit_test(unknown_and_invalid_figures_are_left_out_by_name),
        cmocka_unit_test(runs_that_differ_in_their_load_are_one_line_of_a_sweep),
        cmocka_unit_test(ecdf_counts_up_to_the_upper_end_of_a_bucket),
        cmocka_unit_test(heatmap_sums_batches_of_one_phase),
        cmocka_unit_test(a_picture_of_nothing_says_so),
        cmocka_unit_test(too_many_runs_are_refused),
    };

    return cmocka_run_group_tests(tests, make_all, NULL);
}
