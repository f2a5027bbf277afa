/* Any text as a task's YAML. */
#include <stdint.h>
#include <string.h>

#include "task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct eval_task_file file = {"task.yaml", data, size};
    static struct eval_task_source source;
    struct cap_err err = {0};

    memset(&source, 0, sizeof source);
    if (eval_task_read("task.yaml", &file, 1, &source, &err))
        eval_task_source_done(&source);
    return 0;
}
