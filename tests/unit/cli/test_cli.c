/* The command line without a suite: options, tables, bars, JSON of messages, the runtime file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "args.h"
#include "base/auto.h"
#include "command.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "out.h"
#include "runtime.h"

struct values {
    const char *model;
    struct cli_list tasks;
    int64_t batch;
    double share;
    bool has_share, chat;
};

static const struct cli_option options[] = {
    CLI_OPTION(struct values, model, "model", NULL, CLI_TEXT, "NAME", ""),
    CLI_OPTION(struct values, tasks, "task", NULL, CLI_LIST, "TASK", ""),
    CLI_OPTION(struct values, batch, "batch-size", "concurrency", CLI_INT, "N", ""),
    CLI_OPTION_GIVEN(struct values, share, has_share, "sampling", CLI_REAL, "SHARE", ""),
    CLI_OPTION(struct values, chat, "chat", NULL, CLI_FLAG, NULL, ""),
};

static bool parse(struct values *values, struct cli_words *words, struct cap_err *err, int argc,
                  char **argv)
{
    const struct cli_table table = {options, CAP_COUNT_OF(options), values};

    return cli_parse(&table, 1, argc, argv, words, err);
}

#define PARSE(values, words, err, ...)                                                             \
    parse(values, words, err, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)),             \
          (char *[]){__VA_ARGS__})

static void options_and_words_may_be_mixed(void **state)
{
    struct values v = {0};
    struct cli_words words;
    struct cap_err err = {0};

    (void)state;
    assert_true(PARSE(&v, &words, &err, "one", "--model=m", "--task", "a", "--task", "b",
                      "--concurrency", "8", "--sampling", "0.5", "--chat", "--", "--two"));
    assert_string_equal(v.model, "m");
    assert_int_equal(v.tasks.count, 2);
    assert_int_equal(v.batch, 8);
    assert_true(v.has_share && v.share == 0.5 && v.chat);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.items[1], "--two");
}

static void check_refusal(const char *sentence, char *option, char *value)
{
    struct values v = {0};
    struct cli_words words;
    struct cap_err err = {0};

    assert_false(value ? PARSE(&v, &words, &err, option, value) : PARSE(&v, &words, &err, option));
    assert_string_equal(err.text, sentence);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    check_refusal("there is no option --modle; did you mean --model?", "--modle", "x");
    check_refusal("--model needs a value: NAME", "--model", NULL);
    check_refusal("--batch-size: \"4x\" is not a whole number", "--batch-size", "4x");
    check_refusal("--batch-size: \"99999999999999999999\" is not a whole number", "--batch-size",
                  "99999999999999999999");
    check_refusal("--sampling: \"half\" is not a number", "--sampling", "half");
    check_refusal("--chat takes no value", "--chat=yes", NULL);
}

static void tables_align_by_characters(void **state)
{
    CAP_AUTO_BUF(out, 4096);
    struct cli_table_out table;

    (void)state;
    cli_table_init(&table, 2, 1u << 1);
    for (const char *const *c = (const char *const[]){"name", "n", "grün", "1", "x", "100", NULL};
         *c; c++)
        cli_table_add(&table, *c);
    cli_table_print(&table, &out);
    cli_table_done(&table);
    assert_string_equal(out.data, "name    n\n"
                                  "grün    1\n"
                                  "x     100\n");
}

static void bars_and_durations_are_short(void **state)
{
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    cli_bar(&out, 8, 3, 6);
    cap_buf_add_char(&out, '|');
    cli_bar(&out, 4, 0, 0);
    assert_string_equal(out.data, "####----|----");
    cap_buf_clear(&out);
    cli_duration(&out, 59);
    cap_buf_add_char(&out, '|');
    cli_duration(&out, 250);
    cap_buf_add_char(&out, '|');
    cli_duration(&out, 7500);
    assert_string_equal(out.data, "59 s|4 min 10 s|2 h 05 min");
}

/* Unknown is absent, zero is zero, and an enum is a word. */
static void messages_become_json_by_their_fields(void **state)
{
    Moecap__V1__RunProgress run = MOECAP__V1__RUN_PROGRESS__INIT;
    Moecap__V1__Figure known = MOECAP__V1__FIGURE__INIT, unknown = MOECAP__V1__FIGURE__INIT;
    json_t *json;

    (void)state;
    run.run_id = "run-1";
    run.state = MOECAP__V1__RUN_STATE__RUN_STATE_RUNNING;
    json = cli_message_json(&run.base);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "running");
    assert_int_equal(json_integer_value(json_object_get(json, "samples_total")), 0);
    json_decref(json);
    known.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    unknown.reason = "no decode";
    json = cli_message_json(&known.base);
    assert_true(json_real_value(json_object_get(json, "value")) == 0.0);
    assert_non_null(json_object_get(json, "value"));
    json_decref(json);
    json = cli_message_json(&unknown.base);
    assert_null(json_object_get(json, "value"));
    assert_string_equal(json_string_value(json_object_get(json, "reason")), "no decode");
    json_decref(json);
}

static void the_runtime_file_reads_back_and_knows_the_living(void **state)
{
    struct cli_runtime written = {.count = 1}, read;
    char dir[] = "/tmp/moecap-cli-XXXXXX";
    struct cap_err err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(written.processes[0].name, sizeof written.processes[0].name, "store");
    snprintf(written.processes[0].address, sizeof written.processes[0].address, "127.0.0.1:1");
    written.processes[0].pid = getpid();
    written.processes[0].start_time = cli_process_start_time(getpid());
    assert_true(cli_runtime_write(dir, &written, &err));
    assert_true(cli_runtime_read(dir, &read, &err));
    assert_string_equal(cli_runtime_find(&read, "store")->address, "127.0.0.1:1");
    assert_true(cli_process_alive(&read.processes[0]));
    read.processes[0].start_time++; /* another process has got the same number */
    assert_false(cli_process_alive(&read.processes[0]));
    cli_runtime_remove(dir);
    assert_false(cli_runtime_read(dir, &read, &err));
    rmdir(dir);
}

static void every_command_says_what_it_does_and_shows_an_example(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];

        assert_true(strlen(c->summary) > 10);
        assert_non_null(strstr(c->text, "moecap "));
        assert_true(c->raw ? c->run_raw != NULL : c->run != NULL);
        for (size_t k = 0; k < c->option_count; k++)
            assert_true(strlen(c->options[k].help) > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_may_be_mixed),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(tables_align_by_characters),
        cmocka_unit_test(bars_and_durations_are_short),
        cmocka_unit_test(messages_become_json_by_their_fields),
        cmocka_unit_test(the_runtime_file_reads_back_and_knows_the_living),
        cmocka_unit_test(every_command_says_what_it_does_and_shows_an_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
