/* Each vocabulary is one table: other lists of the same words agree with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "model/cost.h"
#include "moecap/v1/common.rpc.h"
#include "moecap/v1/evaluator.rpc.h"
#include "scheduler/step.h"
#include "wire/json.h"
#include "words/words.h"

/* ---- precisions ---- */

static void spellings_that_people_use_mean_a_precision(void **state)
{
    static const char *const same[][2] = {
        {"bf16", "bf16"},    {"BF16", "bf16"},  {"bfloat16", "bf16"}, {"torch.bfloat16", "bf16"},
        {"float32", "f32"},  {"fp32", "f32"},   {"Float32", "f32"},   {"float16", "f16"},
        {"half", "f16"},     {"fp16", "f16"},   {"8bit", "int8"},     {"8-bit", "int8"},
        {"INT8", "int8"},    {"4bit", "int4"},  {"fp8", "fp8"},       {"float8", "fp8"},
        {"fp8_e4m3", "fp8"}, {"mxfp4", "mxfp4"}};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(same); i++)
        assert_string_equal(cap_precision_from(same[i][0]), same[i][1]);
    assert_null(cap_precision_from(""));
    assert_null(cap_precision_from("bf1"));
    assert_null(cap_precision_from("int16"));
}

static void no_spelling_means_two_precisions(void **state)
{
    struct cap_words words = cap_precision_words();

    (void)state;
    for (size_t i = 0; i < words.count; i++)
        assert_string_equal(cap_precision_from(words.items[i]), words.items[i]);
}

static void what_our_engine_computes_in_is_costed_under_the_same_word(void **state)
{
    struct cap_words computed = cap_precision_computed();
    size_t found = 0;

    (void)state;
    for (int p = 0; p < CAP_PRECISION_COUNT; p++)
        found += cap_words_has(computed, cap_precision_name((enum cap_precision)p));
    assert_int_equal(found, computed.count);
    assert_string_equal(cap_precision_name(CAP_PRECISION_INT4), "int4");
}

/* ---- engines ---- */

static void a_server_is_told_from_an_engine_of_the_node(void **state)
{
    (void)state;
    assert_false(cap_engine_find("native")->server);
    assert_false(cap_engine_find("null")->server);
    assert_true(cap_engine_find("vllm")->server);
    assert_false(cap_engine_find("vllm")->started);
    assert_true(cap_engine_find("moe-gen")->started);
    assert_null(cap_engine_find("vLLM"));
    assert_int_equal(cap_engine_words().count, 12);
}

/* ---- enums of the wire ---- */

static void a_word_and_its_value_find_each_other(void **state)
{
    Moecap__V1__RunState found;
    int count = 0;

    (void)state;
    for (; run_state_words[count]; count++) {
        assert_true(run_state_from_word(run_state_words[count], &found));
        assert_string_equal(run_state_word(found), run_state_words[count]);
    }
    assert_int_equal(count, 8);
    assert_false(run_state_from_word("", &found));
    assert_false(run_state_from_word("Queued", &found));
    assert_string_equal(run_state_word(MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED), "");
    assert_string_equal(run_state_word((Moecap__V1__RunState)99), "");
    assert_string_equal(phase_word(MOECAP__V1__PHASE__PHASE_DECODE), "decode");
    assert_string_equal(verdict_kind_word(MOECAP__V1__VERDICT_KIND__VERDICT_KIND_UNDECIDED),
                        "undecided");
}

static void json_has_the_same_words(void **state)
{
    char word[64];

    (void)state;
    for (int i = 0; run_state_words[i]; i++)
        assert_string_equal(cap_wire_enum_word(&moecap__v1__run_state__descriptor, i + 1, word),
                            run_state_words[i]);
}

/* Its decisions know no messages, so it has a list of its own. */
static void the_scheduler_calls_its_states_by_the_same_words(void **state)
{
    (void)state;
    for (int i = 0; i < SCHED_RUN_STATE_COUNT; i++)
        assert_string_equal(sched_state_name((enum sched_run_state)i), run_state_words[i]);
    assert_null(run_state_words[SCHED_RUN_STATE_COUNT]);
}

/* "('queued', 'leased')" behind `mark`, without blanks and line ends, in `out`. */
static void read_check(const char *sql, const char *mark, struct cap_buf *out)
{
    const char *at = strstr(sql, mark);

    assert_non_null(at);
    for (at = strchr(at + strlen(mark), '('); *at && *at != ')'; at++)
        if (*at != ' ' && *at != '\n')
            cap_buf_add(out, at, 1);
}

static void assert_check(const char *sql, const char *mark, const char *const *words)
{
    CAP_AUTO_BUF(expected, 1024);
    CAP_AUTO_BUF(found, 1024);

    for (int i = 0; words[i]; i++)
        cap_buf_printf(&expected, "%s'%s'", i ? "," : "(", words[i]);
    read_check(sql, mark, &found);
    assert_string_equal(found.data, expected.data);
}

static void the_database_checks_for_the_same_words(void **state)
{
    CAP_AUTO_MEM char *sql = NULL;
    struct cap_err err = {0};
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s/services/store/migrations/0001_init.sql",
             getenv("MOECAP_SOURCE_DIR"));
    assert_non_null(sql = cap_file_read(path, 1 << 20, NULL, &err));
    assert_check(sql, "CHECK (state IN", run_state_words);
    assert_check(sql, "CHECK (kind IN", verdict_kind_words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_that_people_use_mean_a_precision),
        cmocka_unit_test(no_spelling_means_two_precisions),
        cmocka_unit_test(what_our_engine_computes_in_is_costed_under_the_same_word),
        cmocka_unit_test(a_server_is_told_from_an_engine_of_the_node),
        cmocka_unit_test(a_word_and_its_value_find_each_other),
        cmocka_unit_test(json_has_the_same_words),
        cmocka_unit_test(the_scheduler_calls_its_states_by_the_same_words),
        cmocka_unit_test(the_database_checks_for_the_same_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
