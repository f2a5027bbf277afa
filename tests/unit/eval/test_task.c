/* Tasks from YAML: what is read, and the sentence for what is not. */
#include "vectors.h"

#include "base/buf.h"
#include "evaluator/keys.h"
#include "evaluator/task.h"

#define HEAD "task: t\ndoc_to_text: q\ndoc_to_target: a\n"

static struct eval_task_file file_of(const char *name, const char *text)
{
    return (struct eval_task_file){name, text, strlen(text)};
}

static bool read_one(const char *yaml, struct eval_task_source *out, struct cap_err *err)
{
    struct eval_task_file file = file_of("t.yaml", yaml);

    return eval_task_read("t.yaml", &file, 1, out, err);
}

static void assert_refused(const char *yaml, const char *sentence)
{
    struct eval_task_source source;
    struct cap_err err = {0};

    if (read_one(yaml, &source, &err))
        fail_msg("accepted: %s", yaml);
    assert_string_equal(err.text, sentence);
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
}

static void assert_accepted(const char *yaml)
{
    struct eval_task_source source;
    struct cap_err err = {0};

    if (!read_one(yaml, &source, &err))
        fail_msg("%s", err.text);
    eval_task_source_done(&source);
}

static void an_unknown_key_is_named_with_line_and_near_miss(void **state)
{
    (void)state;
    assert_refused(HEAD "metrics_list: []\n",
                   "t.yaml:4: unknown key \"metrics_list\"; did you mean \"metric_list\"?");
    assert_refused(HEAD "zzzzzzzzzzzz: 1\n", "t.yaml:4: unknown key \"zzzzzzzzzzzz\"");
}

static void a_file_without_bytes_is_refused_as_empty(void **state)
{
    struct eval_task_file file = {"t.yaml", NULL, 0}; /* as empty bytes come from the wire */
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_false(eval_task_read("t.yaml", &file, 1, &source, &err));
    assert_string_equal(err.text, "t.yaml: the file is empty");
}

static void a_nested_unknown_key_is_named_too(void **state)
{
    (void)state;
    assert_refused(HEAD "generation_kwargs:\n  untill: x\n",
                   "t.yaml:4: generation_kwargs: unknown key \"untill\"; did you mean \"until\"?");
    assert_refused(HEAD "metric_list:\n  - metric: exact_match\n    ignore_cases: true\n",
                   "t.yaml:4: metric_list: metric \"exact_match\": unknown key \"ignore_cases\"; "
                   "did you mean \"ignore_case\"?");
}

static void code_in_a_task_is_refused_with_a_way_out(void **state)
{
    (void)state;
    assert_refused(HEAD "process_docs: !function utils.process\n",
                   "t.yaml:4: !function: code in a task is not run; use a template, filter_list "
                   "and metric_list instead");
    assert_refused(HEAD "process_results: utils.x\n",
                   "t.yaml:4: process_results: code in a task is not run; use filter_list and "
                   "metric_list");
}

static void a_value_of_the_wrong_kind_is_named(void **state)
{
    (void)state;
    assert_refused(HEAD "num_fewshot: five\n",
                   "t.yaml:4: num_fewshot: num_fewshot must be a whole number from 0 to 64");
    assert_refused(HEAD "samples_file: 5\n", "t.yaml:4: samples_file: samples_file must be a text");
    assert_refused(HEAD "output_type: loglikelihood\n",
                   "t.yaml:4: output_type: \"loglikelihood\" is not supported; it is "
                   "generate_until or multiple_choice");
    assert_refused(
        "task: a b\ndoc_to_text: q\ndoc_to_target: a\n",
        "t.yaml:1: task: \"a b\" is not a name: 1 to 128 letters, digits, \"_\", \"-\" and "
        "\".\"");
}

static void missing_keys_are_named(void **state)
{
    (void)state;
    assert_refused("task: t\ndoc_to_target: a\n", "t.yaml: doc_to_text: doc_to_text is missing");
    assert_refused("doc_to_text: q\n", "t.yaml: task: the task has no name");
    assert_refused(HEAD "output_type: multiple_choice\n",
                   "t.yaml: doc_to_choice: multiple_choice needs doc_to_choice");
}

static void broken_yaml_is_named_with_its_line(void **state)
{
    (void)state;
    assert_refused(HEAD "tag: [a\n", "t.yaml:5: did not find expected ',' or ']'");
    assert_refused("", "t.yaml: the file is empty");
    assert_refused("- a\n", "t.yaml:1: a task consists of keys and values");
    assert_refused(HEAD "task: u\n", "t.yaml:4: the key \"task\" is there twice");
    assert_refused(HEAD "tag: &x [*x]\n", "t.yaml:4: too deep, or a value that contains itself");
}

static void a_broken_template_or_pattern_is_named(void **state)
{
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_false(read_one("task: t\ndoc_to_text: '{{ q'\ndoc_to_target: a\n", &source, &err));
    assert_int_equal(strncmp(err.text, "t.yaml:2: doc_to_text: ", 23), 0);
    assert_refused(HEAD "filter_list:\n  - name: x\n    filter:\n"
                        "      - {function: regex, regex_pattern: '(a'}\n",
                   "t.yaml:4: filter_list: filter \"x\": regex: pattern \"(a\": missing closing "
                   "parenthesis");
    assert_refused(HEAD "filter_list:\n  - name: x\n    filter:\n      - {function: regexp}\n",
                   "t.yaml:4: filter_list: filter \"x\": there is no filter \"regexp\"; did you "
                   "mean \"regex\"?");
}

static void a_metric_must_fit_the_kind_of_answer(void **state)
{
    (void)state;
    assert_refused(HEAD "metric_list:\n  - metric: acc\n",
                   "t.yaml:4: metric_list: metric \"acc\" needs output_type multiple_choice");
    assert_refused(HEAD "metric_list:\n  - metric: exact_mach\n",
                   "t.yaml:4: metric_list: there is no metric \"exact_mach\"; did you mean "
                   "\"exact_match\"?");
    assert_refused(HEAD "metric_list:\n  - {metric: exact_match, aggregation: median}\n",
                   "t.yaml:4: metric_list: metric \"exact_match\": aggregation \"median\" is not "
                   "known; it is mean");
}

static void files_outside_the_folder_are_refused(void **state)
{
    (void)state;
    assert_refused(HEAD "samples_file: ../x.jsonl\n",
                   "t.yaml:4: samples_file: samples_file \"../x.jsonl\" must lie in the task's "
                   "folder");
    assert_refused("include: /etc/passwd\n" HEAD,
                   "t.yaml: include \"/etc/passwd\" must lie in the task's folder: copy that file "
                   "beside this one and write \"include: passwd\"");
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    assert_refused(HEAD "---\ntask: u\n",
                   "t.yaml:4: a second document begins here; a task is one document");
}

/* Each costs libyaml time that grows with the square of its length. */
static void brackets_anchors_and_directives_without_end_are_refused_early(void **state)
{
    static const char *const parts[] = {"[", "{a: ", "- ", "&a x\n", "%TAG !a! tag:\n", "? "};
    static const char *const heads[] = {"a: ", "a: ", "a:\n  ", "a:\n", "", ""};

    (void)state;
    for (size_t p = 0; p < CAP_COUNT_OF(parts); p++) {
        CAP_AUTO_BUF(yaml, 2 << 20);
        struct cap_err err = {0};
        json_t *values = NULL, *lines = NULL;

        cap_buf_add_str(&yaml, heads[p]);
        for (size_t i = 0; i < 50000; i++)
            if (p == 3)
                cap_buf_printf(&yaml, " - &a%zu x\n", i);
            else
                cap_buf_add_str(&yaml, parts[p]);
        assert_false(eval_yaml_read("t.yaml", yaml.data, yaml.length, &values, &lines, &err));
        if (!strstr(err.text, "too deep") && !strstr(err.text, "too many anchors") &&
            !strstr(err.text, "lines begin with %"))
            fail_msg("%s: %s", parts[p], err.text);
    }
}

static void standard_tags_are_obeyed(void **state)
{
    static const char yaml[] = "a: !!null \"null\"\nb: !!str 1\nc: !!int \"7\"\nd: !!float 1\n"
                               "e: !!bool \"yes\"\nf: !!seq [1]\ng: !!map {x: 1}\n";
    json_t *values = NULL, *lines = NULL, *expected;
    struct cap_err err = {0};

    (void)state;
    if (!eval_yaml_read("t.yaml", yaml, strlen(yaml), &values, &lines, &err))
        fail_msg("%s", err.text);
    expected = json_pack("{s:n,s:s,s:i,s:f,s:b,s:[i],s:{s:i}}", "a", "b", "1", "c", 7, "d", 1.0,
                         "e", 1, "f", 1, "g", "x", 1);
    assert_true(json_equal(values, expected));
    json_decref(values);
    json_decref(lines);
    json_decref(expected);
    assert_false(eval_yaml_read("t.yaml", "a: !!int x", 10, &values, &lines, &err));
    assert_string_equal(err.text, "t.yaml:1: the text is not of the type that its tag names");
}

static void keys_about_groups_have_no_effect_or_are_refused_with_what_to_do(void **state)
{
    (void)state;
    assert_accepted(HEAD "metric_list:\n  - {metric: exact_match, weight_by_size: true}\n");
    assert_refused(HEAD "task_list: [{task: a}]\n",
                   "t.yaml:4: task_list: a file with several tasks is not read; write one file for "
                   "each, which includes it");
}

static void what_is_not_supported_is_told_with_what_is(void **state)
{
    (void)state;
    assert_accepted(HEAD "generation_kwargs: {num_beams: 1, until: [x]}\n");
    assert_refused(HEAD "generation_kwargs: {num_beams: 4}\n",
                   "t.yaml:4: generation_kwargs: num_beams: a search with several beams is not "
                   "supported; leave it out");
    assert_refused(HEAD "metric_list:\n  - metric: bleu\n",
                   "t.yaml:4: metric_list: there is no metric \"bleu\" here: leave it out; there "
                   "are exact_match");
}

static void includes_are_asked_for_until_all_are_there(void **state)
{
    struct eval_task_file files[] = {
        file_of("sub/a.yaml", "include: [b.yaml, c.yaml]\ntask: a\nnum_fewshot: 3\n"),
        file_of("sub/b.yaml", "include: d.yaml\ntask: b\nnum_fewshot: 1\ndoc_to_text: qb\n"),
        file_of("sub/c.yaml", "doc_to_text: qc\n"),
        file_of("sub/d.yaml", "doc_to_target: ad\nnum_fewshot: 9\n"),
    };
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_true(eval_task_read("sub/a.yaml", files, 1, &source, &err));
    assert_int_equal(source.missing_count, 2);
    assert_string_equal(source.missing[0], "sub/b.yaml");
    assert_string_equal(source.missing[1], "sub/c.yaml");
    assert_null(source.task);
    assert_true(eval_task_read("sub/a.yaml", files, 3, &source, &err));
    assert_int_equal(source.missing_count, 1);
    assert_string_equal(source.missing[0], "sub/d.yaml");
    assert_true(eval_task_read("sub/a.yaml", files, 4, &source, &err));
    assert_string_equal(source.definition,
                        "{\"doc_to_target\":\"ad\",\"doc_to_text\":\"qc\",\"num_fewshot\":3,"
                        "\"task\":\"a\"}");
    eval_task_source_done(&source);
}

static void a_circle_of_includes_ends(void **state)
{
    struct eval_task_file files[] = {file_of("a.yaml", "include: b.yaml\n"),
                                     file_of("b.yaml", "include: a.yaml\n")};
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_false(eval_task_read("a.yaml", files, 2, &source, &err));
    assert_string_equal(err.text, "b.yaml: more than 8 includes deep, or a circle");
}

static void scalars_are_those_of_pyyaml(void **state)
{
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_true(read_one(HEAD "metadata: {a: 1, b: 1.5, c: yes, d: 'yes', e: 1e5, f: ~, g: 010, "
                              "h: -3, i: .5, j: 1.0e+3}\n",
                         &source, &err));
    assert_non_null(strstr(source.definition,
                           "\"metadata\":{\"a\":1,\"b\":1.5,\"c\":true,\"d\":\"yes\",\"e\":\"1e5\","
                           "\"f\":null,\"g\":\"010\",\"h\":-3,\"i\":0.5,\"j\":1000.0}"));
    eval_task_source_done(&source);
}

static void a_definition_reads_back_to_the_same_task(void **state)
{
    char path[4096];
    static const char *const names[] = {"gsm-mini", "choice-mini", "choice-mini-letter", "fixed",
                                        "gsm8k"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++) {
        struct eval_task_source source;
        struct cap_err err = {0};
        CAP_AUTO(eval_task) again = NULL;

        snprintf(path, sizeof path, "%s/tasks/%s.yaml", source_dir(), names[i]);
        if (!eval_task_load(path, &source, &err))
            fail_msg("%s", err.text);
        again = eval_task_open(source.definition, NULL, &err);
        assert_non_null(again);
        assert_string_equal(again->name, names[i]);
        assert_int_equal(again->column_count, source.task->column_count);
        eval_task_source_done(&source);
    }
}

static void the_shipped_tasks_have_their_headlines(void **state)
{
    struct cap_err err = {0};
    char folder[4096];
    static const struct {
        const char *task, *headline, *version;
    } cases[] = {{"gsm-mini", "exact_match,strict-match", "1"},
                 {"choice-mini", "acc", "1"},
                 {"choice-mini-letter", "exact_match,letter", "1"},
                 {"fixed", "exact_match", "1"},
                 {"gsm8k", "exact_match,strict-match", "3.0"}};

    (void)state;
    snprintf(folder, sizeof folder, "%s/tasks", source_dir());
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        CAP_AUTO(eval_task) task = eval_task_find(cases[i].task, folder, &err);

        assert_non_null(task);
        assert_string_equal(task->columns[0].id, cases[i].headline);
        assert_string_equal(task->version, cases[i].version);
    }
}

static void keys_of_the_harness_are_understood(void **state)
{
    struct eval_task_source source;
    struct cap_err err = {0};

    (void)state;
    assert_true(read_one(HEAD "dataset_path: json\ndataset_kwargs:\n  data_files: {test: x.jsonl, "
                              "train: y.jsonl}\ntest_split: test\ntraining_split: train\n"
                              "generation_kwargs: {until: [], max_new_tokens: 7, temperature: 0.7, "
                              "do_sample: false, top_p: 0.9}\n",
                         &source, &err));
    assert_string_equal(source.task->samples_file, "x.jsonl");
    assert_string_equal(source.task->fewshot_file, "y.jsonl");
    assert_int_equal(source.task->max_tokens, 7);
    assert_int_equal(source.task->stop_count, 0);
    assert_true(source.task->temperature == 0);
    eval_task_source_done(&source);
    assert_true(read_one(HEAD, &source, &err));
    assert_int_equal(source.task->max_tokens, 256);
    assert_int_equal(source.task->stop_count, 1);
    assert_true(eval_text_equal(source.task->stops[0], eval_text_of("\n\n")));
    assert_string_equal(source.task->columns[0].id, "exact_match");
    eval_task_source_done(&source);
    assert_accepted(HEAD "doc_to_choice: {a: x, b: y}\noutput_type: multiple_choice\n");
}

static void an_unknown_task_is_named_with_a_near_miss(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_null(eval_task_find("gsm8k-strikt", "/nowhere", &err));
    assert_string_equal(err.text, "there is no task and no grader \"gsm8k-strikt\"; did you mean "
                                  "\"gsm8k-strict\"?");
    assert_int_equal(err.code, CAP_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_key_is_named_with_line_and_near_miss),
        cmocka_unit_test(a_file_without_bytes_is_refused_as_empty),
        cmocka_unit_test(a_nested_unknown_key_is_named_too),
        cmocka_unit_test(code_in_a_task_is_refused_with_a_way_out),
        cmocka_unit_test(a_value_of_the_wrong_kind_is_named),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(broken_yaml_is_named_with_its_line),
        cmocka_unit_test(a_broken_template_or_pattern_is_named),
        cmocka_unit_test(a_metric_must_fit_the_kind_of_answer),
        cmocka_unit_test(files_outside_the_folder_are_refused),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(brackets_anchors_and_directives_without_end_are_refused_early),
        cmocka_unit_test(standard_tags_are_obeyed),
        cmocka_unit_test(keys_about_groups_have_no_effect_or_are_refused_with_what_to_do),
        cmocka_unit_test(what_is_not_supported_is_told_with_what_is),
        cmocka_unit_test(includes_are_asked_for_until_all_are_there),
        cmocka_unit_test(a_circle_of_includes_ends),
        cmocka_unit_test(scalars_are_those_of_pyyaml),
        cmocka_unit_test(a_definition_reads_back_to_the_same_task),
        cmocka_unit_test(the_shipped_tasks_have_their_headlines),
        cmocka_unit_test(keys_of_the_harness_are_understood),
        cmocka_unit_test(an_unknown_task_is_named_with_a_near_miss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
