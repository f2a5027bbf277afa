/* The runtime file: written whole whenever something changed, read by every other command. A
 * process id alone does not tell whose process it is, for ids are used again: the start time from
 * /proc does. A zombie is dead. */
#include "runtime.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"

enum { RUNTIME_BYTES_MAX = 1 << 20, PATH_BYTES = 4096, END_MS_MAX = 30000, POLL_MS = 25 };

static const char *path_of(const char *state_dir, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/runtime.json", state_dir);
    return out;
}

int64_t cli_process_start_time(pid_t pid)
{
    char path[64];
    char *text, *after;
    struct cap_err err = {0};
    long long start = -1;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    text = cap_file_read(path, 4096, NULL, &err);
    /* the name in parentheses may hold blanks; the start time is field 22, the name field 2
     */
    after = text ? strrchr(text, ')') : NULL;
    if (after) {
        char *field = after + 1, state = after[1] ? after[2] : 'Z';

        for (int i = 0; i < 19 && field; i++)
            field = strchr(field + 1, ' ');
        if (field && state != 'Z')
            start = strtoll(field, NULL, 10);
    }
    free(text);
    return start;
}

bool cli_process_alive(const struct cli_process *process)
{
    return process->pid > 0 && cli_process_start_time(process->pid) == process->start_time &&
           process->start_time >= 0;
}

static json_t *process_json(const struct cli_process *p)
{
    return json_pack("{s:s,s:s,s:i,s:I,s:i}", "name", p->name, "address", p->address, "pid",
                     (int)p->pid, "start_time", (json_int_t)p->start_time, "restarts", p->restarts);
}

bool cli_runtime_write(const char *state_dir, const struct cli_runtime *runtime,
                       struct cap_err *err)
{
    char path[PATH_BYTES];
    json_t *list = json_array(), *root;
    char *text;
    bool ok;

    for (int i = 0; i < runtime->count; i++)
        json_array_append_new(list, process_json(&runtime->processes[i]));
    root = json_pack("{s:i,s:o,s:o}", "version", 1, "supervisor",
                     process_json(&runtime->supervisor), "processes", list);
    text = json_dumps(root, JSON_INDENT(1));
    ok = cap_file_write(path_of(state_dir, path), text, strlen(text), err);
    free(text);
    json_decref(root);
    return ok;
}

static bool read_process(json_t *json, struct cli_process *out)
{
    const char *name, *address;
    json_int_t start;
    int pid, restarts;

    if (json_unpack(json, "{s:s,s:s,s:i,s:I,s:i}", "name", &name, "address", &address, "pid", &pid,
                    "start_time", &start, "restarts", &restarts) != 0)
        return false;
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->address, sizeof out->address, "%s", address);
    out->pid = pid;
    out->start_time = start;
    out->restarts = restarts;
    return true;
}

bool cli_runtime_read(const char *state_dir, struct cli_runtime *out, struct cap_err *err)
{
    char path[PATH_BYTES];
    CAP_AUTO_MEM char *text = cap_file_read(path_of(state_dir, path), RUNTIME_BYTES_MAX, NULL, err);
    struct cli_runtime runtime = {0};
    json_t *root, *item;
    size_t i;
    bool ok;

    if (!text)
        return false;
    root = json_loads(text, 0, NULL);
    ok = root && read_process(json_object_get(root, "supervisor"), &runtime.supervisor);
    json_array_foreach(json_object_get(root, "processes"), i, item)
    {
        ok = ok && i < CLI_PROCESSES_MAX && read_process(item, &runtime.processes[runtime.count++]);
    }
    json_decref(root);
    if (!ok)
        return cap_fail(err, CAP_DATA_LOSS,
                        "\"%s\" cannot be understood; remove it and run moecap up", path);
    *out = runtime;
    return true;
}

void cli_runtime_remove(const char *state_dir)
{
    char path[PATH_BYTES];

    unlink(path_of(state_dir, path));
}

const struct cli_process *cli_runtime_find(const struct cli_runtime *runtime, const char *name)
{
    for (int i = 0; i < runtime->count; i++)
        if (strcmp(runtime->processes[i].name, name) == 0)
            return &runtime->processes[i];
    return NULL;
}

/* ---- ending ---- */

static bool wait_gone(const struct cli_process *process, int64_t wait_ms)
{
    int64_t until = cap_clock_ms(cap_clock_system()) + wait_ms;

    while (cli_process_alive(process)) {
        if (cap_clock_ms(cap_clock_system()) > until)
            return false;
        cap_sleep_ms(POLL_MS);
    }
    return true;
}

static void end_process(const struct cli_process *process, int *io_count)
{
    if (!cli_process_alive(process))
        return;
    ++*io_count;
    kill(process->pid, SIGTERM);
    if (!wait_gone(process, END_MS_MAX))
        kill(process->pid, SIGKILL);
}

bool cli_runtime_end(const char *state_dir, int *out_count, struct cap_err *err)
{
    struct cli_runtime runtime;

    *out_count = 0;
    if (!cli_runtime_read(state_dir, &runtime, err))
        return false;
    /* the supervisor ends its programs itself; then those that outlived a killed one */
    end_process(&runtime.supervisor, out_count);
    for (int i = runtime.count; i > 0; i--)
        end_process(&runtime.processes[i - 1], out_count);
    cli_runtime_remove(state_dir);
    return true;
}
