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

/* Runs until SIGINT or SIGTERM; in the foreground it says what happens on stdout. */
int cli_supervise(struct cli_context *context, const struct cli_up_options *options,
                  const char *state_dir, struct cap_err *err);

/* Adds every task YAML of the folder to the suite. */
bool cli_add_shipped_tasks(struct cli_context *context, const char *dir, struct cap_err *err);

#endif
