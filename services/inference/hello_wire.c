#include "hello_wire.h"

#include "engine.h"
#include "hardware_wire.h"

static void add_engines(Moecap__V1__NodeHello *message, struct cap_arena *arena)
{
    size_t count = 0;

    while (infer_engine_at((int)count))
        count++;
    message->engines = cap_arena_array(arena, count, sizeof *message->engines);
    message->n_engines = count;
    for (size_t i = 0; i < count; i++)
        message->engines[i] = (char *)infer_engine_at((int)i)->name;
}

static void add_precisions(Moecap__V1__NodeHello *message, const char *const *precisions)
{
    message->precisions = (char **)precisions;
    while (precisions[message->n_precisions])
        message->n_precisions++;
}

static void add_models(Moecap__V1__NodeHello *message, struct infer_models *models,
                       struct cap_arena *arena)
{
    size_t count = (size_t)models->count;

    message->models = cap_arena_array(arena, count, sizeof *message->models);
    message->n_models = count;
    for (size_t i = 0; i < count; i++) {
        const struct infer_model *model = &models->list[i];
        Moecap__V1__NodeModel *out = cap_arena_alloc(arena, sizeof *out);

        moecap__v1__node_model__init(out);
        out->name = model->name;
        out->path = model->path;
        out->family = model->family;
        out->sha256 = cap_arena_alloc(arena, CAP_SHA256_HEX_BYTES);
        infer_models_sha256(models, (int)i, out->sha256);
        out->bytes = model->bytes;
        if (model->context_max > 0) {
            out->opt_context_case = MOECAP__V1__NODE_MODEL__OPT_CONTEXT_CONTEXT_TOKENS;
            out->context_tokens = (uint32_t)model->context_max;
        }
        out->problem = model->problem;
        message->models[i] = out;
    }
}

Moecap__V1__NodeHello *infer_hello_to_wire(const struct infer_hello *hello, struct cap_arena *arena)
{
    Moecap__V1__NodeHello *message = cap_arena_alloc(arena, sizeof *message);
    struct infer_hardware_message *hardware = cap_arena_alloc(arena, sizeof *hardware);

    moecap__v1__node_hello__init(message);
    message->name = (char *)hello->name;
    message->version = MOECAP_VERSION;
    message->endpoint = (char *)hello->endpoint;
    message->any_model_path = hello->any_model_path;
    message->hardware = infer_hardware_to_wire(hello->hardware, hardware);
    add_engines(message, arena);
    add_precisions(message, hello->precisions);
    add_models(message, hello->models, arena);
    return message;
}
