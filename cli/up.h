/* up.h — starting and watching over the programs of a suite on this machine. */
#ifndef CLI_UP_H
#define CLI_UP_H

#include "command.h"
#include "runtime.h"
#include "suite.h"

struct cli_up_options {
    bool detach, no_tasks, any_model_path;
    struct cli_list models;
    const char *postgres, *log, *tasks;
    int64_t nodes, port_base, openai_port;
    const char *ports; /* "default" or "auto" */
};

extern struct cli_up_options cli_up_options;

/* A folder that comes with the program, "models" or "tasks": beside the build tree's bin, or in
 * share/moecap of an installation. */
bool cli_find_shipped(const struct cli_context *context, const char *name,
                      char out[CLI_PATH_BYTES]);

/* Runs until SIGINT or SIGTERM; in the foreground it says what happens on stdout. */
int cli_supervise(struct cli_context *context, const char *state_dir, struct cap_err *err);

/* Ends what the runtime file names, the supervisor first. *out_count: how many were running. */
bool cli_end_all(const char *state_dir, int *out_count, struct cap_err *err);

/* Adds every task YAML of the folder to the suite. */
bool cli_add_shipped_tasks(struct cli_context *context, const char *dir, struct cap_err *err);

#endif
