/* runtime.h — the file that says what `moecap up` started: addresses, process ids, their start
 * times.
 *
 * A process is known by its id and its start time, so that a reused id is never taken for ours.
 */
#ifndef CLI_RUNTIME_H
#define CLI_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { CLI_PROCESSES_MAX = 72, CLI_ADDRESS_BYTES = 256, CLI_PROCESS_NAME_BYTES = 32 };

struct cli_process {
    char name[CLI_PROCESS_NAME_BYTES]; /* "scheduler", "node-1" */
    char address[CLI_ADDRESS_BYTES];
    pid_t pid;
    int64_t start_time; /* clock ticks since boot, from /proc */
    int restarts;
};

struct cli_runtime {
    struct cli_process supervisor;
    struct cli_process processes[CLI_PROCESSES_MAX];
    int count;
};

bool cli_runtime_write(const char *state_dir, const struct cli_runtime *runtime,
                       struct cap_err *err);
bool cli_runtime_read(const char *state_dir, struct cli_runtime *out, struct cap_err *err);
void cli_runtime_remove(const char *state_dir);
/* -1 when the process does not exist. */
int64_t cli_process_start_time(pid_t pid);
bool cli_process_alive(const struct cli_process *process);
/* Ends what the file names, the supervisor first. *out_count: how many were running. */
bool cli_runtime_end(const char *state_dir, int *out_count, struct cap_err *err);
const struct cli_process *cli_runtime_find(const struct cli_runtime *runtime, const char *name);

#endif
