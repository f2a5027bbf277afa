/* suite.h — which suite a command talks to, and the connections to it.
 *
 * Found by --server, then MOECAP_SERVER, then the runtime file that `moecap up` wrote into the
 * state folder. The scheduler says where the store and the evaluator are.
 */
#ifndef CLI_SUITE_H
#define CLI_SUITE_H

#include "base/arena.h"
#include "base/err.h"
#include "command.h"
#include "rpc/rpc.h"
#include "runtime.h"

struct cli_suite {
    char address[CLI_ADDRESS_BYTES]; /* of the scheduler */
    struct cap_arena *arena;         /* of replies; lives as long as the suite */
    struct cap_rpc_channel *scheduler, *store, *evaluator;
};

/* A folder; and a file below it, whose name always fits. */
enum { CLI_PATH_BYTES = 4096, CLI_FILE_BYTES = CLI_PATH_BYTES + 256 };

/* --state, MOECAP_STATE, $XDG_STATE_HOME/moecap, ~/.local/state/moecap, for root /var/lib/moecap.
 */
bool cli_state_dir(const struct cli_context *context, char out[CLI_PATH_BYTES],
                   struct cap_err *err);
/* A folder that comes with the program, "models" or "tasks": beside the build tree's bin, or in
 * share/moecap of an installation. */
bool cli_find_shipped(const struct cli_context *context, const char *name,
                      char out[CLI_PATH_BYTES]);
/* The scheduler only. NULL with a sentence that says how to start a suite. */
struct cli_suite *cli_suite_open(const struct cli_context *context, struct cap_err *err);
/* The same for commands that outlive a restart of the scheduler: waits up to a minute. */
struct cli_suite *cli_suite_open_patient(const struct cli_context *context, struct cap_err *err);
/* Also store and evaluator. */
struct cli_suite *cli_suite_open_all(const struct cli_context *context, struct cap_err *err);
/* The run or evaluation whose id begins so, when it is the only one among the latest; else the word
 * itself, which the service then judges. False when several begin so. Needs the store. */
bool cli_full_id(struct cli_suite *suite, const char *word, const char **out_id,
                 struct cap_err *err);
/* The same for every word; the suite is asked only when one is the beginning of an id. */
bool cli_full_ids(const struct cli_context *context, const struct cli_words *words,
                  struct cli_words *out, struct cap_err *err);
void cli_suite_free(struct cli_suite *suite);
CAP_DEFINE_AUTO(cli_suite)

#endif
