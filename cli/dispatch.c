/* From a command line to an exit status: finds the command's row, parses its options, runs it, and
 * says what went wrong and what to do next. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/near.h"
#include "base/plain.h"
#include "command.h"
#include "log/log.h"
#include "out.h"
#include "rpc/rpc.h"
#include "suite.h"

enum { COMMANDS_MAX = 64 };

int cli_exit_of(enum cap_code code)
{
    return (int)cap_exit_of(code);
}

const char *cli_hint_of(const struct cli_command *command, int status, enum cap_code code)
{
    switch (code) {
    case CAP_UNAVAILABLE:
        return "moecap up --detach starts a suite; moecap status shows one; --server names another";
    case CAP_DEADLINE_EXCEEDED:
        return "moecap status shows what runs; its logs are in the state folder";
    case CAP_ALREADY_EXISTS:
        return "moecap down ends it; --state and --ports auto start another beside it";
    case CAP_PERMISSION_DENIED:
    case CAP_UNAUTHENTICATED:
        return "ask the person who runs the suite for permission";
    case CAP_INTERNAL:
    case CAP_DATA_LOSS:
        return "the logs in the state folder say more";
    case CAP_CANCELLED:
        return NULL;
    default:
        break;
    }
    if (!command)
        return "moecap --help lists the commands";
    if (status == CLI_USAGE)
        return "run the command with --help for options and examples";
    return code != CAP_NOT_FOUND && command->hint_values ? command->hint_values : command->hint;
}

/* The texts may quote what a peer or a file said: nothing of it reaches the terminal as control. */
static void complain(const struct cli_context *context, const struct cli_command *command,
                     int status, const struct cap_err *err)
{
    const char *hint = cli_hint_of(command, status, err->code);

    if (context->globals.json) {
        json_t *json = json_pack("{s:{s:s,s:s,s:s*}}", "error", "code", cap_code_name(err->code),
                                 "message", err->text, "hint", hint);

        if (json)
            cli_write_json(stderr, json);
        json_decref(json);
        return;
    }
    cap_plain_line(stderr, "moecap: %s", err->text);
    if (hint)
        fprintf(stderr, "hint: %s\n", hint);
}

static bool takes_value(const char *option)
{
    for (size_t i = 0; i < cli_global_option_count; i++)
        if (cli_global_options[i].kind != CLI_FLAG &&
            strcmp(option, cli_global_options[i].name) == 0)
            return true;
    return false;
}

/* A global option may stand before the command: where the command begins. */
static int skip_options(int argc, char **argv)
{
    int first = 0;

    while (first < argc && argv[first][0] == '-')
        first += strncmp(argv[first], "--", 2) == 0 && takes_value(argv[first] + 2) ? 2 : 1;
    return first < argc ? first : argc;
}

/* Length of the name's first word. */
static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

static bool is_word(const char *argument, const char *word, size_t length)
{
    return strlen(argument) == length && memcmp(argument, word, length) == 0;
}

const struct cli_command *cli_find_command(int argc, char **argv, int *out_first, int *out_used)
{
    int first = skip_options(argc, argv);

    *out_first = first;
    for (size_t i = 0; first < argc && i < cli_command_count; i++) {
        const struct cli_command *c = cli_commands[i];
        const char *name = c->name, *second = strchr(name, ' ');

        if (!is_word(argv[first], name, first_word(name)))
            continue;
        *out_used = second ? 2 : 1;
        if (!second || (first + 1 < argc && strcmp(argv[first + 1], second + 1) == 0))
            return c;
    }
    return NULL;
}

/* "run" alone: which verbs it has. */
static bool refuse_group(const char *word, struct cap_err *err)
{
    CAP_AUTO_BUF(verbs, 256);

    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name;

        if (is_word(word, name, first_word(name)) && name[first_word(name)])
            cap_buf_printf(&verbs, "%s%s", verbs.length ? ", " : "", name + first_word(name) + 1);
    }
    return verbs.length == 0 || cap_fail(err, CAP_INVALID_ARGUMENT,
                                         "moecap %s needs a subcommand: %s", word, verbs.data);
}

static int refuse_command(const char *word, struct cap_err *err)
{
    static char groups[COMMANDS_MAX][32];
    struct cap_near near = {.word = word};

    assert(cli_command_count <= COMMANDS_MAX);
    if (!refuse_group(word, err))
        return CLI_USAGE;
    for (size_t i = 0; i < cli_command_count; i++)
        cap_near_try(&near, cli_commands[i]->name);
    for (size_t i = 0; i < cli_command_count; i++) { /* "nodes" is near "node", a group */
        snprintf(groups[i], sizeof groups[i], "%.*s", (int)first_word(cli_commands[i]->name),
                 cli_commands[i]->name);
        cap_near_try(&near, groups[i]);
    }
    cap_fail(err, CAP_INVALID_ARGUMENT, "unknown command \"%s\"%s%s%s", word,
             near.best ? "; did you mean \"" : "", near.best ? near.best : "",
             near.best ? "\"?" : "");
    return CLI_USAGE;
}

static int refuse_words(const struct cli_command *c, int count, struct cap_err *err)
{
    if (count < c->words_min)
        cap_fail(err, CAP_INVALID_ARGUMENT, "usage: moecap %s %s", c->name, c->words);
    else
        cap_fail(err, CAP_INVALID_ARGUMENT, "moecap %s takes %s%d argument%s, not %d", c->name,
                 c->words_max ? "at most " : "", c->words_max, c->words_max == 1 ? "" : "s", count);
    return CLI_USAGE;
}

static int run_parsed(struct cli_context *context, const struct cli_command *c, int argc,
                      char **argv, struct cap_err *err)
{
    const struct cli_table tables[] = {
        {c->options, c->option_count, c->values},
        {cli_global_options, cli_global_option_count, &context->globals}};
    struct cli_words words;

    if (!cli_parse(tables, CAP_COUNT_OF(tables), argc, argv, &words, err))
        return CLI_USAGE;
    if (context->globals.help) {
        cli_print_help(c);
        return CLI_OK;
    }
    if (words.count < c->words_min || words.count > c->words_max)
        return refuse_words(c, words.count, err);
    return c->run(context, &words, err);
}

/* moecap, moecap --help, moecap --version */
static int run_nothing(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0 ||
            strcmp(argv[i], "-V") == 0)
            return printf("moecap %s\n", MOECAP_VERSION) > 0 ? CLI_OK : CLI_INTERNAL;
    cli_print_usage();
    return argc == 0 ? CLI_USAGE : CLI_OK;
}

static int run_command(struct cli_context *context, const struct cli_command *c, int first,
                       int used, int argc, char **argv, struct cap_err *err)
{
    CAP_AUTO_MEM char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int kept = 0;

    if (!rest)
        abort();
    /* the command's name goes to the other program too: moecap-inference model inspect DIR */
    if (c->raw)
        return c->run_raw(context, argc - first, argv + first, err);
    for (int i = 0; i < argc; i++)
        if (i < first || i >= first + used)
            rest[kept++] = argv[i];
    return run_parsed(context, c, kept, rest, err);
}

static bool asks_for_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int cli_dispatch(struct cli_context *context, int argc, char **argv)
{
    struct cap_err err = {0};
    int first, used = 0, status;
    const struct cli_command *c = cli_find_command(argc, argv, &first, &used);

    /* also for what is wrong with the words before it */
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        context->globals.json |= strcmp(argv[i], "--json") == 0;
    if (c)
        status = run_command(context, c, first, used, argc, argv, &err);
    else if (first + 1 < argc && asks_for_help(argv[first + 1]) && cli_print_group(argv[first]))
        status = CLI_OK;
    else
        status = first < argc ? refuse_command(argv[first], &err) : run_nothing(argc, argv);
    if (err.code != CAP_OK)
        complain(context, c, status, &err);
    return status;
}

/* ==== options from argv by their rows ====
 *
 * A row says where its value goes and of what kind it is, so a command that gets an option needs no
 * code for it. Words and options may be mixed.
 */

static const struct cli_option *find(const struct cli_table *tables, size_t table_count,
                                     const char *name, size_t length, void **out_values)
{
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct cli_option *o = &tables[t].options[i];

            if ((strlen(o->name) == length && memcmp(o->name, name, length) == 0) ||
                (o->alias && strlen(o->alias) == length && memcmp(o->alias, name, length) == 0)) {
                *out_values = tables[t].values;
                return o;
            }
        }
    }
    return NULL;
}

static bool set_int(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s: \"%s\" is not a whole number", o->name,
                        text);
    *(int64_t *)slot = value;
    return true;
}

static bool set_real(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s: \"%s\" is not a number", o->name, text);
    *(double *)slot = value;
    return true;
}

static bool add_item(const struct cli_option *o, const char *text, void *slot, struct cap_err *err)
{
    struct cli_list *list = slot;

    if (list->count == CLI_LIST_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s may be given %d times at most", o->name,
                        CLI_LIST_MAX);
    list->items[list->count++] = text;
    return true;
}

static bool set(const struct cli_option *o, const char *text, void *values, struct cap_err *err)
{
    void *slot = (char *)values + o->offset;

    if (o->given)
        *(bool *)((char *)values + o->given) = true;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)slot = true;
        return true;
    case CLI_TEXT:
        *(const char **)slot = text;
        return true;
    case CLI_INT:
        return set_int(o, text, slot, err);
    case CLI_REAL:
        return set_real(o, text, slot, err);
    case CLI_LIST:
        return add_item(o, text, slot, err);
    }
    return false;
}

static bool refuse_unknown(const struct cli_table *tables, size_t table_count, const char *name,
                           size_t length, struct cap_err *err)
{
    char word[CLI_OPTION_BYTES];
    struct cap_near near = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)length, name);
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            cap_near_try(&near, tables[t].options[i].name);
    return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown option --%s%s%s%s", word,
                    near.best ? "; did you mean --" : "", near.best ? near.best : "",
                    near.best ? "?" : "");
}

/* An option at argv[*io_index], with its value. */
static bool take(const struct cli_table *tables, size_t table_count, int argc, char **argv,
                 int *io_index, struct cap_err *err)
{
    const char *argument = argv[*io_index] + 2, *equals = strchr(argument, '='), *value = NULL;
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    void *values = NULL;
    const struct cli_option *o = find(tables, table_count, argument, length, &values);

    if (!o)
        return refuse_unknown(tables, table_count, argument, length, err);
    if (o->kind == CLI_FLAG && equals)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s takes no value", o->name);
    if (equals)
        value = equals + 1;
    else if (o->kind != CLI_FLAG && *io_index + 1 == argc)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "--%s needs a value: %s", o->name, o->value);
    else if (o->kind != CLI_FLAG)
        value = argv[++*io_index];
    return set(o, value, values, err);
}

bool cli_parse(const struct cli_table *tables, size_t table_count, int argc, char **argv,
               struct cli_words *out_words, struct cap_err *err)
{
    bool options = true;

    out_words->count = 0;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            if (!take(tables, table_count, 1, (char *[]){"--help"}, &(int){0}, err))
                return false;
        } else if (options && argv[i][0] == '-' && isalpha((unsigned char)argv[i][1])) {
            return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown option %s", argv[i]);
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!take(tables, table_count, argc, argv, &i, err))
                return false;
        } else if (out_words->count == CLI_WORDS_MAX) {
            return cap_fail(err, CAP_INVALID_ARGUMENT, "more than %d arguments", CLI_WORDS_MAX);
        } else {
            out_words->items[out_words->count++] = argv[i];
        }
    }
    return true;
}
