/* moecap: finds the command's row, parses its options, runs it, prints what went wrong with a hint.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "log/log.h"
#include "rpc/rpc.h"
#include "suite.h"

int cli_exit_of(enum cap_code code)
{
    switch (code) {
    case CAP_OK:
        return CLI_OK;
    case CAP_UNAVAILABLE:
    case CAP_DEADLINE_EXCEEDED:
        return CLI_UNREACHABLE;
    case CAP_INTERNAL:
    case CAP_UNKNOWN:
    case CAP_DATA_LOSS:
        return CLI_INTERNAL;
    case CAP_CANCELLED:
        return CLI_INTERRUPTED;
    default:
        return CLI_REFUSED;
    }
}

const char *cli_hint_of(enum cap_code code)
{
    switch (code) {
    case CAP_UNAVAILABLE:
        return "moecap up --detach starts a suite; moecap status shows one; --server names another";
    case CAP_DEADLINE_EXCEEDED:
        return "moecap status shows what runs; its logs are in the state folder";
    case CAP_NOT_FOUND:
        return "moecap queue and moecap board list runs, moecap task list and moecap node list the "
               "rest";
    case CAP_ALREADY_EXISTS:
        return "moecap down ends it; --state and --ports auto start another beside it";
    case CAP_INVALID_ARGUMENT:
        return "moecap COMMAND --help shows examples";
    default:
        return NULL;
    }
}

static void complain(const struct cap_err *err)
{
    const char *hint = cli_hint_of(err->code);

    fprintf(stderr, "moecap: %s\n", err->text);
    if (hint)
        fprintf(stderr, "hint: %s\n", hint);
}

/* "run show" is two words; a global option may stand before, between and behind. */
static const struct cli_command *find_command(int argc, char **argv, int *out_first, int *out_used)
{
    const struct cli_command *one = NULL;
    int first = 0;

    while (first < argc && strncmp(argv[first], "--", 2) == 0)
        first +=
            strcmp(argv[first], "--server") == 0 || strcmp(argv[first], "--state") == 0 ? 2 : 1;
    *out_first = first;
    for (size_t i = 0; first < argc && i < cli_command_count; i++) {
        const char *name = cli_commands[i]->name, *blank = strchr(name, ' ');
        size_t length = blank ? (size_t)(blank - name) : strlen(name);

        if (strlen(argv[first]) != length || memcmp(argv[first], name, length) != 0)
            continue;
        *out_used = blank ? 2 : 1;
        if (!blank)
            one = cli_commands[i];
        else if (first + 1 < argc && strcmp(argv[first + 1], blank + 1) == 0)
            return cli_commands[i];
    }
    if (one)
        *out_used = 1;
    return one;
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

/* The command's name goes to the other program too: moecap-inference model inspect DIR. */
static int run_command(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    int first, used = 0, kept = 0;
    const struct cli_command *c = find_command(argc, argv, &first, &used);
    char *rest[CLI_WORDS_MAX + 64];

    if (!c && first < argc) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "there is no command \"%s\"", argv[first]);
        return CLI_USAGE;
    }
    if (!c) {
        for (int i = 0; i < argc; i++)
            if (strcmp(argv[i], "--version") == 0)
                return printf("moecap %s\n", MOECAP_VERSION) > 0 ? CLI_OK : CLI_INTERNAL;
        cli_print_usage();
        return argc == 0 ? CLI_USAGE : CLI_OK;
    }
    if (c->raw)
        return c->run_raw(context, argc - first, argv + first, err);
    for (int i = 0; i < argc && kept < (int)CAP_COUNT_OF(rest); i++)
        if (i < first || i >= first + used)
            rest[kept++] = argv[i];
    return run_parsed(context, c, kept, rest, err);
}

/* The other programs stand beside this one. */
static void find_program_dir(char out[CLI_PATH_BYTES])
{
    ssize_t length = readlink("/proc/self/exe", out, CLI_PATH_BYTES - 1);
    char *slash;

    out[length > 0 ? length : 0] = '\0';
    slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
}

int main(int argc, char **argv)
{
    static char program_dir[CLI_PATH_BYTES];
    struct cli_context context = {.program_dir = program_dir};
    struct cap_err err = {0};
    int status;

    find_program_dir(program_dir);
    cap_log_init("cli");
    signal(SIGPIPE, SIG_IGN);
    cap_rpc_init();
    status = run_command(&context, argc - 1, argv + 1, &err);
    if (err.code != CAP_OK)
        complain(&err);
    fflush(stdout);
    cap_rpc_shutdown();
    return status;
}
