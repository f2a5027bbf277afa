/* child.h — a server that the node starts by a command of its own configuration.
 *
 * The command runs under /bin/sh in its own process group, with a log file, on a free port
 * that it is told in MOECAP_PORT. It comes from the node's settings alone, never from a submission,
 * and gets none of the node's keys. It is stopped with SIGTERM to the group, after STOP_MS with
 * SIGKILL; should the node itself be killed, a watcher in the group does the same. One user at a
 * time.
 *
 *     child = infer_child_start(&options, err);
 *     while (!infer_child_ended(child, err)) ... infer_child_url(child) ...
 *     infer_child_free(child);
 */
#ifndef INFER_CHILD_H
#define INFER_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct infer_child;

struct infer_child_options {
    const char *kind;    /* for names */
    const char *command; /* for /bin/sh */
    const char *log_dir; /* "" or NULL: the system's folder for temporary files */
    int threads;         /* OMP_NUM_THREADS; 0 = not set */
};

struct infer_child *infer_child_start(const struct infer_child_options *options,
                                      struct cap_err *err);
/* Blocks up to STOP_MS and a little. */
void infer_child_free(struct infer_child *child);
CAP_DEFINE_AUTO(infer_child)

/* "http://127.0.0.1:PORT" */
const char *infer_child_url(const struct infer_child *child);
/* True, with a sentence that holds its status and the end of its log, when it has ended. */
bool infer_child_ended(struct infer_child *child, struct cap_err *err);

struct infer_child_usage {
    int processes, threads;  /* of the group, now */
    uint64_t peak_bytes;     /* resident, the sum of each process's own peak */
    char affinity[64];       /* of its first process, as the kernel writes it; "" = unknown */
    const char *environment; /* what was added to the node's own */
};
/* False when nothing can be read of it. */
bool infer_child_usage(const struct infer_child *child, struct infer_child_usage *out);

#endif
