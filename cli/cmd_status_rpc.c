/* status and admin: what programs tell about themselves. `status` shows what `up` started here and
 * whether it answers, or the programs of a suite elsewhere. A program is asked for its settings
 * (moecap.v1.Admin), which all of them answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "http/client.h"
#include "moecap/v1/admin.rpc.h"
#include "moecap/v1/scheduler.rpc.h"
#include "out.h"
#include "runtime.h"
#include "suite.h"

enum { PROBE_MS = 2000, PROBE_BYTES_MAX = 4 << 20 };

/* The gateway is known by its page's address. */
static bool answers_http(const char *address)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(PROBE_BYTES_MAX);
    const struct cap_http_ask ask = {.url = cap_arena_printf(arena, "%s/healthz", address),
                                     .deadline_ms = PROBE_MS};
    struct cap_http_reply reply;
    struct cap_err ignored = {0};

    return cap_http_fetch(&ask, arena, &reply, &ignored) && reply.status == 200;
}

static bool answers_rpc(const char *address)
{
    CAP_AUTO(cap_rpc_channel) channel = cap_rpc_channel_new(address, NULL);
    CAP_AUTO(cap_arena) arena = cap_arena_new(PROBE_BYTES_MAX);
    const struct cap_rpc_options options = {.timeout_ms = PROBE_MS, .wait_for_ready = true};
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ShowConfigReply *reply;
    struct cap_err ignored = {0};

    return admin_rpc_show_config(channel, &options, &request, arena, &reply, &ignored);
}

static bool answers(const char *address)
{
    return strncmp(address, "http://", 7) == 0 ? answers_http(address)
                                               : *address && answers_rpc(address);
}

/* One line of the answer. */
struct health {
    const char *name, *address, *state;
    int pid, restarts; /* -1 = not known: another machine's */
};

static struct health look_at(const struct cli_process *p)
{
    struct health h = {p->name, p->address, "down", (int)p->pid, p->restarts};

    if (cli_process_alive(p))
        h.state = answers(p->address) ? "running" : "silent";
    return h;
}

static bool is_running(const struct health *h)
{
    return strcmp(h->state, "running") == 0;
}

static void add_number(struct cli_table_out *table, int number)
{
    if (number < 0)
        cli_table_add(table, "-");
    else
        cli_table_addf(table, "%d", number);
}

static void print_table(const struct health *list, int count)
{
    static const char *const head[] = {"program", "address", "process", "state", "restarts"};
    CAP_AUTO_BUF(text, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u << 2 | 1u << 4);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (int i = 0; i < count; i++) {
        cli_table_add(&table, list[i].name);
        cli_table_add(&table, list[i].address);
        add_number(&table, list[i].pid);
        cli_table_add(&table, list[i].state);
        add_number(&table, list[i].restarts);
    }
    cli_table_print(&table, &text);
    printf("%s", text.data);
    cli_table_done(&table);
}

static json_t *number_json(int number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static void print_json(const char *state_dir, bool supervised, const struct health *list, int count)
{
    json_t *programs = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(programs,
                              json_pack("{s:s,s:s,s:o,s:s,s:b,s:o}", "name", list[i].name,
                                        "address", list[i].address, "pid", number_json(list[i].pid),
                                        "status", list[i].state, "running", is_running(&list[i]),
                                        "restarts", number_json(list[i].restarts)));
    cli_print_json(json_pack("{s:s?,s:b,s:o}", "state", state_dir, "supervised", supervised,
                             "programs", programs));
}

static int report(const struct cli_context *context, const char *state_dir, bool supervised,
                  const struct health *list, int count)
{
    bool all = true;

    for (int i = 0; i < count; i++)
        all = all && is_running(&list[i]);
    if (context->globals.json)
        print_json(state_dir, supervised, list, count);
    else
        print_table(list, count);
    if (state_dir && !supervised && !context->globals.json)
        printf("the supervisor is gone, so nothing restarts these programs; run moecap down, then "
               "moecap up\n");
    return all && (supervised || !state_dir) ? CLI_OK : CLI_NEGATIVE;
}

static int report_local(const struct cli_context *context, struct cap_err *err)
{
    struct health list[CLI_PROCESSES_MAX];
    struct cli_runtime runtime;
    struct cap_err reading = {0};
    char dir[CLI_PATH_BYTES];

    if (!cli_state_dir(context, dir, err))
        return cli_exit_of(err->code);
    if (!cli_runtime_read(dir, &runtime, &reading)) {
        cap_fail(err, CAP_UNAVAILABLE, "no suite runs in \"%s\"", dir);
        return CLI_UNREACHABLE;
    }
    for (int i = 0; i < runtime.count; i++)
        list[i] = look_at(&runtime.processes[i]);
    return report(context, dir, cli_process_alive(&runtime.supervisor), list, runtime.count);
}

static const char *state_of(const char *address)
{
    return answers(address) ? "running" : "silent";
}

/* Only what the scheduler tells is known about a suite on another machine. */
static int report_remote(const struct cli_context *context, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListNodesRequest every = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *nodes;
    Moecap__V1__InfoReply *info;
    struct health list[CLI_PROCESSES_MAX];
    int count = 0;

    if (!suite || !scheduler_rpc_info(suite->scheduler, NULL, &request, suite->arena, &info, err) ||
        !scheduler_rpc_list_nodes(suite->scheduler, NULL, &every, suite->arena, &nodes, err))
        return cli_exit_of(err->code);
    list[count++] = (struct health){"scheduler", suite->address, "running", -1, -1};
    list[count++] =
        (struct health){"store", info->store_address, state_of(info->store_address), -1, -1};
    list[count++] = (struct health){"evaluator", info->evaluator_address,
                                    state_of(info->evaluator_address), -1, -1};
    for (size_t i = 0; i < nodes->n_nodes && count < CLI_PROCESSES_MAX; i++)
        list[count++] = (struct health){nodes->nodes[i]->hello->name,
                                        *nodes->nodes[i]->peer ? nodes->nodes[i]->peer : "-",
                                        "running", -1, -1};
    return report(context, NULL, true, list, count);
}

int cli_cmd_status(struct cli_context *context, const struct cli_words *words, struct cap_err *err)
{
    const char *server = getenv("MOECAP_SERVER");

    (void)words;
    if (context->globals.server || (server && *server && !context->globals.state))
        return report_remote(context, err);
    return report_local(context, err);
}

/* ---- admin: settings, counters, log levels ---- */

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
                 "the gateway speaks HTTP only; its counters are at /metrics of the address that "
                 "moecap status shows");
        return NULL;
    }
    channel =
        strchr(program, ':') ? cap_rpc_channel_new(program, NULL) : open_local(context, program);
    if (!channel)
        cap_fail(err, CAP_NOT_FOUND,
                 "\"%s\" is not a program: expected scheduler, store, evaluator, a local node "
                 "(node-1, ...) or "
                 "an address",
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
