/* admin: what every program tells about itself. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "moecap/v1/admin.rpc.h"
#include "out.h"
#include "suite.h"

/* A channel of our own to a program of the local suite that the scheduler does not know: a node. */
static struct cap_rpc_channel *open_local(const struct cli_context *context, const char *program)
{
    struct cap_err ignored = {0};
    const struct cli_process *process;
    struct cli_runtime runtime;
    char dir[CLI_PATH_BYTES];

    if (!cli_state_dir(context, dir, &ignored) || !cli_runtime_read(dir, &runtime, &ignored))
        return NULL;
    process = cli_runtime_find(&runtime, program);
    return process && *process->address ? cap_rpc_channel_new(process->address, NULL) : NULL;
}

/* An address is taken as it is, so that a node on another machine can be asked. */
static struct cap_rpc_channel *open_program(struct cli_context *context, struct cli_suite *suite,
                                            const char *program, struct cap_err *err)
{
    struct cap_rpc_channel *channel = NULL;

    if (strcmp(program, "scheduler") == 0)
        return cap_take(suite->scheduler);
    if (strcmp(program, "store") == 0)
        return cap_take(suite->store);
    if (strcmp(program, "evaluator") == 0)
        return cap_take(suite->evaluator);
    if (strcmp(program, "gateway") == 0) {
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "the gateway speaks HTTP only: its counters are at /metrics of the address that "
                 "moecap status shows");
        return NULL;
    }
    channel =
        strchr(program, ':') ? cap_rpc_channel_new(program, NULL) : open_local(context, program);
    if (!channel)
        cap_fail(err, CAP_NOT_FOUND,
                 "program \"%s\" is none of scheduler, store, evaluator, the local nodes "
                 "(node-1, ...), and no address",
                 program);
    return channel;
}

int cli_cmd_admin_config(struct cli_context *context, const struct cli_words *words,
                         struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    CAP_AUTO(cap_rpc_channel) channel =
        suite ? open_program(context, suite, words->items[0], err) : NULL;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowConfigReply *reply;

    if (!channel || !admin_rpc_show_config(channel, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    for (size_t i = 0; !context->globals.json && i < reply->n_values; i++)
        cli_say("%s = %s  # %s; %s", reply->values[i]->name, reply->values[i]->value,
                reply->values[i]->source, reply->values[i]->help);
    return CLI_OK;
}

int cli_cmd_admin_metrics(struct cli_context *context, const struct cli_words *words,
                          struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    CAP_AUTO(cap_rpc_channel) channel =
        suite ? open_program(context, suite, words->items[0], err) : NULL;
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowMetricsReply *reply;

    if (!channel || !admin_rpc_show_metrics(channel, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        cli_say_lines(reply->prometheus_text);
    return CLI_OK;
}

int cli_cmd_admin_log(struct cli_context *context, const struct cli_words *words,
                      struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    CAP_AUTO(cap_rpc_channel) channel =
        suite ? open_program(context, suite, words->items[0], err) : NULL;
    Moecap__V1__SetLogLevelRequest request = MOECAP__V1__SET_LOG_LEVEL_REQUEST__INIT;
    Moecap__V1__Empty *reply;

    request.levels = (char *)words->items[1];
    if (!channel || !admin_rpc_set_log_level(channel, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(
            json_pack("{s:s,s:s}", "program", words->items[0], "levels", words->items[1]));
    else
        cli_say("%s logs %s, until it ends", words->items[0], words->items[1]);
    return CLI_OK;
}
