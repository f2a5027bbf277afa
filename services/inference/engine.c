#include "engine.h"

#include <string.h>

#include "engine_native.h"
#include "engine_null.h"
#include "engine_openai.h"

/* One row per kind; adding one is a file and a row here. */
static const struct infer_engine_ops *const kinds[] = {
    &infer_engine_native_ops,
    &infer_engine_null_ops,
    &infer_engine_openai_ops,
};

const struct infer_engine_ops *infer_engine_at(int index)
{
    return index >= 0 && (size_t)index < CAP_COUNT_OF(kinds) ? kinds[index] : NULL;
}

const struct infer_engine_ops *infer_engine_find(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}
