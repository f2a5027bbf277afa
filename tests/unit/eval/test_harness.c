/* A run that the real lm-evaluation-harness wrote down (with a dummy model): our prompts,
 * extractions and scores for the same documents and answers must be its own, byte for byte. */
#include "vectors.h"

#include "evaluator/grade.h"
#include "evaluator/keys.h"
#include "evaluator/task.h"
#include "rendering.h"

#define STAMP "2026-11-24T03-07-14.622250"

enum { POOL = 20 /* the training rows that the harness was given */ };

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

static const char *dump(const json_t *doc)
{
    char *text = json_dumps(doc, 0);
    const char *copy = cap_arena_strdup(arena, text);

    free(text);
    return copy;
}

static const json_t *argument(const json_t *row, size_t index, const char *name)
{
    char key[32];

    snprintf(key, sizeof key, "gen_args_%zu", index);
    return json_object_get(json_object_get(json_object_get(row, "arguments"), key), name);
}

static Moecap__V1__Prompt render(struct eval_render *r, const json_t *row)
{
    struct document document = {(uint32_t)json_integer_value(json_object_get(row, "doc_id")), "u",
                                dump(json_object_get(row, "doc"))};
    Moecap__V1__TaskDoc wire = doc_of(&document);
    Moecap__V1__Prompt prompt;
    struct cap_err err = {0};

    if (!eval_render_prompt(r, &wire, arena, &prompt, &err))
        fail_msg("%s", err.text);
    return prompt;
}

static struct eval_verdict grade(const struct eval_task *task, const json_t *row,
                                 const char *column, const struct eval_answer *answer)
{
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
    struct cap_err err = {0};
    struct eval_verdict verdict = {0};
    struct eval_gold gold;
    struct eval_doc doc;

    if (!eval_doc_open_json(&doc, task, &task->form, json_object_get(row, "doc"), arena, &err) ||
        !eval_doc_gold(&doc, &gold, &err) ||
        !eval_grade_column(&(struct eval_grade_input){&doc, &gold, answer, work},
                           (size_t)eval_task_column(task, column), &verdict, &err))
        fail_msg("%s", err.text);
    eval_doc_done(&doc);
    return verdict;
}

static struct eval_task *open_yaml(const char *yaml)
{
    struct eval_task_file file = {"t.yaml", yaml, strlen(yaml)};
    struct eval_task_source source;
    struct cap_err err = {0};

    if (!eval_task_read("t.yaml", &file, 1, &source, &err))
        fail_msg("%s", err.text);
    free(source.definition);
    return source.task;
}

static void gsm8k_prompts_and_grades_are_the_harnesss_own(void **state)
{
    json_t *rows = load_shared("lmeval_example/samples_gsm8k_" STAMP ".jsonl"), *row;
    json_t *train = load_shared("gsm8k_train_200.jsonl");
    struct settings settings = {.has_num_fewshot = true, .num_fewshot = 2};
    struct document pool[POOL];
    struct cap_err err = {0};
    char folder[4096];
    CAP_AUTO(eval_task) task = NULL;
    CAP_AUTO(eval_pool) opened = NULL;
    CAP_AUTO(eval_render) r = NULL;
    size_t i;

    (void)state;
    snprintf(folder, sizeof folder, "%s/tasks", source_dir());
    for (i = 0; i < POOL; i++)
        pool[i] = (struct document){(uint32_t)i, "p", dump(json_array_get(train, i))};
    assert_non_null(task = eval_task_find("gsm8k", folder, &err));
    opened = open_pool(task, pool, POOL);
    assert_non_null(r = eval_render_open(task, opened, spec_of(&settings), 0, &err));
    assert_int_equal(json_array_size(rows), 24);
    json_array_foreach(rows, i, row)
    {
        json_t *response = json_array_get(json_array_get(json_object_get(row, "resps"), 0), 0);
        struct eval_text text = eval_json_text(response);
        struct eval_answer answer = {.texts = &text, .text_count = 1};
        struct eval_verdict v = grade(task, row, text_at(row, "filter"), &answer);

        assert_string_equal(render(r, row).text, json_string_value(argument(row, 0, "arg_0")));
        assert_true(eval_text_equal(v.extracted, eval_json_text(json_array_get(
                                                     json_object_get(row, "filtered_resps"), 0))));
        assert_true(v.score == json_number_value(json_object_get(row, "exact_match")));
    }
    json_decref(rows);
    json_decref(train);
}

/* Prompts, continuations and scores of a multiple-choice file. */
static void check_choices(const char *name, const char *yaml)
{
    json_t *rows = load_shared(name), *row;
    CAP_AUTO(eval_task) task = open_yaml(yaml);
    struct settings settings = {0};
    struct cap_err err = {0};
    CAP_AUTO(eval_pool) pool = open_pool(task, NULL, 0);
    CAP_AUTO(eval_render) r = eval_render_open(task, pool, spec_of(&settings), 0, &err);
    size_t i;

    json_array_foreach(rows, i, row)
    {
        Moecap__V1__Prompt prompt = render(r, row);
        struct eval_score scores[8];
        struct eval_answer answer = {.scores = scores, .score_count = prompt.n_continuations};

        assert_int_equal(prompt.n_continuations,
                         json_object_size(json_object_get(row, "arguments")));
        for (size_t k = 0; k < prompt.n_continuations; k++) {
            json_t *pair = json_array_get(json_object_get(row, "filtered_resps"), k);

            assert_string_equal(prompt.text, json_string_value(argument(row, k, "arg_0")));
            assert_string_equal(prompt.continuations[k],
                                json_string_value(argument(row, k, "arg_1")));
            scores[k].log_likelihood = strtod(json_string_value(json_array_get(pair, 0)), NULL);
            scores[k].greedy = strcmp(json_string_value(json_array_get(pair, 1)), "True") == 0;
        }
        for (size_t c = 0; c < task->column_count; c++)
            assert_true(grade(task, row, task->columns[c].id, &answer).score ==
                        json_number_value(json_object_get(row, task->columns[c].id)));
    }
    json_decref(rows);
}

static void multiple_choice_prompts_and_grades_are_the_harnesss_own(void **state)
{
    (void)state;
    check_choices("lmeval_example/samples_toy_arc_b_" STAMP ".jsonl",
                  "task: t\noutput_type: multiple_choice\n"
                  "doc_to_text: \"Question: {{question}}\\nAnswer:\"\n"
                  "doc_to_choice: \"{{choices}}\"\ndoc_to_target: answer\n"
                  "metric_list: [{metric: acc}, {metric: acc_norm}]\n");
    check_choices("lmeval_example/samples_toy_mmlu_a_" STAMP ".jsonl",
                  "task: t\noutput_type: multiple_choice\n"
                  "doc_to_text: \"{{question.strip()}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\n"
                  "C. {{choices[2]}}\\nD. {{choices[3]}}\\nAnswer:\"\n"
                  "doc_to_choice: [A, B, C, D]\ndoc_to_target: answer\n"
                  "metric_list: [{metric: acc}]\n");
}

/* ---- cases of ours, as tests/golden/harness/make.py had the harness make them ---- */

static size_t differences;

static void differ(const json_t *row, size_t i, const char *what, const char *ours,
                   const char *harness)
{
    differences++;
    print_message("%s, document %zu, %s:\n  ours:    %s\n  harness: %s\n", text_at(row, "name"), i,
                  what, ours, harness);
}

static void check_text(const json_t *row, size_t i, const char *what, const char *ours,
                       const json_t *harness)
{
    if (strcmp(ours, json_string_value(harness)) != 0)
        differ(row, i, what, ours, json_string_value(harness));
}

static void check_list(const json_t *row, size_t i, const char *what, char **ours, size_t count,
                       const json_t *harness)
{
    if (count != json_array_size(harness)) {
        differ(row, i, what, "another number of texts", "");
        return;
    }
    for (size_t k = 0; k < count; k++)
        check_text(row, i, what, ours[k], json_array_get(harness, k));
}

static void check_messages(const json_t *row, size_t i, const Moecap__V1__Prompt *prompt,
                           const json_t *harness)
{
    if (prompt->n_messages != json_array_size(harness)) {
        differ(row, i, "messages", "another number of messages", "");
        return;
    }
    for (size_t k = 0; k < prompt->n_messages; k++) {
        const json_t *turn = json_array_get(harness, k);

        check_text(row, i, "role", prompt->messages[k]->role, json_array_get(turn, 0));
        check_text(row, i, "message", prompt->messages[k]->content, json_array_get(turn, 1));
    }
}

static void check_prompt(const json_t *row, size_t i, const Moecap__V1__Prompt *prompt,
                         const json_t *harness)
{
    const json_t *text = json_object_get(harness, "text");
    const json_t *continuations = json_object_get(harness, "continuations");

    if (text)
        check_text(row, i, "text", prompt->text, text);
    else
        check_messages(row, i, prompt, json_object_get(harness, "messages"));
    if (continuations)
        check_list(row, i, "continuation", prompt->continuations, prompt->n_continuations,
                   continuations);
    else
        check_list(row, i, "stop", prompt->stop, prompt->n_stop, json_object_get(harness, "stop"));
}

enum { DOCS_MAX = 128 };

static size_t documents_of(const json_t *list, struct document *out)
{
    size_t count = json_array_size(list);

    assert_true(count <= DOCS_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = (struct document){(uint32_t)i, "u", dump(json_array_get(list, i))};
    return count;
}

static void check_prompts(const json_t *row, const struct eval_task *task)
{
    struct document docs[DOCS_MAX], examples[DOCS_MAX];
    size_t count = documents_of(json_object_get(row, "docs"), docs);
    bool same = task->shots.same_documents;
    size_t shown = documents_of(json_object_get(row, same ? "docs" : "pool"), examples);
    struct settings settings = {
        .chat = json_is_true(json_object_get(row, "chat")),
        .seed = (uint64_t)json_integer_value(json_object_get(row, "seed")),
    };
    CAP_AUTO(eval_pool) pool = open_pool(task, examples, task->shots.samples ? 0 : shown);
    struct cap_err err = {0};
    CAP_AUTO(eval_render) r = eval_render_open(task, pool, spec_of(&settings), 0, &err);

    if (!r) {
        differ(row, 0, "opening", err.text, "");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        Moecap__V1__TaskDoc wire = doc_of(&docs[i]);
        Moecap__V1__Prompt prompt;
        struct cap_err failure = {0};

        if (eval_render_prompt(r, &wire, arena, &prompt, &failure))
            check_prompt(row, i, &prompt, json_array_get(json_object_get(row, "prompts"), i));
        else
            differ(row, i, "prompt", failure.text, "");
    }
}

static struct eval_answer answer_of(const json_t *one)
{
    const json_t *texts = json_object_get(one, "texts"), *scores = json_object_get(one, "scores");
    size_t count = texts ? json_array_size(texts) : 1;
    struct eval_text *list = cap_arena_array(arena, count, sizeof *list);
    struct eval_score *pairs = cap_arena_array(arena, json_array_size(scores) + 1, sizeof *pairs);

    for (size_t i = 0; i < count; i++)
        list[i] = texts ? eval_json_text(json_array_get(texts, i))
                        : eval_json_text(json_object_get(one, "text"));
    for (size_t i = 0; i < json_array_size(scores); i++) {
        pairs[i].log_likelihood = json_number_value(json_array_get(json_array_get(scores, i), 0));
        pairs[i].greedy = json_is_true(json_array_get(json_array_get(scores, i), 1));
    }
    return (struct eval_answer){.texts = list,
                                .text_count = scores ? 0 : count,
                                .scores = pairs,
                                .score_count = json_array_size(scores)};
}

static void check_grades(const json_t *row, const struct eval_task *task)
{
    json_t *one, *column;
    const char *id;
    size_t i;

    json_array_foreach(json_object_get(row, "answers"), i, one)
    {
        struct eval_answer answer = answer_of(one);

        json_object_foreach(json_object_get(one, "columns"), id, column)
        {
            struct eval_verdict v = grade(task, one, id, &answer);
            const json_t *extracted = json_object_get(column, "extracted");
            char ours[32], harness[32];

            snprintf(ours, sizeof ours, "%g", v.score);
            snprintf(harness, sizeof harness, "%g",
                     json_number_value(json_object_get(column, "score")));
            if (strcmp(ours, harness) != 0)
                differ(row, i, id, ours, harness);
            if (extracted && !eval_text_equal(v.extracted, eval_json_text(extracted)))
                differ(row, i, id, eval_text_c(arena, v.extracted), json_string_value(extracted));
        }
    }
}

static void cases_of_ours_come_out_as_in_the_harness(void **state)
{
    char path[8192];
    json_t *rows, *row;
    size_t i;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/golden/harness/cases.jsonl", source_dir());
    assert_non_null(rows = load_rows(path));
    assert_true(json_array_size(rows) > 90);
    json_array_foreach(rows, i, row)
    {
        struct eval_task_file file = {"t.yaml", text_at(row, "yaml"), strlen(text_at(row, "yaml"))};
        struct eval_task_source source = {0};
        struct cap_err err = {0};

        if (!eval_task_read("t.yaml", &file, 1, &source, &err)) {
            differ(row, 0, "reading", err.text, "");
            continue;
        }
        (json_object_get(row, "prompts") ? check_prompts : check_grades)(row, source.task);
        eval_task_source_done(&source);
        cap_arena_reset(arena);
    }
    json_decref(rows);
    assert_int_equal(differences, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_of_ours_come_out_as_in_the_harness),
        cmocka_unit_test(gsm8k_prompts_and_grades_are_the_harnesss_own),
        cmocka_unit_test(multiple_choice_prompts_and_grades_are_the_harnesss_own),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
