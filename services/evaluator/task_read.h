/* task_read.h — from a task's YAML files to its definition.
 *
 * Nobody reads files here: the caller brings them, and brings what is missing on a second call
 * (includes may include). Failures name file and line. Any thread.
 */
#ifndef EVAL_TASK_READ_H
#define EVAL_TASK_READ_H

#include "task.h"

enum { EVAL_TASK_FILES_MAX = 32, EVAL_TASK_FILE_NAME_BYTES_MAX = 256 };

struct eval_task_file {
    const char *name; /* relative to the task's folder */
    const void *text;
    size_t length;
};

struct eval_task_source {
    char missing[EVAL_TASK_FILES_MAX][EVAL_TASK_FILE_NAME_BYTES_MAX]; /* files to bring as well */
    size_t missing_count;
    struct eval_task *task; /* NULL while files are missing */
    char *definition;       /* its canonical JSON: sorted keys, no blanks */
};

/* On success free with eval_task_source_done. */
bool eval_task_read(const char *main_name, const struct eval_task_file *files, size_t file_count,
                    struct eval_task_source *out, struct cap_err *err);
void eval_task_source_done(struct eval_task_source *source);

#endif
