/* task_read.h — from a task's YAML files to its definition; tasks and graders found by name.
 *
 * eval_task_read opens no file: the caller brings them, and brings what is missing on a second call
 * (includes may include). Failures name file and line. Any thread.
 */
#ifndef EVAL_TASK_READ_H
#define EVAL_TASK_READ_H

#include "base/buf.h"
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

/* ---- found by name, for work without services ---- */

/* The task or grader of that name; `folder` may be NULL. */
struct eval_task *eval_task_find(const char *name, const char *folder, struct cap_err *err);
/* A task's YAML with everything it includes. On success free with eval_task_source_done. */
bool eval_task_load(const char *path, struct eval_task_source *out, struct cap_err *err);
/* "  name   what it does" a line, of the built-in graders. */
void eval_grader_list(struct cap_buf *out);

#endif
