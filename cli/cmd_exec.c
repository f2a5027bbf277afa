/* Offline work belongs to the program that owns it: as git does, we become it. Also help and
 * version. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "out.h"
#include "suite.h"

struct cli_help_options cli_help_options;

static int become(struct cli_context *context, const char *program, int argc, char **argv,
                  struct cap_err *err)
{
    char path[CLI_FILE_BYTES];
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);

    if (!arguments)
        abort();
    snprintf(path, sizeof path, "%s/%s", context->program_dir, program);
    arguments[0] = path;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    execv(path, arguments);
    cap_fail(err, CAP_FAILED_PRECONDITION, "cannot run \"%s\": %s", path, strerror(errno));
    free(arguments);
    return CLI_INTERNAL;
}

int cli_exec_inference(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    return become(context, "moecap-inference", argc, argv, err);
}

int cli_exec_evaluator(struct cli_context *context, int argc, char **argv, struct cap_err *err)
{
    return become(context, "moecap-evaluator", argc, argv, err);
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

int cli_cmd_help(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    char name[128] = "";

    (void)context;
    for (int i = 0; i < words->count && i < 2; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", i ? " " : "",
                 words->items[i]);
    if (cli_help_options.markdown)
        cli_print_markdown();
    else if (cli_help_options.man)
        cli_print_man();
    else if (cli_help_options.completion)
        cli_print_completion();
    else if (!*name)
        cli_print_usage();
    else {
        for (size_t i = 0; i < cli_command_count; i++) {
            if (strcmp(cli_commands[i]->name, name) == 0) {
                cli_print_help(cli_commands[i]);
                return CLI_OK;
            }
        }
        if (cli_print_group(name))
            return CLI_OK;
        cap_fail(err, CAP_INVALID_ARGUMENT, "there is no command \"%s\"; moecap help lists them",
                 name);
        return CLI_USAGE;
    }
    return CLI_OK;
}
