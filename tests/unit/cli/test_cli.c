/* The command line without a suite: the table of commands, options, refusals, what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/plain.h"
#include "base/utf8.h"
#include "cli/cmd.h"
#include "cli/command.h"
#include "cli/out.h"
#include "cli/runtime.h"
#include "cli/suite.h"
#include "moecap/v1/scheduler.pb-c.h"

/* ---- options ---- */

struct values {
    bool quiet, has_share;
    const char *name;
    int64_t count;
    double share;
    struct cli_list tasks;
};

static const struct cli_option options[] = {
    CLI_OPTION(struct values, quiet, "quiet", NULL, CLI_FLAG, NULL, "say less"),
    CLI_OPTION(struct values, name, "name", NULL, CLI_TEXT, "NAME", "who"),
    CLI_OPTION(struct values, count, "batch-size", "concurrency", CLI_INT, "N", "how many"),
    CLI_OPTION_GIVEN(struct values, share, has_share, "share", CLI_REAL, "X", "how much"),
    CLI_OPTION(struct values, tasks, "task", NULL, CLI_LIST, "TASK", "may be repeated"),
};

static bool parse(struct values *values, struct cli_words *words, struct cap_err *err,
                  const char *line)
{
    const struct cli_table table = {options, CAP_COUNT_OF(options), values};
    static char copy[256];
    char *argv[16], *rest = copy;
    int argc = 0;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word)
            argv[argc++] = word;
    return cli_parse(&table, 1, argc, argv, words, err);
}

static void options_and_words_may_be_mixed(void **state)
{
    struct values values = {.count = 7};
    struct cli_words words;
    struct cap_err err = {0};

    (void)state;
    assert_true(parse(&values, &words, &err,
                      "one --task a --quiet two --task=b --concurrency 4 --share 0.5 -- --three"));
    assert_true(values.quiet && values.has_share);
    assert_int_equal(values.count, 4);
    assert_true(values.share == 0.5);
    assert_int_equal(values.tasks.count, 2);
    assert_string_equal(values.tasks.items[1], "b");
    assert_int_equal(words.count, 3);
    assert_string_equal(words.items[2], "--three");
}

static void what_is_not_given_keeps_its_default(void **state)
{
    struct values values = {.count = 7};
    struct cli_words words;
    struct cap_err err = {0};

    (void)state;
    assert_true(parse(&values, &words, &err, ""));
    assert_int_equal(values.count, 7);
    assert_false(values.has_share);
    assert_null(values.name);
}

static void check_refusal(const char *line, const char *sentence)
{
    struct values values = {0};
    struct cli_words words;
    struct cap_err err = {0};

    assert_false(parse(&values, &words, &err, line));
    assert_string_equal(err.text, sentence);
}

static void wrong_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    check_refusal("--batch-size many", "--batch-size: \"many\" is not a whole number");
    check_refusal("--share x", "--share: \"x\" is not a number");
    check_refusal("--name", "--name needs a value: NAME");
    check_refusal("--quiet=yes", "--quiet takes no value");
    check_refusal("--tsk a", "unknown option --tsk; did you mean --task?");
    check_refusal("--completely-else", "unknown option --completely-else");
    check_refusal("-q", "unknown option -q");
}

/* ---- the table of commands ---- */

static const char *find(char *a, char *b, char *c)
{
    char *argv[] = {a, b, c};
    int first, used, argc = c ? 3 : b ? 2 : a ? 1 : 0;
    const struct cli_command *command = cli_find_command(argc, argv, &first, &used);

    return command ? command->name : NULL;
}

static void commands_are_found_behind_global_options(void **state)
{
    (void)state;
    assert_string_equal(find("up", NULL, NULL), "up");
    assert_string_equal(find("run", "show", "run-1"), "run show");
    assert_string_equal(find("--json", "board", NULL), "board");
    assert_string_equal(find("--server", "queue", "board"), "board"); /* its value is no command */
    assert_string_equal(find("--server=x", "queue", NULL), "queue");
    assert_null(find("run", NULL, NULL));
    assert_null(find("shwo", NULL, NULL));
    assert_null(find(NULL, NULL, NULL));
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];

        assert_non_null(c->summary);
        assert_non_null(strstr(c->text, c->name)); /* an example */
        assert_true(c->text[strlen(c->text) - 1] == '\n');
        assert_true(c->raw ? c->run_raw != NULL : c->run != NULL);
        assert_true(c->words_max >= c->words_min);
        for (size_t k = 0; k < c->option_count; k++) {
            assert_non_null(c->options[k].help);
            assert_true((c->options[k].kind == CLI_FLAG) == (c->options[k].value == NULL));
        }
    }
}

static void codes_become_documented_statuses(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_of(CAP_OK), 0);
    assert_int_equal(cli_exit_of(CAP_NOT_FOUND), 3);
    assert_int_equal(cli_exit_of(CAP_INVALID_ARGUMENT), 3);
    assert_int_equal(cli_exit_of(CAP_UNAVAILABLE), 4);
    assert_int_equal(cli_exit_of(CAP_DEADLINE_EXCEEDED), 4);
    assert_int_equal(cli_exit_of(CAP_INTERNAL), 5);
    assert_int_equal(cli_exit_of(CAP_CANCELLED), 130);
}

static void a_hint_says_what_to_do_next(void **state)
{
    int first, used;
    const struct cli_command *submit = cli_find_command(1, (char *[]){"submit"}, &first, &used);

    (void)state;
    assert_null(cli_hint_of(submit, CLI_REFUSED, CAP_NOT_FOUND)); /* its sentence lists the names */
    assert_non_null(strstr(cli_hint_of(submit, CLI_USAGE, CAP_INVALID_ARGUMENT), "--help"));
    assert_non_null(strstr(cli_hint_of(submit, CLI_UNREACHABLE, CAP_UNAVAILABLE), "moecap up"));
    assert_non_null(strstr(cli_hint_of(NULL, CLI_USAGE, CAP_INVALID_ARGUMENT), "moecap --help"));
    assert_null(cli_hint_of(submit, CLI_INTERRUPTED, CAP_CANCELLED));
}

/* What a call prints on a stream, from a file that stands in for it. */
static char *printed(int target, int expected, char **argv)
{
    struct cli_context context = {.program_dir = ""};
    char path[] = "/tmp/moecap-cli-XXXXXX";
    int file = mkstemp(path), saved, argc = 0;
    struct cap_err err = {0};
    char *text;

    while (argv[argc])
        argc++;
    cli_help_options = (struct cli_help_options){0}; /* a program dispatches once, we do often */
    fflush(stdout);
    fflush(stderr);
    saved = dup(target);
    dup2(file, target);
    assert_int_equal(cli_dispatch(&context, argc, argv), expected);
    fflush(stdout);
    fflush(stderr);
    dup2(saved, target);
    close(saved);
    close(file);
    text = cap_file_read(path, 1 << 20, NULL, &err);
    unlink(path);
    assert_non_null(text);
    return text;
}

#define PRINTED(target, expected, ...) printed(target, expected, (char *[]){__VA_ARGS__, NULL})

static void help_teaches_by_example(void **state)
{
    CAP_AUTO_MEM char *usage = PRINTED(STDOUT_FILENO, CLI_OK, "--help");
    CAP_AUTO_MEM char *submit = PRINTED(STDOUT_FILENO, CLI_OK, "submit", "-h");
    CAP_AUTO_MEM char *show = PRINTED(STDOUT_FILENO, CLI_OK, "help", "run", "show");
    CAP_AUTO_MEM char *group = PRINTED(STDOUT_FILENO, CLI_OK, "task", "--help");
    CAP_AUTO_MEM char *same = PRINTED(STDOUT_FILENO, CLI_OK, "help", "task");

    (void)state;
    assert_non_null(strstr(usage, "A first session:"));
    assert_non_null(strstr(submit, "moecap submit --model moecap-tiny --task gsm-mini"));
    assert_non_null(strstr(submit, "--batch-size, --concurrency N"));
    assert_non_null(strstr(show, "usage: moecap run show RUN"));
    assert_non_null(strstr(group, "task list      tasks that can be run"));
    assert_string_equal(group, same);
}

static void refusals_name_what_was_meant(void **state)
{
    CAP_AUTO_MEM char *near = PRINTED(STDERR_FILENO, CLI_USAGE, "bord");
    CAP_AUTO_MEM char *group = PRINTED(STDERR_FILENO, CLI_USAGE, "task");
    CAP_AUTO_MEM char *words = PRINTED(STDERR_FILENO, CLI_USAGE, "queue", "now");
    CAP_AUTO_MEM char *few = PRINTED(STDERR_FILENO, CLI_USAGE, "run", "show");

    (void)state;
    assert_string_equal(near, "moecap: unknown command \"bord\"; did you mean \"board\"?\n"
                              "hint: moecap --help lists the commands\n");
    assert_non_null(strstr(group, "moecap task needs a subcommand: list, show, add"));
    assert_non_null(strstr(words, "moecap queue takes 0 arguments, not 1"));
    assert_non_null(strstr(few, "usage: moecap run show RUN"));
}

static void json_is_asked_for_in_failures_too(void **state)
{
    CAP_AUTO_MEM char *text =
        PRINTED(STDERR_FILENO, CLI_UNREACHABLE, "status", "--json", "--state", "/nonexistent");
    json_t *json = json_loads(text, 0, NULL), *error = json_object_get(json, "error");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(error, "code")), "unavailable");
    assert_string_equal(json_string_value(json_object_get(error, "message")),
                        "no suite runs in \"/nonexistent\"");
    assert_non_null(json_string_value(json_object_get(error, "hint")));
    json_decref(json);
}

static void json_is_asked_for_before_the_fault_or_behind_it(void **state)
{
    CAP_AUTO_MEM char *before = PRINTED(STDERR_FILENO, CLI_USAGE, "board", "--nosuch", "--json");
    CAP_AUTO_MEM char *behind = PRINTED(STDERR_FILENO, CLI_USAGE, "bord", "--json");
    CAP_AUTO_MEM char *help = PRINTED(STDOUT_FILENO, CLI_OK, "help", "run", "--json");
    json_t *json = json_loads(help, 0, NULL), *commands = json_object_get(json, "commands");

    (void)state;
    assert_int_equal(*before, '{');
    assert_int_equal(*behind, '{');
    assert_int_equal(json_array_size(commands), 3); /* show, samples, export */
    json_decref(json);
}

static void no_line_of_help_is_longer_than_80_characters(void **state)
{
    (void)state;
    for (size_t i = 0; i <= cli_command_count; i++) {
        char words[2][32] = {"", ""};
        CAP_AUTO_MEM char *text = NULL;

        if (i == cli_command_count) {
            text = PRINTED(STDOUT_FILENO, CLI_OK, "--help");
        } else if (cli_commands[i]->raw && cli_commands[i]->words[0] <= 'Z') {
            continue; /* without verbs: its program prints it */
        } else {
            sscanf(cli_commands[i]->name, "%31s %31s", words[0], words[1]);
            text = *words[1] ? PRINTED(STDOUT_FILENO, CLI_OK, "help", words[0], words[1])
                             : PRINTED(STDOUT_FILENO, CLI_OK, "help", words[0]);
        }
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            if (cap_utf8_count(line) > 80)
                fail_msg("%s", line);
    }
}

static void only_what_is_near_is_suggested(void **state)
{
    CAP_AUTO_MEM char *runs = PRINTED(STDERR_FILENO, CLI_USAGE, "runs");
    CAP_AUTO_MEM char *nodes = PRINTED(STDERR_FILENO, CLI_USAGE, "nodes");
    CAP_AUTO_MEM char *far = PRINTED(STDERR_FILENO, CLI_USAGE, "xyzzy");

    (void)state;
    assert_non_null(strstr(runs, "did you mean \"run\"?"));
    assert_non_null(strstr(nodes, "did you mean \"node\"?"));
    assert_null(strstr(far, "did you mean"));
}

static void made_documents_name_every_command(void **state)
{
    CAP_AUTO_MEM char *markdown = PRINTED(STDOUT_FILENO, CLI_OK, "help", "--markdown");
    CAP_AUTO_MEM char *man = PRINTED(STDOUT_FILENO, CLI_OK, "help", "--man");
    CAP_AUTO_MEM char *completion = PRINTED(STDOUT_FILENO, CLI_OK, "help", "--bash-completion");

    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        char heading[64];

        snprintf(heading, sizeof heading, "\n## moecap %s\n", cli_commands[i]->name);
        assert_non_null(strstr(markdown, heading));
        snprintf(heading, sizeof heading, ".SS \"moecap %s", cli_commands[i]->name);
        assert_non_null(strstr(man, heading));
    }
    assert_non_null(strstr(completion, "complete -o filenames -F _moecap moecap"));
    assert_non_null(strstr(completion, "--batch-size"));
    assert_non_null(
        strstr(completion, "    --model) COMPREPLY=($(compgen -f -W \"$(_moecap_models)"));
}

/* ---- tables, bars, durations ---- */

static void make_table(struct cli_table_out *table)
{
    static const char *const cells[] = {"name",      "n",     "note", "gr\xc3\xbc\xc3\x9f", "7", "",
                                        "moecap-tn", "12345", "x"};

    cli_table_init(table, 3, 1u << 1);
    for (size_t i = 0; i < CAP_COUNT_OF(cells); i++)
        cli_table_add(table, cells[i]);
}

static void tables_are_aligned_by_characters(void **state)
{
    struct cli_table_out table;
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    make_table(&table);
    cli_table_print(&table, &out);
    assert_string_equal(out.data, "name           n  note\n"
                                  "gr\xc3\xbc\xc3\x9f           7\n"
                                  "moecap-tn  12345  x\n");
    cli_table_done(&table);
}

static void a_narrow_table_drops_what_matters_least(void **state)
{
    static const size_t order[] = {2, 1};
    struct cli_table_out table;
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    make_table(&table);
    assert_int_equal(cli_table_fit(&table, 0, order, 2), 0);
    assert_int_equal(cli_table_fit(&table, 22, order, 2), 0);
    assert_int_equal(cli_table_fit(&table, 21, order, 2), 1);
    cli_table_print(&table, &out);
    assert_string_equal(out.data, "name           n\n"
                                  "gr\xc3\xbc\xc3\x9f           7\n"
                                  "moecap-tn  12345\n");
    cli_table_done(&table);
}

static void nothing_from_others_moves_the_cursor(void **state)
{
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    cap_plain_add(&out, "a\033[2Jb\tc\nd\x7f"
                        "e\xc2\x9b"
                        "f\xc3\xbc");
    assert_string_equal(out.data, "a?[2Jb?c?d?e?f\xc3\xbc");
}

static void bars_and_durations(void **state)
{
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    cli_bar(&out, 8, 1, 4);
    cli_bar(&out, 4, 0, 0);
    cli_bar(&out, 4, 4, 4);
    assert_string_equal(out.data, "##----------####");
    cap_buf_clear(&out);
    cli_duration(&out, 3.2);
    cap_buf_add_char(&out, '|');
    cli_duration(&out, 250);
    cap_buf_add_char(&out, '|');
    cli_duration(&out, 7500);
    assert_string_equal(out.data, "3 s|4 min 10 s|2 h 05 min");
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
    json = cap_wire_to_json(&run.base);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "running");
    assert_int_equal(json_integer_value(json_object_get(json, "samples_total")), 0);
    json_decref(json);
    known.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    unknown.reason = "no decode";
    json = cap_wire_to_json(&known.base);
    assert_true(json_real_value(json_object_get(json, "value")) == 0.0);
    assert_non_null(json_object_get(json, "value"));
    json_decref(json);
    json = cap_wire_to_json(&unknown.base);
    assert_null(json_object_get(json, "value"));
    assert_string_equal(json_string_value(json_object_get(json, "reason")), "no decode");
    json_decref(json);
}

/* ---- the runtime file ---- */

static void a_process_is_known_by_its_start_time(void **state)
{
    struct cli_process me = {.pid = getpid(), .start_time = cli_process_start_time(getpid())};

    (void)state;
    assert_true(me.start_time > 0);
    assert_true(cli_process_alive(&me));
    me.start_time++; /* the id was used again */
    assert_false(cli_process_alive(&me));
    me.pid = 0;
    assert_false(cli_process_alive(&me));
    assert_int_equal(cli_process_start_time(0x7ffffff0), -1);
}

static void the_runtime_file_reads_back(void **state)
{
    char dir[] = "/tmp/moecap-cli-XXXXXX", path[64];
    struct cli_runtime written = {.supervisor = {"supervisor", "", 41, 7, 0}, .count = 2}, read;
    struct cap_err err = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    written.processes[0] = (struct cli_process){"store", "127.0.0.1:7862", 42, 8, 3};
    written.processes[1] = (struct cli_process){"node-1", "127.0.0.1:9", 43, 9, 0};
    assert_true(cli_runtime_write(dir, &written, &err));
    assert_true(cli_runtime_read(dir, &read, &err));
    assert_int_equal(read.count, 2);
    assert_int_equal(read.supervisor.pid, 41);
    assert_string_equal(cli_runtime_find(&read, "store")->address, "127.0.0.1:7862");
    assert_int_equal(cli_runtime_find(&read, "store")->restarts, 3);
    assert_null(cli_runtime_find(&read, "gateway"));
    snprintf(path, sizeof path, "%s/runtime.json", dir);
    assert_true(cap_file_write(path, "{\"supervisor\": 3}", 17, &err));
    assert_false(cli_runtime_read(dir, &read, &err));
    assert_non_null(strstr(err.text, "cannot be understood; remove it and run moecap up"));
    cli_runtime_remove(dir);
    assert_int_equal(rmdir(dir), 0);
}

static void the_state_folder_follows_flag_then_environment(void **state)
{
    struct cli_context context = {0};
    char dir[CLI_PATH_BYTES];
    struct cap_err err = {0};

    (void)state;
    setenv("XDG_STATE_HOME", "/x", 1);
    unsetenv("MOECAP_STATE");
    assert_true(cli_state_dir(&context, dir, &err));
    assert_string_equal(dir, "/x/moecap");
    setenv("MOECAP_STATE", "/m", 1);
    assert_true(cli_state_dir(&context, dir, &err));
    assert_string_equal(dir, "/m");
    context.globals.state = "/s";
    assert_true(cli_state_dir(&context, dir, &err));
    assert_string_equal(dir, "/s");
    unsetenv("MOECAP_STATE");
    unsetenv("XDG_STATE_HOME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_may_be_mixed),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(wrong_options_are_refused_with_a_sentence),
        cmocka_unit_test(commands_are_found_behind_global_options),
        cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(codes_become_documented_statuses),
        cmocka_unit_test(a_hint_says_what_to_do_next),
        cmocka_unit_test(help_teaches_by_example),
        cmocka_unit_test(refusals_name_what_was_meant),
        cmocka_unit_test(json_is_asked_for_in_failures_too),
        cmocka_unit_test(json_is_asked_for_before_the_fault_or_behind_it),
        cmocka_unit_test(no_line_of_help_is_longer_than_80_characters),
        cmocka_unit_test(only_what_is_near_is_suggested),
        cmocka_unit_test(made_documents_name_every_command),
        cmocka_unit_test(tables_are_aligned_by_characters),
        cmocka_unit_test(a_narrow_table_drops_what_matters_least),
        cmocka_unit_test(nothing_from_others_moves_the_cursor),
        cmocka_unit_test(bars_and_durations),
        cmocka_unit_test(messages_become_json_by_their_fields),
        cmocka_unit_test(a_process_is_known_by_its_start_time),
        cmocka_unit_test(the_runtime_file_reads_back),
        cmocka_unit_test(the_state_folder_follows_flag_then_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
