/* Python's texts, patterns and random numbers, from vectors that Python 3.11 wrote. */
#include "vectors.h"

#include "base/buf.h"
#include "evaluator/keys.h"
#include "evaluator/text/pyrandom.h"
#include "evaluator/text/regex.h"
#include "evaluator/text/text.h"

static json_t *rows;
static struct cap_arena *arena;
static struct eval_regex_work *work;

static int set_up(void **state)
{
    (void)state;
    rows = load_golden("python.jsonl");
    arena = cap_arena_new(16 << 20);
    work = eval_regex_work_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(rows);
    cap_arena_free(arena);
    eval_regex_work_free(work);
    return 0;
}

static bool is_kind(const json_t *row, const char *kind)
{
    return strcmp(text_at(row, "kind"), kind) == 0;
}

static struct eval_text eval_at(const json_t *row, const char *key)
{
    return eval_json_text(json_object_get(row, key));
}

/* ---- texts ---- */

static void check_text(const json_t *row, const char *key, struct eval_text got)
{
    if (!eval_text_equal(got, eval_at(row, key)))
        fail_msg("%s of \"%s\" is \"%.*s\", Python's is \"%s\"", key, text_at(row, "text"),
                 (int)got.length, got.data, text_at(row, key));
}

static void texts_are_folded_and_trimmed_as_python_does(void **state)
{
    json_t *row;
    size_t i;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        if (!is_kind(row, "str"))
            continue;
        check_text(row, "lower", eval_text_lower(arena, eval_at(row, "text")));
        check_text(row, "upper", eval_text_upper(arena, eval_at(row, "text")));
        check_text(row, "strip", eval_text_strip(eval_at(row, "text")));
        check_text(row, "lstrip", eval_text_strip_left(eval_at(row, "text")));
        assert_int_equal(eval_text_count(eval_at(row, "text")),
                         json_integer_value(json_object_get(row, "length")));
    }
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
    struct eval_text good = eval_text_valid(arena, "ok \xC3\xA9", 5);
    struct eval_text bad = eval_text_valid(arena, "a\xFF\xC3z\xE2\x82", 6);

    (void)state;
    assert_true(eval_text_equal(good, eval_text_of("ok \xC3\xA9")));
    assert_true(
        eval_text_equal(bad, eval_text_of("a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD")));
}

static void an_empty_needle_is_never_found(void **state)
{
    (void)state;
    assert_int_equal(eval_text_find(eval_text_of("abc"), eval_text_of("")), 4);
    assert_int_equal(eval_text_find(eval_text_of("abcbc"), eval_text_of("bc")), 1);
    assert_int_equal(eval_text_find_last(eval_text_of("abcbc"), eval_text_of("bc")), 3);
    assert_int_equal(eval_text_find_last(eval_text_of("bc"), eval_text_of("abc")), 3);
}

static void a_full_arena_gives_no_text(void **state)
{
    CAP_AUTO(cap_arena) small = cap_arena_new(64);
    char text[200];

    (void)state;
    memset(text, 'x', sizeof text);
    assert_null(eval_text_lower(small, (struct eval_text){text, sizeof text}).data);
}

/* ---- patterns ---- */

static struct eval_regex *open_regex(struct eval_text pattern)
{
    struct cap_err err = {0};
    struct eval_regex *regex = eval_regex_open(pattern, &err);

    if (!regex)
        fail_msg("%s", err.text);
    return regex;
}

static void check_found(const json_t *row, const struct eval_regex *regex, const json_t *expected)
{
    struct eval_text text = eval_at(row, "text");
    unsigned groups = eval_regex_group_count(regex);

    if (groups < 2) {
        if (!eval_text_equal(eval_regex_group(work, text, groups), eval_json_text(expected)))
            fail_msg("\"%s\" on \"%s\" differs", text_at(row, "pattern"), text_at(row, "text"));
        return;
    }
    for (unsigned g = 1; g <= groups; g++)
        if (!eval_text_equal(eval_regex_group(work, text, g),
                             eval_json_text(json_array_get(expected, g - 1))))
            fail_msg("\"%s\" on \"%s\": group %u differs", text_at(row, "pattern"),
                     text_at(row, "text"), g);
}

static void patterns_find_and_delete_what_python_finds(void **state)
{
    json_t *row;
    size_t i;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        CAP_AUTO(eval_regex) regex = NULL;
        struct eval_regex_cursor cursor = {0};
        struct eval_text removed;
        json_t *found = json_object_get(row, "findall");
        size_t count = 0;

        if (!is_kind(row, "re"))
            continue;
        regex = open_regex(eval_at(row, "pattern"));
        for (; eval_regex_find(regex, work, eval_at(row, "text"), &cursor) == EVAL_REGEX_FOUND;
             count++)
            check_found(row, regex, json_array_get(found, count));
        if (count != json_array_size(found))
            fail_msg("\"%s\" on \"%s\": %zu matches, Python's %zu", text_at(row, "pattern"),
                     text_at(row, "text"), count, json_array_size(found));
        assert_true(eval_regex_remove(regex, work, arena, eval_at(row, "text"), &removed));
        check_text(row, "removed", removed);
    }
}

static void patterns_that_python_refuses_are_refused_with_a_sentence(void **state)
{
    json_t *row;
    size_t i;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct cap_err err = {0};

        if (!is_kind(row, "refused"))
            continue;
        if (eval_regex_open(eval_at(row, "pattern"), &err))
            fail_msg("\"%s\" is accepted", text_at(row, "pattern"));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, text_at(row, "pattern")));
    }
}

static void an_escaped_text_matches_itself_alone(void **state)
{
    struct eval_text text = eval_text_of("a.b*(c) [d] {e} \\ $ ^ # ~ &-|?+ \xC3\xA9\n");
    CAP_AUTO_BUF(pattern, 1 << 10);
    CAP_AUTO(eval_regex) regex = NULL;
    struct eval_regex_cursor cursor = {0};

    (void)state;
    eval_regex_escape(text, &pattern);
    regex = open_regex((struct eval_text){pattern.data, pattern.length});
    assert_int_equal(eval_regex_find(regex, work, text, &cursor), EVAL_REGEX_FOUND);
    assert_true(eval_text_equal(eval_regex_group(work, text, 0), text));
}

/* ---- random numbers ---- */

static void check_samples(struct eval_pyrandom *random, const json_t *samples)
{
    json_t *entry;
    size_t i, chosen[64];

    json_array_foreach(samples, i, entry)
    {
        json_t *expected = json_object_get(entry, "sample");
        size_t count = json_array_size(expected);

        eval_pyrandom_sample(random, (size_t)json_integer_value(json_object_get(entry, "count")),
                             count, chosen);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(chosen[k], json_integer_value(json_array_get(expected, k)));
    }
}

static void random_numbers_are_pythons_for_every_seed(void **state)
{
    static const uint64_t bounds[] = {1, 2, 3, 10, 100, 1000, 65536, 1000000, (uint64_t)1 << 31};
    struct eval_pyrandom random;
    json_t *row;
    size_t i;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        uint64_t seed;

        if (!is_kind(row, "random"))
            continue;
        seed = strtoull(text_at(row, "seed"), NULL, 10);
        eval_pyrandom_seed(&random, seed);
        for (size_t k = 0; k < 5; k++)
            assert_true(eval_pyrandom_unit(&random) ==
                        json_real_value(json_array_get(json_object_get(row, "unit"), k)));
        eval_pyrandom_seed(&random, seed);
        for (size_t k = 0; k < CAP_COUNT_OF(bounds); k++)
            assert_int_equal(eval_pyrandom_below(&random, bounds[k]),
                             json_integer_value(json_array_get(json_object_get(row, "below"), k)));
        eval_pyrandom_seed(&random, seed);
        check_samples(&random, json_object_get(row, "samples"));
    }
}

static void the_reference_stream_of_seed_0_is_ours(void **state)
{
    json_t *metrics = load_golden("metrics.jsonl"), *row;
    struct eval_pyrandom random;
    size_t i;

    (void)state;
    json_array_foreach(metrics, i, row)
    {
        json_t *expected = json_object_get(row, "expected");

        if (strcmp(text_at(row, "metric"), "py_random") != 0)
            continue;
        eval_pyrandom_seed(&random, 0);
        for (size_t k = 0; k < 5; k++)
            assert_true(eval_pyrandom_unit(&random) ==
                        json_real_value(json_array_get(json_object_get(expected, "random5"), k)));
    }
    json_decref(metrics);
}

/* ---- small readers ---- */

static void numbers_print_as_python_prints_them(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{18, "18.0"},
                 {0.1, "0.1"},
                 {1e16, "1e+16"},
                 {123456789.25, "123456789.25"},
                 {1e-5, "1e-05"},
                 {0.0001, "0.0001"},
                 {-2.5, "-2.5"},
                 {1e15, "1000000000000000.0"},
                 {1.0 / 3, "0.3333333333333333"}};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        json_t *value = json_real(cases[i].value);

        assert_string_equal(eval_text_c(arena, eval_json_str(arena, value)), cases[i].text);
        json_decref(value);
    }
    assert_string_equal(eval_text_c(arena, eval_json_str(arena, json_true())), "True");
}

static void python_lists_are_read_and_other_texts_are_not(void **state)
{
    json_t *list = eval_python_list(eval_text_of("['it\\'s', \"b\", 3, -1.5, ]"));

    (void)state;
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "it's");
    assert_int_equal(json_integer_value(json_array_get(list, 2)), 3);
    assert_true(json_real_value(json_array_get(list, 3)) == -1.5);
    json_decref(list);
    list = eval_python_list(eval_text_of("('\\xa0\\u00e9\\101\\d\\n', True, None, False)"));
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "\u00a0\u00e9A\\d\n");
    assert_true(json_is_true(json_array_get(list, 1)) && json_is_null(json_array_get(list, 2)));
    json_decref(list);
    assert_null(eval_python_list(eval_text_of("['\\xZZ']")));
    assert_null(eval_python_list(eval_text_of("[1, 2")));
    assert_null(eval_python_list(eval_text_of("[x]")));
    assert_null(eval_python_list(eval_text_of("[1] 2")));
    assert_null(eval_python_list(eval_text_of("")));
}

static void near_misses_are_named(void **state)
{
    static const char *const names[] = {"doc_to_text", "doc_to_target", "metric_list", NULL};

    (void)state;
    assert_string_equal(eval_key_nearest(names, "doc_to_txt"), "doc_to_text");
    assert_string_equal(eval_key_nearest(names, "metrics_list"), "metric_list");
    assert_null(eval_key_nearest(names, "completely_other"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_folded_and_trimmed_as_python_does),
        cmocka_unit_test(bytes_that_are_not_utf8_become_replacement_characters),
        cmocka_unit_test(an_empty_needle_is_never_found),
        cmocka_unit_test(a_full_arena_gives_no_text),
        cmocka_unit_test(patterns_find_and_delete_what_python_finds),
        cmocka_unit_test(patterns_that_python_refuses_are_refused_with_a_sentence),
        cmocka_unit_test(an_escaped_text_matches_itself_alone),
        cmocka_unit_test(random_numbers_are_pythons_for_every_seed),
        cmocka_unit_test(the_reference_stream_of_seed_0_is_ours),
        cmocka_unit_test(numbers_print_as_python_prints_them),
        cmocka_unit_test(python_lists_are_read_and_other_texts_are_not),
        cmocka_unit_test(near_misses_are_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
