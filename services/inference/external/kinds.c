#include <string.h>

#include "external/kind.h"

static const struct infer_external_kind *const kinds[] = {
#define KIND(id, name) &infer_kind_##id,
#include "external/kinds.def"
#undef KIND
};

const struct infer_external_kind *infer_kind_find(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

void infer_kind_set_int(json_t *body, const char *name, int64_t value)
{
    json_object_set_new(body, name, json_integer((json_int_t)value));
}

void infer_kind_set_real(json_t *body, const char *name, double value)
{
    json_object_set_new(body, name, json_real(value));
}

void infer_kind_set_flag(json_t *body, const char *name, bool value)
{
    json_object_set_new(body, name, json_boolean(value));
}

void infer_kind_set_neutral(json_t *body, const struct infer_request *request)
{
    infer_kind_set_real(body, "min_p", 0);
    infer_kind_set_real(body, "repetition_penalty", 1);
    infer_kind_set_real(body, "presence_penalty", 0);
    infer_kind_set_real(body, "frequency_penalty", 0);
    if (!request->ignore_eos)
        return;
    infer_kind_set_flag(body, "ignore_eos", true);
    infer_kind_set_int(body, "min_tokens", request->max_tokens);
}
