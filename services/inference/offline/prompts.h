/* prompts.h — prompts as `moecap render` writes them, as requests of an engine.
 *
 * The first line is an object with the task's name, its output type and how many prompts follow;
 * each other line is one prompt. A file that ends early is refused: its writer failed, and figures
 * of some of the prompts would look like those of all.
 *
 *     struct infer_prompts *prompts;
 *     ok = infer_prompts_read("-", &prompts, err) &&
 *          engine->ops->submit(engine, &prompts->items[0], err);
 */
#ifndef INFER_OFFLINE_PROMPTS_H
#define INFER_OFFLINE_PROMPTS_H

#include <stddef.h>

#include "base/err.h"
#include "engine.h"

enum { INFER_PROMPTS_MAX = 1000 * 1000, INFER_PROMPTS_BYTES_MAX = 1 << 30 };

struct infer_prompts {
    const char *task, *output_type;
    struct infer_request *items; /* ids count from 1 */
    size_t count;
};

/* `path` may be "-". Strings live with the prompts. */
bool infer_prompts_read(const char *path, struct infer_prompts **out, struct cap_err *err);
void infer_prompts_free(struct infer_prompts *prompts);

#endif
