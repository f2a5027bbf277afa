/* Offline work belongs to the program that owns it: as git does, we become it. With --json we run
 * it and make an object of its failure, as of any other command's. Also help and version. */
#include <ctype.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/plain.h"
#include "base/utf8.h"
#include "cmd.h"
#include "out.h"
#include "suite.h"

extern char **environ;

enum { SAID_BYTES_MAX = 64 << 10 };

struct cli_help_options cli_help_options;

static char **arguments_of(char *path, int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);

    if (!arguments)
        abort();
    arguments[0] = path;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    return arguments;
}

static int become(char *path, char **arguments, struct cap_err *err)
{
    execv(path, arguments);
    cap_fail(err, CAP_FAILED_PRECONDITION, "cannot run \"%s\": %s", path, strerror(errno));
    return CLI_INTERNAL;
}

/* ---- --json: a failure is an object here, too ---- */

/* Takes the flag out of the words of those programs whose output is JSON anyway. */
static bool take_json(int *io_argc, char **argv)
{
    bool knows_it =
        *io_argc > 1 && (strcmp(argv[1], "inspect") == 0 || strcmp(argv[1], "check") == 0 ||
                         strcmp(argv[1], "probe") == 0);
    int kept = 0;
    bool found = false;

    for (int i = 0; i < *io_argc; i++) {
        bool is_flag = strcmp(argv[i], "--json") == 0;

        found = found || is_flag;
        if (!is_flag || knows_it)
            argv[kept++] = argv[i];
    }
    *io_argc = kept;
    return found;
}

static bool is_server(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "serve") == 0;
}

static enum cap_code code_of(int status)
{
    return status == CLI_UNREACHABLE ? CAP_UNAVAILABLE
           : status == CLI_INTERNAL  ? CAP_INTERNAL
           : status == CLI_NEGATIVE  ? CAP_FAILED_PRECONDITION
                                     : CAP_INVALID_ARGUMENT;
}

/* "moecap tokenize: the reason" -> the reason, on one line */
static const char *reason_in(char *text)
{
    char *colon = strstr(text, ": ");

    text[cap_utf8_cut(text, strlen(text))] = '\0';
    for (size_t length = strlen(text); length > 0 && text[length - 1] == '\n';)
        text[--length] = '\0';
    return strncmp(text, "moecap", 6) == 0 && colon ? colon + 2 : text;
}

static bool start_child(char *path, char **arguments, int output, int report, pid_t *out_pid,
                        struct cap_err *err)
{
    posix_spawn_file_actions_t actions;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, report, STDERR_FILENO);
    rc = posix_spawn(out_pid, path, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ||
           cap_fail(err, CAP_FAILED_PRECONDITION, "cannot run \"%s\": %s", path, strerror(rc));
}

/* What the program says on stderr is kept, and becomes the error's message if it fails. */
static int run_kept(char *path, char **arguments, FILE *output, struct cap_err *err)
{
    CAP_AUTO_STREAM FILE *said = tmpfile();
    CAP_AUTO_MEM char *text = calloc(1, SAID_BYTES_MAX + 1);
    int wait_status, status;
    const char *reason;
    pid_t pid;

    if (!text || !said)
        abort();
    if (!start_child(path, arguments, fileno(output), fileno(said), &pid, err))
        return CLI_INTERNAL;
    while (waitpid(pid, &wait_status, 0) < 0)
        if (errno != EINTR)
            abort();
    status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : CLI_INTERNAL;
    rewind(said);
    text[fread(text, 1, SAID_BYTES_MAX, said)] = '\0';
    reason = reason_in(text);
    if (*reason == '{') /* an object already */
        cap_plain_json(stderr, text);
    else if (status != CLI_OK && *reason)
        cap_fail(err, code_of(status), "%s", reason);
    else
        fputs(text, stderr);
    return status;
}

/* The path of a program beside ours, and its arguments with that in front. */
struct other {
    char path[CLI_FILE_BYTES];
    char **arguments; /* the caller's to free */
};

static void find_other(const struct cli_context *context, const char *program, int argc,
                       char **argv, struct other *out)
{
    snprintf(out->path, sizeof out->path, "%s/%s", context->program_dir, program);
    out->arguments = arguments_of(out->path, argc, argv);
}

static int run_program(struct cli_context *context, const char *program, int argc, char **argv,
                       struct cap_err *err)
{
    bool json = take_json(&argc, argv);
    struct other other;
    int status;

    find_other(context, program, argc, argv, &other);
    if (json && !is_server(argc, argv)) {
        context->globals.json = true;
        status = run_kept(other.path, other.arguments, stdout, err);
    } else {
        status = become(other.path, other.arguments, err);
    }
    free(other.arguments);
    return status;
}

int cli_run_evaluator(struct cli_context *context, int argc, char **argv, FILE *output,
                      struct cap_err *err)
{
    struct other other;
    int status;

    find_other(context, "moecap-evaluator", argc, argv, &other);
    status = run_kept(other.path, other.arguments, output, err);
    free(other.arguments);
    return status;
}

int cli_become_inference(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    struct other other;
    int status;

    find_other(context, "moecap-inference", argc, argv, &other);
    status = become(other.path, other.arguments, err);
    free(other.arguments);
    return status;
}

int cli_exec_inference(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    return run_program(context, "moecap-inference", argc, argv, err);
}

int cli_exec_evaluator(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    return run_program(context, "moecap-evaluator", argc, argv, err);
}

int cli_cmd_version(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    (void)words;
    (void)err;
    if (context->globals.json)
        cli_print_json(json_pack("{s:s}", "version", MOECAP_VERSION));
    else
        printf("moecap %s\n", MOECAP_VERSION);
    return CLI_OK;
}

static bool print_help_json(const char *name)
{
    json_t *json = cli_help_json(name);
    bool any = json_array_size(json_object_get(json, "commands")) > 0;

    if (any)
        cli_print_json(json);
    else
        json_decref(json);
    return any;
}

static int help_of_program(struct cli_context *context, const struct cli_command *command,
                           const struct cli_words *words, struct cap_err *err)
{
    char *argv[4] = {NULL};
    int argc = 0;

    while (argc < words->count && argc < 2) {
        argv[argc] = (char *)words->items[argc];
        argc++;
    }
    argv[argc++] = "--help";
    return command->run_raw(context, argc, argv, err);
}

int cli_cmd_help(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    char name[128] = "";

    for (int i = 0; i < words->count && i < 2; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", i ? " " : "",
                 words->items[i]);
    if (cli_help_options.markdown)
        cli_print_markdown();
    else if (cli_help_options.man)
        cli_print_man();
    else if (cli_help_options.completion)
        cli_print_completion();
    else if (context->globals.json && print_help_json(name))
        return CLI_OK;
    else if (!*name)
        cli_print_usage();
    else {
        for (size_t i = 0; i < cli_command_count; i++) {
            if (strcmp(cli_commands[i]->name, name) == 0) {
                if (cli_commands[i]->raw && !islower((unsigned char)*cli_commands[i]->words))
                    /* without verbs: the program says more than the row */
                    return help_of_program(context, cli_commands[i], words, err);
                cli_print_help(cli_commands[i]);
                return CLI_OK;
            }
        }
        if (cli_print_group(name))
            return CLI_OK;
        cap_fail(err, CAP_INVALID_ARGUMENT, "unknown command \"%s\"; moecap help lists them", name);
        return CLI_USAGE;
    }
    return CLI_OK;
}
