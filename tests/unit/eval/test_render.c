/* Prompts: exact texts, few-shot draws, and what must never be in them. */
#include "vectors.h"

#include <pthread.h>

#include "evaluator/kept.h"
#include "evaluator/task.h"
#include "evaluator/text/pyrandom.h"
#include "jinja/jinja.h"
#include "rendering.h"

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

static struct eval_task *open_shipped(const char *name)
{
    struct cap_err err = {0};
    char folder[4096];
    struct eval_task *task;

    snprintf(folder, sizeof folder, "%s/tasks", source_dir());
    if (!(task = eval_task_find(name, folder, &err)))
        fail_msg("%s", err.text);
    return task;
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

/* A JSONL file of tasks/ as documents; their texts live in the arena. */
static size_t load_documents(const char *name, struct document *out, size_t max)
{
    char path[8192], *line = NULL;
    size_t room = 0, count = 0;
    ssize_t length;
    FILE *file;

    snprintf(path, sizeof path, "%s/tasks/%s", source_dir(), name);
    assert_non_null(file = fopen(path, "r"));
    for (; count < max && (length = getline(&line, &room, file)) > 0; count++)
        out[count] = (struct document){(uint32_t)count, cap_arena_printf(arena, "uid-%zu", count),
                                       cap_arena_strndup(arena, line, (size_t)length)};
    free(line);
    fclose(file);
    return count;
}

static Moecap__V1__Prompt render_one(const struct eval_task *task, const struct settings *settings,
                                     const struct document *pool, size_t pool_count,
                                     const struct document *document)
{
    struct cap_err err = {0};
    Moecap__V1__Prompt prompt = MOECAP__V1__PROMPT__INIT;
    Moecap__V1__TaskDoc wire = doc_of(document);
    CAP_AUTO(eval_pool) opened = open_pool(task, pool, pool_count);
    CAP_AUTO(eval_render) render =
        eval_render_open(task, opened, spec_of(settings), settings->repeat, &err);

    if (!render || !eval_render_prompt(render, &wire, arena, &prompt, &err))
        fail_msg("%s", err.text);
    return prompt;
}

static void gsm_mini_asks_exactly_as_the_model_was_trained(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm-mini");
    struct document docs[1], pool[32];
    size_t pool_count = load_documents("gsm-mini.train_shots.jsonl", pool, 32);
    struct settings settings = {0};
    Moecap__V1__Prompt prompt;

    (void)state;
    load_documents("gsm-mini.jsonl", docs, 1);
    prompt = render_one(task, &settings, pool, pool_count, &docs[0]);
    assert_string_equal(prompt.text, "Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. "
                                     "How many eggs are left?\nAnswer:");
    assert_int_equal(prompt.n_messages, 0);
    assert_int_equal(prompt.n_continuations, 0);
    assert_int_equal(prompt.n_stop, 2);
    assert_int_equal(prompt.max_tokens, 128);
    assert_true(prompt.temperature == 0);
}

static void shots_are_the_first_examples_each_with_its_answer(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm-mini");
    struct document docs[1], pool[32];
    size_t pool_count = load_documents("gsm-mini.train_shots.jsonl", pool, 32);
    struct settings settings = {.has_num_fewshot = true, .num_fewshot = 1};

    (void)state;
    load_documents("gsm-mini.jsonl", docs, 1);
    assert_string_equal(
        render_one(task, &settings, pool, pool_count, &docs[0]).text,
        "Question: Emma has 42 cookies. Emma gives half of them to Tina and then finds 83 cookies. "
        "How many cookies does Emma have now?\nAnswer: Half of them is 42/2=21 cookies.\nEmma has "
        "21+83=104 cookies.\n#### 104\n\nQuestion: 9 hens lay 7 eggs each. Nora sells 13 of the "
        "eggs. How many eggs are left?\nAnswer:");
}

static void choices_are_scored_behind_a_blank(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("choice-mini");
    struct document docs[1];
    struct settings settings = {0};
    Moecap__V1__Prompt prompt;

    (void)state;
    load_documents("choice-mini.jsonl", docs, 1);
    prompt = render_one(task, &settings, NULL, 0, &docs[0]);
    assert_string_equal(prompt.text, "What is half of 44?\nA. 27\nB. 22\nC. 32\nD. 20\nAnswer:");
    assert_int_equal(prompt.n_continuations, 4);
    assert_string_equal(prompt.continuations[0], " A");
    assert_string_equal(prompt.continuations[3], " D");
}

static void chat_gives_turns_and_choices_without_the_blank(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("choice-mini");
    struct document docs[1], pool[32];
    size_t pool_count = load_documents("choice-mini.train_shots.jsonl", pool, 32);
    struct settings settings = {.chat = true, .has_num_fewshot = true, .num_fewshot = 1};
    Moecap__V1__Prompt prompt;

    (void)state;
    load_documents("choice-mini.jsonl", docs, 1);
    prompt = render_one(task, &settings, pool, pool_count, &docs[0]);
    assert_string_equal(prompt.text, "");
    assert_int_equal(prompt.n_messages, 3);
    assert_string_equal(prompt.messages[0]->role, "user");
    assert_string_equal(prompt.messages[1]->role, "assistant");
    assert_string_equal(prompt.messages[1]->content, "B");
    assert_string_equal(prompt.messages[2]->role, "user");
    assert_string_equal(prompt.continuations[1], "B");
}

static void a_generated_letter_shows_letters_in_its_examples(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("choice-mini-letter");
    struct document docs[1], pool[32];
    size_t pool_count = load_documents("choice-mini.train_shots.jsonl", pool, 32);
    struct settings settings = {.has_num_fewshot = true, .num_fewshot = 1};
    Moecap__V1__Prompt prompt;

    (void)state;
    load_documents("choice-mini.jsonl", docs, 1);
    prompt = render_one(task, &settings, pool, pool_count, &docs[0]);
    assert_non_null(strstr(prompt.text, "D. 82\nAnswer: B\n\nWhat is half"));
    assert_int_equal(prompt.n_continuations, 0);
    assert_string_equal(prompt.stop[0], "\n");
}

#define DRAWN                                                                                      \
    "task: t\ndoc_to_text: q\ndoc_to_target: a\nnum_fewshot: 3\ntarget_delimiter: '='\n"           \
    "fewshot_delimiter: ';'\n"

static void make_pool(struct document *pool, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pool[i] = (struct document){
            (uint32_t)i, "p", cap_arena_printf(arena, "{\"q\": \"q%zu\", \"a\": \"a%zu\"}", i, i)};
}

/* What the harness would draw for the document: one generator, a draw for each before it. */
static const char *expected_prompt(uint64_t seed, size_t pool_count, uint32_t ordinal)
{
    struct eval_pyrandom random;
    size_t chosen[3];

    eval_pyrandom_seed(&random, seed);
    for (uint32_t i = 0; i <= ordinal; i++)
        eval_pyrandom_sample(&random, pool_count, 3, chosen);
    return cap_arena_printf(arena, "q%zu=a%zu;q%zu=a%zu;q%zu=a%zu;last?", chosen[0], chosen[0],
                            chosen[1], chosen[1], chosen[2], chosen[2]);
}

static void draws_follow_the_documents_place_in_whatever_order_it_is_asked_for(void **state)
{
    static const uint32_t order[] = {0, 1, 5, 5, 2, 100, 99};
    CAP_AUTO(eval_task) task = open_yaml(DRAWN);
    struct document pool[40];
    struct settings settings = {0};
    struct cap_err err = {0};
    CAP_AUTO(eval_pool) opened = NULL;
    CAP_AUTO(eval_render) render = NULL;

    (void)state;
    make_pool(pool, 40);
    opened = open_pool(task, pool, 40);
    render = eval_render_open(task, opened, spec_of(&settings), 0, &err);
    for (size_t i = 0; i < CAP_COUNT_OF(order); i++) {
        struct document doc = {order[i], "u", "{\"q\": \"last?\", \"a\": \"x\"}"};
        Moecap__V1__TaskDoc wire = doc_of(&doc);
        Moecap__V1__Prompt prompt;

        assert_true(eval_render_prompt(render, &wire, arena, &prompt, &err));
        assert_string_equal(prompt.text, expected_prompt(1234, 40, order[i]));
        assert_string_equal(prompt.text, render_one(task, &settings, pool, 40, &doc).text);
    }
}

static void the_evaluations_seed_changes_draws_and_samples(void **state)
{
    CAP_AUTO(eval_task) task = open_yaml(DRAWN);
    struct document pool[40], doc = {7, "u", "{\"q\": \"last?\", \"a\": \"x\"}"};
    struct settings settings = {.seed = 99}, other = {.seed = 99, .repeat = 1};
    Moecap__V1__Prompt prompt, again;

    (void)state;
    make_pool(pool, 40);
    prompt = render_one(task, &settings, pool, 40, &doc);
    assert_string_equal(prompt.text, expected_prompt(99, 40, 7));
    again = render_one(task, &settings, pool, 40, &doc);
    assert_true(prompt.seed == again.seed);
    again = render_one(task, &other, pool, 40, &doc);
    assert_true(prompt.seed != again.seed);
    assert_string_equal(prompt.text, again.text);
}

/* Also where the harness does not look: the pool is what is evaluated, under a name of another key.
 */
static void a_document_never_is_its_own_example(void **state)
{
    static const char *const yamls[] = {
        "task: t\ntest_split: v\nfewshot_split: v\ndoc_to_text: q\ndoc_to_target: a\n",
        "task: t\nvalidation_split: v\nfewshot_split: v\ndoc_to_text: q\ndoc_to_target: a\n",
        "task: t\nvalidation_split: v\ndoc_to_text: q\ndoc_to_target: a\n",
        "task: t\nsamples_file: x.jsonl\nfewshot_file: x.jsonl\ndoc_to_text: q\ndoc_to_target: a\n",
        "task: t\ntest_split: v\nfewshot_config: {split: v}\ndoc_to_text: q\ndoc_to_target: a\n",
    };

    (void)state;
    for (size_t y = 0; y < 2 * CAP_COUNT_OF(yamls); y++) {
        const char *yaml = yamls[y / 2];
        bool first = y % 2 == 1;
        CAP_AUTO(eval_task) task = open_yaml(
            !first ? yaml
            : strstr(yaml, "fewshot_config")
                ? "task: t\ntest_split: v\nfewshot_config: {split: v, sampler: first_n}\n"
                  "doc_to_text: q\ndoc_to_target: a\n"
                : cap_arena_printf(arena, "%sfewshot_config: {sampler: first_n}\n", yaml));
        struct settings settings = {.has_num_fewshot = true, .num_fewshot = 3};
        struct document docs[5];

        make_pool(docs, CAP_COUNT_OF(docs));
        for (size_t i = 0; i < CAP_COUNT_OF(docs); i++) {
            const char *question = cap_arena_printf(arena, "q%zu", i);
            const char *text = render_one(task, &settings, docs, CAP_COUNT_OF(docs), &docs[i]).text;

            assert_string_equal(strstr(text, question), question); /* only at the end */
        }
    }
}

/* MATH once printed the whole record: nothing of the answer may show. */
static void the_samples_own_answer_is_in_no_prompt(void **state)
{
    static const char *const names[] = {"gsm-mini", "choice-mini", "choice-mini-letter"};

    (void)state;
    for (size_t n = 0; n < CAP_COUNT_OF(names); n++) {
        CAP_AUTO(eval_task) task = open_shipped(names[n]);
        struct settings settings = {0};
        struct document docs[600];
        struct cap_err err = {0};
        CAP_AUTO(eval_pool) pool = open_pool(task, NULL, 0);
        CAP_AUTO(eval_render) render = eval_render_open(task, pool, spec_of(&settings), 0, &err);
        size_t count = load_documents(task->samples_file, docs, 600);

        assert_int_equal(count, 600);
        for (size_t i = 0; i < count; i++) {
            Moecap__V1__TaskDoc wire = doc_of(&docs[i]);
            Moecap__V1__Prompt prompt;

            if (!eval_render_prompt(render, &wire, arena, &prompt, &err))
                fail_msg("%s", err.text);
            assert_null(strstr(prompt.text, "####"));
            assert_string_equal(prompt.text + strlen(prompt.text) - 8, "\nAnswer:");
        }
        cap_arena_reset(arena);
    }
}

static void settings_of_the_evaluation_win_over_the_tasks(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm-mini");
    struct document doc = {0, "u", "{\"question\": \"x?\", \"answer\": \"#### 1\"}"};
    struct settings settings = {.max_tokens = 5, .temperature = 0.5, .top_p = 0.25, .top_k = 3};
    Moecap__V1__Prompt prompt = render_one(task, &settings, NULL, 0, &doc);

    (void)state;
    assert_int_equal(prompt.max_tokens, 5);
    assert_true(prompt.temperature == 0.5);
    assert_true(prompt.opt_top_p_case && prompt.top_p == 0.25);
    assert_int_equal(prompt.top_k, 3);
}

static void exact_lengths_have_no_stop_strings(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm-mini");
    struct document doc = {0, "u", "{\"question\": \"x?\", \"answer\": \"#### 1\"}"};
    struct settings settings = {.max_tokens = 5, .ignore_eos = true};
    Moecap__V1__Prompt prompt = render_one(task, &settings, NULL, 0, &doc);

    (void)state;
    assert_true(prompt.ignore_eos);
    assert_int_equal(prompt.n_stop, 0);
}

static void refuse(const struct eval_task *task, const char *json, const char *sentence)
{
    struct document doc = {3, "u3", json};
    struct settings settings = {0};
    Moecap__V1__Prompt prompt;
    struct cap_err err = {0};
    Moecap__V1__TaskDoc wire = doc_of(&doc);
    CAP_AUTO(eval_pool) pool = open_pool(task, NULL, 0);
    CAP_AUTO(eval_render) render = eval_render_open(task, pool, spec_of(&settings), 0, &err);

    assert_false(eval_render_prompt(render, &wire, arena, &prompt, &err));
    assert_string_equal(err.text, sentence);
}

static void bad_documents_are_named(void **state)
{
    CAP_AUTO(eval_task) choice = open_shipped("choice-mini");
    CAP_AUTO(eval_task) plain = open_yaml("task: t\ndoc_to_text: q\ndoc_to_target: a\n");

    (void)state;
    refuse(choice, "{\"question\": \"x\", \"choices\": [1,2,3,4], \"answer\": 4}",
           "document 3 (\"u3\"): the right answer \"4\" is none of the 4 choices");
    refuse(plain, "[1]", "document 3 (\"u3\"): the document is not a JSON object");
    refuse(plain, "{\"q\": \"\", \"a\": \"x\"}",
           "document 3 (\"u3\"): doc_to_text gives an empty text");
    refuse(plain, "{\"q\": [1], \"a\": \"x\"}", "document 3 (\"u3\"): doc_to_text gives no text");
    refuse(plain, "{\"q\": \"x\", \"a\": null}",
           "document 3 (\"u3\"): doc_to_target gives no answer");
    refuse(plain, "{\"q\": \"x\\u0000y\", \"a\": \"x\"}",
           "document 3 (\"u3\"): the prompt holds U+0000");
}

static void an_undefined_field_is_an_error_and_not_an_empty_text(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm-mini");
    struct document doc = {0, "u", "{\"answer\": \"#### 1\"}"};
    struct settings settings = {0};
    Moecap__V1__Prompt prompt;
    struct cap_err err = {0};
    Moecap__V1__TaskDoc wire = doc_of(&doc);
    CAP_AUTO(eval_pool) pool = open_pool(task, NULL, 0);
    CAP_AUTO(eval_render) render = eval_render_open(task, pool, spec_of(&settings), 0, &err);

    (void)state;
    assert_false(eval_render_prompt(render, &wire, arena, &prompt, &err));
    assert_non_null(strstr(err.text, "question"));
}

static void too_small_a_pool_is_refused(void **state)
{
    CAP_AUTO(eval_task) task = open_shipped("gsm8k");
    struct settings settings = {0};
    CAP_AUTO(eval_pool) pool = open_pool(task, NULL, 0);
    struct cap_err err = {0};

    (void)state;
    assert_null(eval_render_open(task, pool, spec_of(&settings), 0, &err));
    assert_string_equal(err.text, "task \"gsm8k\" cannot show 5 examples: its few-shot pool has 0, "
                                  "and 64 is the most");
}

static bool asked_often(void *count)
{
    return ++*(int *)count > 3;
}

static void rendering_ends_when_nobody_waits_any_more(void **state)
{
    CAP_AUTO(eval_task) task = open_yaml(DRAWN);
    struct document examples[40], doc = {7, "u", "{\"q\": \"last?\", \"a\": \"x\"}"};
    struct settings settings = {.has_num_fewshot = true, .num_fewshot = 10};
    Moecap__V1__TaskDoc wire = doc_of(&doc);
    Moecap__V1__Prompt prompt;
    int count = 0;
    const struct cap_jinja_stop stop = {asked_often, &count};
    struct cap_err err = {0};
    CAP_AUTO(eval_pool) pool = NULL;
    CAP_AUTO(eval_render) render = NULL;

    (void)state;
    make_pool(examples, 40);
    pool = open_pool(task, examples, 40);
    assert_non_null(render = eval_render_open(task, pool, spec_of(&settings), 0, &err));
    eval_render_until(render, &stop);
    assert_false(eval_render_prompt(render, &wire, arena, &prompt, &err));
    assert_int_equal(err.code, CAP_CANCELLED);
    assert_int_equal(count, 4);
}

/* ---- tasks that stay between calls ---- */

enum { KEEPERS = 4, KEEPER_ROUNDS = 300, KEPT_MAX = 3 };

/* Works with one of six tasks, of which three may stay: finds it, or brings it. */
static void *keep_and_forget(void *argument)
{
    struct eval_kept *kept = argument;
    uintptr_t wrong = 0;

    for (unsigned i = 0; i < KEEPER_ROUNDS; i++) {
        char definition[128], sha256[CAP_SHA256_HEX_BYTES], name[8];
        struct cap_err err = {0};
        struct eval_kit *kit;

        snprintf(name, sizeof name, "t%u", i % 6);
        snprintf(definition, sizeof definition,
                 "{\"task\":\"%s\",\"doc_to_text\":\"q\",\"doc_to_target\":\"a\"}", name);
        cap_sha256_hex(definition, strlen(definition), sha256);
        kit = eval_kept_find(kept, sha256, "", &err);
        if (!kit) {
            cap_err_clear(&err);
            kit = eval_kit_open(definition, &err);
            eval_kit_end(kit, &err);
            kit = eval_kept_add(kept, kit);
        }
        wrong += strcmp(kit->task->name, name) != 0;
        eval_kept_release(kept, kit);
    }
    return (void *)wrong;
}

static void many_threads_share_what_is_kept(void **state)
{
    CAP_AUTO(eval_kept) kept = eval_kept_new(64 << 20, KEPT_MAX);
    pthread_t threads[KEEPERS];

    (void)state;
    for (int i = 0; i < KEEPERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_and_forget, kept), 0);
    for (int i = 0; i < KEEPERS; i++) {
        void *wrong;

        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(eval_kept_count(kept) <= KEPT_MAX);
}

/* A kit larger than all that may stay serves its call and is then forgotten. */
static void a_kit_without_room_serves_the_call_that_brought_it(void **state)
{
    CAP_AUTO(eval_kept) kept = eval_kept_new(1000, 10);
    struct cap_err err = {0};
    struct eval_kit *kit =
        eval_kit_open("{\"task\":\"t\",\"doc_to_text\":\"q\",\"doc_to_target\":\"a\"}", &err);

    (void)state;
    assert_true(eval_kit_end(kit, &err));
    kit = eval_kept_add(kept, kit);
    assert_string_equal(kit->task->name, "t");
    assert_int_equal(eval_kept_count(kept), 1);
    eval_kept_release(kept, kit);
    assert_int_equal(eval_kept_count(kept), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gsm_mini_asks_exactly_as_the_model_was_trained),
        cmocka_unit_test(shots_are_the_first_examples_each_with_its_answer),
        cmocka_unit_test(choices_are_scored_behind_a_blank),
        cmocka_unit_test(chat_gives_turns_and_choices_without_the_blank),
        cmocka_unit_test(a_generated_letter_shows_letters_in_its_examples),
        cmocka_unit_test(draws_follow_the_documents_place_in_whatever_order_it_is_asked_for),
        cmocka_unit_test(the_evaluations_seed_changes_draws_and_samples),
        cmocka_unit_test(a_document_never_is_its_own_example),
        cmocka_unit_test(the_samples_own_answer_is_in_no_prompt),
        cmocka_unit_test(settings_of_the_evaluation_win_over_the_tasks),
        cmocka_unit_test(exact_lengths_have_no_stop_strings),
        cmocka_unit_test(bad_documents_are_named),
        cmocka_unit_test(an_undefined_field_is_an_error_and_not_an_empty_text),
        cmocka_unit_test(too_small_a_pool_is_refused),
        cmocka_unit_test(rendering_ends_when_nobody_waits_any_more),
        cmocka_unit_test(many_threads_share_what_is_kept),
        cmocka_unit_test(a_kit_without_room_serves_the_call_that_brought_it),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
