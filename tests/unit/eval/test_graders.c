/* Graders against the verdicts of the references they imitate: every row must agree. */
#include "vectors.h"

#include <math.h>
#include <pthread.h>

#include "evaluator/grade.h"
#include "evaluator/keys.h"
#include "evaluator/task.h"

struct bench {
    struct cap_arena *arena;
    struct eval_regex_work *work;
};

static struct bench bench;

static int set_up(void **state)
{
    (void)state;
    bench.arena = cap_arena_new(64 << 20);
    bench.work = eval_regex_work_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(bench.arena);
    eval_regex_work_free(bench.work);
    return 0;
}

static struct eval_task *open_named(const char *name)
{
    struct cap_err err = {0};
    char folder[4096];
    struct eval_task *task;

    snprintf(folder, sizeof folder, "%s/tasks", source_dir());
    task = eval_task_find(name, folder, &err);
    if (!task)
        fail_msg("%s", err.text);
    return task;
}

static struct eval_verdict grade(const struct eval_task *task, json_t *row, const char *column,
                                 const struct eval_answer *answer, json_t *gold_value)
{
    struct cap_err err = {0};
    struct eval_verdict verdict = {0};
    struct eval_gold gold;
    struct eval_doc doc;
    int index = column ? eval_task_column(task, column) : 0;

    assert_true(index >= 0);
    if (!eval_doc_open_json(&doc, task, &task->form, row, bench.arena, &err) ||
        !eval_doc_gold_of(&doc, gold_value, &gold, &err) ||
        !eval_grade_column(&(struct eval_grade_input){&doc, &gold, answer, bench.work},
                           (size_t)index, &verdict, &err))
        fail_msg("%s", err.text);
    eval_doc_done(&doc);
    return verdict;
}

static struct eval_verdict grade_text(const struct eval_task *task, json_t *row, const char *key,
                                      const char *column, json_t *gold)
{
    struct eval_text text = eval_json_text(json_object_get(row, key));
    struct eval_answer answer = {.texts = &text, .text_count = 1};

    return grade(task, row, column, &answer, gold);
}

/* ---- numbers ---- */

/* The extraction of every row, and its verdict where the reference has one. */
static void check_numbers(json_t *rows, const char *key, const char *name, const char *column,
                          const char *extraction, const char *verdict)
{
    CAP_AUTO(eval_task) task = open_named(name);
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        json_t *ref = json_object_get(row, "ref");
        struct eval_verdict v;

        cap_arena_reset(bench.arena);
        v = grade_text(task, row, key, column, json_object_get(row, "gold_answer"));
        if (!eval_text_equal(v.extracted, eval_json_text(json_object_get(ref, extraction))) ||
            (verdict &&
             (v.kind == EVAL_CORRECT) != (json_integer_value(json_object_get(ref, verdict)) == 1)))
            fail_msg("%s: %s extracts \"%.*s\", reference \"%s\"", text_at(row, "id"), name,
                     (int)v.extracted.length, v.extracted.data, text_at(ref, extraction));
    }
}

static void check_all_numbers(json_t *rows, const char *key)
{
    check_numbers(rows, key, "gsm8k", "strict-match", "lmeval_strict", "lmeval_strict_em");
    check_numbers(rows, key, "gsm8k", "flexible-extract", "lmeval_flexible", "lmeval_flexible_em");
    check_numbers(rows, key, "gsm8k-strict", NULL, "lmeval_strict", "lmeval_strict_em");
    check_numbers(rows, key, "gsm8k-flexible", NULL, "lmeval_flexible", "lmeval_flexible_em");
    check_numbers(rows, key, "gsm8k-cot-strict", NULL, "lmeval_cot_strict", "lmeval_cot_strict_em");
    check_numbers(rows, key, "gsm8k-cot-llama", NULL, "lmeval_cot_llama_strict", NULL);
    check_numbers(rows, key, "gsm8k-openai", NULL, "openai_extract", NULL);
    check_numbers(rows, key, "gsm8k-moecap", NULL, "moecap_extract", "moecap_em");
    json_decref(rows);
}

static void numbers_are_extracted_from_our_edge_texts_as_the_references_do(void **state)
{
    (void)state;
    check_all_numbers(load_golden("gsm8k_extract.jsonl"), "text");
}

static void numbers_are_extracted_from_rewritten_answers_as_the_references_do(void **state)
{
    (void)state;
    check_all_numbers(load_shared("gsm8k_extract_open.jsonl"), "text");
}

static void numbers_are_extracted_from_real_generations_as_the_references_do(void **state)
{
    (void)state;
    check_all_numbers(load_shared("gsm8k_generations_open.jsonl"), "generated");
}

static void every_gsm8k_solution_is_right_by_its_own_answer(void **state)
{
    json_t *rows = load_shared("gsm8k_test.jsonl"), *row;
    CAP_AUTO(eval_task) task = open_named("gsm8k");
    size_t i;

    (void)state;
    assert_int_equal(json_array_size(rows), 1319);
    json_array_foreach(rows, i, row)
    {
        cap_arena_reset(bench.arena);
        for (size_t column = 0; column < task->column_count; column++)
            assert_int_equal(grade_text(task, row, "answer", task->columns[column].id,
                                        json_object_get(row, "answer"))
                                 .kind,
                             EVAL_CORRECT);
    }
    json_decref(rows);
}

static void every_gsm_mini_solution_is_right_by_its_own_answer(void **state)
{
    char path[8192];
    json_t *rows, *row;
    CAP_AUTO(eval_task) task = open_named("gsm-mini");
    size_t i;

    (void)state;
    snprintf(path, sizeof path, "%s/tasks/gsm-mini.jsonl", source_dir());
    rows = load_rows(path);
    assert_int_equal(json_array_size(rows), 600);
    json_array_foreach(rows, i, row)
    {
        cap_arena_reset(bench.arena);
        for (size_t column = 0; column < task->column_count; column++)
            assert_int_equal(grade_text(task, row, "answer", task->columns[column].id,
                                        json_object_get(row, "final"))
                                 .kind,
                             EVAL_CORRECT);
    }
    json_decref(rows);
}

/* ---- letters ---- */

static void check_letters(json_t *rows, const char *name, const char *key)
{
    CAP_AUTO(eval_task) task = open_named(name);
    size_t i, checked = 0;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        json_t *ref = json_object_get(json_object_get(row, "ref"), key);
        CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
        struct eval_verdict v;
        json_t *gold = json_string("(A)");

        if (!json_object_get(json_object_get(row, "ref"), key)) {
            json_decref(gold);
            continue;
        }
        cap_arena_reset(bench.arena);
        v = grade_text(task, row, "text", NULL, gold);
        json_decref(gold);
        if (json_is_null(ref) || (json_string_length(ref) == 0 && v.unanswered) ||
            strcmp(json_string_value(ref), "[invalid]") == 0)
            assert_true(v.unanswered);
        else if (!eval_text_equal(v.extracted, eval_json_text(ref)))
            fail_msg("%s: %s extracts \"%.*s\", reference \"%s\"", text_at(row, "id"), name,
                     (int)v.extracted.length, v.extracted.data, json_string_value(ref));
        checked++;
    }
    assert_true(checked > 0);
}

static void check_all_letters(json_t *rows)
{
    check_letters(rows, "mmlu-pro", "mmlu_pro_lmeval");
    check_letters(rows, "mmlu-pro-official", "mmlu_pro_official");
    check_letters(rows, "mmlu-pro-moecap", "moecap_mmlu_pro");
    check_letters(rows, "longbench-v2", "longbench_v2_official");
    check_letters(rows, "mmlu-flan-strict", "mmlu_flan_strict");
    check_letters(rows, "mmlu-flan-flexible", "mmlu_flan_flexible_last");
    json_decref(rows);
}

static void letters_are_extracted_from_our_texts_as_the_references_do(void **state)
{
    (void)state;
    check_all_letters(load_golden("mc_extract.jsonl"));
}

static void letters_are_extracted_from_real_outputs_as_the_references_do(void **state)
{
    (void)state;
    check_all_letters(load_shared("mc_extract_open.jsonl"));
}

static void a_named_letter_counts_before_one_that_stands_alone(void **state)
{
    static const struct {
        const char *text, *letter;
    } cases[] = {
        {"I am not sure, perhaps (C)", "C"},
        {"A good question. The answer is (D).", "D"},
        {"B", "B"},
        {" C. Paris", "C"},
        {"Answer: (A)", "A"},
        {"<think>the answer is (B)</think> The answer is (D)", "D"},
    };
    CAP_AUTO(eval_task) task = open_named("choice-letter");

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        json_t *row = json_pack("{s:s}", "text", cases[i].text), *gold = json_string("X");
        struct eval_verdict v = grade_text(task, row, "text", NULL, gold);

        if (!eval_text_equal(v.extracted, eval_text_of(cases[i].letter)))
            fail_msg("\"%s\" gives \"%.*s\"", cases[i].text, (int)v.extracted.length,
                     v.extracted.data);
        json_decref(row);
        json_decref(gold);
    }
}

/* The last end of thoughts counts: a model may speak of it while it thinks. */
static void trap_c34_the_answer_stands_behind_the_thoughts(void **state)
{
    const struct eval_task task = {.think_end = eval_text_of("</think>")};
    const struct eval_text text =
        eval_text_of("<think>it is (B), or after </think> (C)</think>\n The answer is (D)");

    (void)state;
    assert_true(eval_text_equal(eval_answer_text(&task, text), eval_text_of("The answer is (D)")));
}

/* ---- metrics ---- */

static double exact_match(const json_t *options, struct eval_text prediction,
                          const struct eval_text *golds, size_t gold_count)
{
    struct cap_err err = {0};
    struct eval_metric metric;
    struct eval_gold gold = {.texts = golds, .text_count = gold_count};
    struct eval_metric_input in = {bench.arena, bench.work, &gold, prediction, NULL};
    struct eval_metric_result result = {0};
    json_t *entry = json_deep_copy(options);

    json_object_set_new(entry, "metric", json_string("exact_match"));
    if (!eval_metric_open(entry, EVAL_NEEDS_TEXT, &metric, &err) ||
        !metric.ops->grade(metric.state, &in, &result, &err))
        fail_msg("%s", err.text);
    eval_metric_done(&metric);
    json_decref(entry);
    return result.score;
}

static void exact_match_agrees_under_every_option(void **state)
{
    json_t *rows = load_golden("metrics.jsonl"), *row;
    size_t i, checked = 0;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        json_t *in = json_object_get(row, "input");
        struct eval_text golds[8];
        size_t count = 0;

        if (strncmp(text_at(row, "metric"), "lmeval_exact_match", 18) != 0)
            continue;
        cap_arena_reset(bench.arena);
        if (json_object_get(in, "reference"))
            golds[count++] = eval_json_text(json_object_get(in, "reference"));
        for (; count < json_array_size(json_object_get(in, "references")); count++)
            golds[count] = eval_json_text(json_array_get(json_object_get(in, "references"), count));
        if (exact_match(json_object_get(in, "options"),
                        eval_json_text(json_object_get(in, "prediction")), golds,
                        count) != json_number_value(json_object_get(row, "expected")))
            fail_msg("%s differs", text_at(row, "id"));
        checked++;
    }
    assert_int_equal(checked, 117);
    json_decref(rows);
}

static void check_choice_row(const struct eval_task *task, json_t *row)
{
    static const char *const names[] = {"acc", "acc_norm", "acc_bytes", "exact_match"};
    json_t *in = json_object_get(row, "input"), *expected = json_object_get(row, "expected");
    json_t *sums = json_object_get(in, "loglikelihoods"),
           *greedy = json_object_get(in, "is_greedy");
    struct eval_score scores[16] = {0};
    struct eval_answer answer = {.scores = scores, .score_count = json_array_size(sums)};

    for (size_t i = 0; i < answer.score_count; i++) {
        scores[i].log_likelihood = json_number_value(json_array_get(sums, i));
        scores[i].greedy = json_is_true(json_array_get(greedy, i));
    }
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        struct eval_verdict v = grade(task, in, names[i], &answer, json_object_get(in, "gold"));

        if (v.score != json_number_value(json_object_get(expected, names[i])))
            fail_msg("%s: %s is %g", text_at(row, "id"), names[i], v.score);
    }
}

static void choices_by_log_likelihood_agree(void **state)
{
    json_t *rows = load_golden("metrics.jsonl"), *row;
    CAP_AUTO(eval_task) task = open_named("choices");
    size_t i, checked = 0;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(text_at(row, "metric"), "multiple_choice_ll") != 0)
            continue;
        cap_arena_reset(bench.arena);
        check_choice_row(task, row);
        checked++;
    }
    assert_int_equal(checked, 30);
    json_decref(rows);
}

/* ---- what is not an answer ---- */

static struct eval_verdict grade_plain(const char *grader, const char *text,
                                       const char *finish_reason, const char *error)
{
    static struct eval_task *task;
    struct eval_text t = eval_text_of(text);
    struct eval_answer answer = {.texts = &t,
                                 .text_count = 1,
                                 .finish_reason = finish_reason,
                                 .error = error,
                                 .failed = error != NULL};
    json_t *row = json_object(), *gold = json_string("18");
    struct eval_verdict v;

    eval_task_free(task);
    task = open_named(grader);
    v = grade(task, row, NULL, &answer, gold);
    json_decref(row);
    json_decref(gold);
    eval_task_free(task);
    task = NULL;
    return v;
}

static void a_failed_request_is_wrong_and_says_why(void **state)
{
    struct eval_verdict v = grade_plain("gsm8k-strict", "#### 18", "error", "server closed");

    (void)state;
    assert_int_equal(v.kind, EVAL_WRONG);
    assert_false(v.unanswered);
    assert_string_equal(v.reason, "request failed: server closed");
}

static void an_answer_without_a_number_is_unanswered(void **state)
{
    struct eval_verdict v = grade_plain("gsm8k-strict", "I do not know", "stop", NULL);

    (void)state;
    assert_int_equal(v.kind, EVAL_WRONG);
    assert_true(v.unanswered);
    assert_false(v.truncated);
    assert_string_equal(v.reason, "no answer found");
    assert_true(grade_plain("exact_match", " \n", "stop", NULL).unanswered);
    assert_string_equal(grade_plain("gsm8k-strict", "", "stop", NULL).reason,
                        "no answer found: the text is empty");
}

static void a_cut_answer_is_flagged_apart(void **state)
{
    struct eval_verdict wrong = grade_plain("gsm8k-strict", "#### 1", "length", NULL);

    (void)state;
    assert_true(wrong.truncated);
    assert_false(wrong.unanswered);
    assert_string_equal(wrong.reason, "differs from the reference, and ended by the token limit");
    assert_string_equal(grade_plain("gsm8k-strict", "so we", "length", NULL).reason,
                        "no answer found before the token limit");
    assert_int_equal(grade_plain("gsm8k-strict", "#### 18", "length", NULL).kind, EVAL_CORRECT);
}

static void a_tail_of_one_repeated_mark_is_named(void **state)
{
    char text[700];

    (void)state;
    memset(text, '!', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_string_equal(grade_plain("gsm8k-strict", text, "stop", NULL).reason,
                        "no answer found: one character repeated");
}

static void reasons_never_hold_the_reference(void **state)
{
    (void)state;
    assert_null(strstr(grade_plain("gsm8k-strict", "#### 17", "stop", NULL).reason, "18"));
}

static void missing_or_undefined_scores_are_wrong_with_a_reason(void **state)
{
    CAP_AUTO(eval_task) task = open_named("choices");
    json_t *row = json_pack("{s:[sss]}", "choices", "x", "y", "z"), *gold = json_integer(1);
    struct eval_score scores[3] = {{-1, false}, {-2, false}, {-3, false}};
    struct eval_answer answer = {.scores = scores, .score_count = 2};
    struct eval_verdict v = grade(task, row, "acc", &answer, gold);

    (void)state;
    assert_int_equal(v.kind, EVAL_WRONG);
    assert_true(v.unanswered);
    assert_string_equal(v.reason, "the engine returned 2 log-likelihoods for 3 choices");
    answer.score_count = 3;
    scores[2].log_likelihood = (double)NAN;
    v = grade(task, row, "acc", &answer, gold);
    assert_int_equal(v.kind, EVAL_WRONG);
    assert_string_equal(v.reason, "the score of choice 3 is not a number");
    json_decref(row);
    json_decref(gold);
}

static void a_pattern_that_explodes_leaves_the_answer_undecided(void **state)
{
    static const char yaml[] = "task: t\ndoc_to_text: text\ndoc_to_target: gold\nfilter_list:\n"
                               "  - name: slow\n    filter:\n"
                               "      - {function: regex, regex_pattern: '((a|aa)+)+$'}\n";
    struct eval_task_file file = {"t.yaml", yaml, sizeof yaml - 1};
    struct eval_task_source source;
    struct cap_err err = {0};
    char text[6000];
    struct eval_text t = {text, sizeof text};
    struct eval_answer answer = {.texts = &t, .text_count = 1};
    json_t *row = json_object(), *gold = json_string("18");
    struct eval_verdict v;

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    if (!eval_task_read("t.yaml", &file, 1, &source, &err))
        fail_msg("%s", err.text);
    v = grade(source.task, row, NULL, &answer, gold);
    assert_int_equal(v.kind, EVAL_UNDECIDED);
    assert_string_equal(v.reason, "a pattern needs too much work on this text");
    eval_task_source_done(&source);
    json_decref(row);
    json_decref(gold);
}

static void several_answers_vote_and_the_first_of_equals_wins(void **state)
{
    static const char yaml[] = "task: t\ndoc_to_text: text\ndoc_to_target: gold\nfilter_list:\n"
                               "  - name: maj\n    filter:\n"
                               "      - {function: regex}\n"
                               "      - {function: majority_vote}\n"
                               "      - {function: take_first}\n";
    struct eval_task_file file = {"t.yaml", yaml, sizeof yaml - 1};
    struct eval_task_source source;
    struct cap_err err = {0};
    struct eval_text texts[] = {eval_text_of("#### 5"), eval_text_of("#### 18"),
                                eval_text_of("#### 18"), eval_text_of("#### 5")};
    struct eval_answer answer = {.texts = texts, .text_count = 4};
    json_t *row = json_object(), *gold = json_string("18");

    (void)state;
    if (!eval_task_read("t.yaml", &file, 1, &source, &err))
        fail_msg("%s", err.text);
    assert_int_equal(grade(source.task, row, NULL, &answer, gold).kind, EVAL_WRONG);
    answer.text_count = 3;
    assert_int_equal(grade(source.task, row, NULL, &answer, gold).kind, EVAL_CORRECT);
    eval_task_source_done(&source);
    json_decref(row);
    json_decref(gold);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 200 };

static void *grade_many(void *task)
{
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
    CAP_AUTO(cap_arena) own = cap_arena_new(16 << 20);
    json_t *row = json_pack("{s:s,s:s}", "question", "q", "answer", "so #### 1,234");
    const struct eval_form *form = &((const struct eval_task *)task)->form;
    size_t right = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct cap_err err = {0};
        struct eval_text text = eval_text_of("it is\n#### 1234.");
        struct eval_answer answer = {.texts = &text, .text_count = 1};
        struct eval_verdict verdicts[EVAL_COLUMNS_MAX];
        struct eval_gold gold;
        struct eval_doc doc;

        cap_arena_reset(own);
        if (!eval_doc_open_json(&doc, task, form, row, own, &err))
            break;
        if (eval_doc_gold(&doc, &gold, &err) &&
            eval_grade(&(struct eval_grade_input){&doc, &gold, &answer, work}, verdicts, &err))
            right += verdicts[0].kind == EVAL_CORRECT && verdicts[1].kind == EVAL_CORRECT;
        eval_doc_done(&doc);
    }
    json_decref(row);
    return (void *)(uintptr_t)right;
}

static void one_task_grades_on_many_threads_at_once(void **state)
{
    CAP_AUTO(eval_task) task = open_named("gsm8k");
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, grade_many, task), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *right;

        pthread_join(threads[i], &right);
        assert_int_equal((uintptr_t)right, ROUNDS);
    }
}

static void texts_are_cut_at_stop_strings_in_the_order_given(void **state)
{
    CAP_AUTO(eval_task) task = open_named("gsm8k");
    struct eval_text t =
        eval_answer_text(task, eval_text_of("so #### 600\n\nQuestion: Next</s> more"));

    (void)state;
    assert_true(eval_text_equal(t, eval_text_of("so #### 600\n\n")));
    assert_true(eval_text_equal(eval_answer_text(task, t), t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_extracted_from_our_edge_texts_as_the_references_do),
        cmocka_unit_test(numbers_are_extracted_from_rewritten_answers_as_the_references_do),
        cmocka_unit_test(numbers_are_extracted_from_real_generations_as_the_references_do),
        cmocka_unit_test(every_gsm8k_solution_is_right_by_its_own_answer),
        cmocka_unit_test(every_gsm_mini_solution_is_right_by_its_own_answer),
        cmocka_unit_test(letters_are_extracted_from_our_texts_as_the_references_do),
        cmocka_unit_test(letters_are_extracted_from_real_outputs_as_the_references_do),
        cmocka_unit_test(a_named_letter_counts_before_one_that_stands_alone),
        cmocka_unit_test(trap_c34_the_answer_stands_behind_the_thoughts),
        cmocka_unit_test(exact_match_agrees_under_every_option),
        cmocka_unit_test(choices_by_log_likelihood_agree),
        cmocka_unit_test(a_failed_request_is_wrong_and_says_why),
        cmocka_unit_test(an_answer_without_a_number_is_unanswered),
        cmocka_unit_test(a_cut_answer_is_flagged_apart),
        cmocka_unit_test(a_tail_of_one_repeated_mark_is_named),
        cmocka_unit_test(reasons_never_hold_the_reference),
        cmocka_unit_test(missing_or_undefined_scores_are_wrong_with_a_reason),
        cmocka_unit_test(a_pattern_that_explodes_leaves_the_answer_undecided),
        cmocka_unit_test(several_answers_vote_and_the_first_of_equals_wins),
        cmocka_unit_test(one_task_grades_on_many_threads_at_once),
        cmocka_unit_test(texts_are_cut_at_stop_strings_in_the_order_given),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
