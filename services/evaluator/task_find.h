/* task_find.h — tasks and named graders for work without services: found in folders, or built in.
 *
 * A task is named by its file, or by its name: NAME.yaml is looked for in the folder given, in
 * $MOECAP_TASKS, in ./tasks and beside the program. Any thread.
 */
#ifndef EVAL_TASK_FIND_H
#define EVAL_TASK_FIND_H

#include "base/buf.h"
#include "task_read.h"

/* The task or grader of that name; `folder` may be NULL. */
struct eval_task *eval_task_find(const char *name, const char *folder, struct cap_err *err);
/* A task's YAML with everything it includes. On success free with eval_task_source_done. */
bool eval_task_load(const char *path, struct eval_task_source *out, struct cap_err *err);
/* "  name   what it does" a line, of the built-in graders. */
void eval_grader_list(struct cap_buf *out);

#endif
