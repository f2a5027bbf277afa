/* Pictures: the scales by the worked numbers of the reference, what happens where they divide by
 * nothing, and that a picture is well-formed, the same every time, and readable: no text over
 * another and none beyond the edge. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plot/axis.h"
#include "plot/heatmap.h"
#include "plot/radar.h"

/* ---- the radar of the reference ---- */

static struct cap_radar sample(void)
{
    return (struct cap_radar){
        .title = "Qwen3-30B-A3B",
        .baseline = 20,
        .axis_count = 3,
        .system_count = 3,
        .axes = {{.key = "latency", .label = "Latency (ms/token)", .scale = CAP_RADAR_LOWEST},
                 {.key = "cost", .label = "Cost (USD)", .scale = CAP_RADAR_CEILING, .high = 8000},
                 {.key = "accuracy", .label = "Exact match", .scale = CAP_RADAR_TO_ONE}},
        .systems = {{.name = "SGLang", .raw = {58, 8920, 0.911}},
                    {.name = "K-Transformers", .raw = {73, 3800, 0.800}},
                    {.name = "MoE-Infinity", .raw = {150, 3800, 0.911}}}};
}

static double place(const struct cap_radar *radar, size_t system, size_t axis)
{
    struct cap_radar_place out;

    cap_radar_place(radar, system, axis, &out);
    return out.value;
}

static void radar_places_are_those_of_the_reference(void **state)
{
    static const double expected[3][3] = {
        {100, 20, 64.4}, {20 + (150.0 - 73) / 92 * 80, 62, 20}, {20, 62, 64.4}};
    struct cap_radar radar = sample();

    (void)state;
    for (size_t s = 0; s < 3; s++)
        for (size_t a = 0; a < 3; a++)
            assert_float_equal(place(&radar, s, a), expected[s][a], 1e-9);
    assert_float_equal(place(&radar, 1, 0), 86.96, 0.005);
}

static void equal_performance_divides_by_nothing(void **state)
{
    struct cap_radar radar = sample();
    struct cap_radar_place out;

    (void)state;
    for (size_t s = 0; s < 3; s++)
        radar.systems[s].raw[0] = 58;
    cap_radar_place(&radar, 1, 0, &out);
    assert_float_equal(out.value, 100, 0);
    assert_string_equal(out.note, "all systems have the same Latency (ms/token)");
}

static void ceiling_of_zero_is_no_scale(void **state)
{
    struct cap_radar radar = sample();
    struct cap_radar_place out;

    (void)state;
    radar.axes[1].high = 0;
    cap_radar_place(&radar, 0, 1, &out);
    assert_true(isnan(out.value));
    assert_non_null(strstr(out.note, "no scale"));
}

static void perfect_accuracy_of_all_divides_by_nothing(void **state)
{
    struct cap_radar radar = sample();

    (void)state;
    for (size_t s = 0; s < 3; s++)
        radar.systems[s].raw[2] = 1;
    assert_float_equal(place(&radar, 0, 2), 100, 0);
}

static void unknown_value_has_no_place_and_moves_no_other(void **state)
{
    struct cap_radar radar = sample();
    struct cap_radar_place out;

    (void)state;
    radar.systems[1].raw[2] = NAN; /* was the lowest */
    cap_radar_place(&radar, 1, 2, &out);
    assert_true(isnan(out.value));
    assert_string_equal(out.note, "Exact match is not known");
    assert_float_equal(place(&radar, 0, 2), 20, 1e-9);
}

static void fixed_scale_does_not_move_with_its_neighbours(void **state)
{
    struct cap_radar radar = sample();
    double before;

    (void)state;
    radar.axes[0] = (struct cap_radar_axis){.key = "tpot",
                                            .label = "TPOT",
                                            .scale = CAP_RADAR_FIXED_LOG,
                                            .low = 1,
                                            .high = 10000,
                                            .lower_is_better = true};
    radar.systems[0].raw[0] = 100;
    before = place(&radar, 0, 0);
    assert_float_equal(before, 60, 1e-9);
    radar.systems[1].raw[0] = 3;
    assert_float_equal(place(&radar, 0, 0), before, 0);
    radar.systems[1].raw[0] = 0; /* has no logarithm */
    assert_true(isnan(place(&radar, 1, 0)));
}

/* ---- the heat map ---- */

static void heatmap_shares_are_of_the_layer(void **state)
{
    static const double layers[] = {3, 4, 5}, counts[] = {10, 0, 0, 30, 1, 1, 1, 1, 0, 0, 0, 0};
    struct cap_heatmap map = {
        .title = "m", .layer_count = 3, .expert_count = 4, .layers = layers, .counts = counts};
    struct cap_heatmap_summary summary;

    (void)state;
    assert_float_equal(cap_heatmap_share(&map, 0, 3), 3, 1e-12);
    assert_float_equal(cap_heatmap_share(&map, 1, 0), 1, 1e-12);
    assert_true(isnan(cap_heatmap_share(&map, 2, 0)));
    cap_heatmap_summary(&map, &summary);
    assert_int_equal(summary.never, 6);
    assert_int_equal(summary.hottest_layer, 0);
    assert_int_equal(summary.hottest_expert, 3);
    assert_float_equal(summary.total, 44, 0);
}

/* ---- axes ---- */

static void ticks_are_round_and_few(void **state)
{
    struct cap_axis axis = {.low = 0.3, .high = 97, .from = 0, .to = 100};
    struct cap_axis_ticks ticks;

    (void)state;
    cap_axis_round(&axis, 5);
    cap_axis_ticks(&axis, 5, &ticks);
    assert_float_equal(axis.low, 0, 1e-12);
    assert_float_equal(axis.high, 100, 1e-9);
    assert_int_equal(ticks.count, 6);
    assert_float_equal(ticks.values[1], 20, 1e-9);
    axis = (struct cap_axis){.low = 1e-9, .high = 1e9, .from = 0, .to = 100, .log = true};
    cap_axis_ticks(&axis, 6, &ticks);
    assert_true(ticks.count >= 2 && ticks.count <= 6);
    axis = (struct cap_axis){.low = 5, .high = 5};
    cap_axis_round(&axis, 5);
    assert_true(axis.high > axis.low);
}

/* ---- whatever the picture ---- */

static const double many_layers[94];
static double many_counts[94 * 128];

/* Every picture, at its worst: the longest names, one and many of everything. */
static size_t all_plots(struct cap_plot out[16])
{
    static struct cap_radar radars[4];
    static struct cap_heatmap maps[6];
    size_t count = 0;

    for (size_t i = 0; i < 4; i++)
        radars[i] = sample();
    radars[1].system_count = 1;
    radars[2].systems[0].name = "a system with a very long name that no table has the room for";
    radars[2].axes[1].label = "what it costs, in a currency that nobody knows any more";
    radars[2].axes[0].label = "latency of a token after the first, in milliseconds, on average";
    radars[2].systems[0].raw[1] = 1234567890123;
    radars[3].systems[0].raw[1] = NAN;
    radars[3].system_count = CAP_RADAR_SYSTEMS_MAX;
    for (size_t i = 3; i < CAP_RADAR_SYSTEMS_MAX; i++)
        radars[3].systems[i] = radars[3].systems[i % 3];
    for (size_t i = 0; i < CAP_COUNT_OF(many_counts); i++)
        many_counts[i] = (double)(i * 7919 % 1000);
    for (size_t i = 0; i < 6; i++)
        maps[i] = (struct cap_heatmap){.title = "heat",
                                       .layers = many_layers,
                                       .counts = many_counts,
                                       .layer_count = (size_t[]){94, 94, 94, 1, 3, 40}[i],
                                       .expert_count = (size_t[]){128, 128, 128, 1, 8, 8}[i],
                                       .absolute = i == 1,
                                       .sorted = i == 2};
    for (size_t i = 0; i < 4; i++)
        out[count++] = cap_radar_plot(&radars[i]);
    for (size_t i = 0; i < 6; i++)
        out[count++] = cap_heatmap_plot(&maps[i]);
    return count;
}

static bool overlap(const struct cap_box *a, const struct cap_box *b)
{
    const double slack = 0.5;

    return a->x + slack < b->x + b->width && b->x + slack < a->x + a->width &&
           a->y + slack < b->y + b->height && b->y + slack < a->y + a->height;
}

static void no_text_covers_another_or_is_cut_by_the_edge(void **state)
{
    struct cap_plot plots[16];
    size_t count = all_plots(plots), texts;

    (void)state;
    for (size_t p = 0; p < count; p++) {
        CAP_AUTO(cap_paper) paper = cap_plot_paper(&plots[p], &(struct cap_plot_look){0});
        const struct cap_box *boxes = cap_paper_texts(paper, &texts);

        assert_true(texts > 3);
        for (size_t i = 0; i < texts; i++) {
            if (boxes[i].x < 0 || boxes[i].y < 0 ||
                boxes[i].x + boxes[i].width > cap_paper_width(paper) ||
                boxes[i].y + boxes[i].height > cap_paper_height(paper))
                fail_msg("picture %zu: text %zu is cut", p, i);
            for (size_t k = 0; k < i; k++)
                if (overlap(&boxes[i], &boxes[k]))
                    fail_msg("picture %zu: texts %zu and %zu overlap", p, i, k);
        }
    }
}

static void draw(const struct cap_plot *plot, enum cap_plot_format format, struct cap_buf *out)
{
    struct cap_plot_look look = {.format = format, .theme = CAP_PLOT_DARK};
    struct cap_err err = {0};

    if (!cap_plot_draw(plot, &look, out, &err))
        fail_msg("%s", err.text);
}

static void a_picture_has_the_same_bytes_every_time(void **state)
{
    struct cap_plot plots[16];
    size_t count = all_plots(plots);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        CAP_AUTO_BUF(one, 32 << 20);
        CAP_AUTO_BUF(two, 32 << 20);

        draw(&plots[i], CAP_PLOT_SVG, &one);
        draw(&plots[i], CAP_PLOT_SVG, &two);
        assert_string_equal(one.data, two.data);
    }
}

/* Every element that opens is closed, in order. */
static void assert_well_formed(const char *svg)
{
    char open[32][32];
    size_t depth = 0;

    for (const char *at = strchr(svg, '<'); at; at = strchr(at + 1, '<')) {
        size_t name = strcspn(at + 1, " >/\n");
        const char *end = strchr(at, '>');

        assert_non_null(end);
        if (at[1] == '/') {
            assert_true(depth > 0);
            depth--;
            assert_memory_equal(at + 2, open[depth], strlen(open[depth]));
        } else if (end[-1] != '/') {
            assert_true(depth < 32 && name < 32);
            memcpy(open[depth], at + 1, name);
            open[depth++][name] = '\0';
        }
    }
    assert_int_equal(depth, 0);
}

static void svg_is_well_formed_whatever_a_name_holds(void **state)
{
    struct cap_radar radar = sample();
    struct cap_plot plot;
    CAP_AUTO_BUF(out, 1 << 20);

    (void)state;
    radar.title = "<script>&\"</svg>\x1b[31m\xff";
    radar.systems[0].name = "]]> & <b>";
    plot = cap_radar_plot(&radar);
    draw(&plot, CAP_PLOT_SVG, &out);
    assert_well_formed(out.data);
    assert_null(strstr(out.data, "<script"));
    assert_null(strchr(out.data, '\x1b'));
    assert_null(strchr(out.data, '\xff'));
    assert_non_null(strstr(out.data, "<title>"));
    assert_non_null(strstr(out.data, "<desc>"));
}

static void files_begin_as_their_formats_do(void **state)
{
    struct cap_radar radar = sample();
    struct cap_plot plot = cap_radar_plot(&radar);
    CAP_AUTO_BUF(png, 4 << 20);
    CAP_AUTO_BUF(pdf, 4 << 20);

    (void)state;
    draw(&plot, CAP_PLOT_PNG, &png);
    assert_memory_equal(png.data, "\x89PNG\r\n", 6);
    draw(&plot, CAP_PLOT_PDF, &pdf);
    assert_memory_equal(pdf.data, "%PDF-", 5);
}

static void numbers_are_what_is_drawn(void **state)
{
    struct cap_radar radar = sample();
    struct cap_plot plot = cap_radar_plot(&radar);
    json_t *numbers = cap_plot_numbers(&plot), *systems = json_object_get(numbers, "systems");
    json_t *values = json_object_get(json_array_get(systems, 1), "values");

    (void)state;
    assert_float_equal(json_number_value(json_object_get(json_object_get(values, "cost"), "place")),
                       62, 1e-9);
    json_decref(numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(radar_places_are_those_of_the_reference),
        cmocka_unit_test(equal_performance_divides_by_nothing),
        cmocka_unit_test(ceiling_of_zero_is_no_scale),
        cmocka_unit_test(perfect_accuracy_of_all_divides_by_nothing),
        cmocka_unit_test(unknown_value_has_no_place_and_moves_no_other),
        cmocka_unit_test(fixed_scale_does_not_move_with_its_neighbours),
        cmocka_unit_test(heatmap_shares_are_of_the_layer),
        cmocka_unit_test(ticks_are_round_and_few),
        cmocka_unit_test(no_text_covers_another_or_is_cut_by_the_edge),
        cmocka_unit_test(a_picture_has_the_same_bytes_every_time),
        cmocka_unit_test(svg_is_well_formed_whatever_a_name_holds),
        cmocka_unit_test(files_begin_as_their_formats_do),
        cmocka_unit_test(numbers_are_what_is_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
