/* The files of the Open MoE LLM Leaderboard's drawing tools are read as they stand, and what is
 * wrong with one is said with its line. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plot_read.h"

#define HEAD "model_name: Qwen3-30B-A3B\naxis_labels: [Latency, Cost, Exact match]\n"
#define DATA                                                                                       \
    "data:\n  SGLang: {latency: 58, cost: 8920, accuracy: 0.911}\n"                                \
    "  K-Transformers: {latency: 73, cost: 3800, accuracy: 0.800}\n"
#define TICKS "ticks: [0, 2000, 4000, 6000, 8000, 10000]\n"

static bool read_radar(struct cap_arena *arena, const char *text, struct cap_radar *out,
                       const char **note, struct cap_err *err)
{
    return cli_plot_read_radar(text, strlen(text), arena, out, note, err);
}

static void radar_of_the_seed_is_read_as_it_stands(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_radar radar;
    struct cap_err err = {0};
    const char *note;

    (void)state;
    assert_true(read_radar(arena,
                           HEAD "axis_keys: [latency, cost, accuracy]\nbaseline: 20\n" TICKS DATA,
                           &radar, &note, &err));
    assert_string_equal(radar.title, "Qwen3-30B-A3B");
    assert_string_equal(note, "");
    assert_int_equal(radar.system_count, 2);
    assert_float_equal(radar.axes[1].high, 8000, 0);
    assert_float_equal(radar.systems[1].raw[2], 0.8, 0);
}

static void radar_without_axis_keys_takes_those_of_the_first_system(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_radar radar;
    struct cap_err err = {0};
    const char *note;

    (void)state;
    assert_true(read_radar(arena, HEAD TICKS DATA, &radar, &note, &err));
    assert_string_equal(radar.axes[0].key, "latency");
    assert_string_equal(radar.axes[2].key, "accuracy");
    assert_non_null(strstr(note, "axis_keys is missing"));
    assert_float_equal(radar.baseline, 20, 0);
}

static void radar_says_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "not a map"},
        {"[1, 2]", "not a map"},
        {"a: [", "not YAML"},
        {"axis_labels: [a, b, c]\n", "model_name is missing"},
        {HEAD TICKS "data: {}\n", "axis_keys is missing"},
        {HEAD TICKS "axis_keys: [latency, cost, accuracy]\n", "data is missing"},
        {HEAD "axis_keys: [latency, cost]\n" DATA, "list of three"},
        {HEAD "axis_keys: [latency, cost, em]\n" DATA, "system \"SGLang\" has no \"em\""},
        {HEAD "ticks: [1]\n" DATA, "ticks is not a list"},
        {HEAD "baseline: 100\n" DATA, "baseline is not"},
        {HEAD "baseline: .nan\n" DATA, "baseline is not a number"},
        {HEAD "data: {a: {x: fast, y: 1, z: 1}}\n", "line 3: x is not a number"},
        {HEAD "data: {a: &a {x: *a, y: 1, z: 1}}\n", "x is not a number"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
        struct cap_radar radar;
        struct cap_err err = {0};
        const char *note;

        assert_false(read_radar(arena, cases[i].text, &radar, &note, &err));
        if (!strstr(err.text, cases[i].why))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void unknown_value_of_a_radar_is_null(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_radar radar;
    struct cap_err err = {0};
    const char *note;

    (void)state;
    assert_true(read_radar(arena, HEAD "data: {a: {x: 1, y: null, z: ~}}\n", &radar, &note, &err));
    assert_true(isnan(radar.systems[0].raw[1]) && isnan(radar.systems[0].raw[2]));
}

static void counts_are_read_with_their_layers(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_heatmap map = {0};
    struct cap_err err = {0};

    (void)state;
    assert_true(cli_plot_read_heatmap("layer_id,expert_0,expert_1\r\n1,5,7\r\n\n2,0,12", arena,
                                      &map, &err));
    assert_int_equal(map.layer_count, 2);
    assert_int_equal(map.expert_count, 2);
    assert_float_equal(map.layers[1], 2, 0);
    assert_float_equal(map.counts[3], 12, 0);
}

static void counts_say_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "line 1"},
        {"a,b\n1,2\n", "line 1"},
        {"layer_id,expert_0\n", "no layer"},
        {"layer_id,expert_0,expert_1\n0,1\n", "line 2: value 2 of 3"},
        {"layer_id,expert_0\n0,1\n1,x\n", "line 3: value 2 of 2"},
        {"layer_id,expert_0\n0,1,2\n", "line 2: value 2 of 2"},
        {"layer_id,expert_0\n0,-1\n", "line 2: value 2 of 2"},
        {"layer_id,expert_0\n0,nan\n", "line 2: value 2 of 2"},
        {"layer_id,expert_0,expert_1\n0,\n1,2,3\n", "line 2: value 2 of 3"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
        struct cap_heatmap map = {0};
        struct cap_err err = {0};

        assert_false(cli_plot_read_heatmap(cases[i].text, arena, &map, &err));
        if (!strstr(err.text, cases[i].why))
            fail_msg("case %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(radar_of_the_seed_is_read_as_it_stands),
        cmocka_unit_test(radar_without_axis_keys_takes_those_of_the_first_system),
        cmocka_unit_test(radar_says_what_is_wrong_and_where),
        cmocka_unit_test(unknown_value_of_a_radar_is_null),
        cmocka_unit_test(counts_are_read_with_their_layers),
        cmocka_unit_test(counts_say_what_is_wrong_and_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
