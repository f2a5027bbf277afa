#include "engine.h"

#include <string.h>

#include "external/external.h"

/* Engines in this process; servers have rows of their own (external/kinds.def). */
static const struct infer_engine_ops *const kinds[] = {
    &infer_engine_native_ops,
    &infer_engine_null_ops,
};

const struct infer_engine_ops *infer_engine_at(int index)
{
    int own = (int)CAP_COUNT_OF(kinds);

    if (index < 0)
        return NULL;
    return index < own ? kinds[index] : infer_external_ops_at(index - own);
}

const struct infer_engine_ops *infer_engine_find(const char *name)
{
    const struct infer_engine_ops *ops;

    for (int i = 0; (ops = infer_engine_at(i)) != NULL; i++)
        if (strcmp(ops->name, name) == 0)
            return ops;
    return NULL;
}
