/* From what the user said to connections: --server, MOECAP_SERVER, or the runtime file of the state
 * folder name the scheduler, and the scheduler names store and evaluator. Only watching is patient;
 * every other command says at once that nothing answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plain.h"
#include "moecap/v1/scheduler.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "runtime.h"
#include "suite.h"

enum {
    SUITE_ARENA_BYTES = 512 << 20,
    CONNECT_MS = 5000,
    CONNECT_PATIENT_MS = 60000,
    RUN_ID_LENGTH = 20, /* "run-" and 16 characters */
    EVAL_ID_LENGTH = 21,
};

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

/* *io_found is the only id so far that begins with the word. */
static bool take_id(const char *id, const char *word, const char **io_found, struct cap_err *err)
{
    if (strncmp(id, word, strlen(word)) != 0 || (*io_found && strcmp(*io_found, id) == 0))
        return true;
    if (*io_found)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" begins more than one id: %s, %s", word,
                        *io_found, id);
    *io_found = id;
    return true;
}

/* "run-a2b" */
static bool is_beginning(const char *word)
{
    return (strncmp(word, "run-", 4) == 0 && strlen(word) < RUN_ID_LENGTH) ||
           (strncmp(word, "eval-", 5) == 0 && strlen(word) < EVAL_ID_LENGTH);
}

bool cli_full_id(struct cli_suite *suite, const char *word, const char **out_id,
                 struct cap_err *err)
{
    bool is_run = strncmp(word, "run-", 4) == 0;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply;
    const char *found = NULL;

    *out_id = word;
    if (!is_beginning(word))
        return true;
    request.with_unfinished = request.without_report = true;
    request.figures = &(char *){"accuracy"};
    request.n_figures = 1;
    if (!store_rpc_board(suite->store, NULL, &request, suite->arena, &reply, err))
        return false;
    for (size_t i = 0; i < reply->n_rows; i++)
        if (!take_id(is_run ? reply->rows[i]->run_id : reply->rows[i]->evaluation_id, word, &found,
                     err))
            return false;
    if (found)
        *out_id = found;
    return true;
}

bool cli_full_ids(const struct cli_context *context, const struct cli_words *words,
                  struct cli_words *out, struct cap_err *err)
{
    static struct cli_suite *suite; /* its arena has the ids, for the rest of the command */

    *out = *words;
    for (int i = 0; i < words->count; i++) {
        if (!is_beginning(words->items[i]))
            continue;
        if (!suite && !(suite = cli_suite_open_all(context, err)))
            return false;
        if (!cli_full_id(suite, words->items[i], &out->items[i], err))
            return false;
    }
    return true;
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
