/* From what the user said to connections: --server, MOECAP_SERVER, or the runtime file of the state
 * folder name the scheduler, and the scheduler names store and evaluator. Only watching is patient;
 * every other command says at once that nothing answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plain.h"
#include "moecap/v1/scheduler.rpc.h"
#include "runtime.h"
#include "suite.h"

enum { SUITE_ARENA_BYTES = 512 << 20, CONNECT_MS = 5000, CONNECT_PATIENT_MS = 60000 };

bool cli_state_dir(const struct cli_context *context, char out[CLI_PATH_BYTES], struct cap_err *err)
{
    const char *variable = getenv("MOECAP_STATE"), *xdg = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");
    int length;

    if (context->globals.state)
        length = snprintf(out, CLI_PATH_BYTES, "%s", context->globals.state);
    else if (variable && *variable)
        length = snprintf(out, CLI_PATH_BYTES, "%s", variable);
    else if (xdg && *xdg)
        length = snprintf(out, CLI_PATH_BYTES, "%s/moecap", xdg);
    else if (geteuid() == 0)
        length = snprintf(out, CLI_PATH_BYTES, "/var/lib/moecap");
    else if (home && *home)
        length = snprintf(out, CLI_PATH_BYTES, "%s/.local/state/moecap", home);
    else
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "neither HOME nor XDG_STATE_HOME is set: name a folder with --state");
    return length < CLI_PATH_BYTES ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "the state folder's path is too long");
}

bool cli_find_shipped(const struct cli_context *context, const char *name, char out[CLI_PATH_BYTES])
{
    static const char *const places[] = {"../../..", "../share/moecap", ".."};
    char path[CLI_FILE_BYTES];

    for (size_t i = 0; i < CAP_COUNT_OF(places); i++) {
        snprintf(path, sizeof path, "%s/%s/%s", context->program_dir, places[i], name);
        if (realpath(path, out))
            return true;
    }
    return false;
}

static bool find_server(const struct cli_context *context, char out[CLI_ADDRESS_BYTES],
                        struct cap_err *err)
{
    const char *server =
        context->globals.server ? context->globals.server : getenv("MOECAP_SERVER");
    const struct cli_process *scheduler;
    struct cap_err reading = {0};
    struct cli_runtime runtime;
    char dir[CLI_PATH_BYTES];

    if (server && *server) {
        snprintf(out, CLI_ADDRESS_BYTES, "%s", server);
        return true;
    }
    if (!cli_state_dir(context, dir, err))
        return false;
    if (!cli_runtime_read(dir, &runtime, &reading))
        return cap_fail(err, CAP_UNAVAILABLE, "no suite runs here (%s)", reading.text);
    scheduler = cli_runtime_find(&runtime, "scheduler");
    if (!scheduler || !*scheduler->address)
        return cap_fail(err, CAP_UNAVAILABLE, "the suite in \"%s\" has no scheduler yet", dir);
    snprintf(out, CLI_ADDRESS_BYTES, "%s", scheduler->address);
    return true;
}

/* A local suite whose supervisor has ended: nobody will start its scheduler again. */
static bool is_suite_gone(const struct cli_context *context)
{
    const char *server =
        context->globals.server ? context->globals.server : getenv("MOECAP_SERVER");
    struct cap_err ignored = {0};
    struct cli_runtime runtime;
    char dir[CLI_PATH_BYTES];

    if (server && *server)
        return false;
    return !cli_state_dir(context, dir, &ignored) || !cli_runtime_read(dir, &runtime, &ignored) ||
           !cli_process_alive(&runtime.supervisor);
}

static struct cli_suite *open_within(const struct cli_context *context, int64_t wait_ms,
                                     struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = calloc(1, sizeof *suite);

    if (!suite)
        abort();
    if (!find_server(context, suite->address, err))
        return NULL;
    suite->arena = cap_arena_new(SUITE_ARENA_BYTES);
    suite->scheduler = cap_rpc_channel_new(suite->address, NULL);
    if (!cap_rpc_channel_wait(suite->scheduler, wait_ms, err)) {
        cap_fail_in(err, "scheduler");
        return NULL;
    }
    return cap_take(suite);
}

struct cli_suite *cli_suite_open(const struct cli_context *context, struct cap_err *err)
{
    return open_within(context, CONNECT_MS, err);
}

struct cli_suite *cli_suite_open_patient(const struct cli_context *context, struct cap_err *err)
{
    struct cli_suite *suite = open_within(context, CONNECT_MS, err);

    if (suite || err->code != CAP_UNAVAILABLE || is_suite_gone(context))
        return suite;
    cap_plain_line(stderr, "%s; waiting", err->text);
    cap_err_clear(err);
    return open_within(context, CONNECT_PATIENT_MS - CONNECT_MS, err);
}

struct cli_suite *cli_suite_open_all(const struct cli_context *context, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open(context, err);
    Moecap__V1__Empty request = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__InfoReply *info;

    if (!suite || !scheduler_rpc_info(suite->scheduler, NULL, &request, suite->arena, &info, err))
        return NULL;
    suite->store = cap_rpc_channel_new(info->store_address, NULL);
    suite->evaluator = cap_rpc_channel_new(info->evaluator_address, NULL);
    return cap_take(suite);
}

void cli_suite_free(struct cli_suite *suite)
{
    if (!suite)
        return;
    cap_rpc_channel_free(suite->scheduler);
    cap_rpc_channel_free(suite->store);
    cap_rpc_channel_free(suite->evaluator);
    cap_arena_free(suite->arena);
    free(suite);
}
