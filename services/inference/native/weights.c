/* Loading: plan every weight (its shape, and the type it will be kept in), see whether memory holds
 * them all, then look at every number for NaN and infinities while packing it. */
#include "native/weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/tensors.h"
#include "model/weights.h"
#include "native/inside.h"
#include "words/words.h"

const char *native_precision_name(enum native_precision precision)
{
    return cap_precision_computed().items[precision];
}

bool native_precision_from_name(const char *name, enum native_precision *out_precision)
{
    size_t at = cap_words_find(cap_precision_computed(), name);

    if (!*name)
        at = NATIVE_BF16;
    if (at < NATIVE_PRECISION_COUNT)
        *out_precision = (enum native_precision)at;
    return at < NATIVE_PRECISION_COUNT;
}

struct loader {
    struct native_model *model;
    const struct cap_tensors *tensors;
    struct cap_weight_reader reader;
    const struct native_model_options *options;
    struct cap_err *err;
    bool planning;  /* only add up bytes */
    uint64_t bytes; /* that the weights will take */
};

static bool view_of(const struct loader *load, enum cap_weight kind, int layer, int expert,
                    struct cap_weight_view *out)
{
    return cap_weights_view(load->model->shape, load->tensors, kind, layer, expert, out);
}

/* The view's next rows, whose numbers are good; not when nobody waits for the model any more. */
static bool next_block(struct loader *load, const struct cap_weight_view *view, int64_t row,
                       struct cap_weight_block *out)
{
    if (load->options->unwanted && load->options->unwanted(load->options->unwanted_arg))
        return cap_fail(load->err, CAP_CANCELLED, "nobody waits for the model any more");
    return cap_weights_read(&load->reader, view, row, out, load->err);
}

static enum moe_type type_of(const struct cap_weight_view *view)
{
    if (view->dtype == CAP_DTYPE_F16)
        return MOE_F16;
    return view->dtype == CAP_DTYPE_BF16 ? MOE_BF16 : MOE_F32;
}

static bool fail_memory(const struct loader *load)
{
    return cap_fail(load->err, CAP_RESOURCE_EXHAUSTED, "could not get memory for the weights");
}

static bool fail_device(const struct loader *load)
{
    const struct native_model *m = load->model;
    return cap_fail(load->err, CAP_UNAVAILABLE, "backend %s: could not take the weights: %s",
                    m->backend->name, m->backend->failure(m->dev));
}

/* ---- one packed weight from one or more stored ones, stacked by rows ---- */

enum { PARTS_MAX = 3 };

struct stack {
    enum cap_weight parts[PARTS_MAX];
    int part_count;
    int layer, experts; /* experts is 1 for a plain matrix */
    enum moe_layout layout;
    bool is_mlp; /* int8 under that precision */
};

static bool all_bf16(const struct loader *load, const struct stack *s)
{
    struct cap_weight_view view;
    for (int e = 0; e < s->experts; e++)
        for (int i = 0; i < s->part_count; i++)
            if (!view_of(load, s->parts[i], s->layer, e, &view) || view.dtype != CAP_DTYPE_BF16)
                return false;
    return true;
}

static enum moe_type kept_as(const struct loader *load, const struct stack *s)
{
    if (s->parts[0] == CAP_WEIGHT_ROUTER)
        return MOE_F32; /* small, and a rounded router chooses other experts */
    if (load->model->precision == NATIVE_F32)
        return all_bf16(load, s) ? MOE_BF16 : MOE_F32;
    return load->model->precision == NATIVE_INT8 && s->is_mlp ? MOE_I8 : MOE_BF16;
}

static bool stack_shape(const struct loader *load, const struct stack *s, struct moe_shape *out)
{
    *out = (struct moe_shape){.type = kept_as(load, s), .layout = s->layout, .experts = s->experts};
    for (int i = 0; i < s->part_count; i++) {
        int64_t rows, columns;
        cap_weights_shape(load->model->shape, s->parts[i], s->layer, &rows, &columns);
        if (rows > INT32_MAX - out->n || columns > INT32_MAX)
            return cap_fail(load->err, CAP_INVALID_ARGUMENT,
                            "a weight has %lld rows of %lld numbers", (long long)rows,
                            (long long)columns);
        out->n += (int)rows;
        out->k = (int)columns;
    }
    return true;
}

/* One stored weight into rows of a packed one, from `row` on. */
static bool put_view(struct loader *load, const struct cap_weight_view *view, int expert, int row,
                     struct moe_weight *weight)
{
    struct native_model *m = load->model;
    struct cap_weight_block block = {0};
    for (int64_t at = 0; at < view->rows; at += block.rows) {
        if (!next_block(load, view, at, &block))
            return false;
        if (m->backend->weight_put(m->dev, weight, expert, row + (int)at, (int)block.rows,
                                   block.data, type_of(view)) != MOE_OK)
            return fail_device(load);
    }
    return true;
}

static bool stack_fill(struct loader *load, const struct stack *s, struct moe_weight *weight)
{
    for (int e = 0; e < s->experts; e++) {
        int row = 0;
        for (int i = 0; i < s->part_count; i++) {
            struct cap_weight_view view;
            if (!view_of(load, s->parts[i], s->layer, e, &view))
                return false;
            if (!put_view(load, &view, e, row, weight))
                return false;
            row += (int)view.rows;
        }
    }
    return true;
}

static uint64_t shape_bytes(const struct moe_shape *s)
{
    uint64_t numbers = (uint64_t)s->experts * (uint64_t)s->n * (uint64_t)s->k;
    if (s->type == MOE_I8)
        return numbers + numbers / MOE_I8_GROUP * 2;
    return numbers * (s->type == MOE_F32 ? 4 : 2);
}

static bool put_stack(struct loader *load, const struct stack *s, struct moe_weight **out)
{
    struct moe_shape shape;
    if (!stack_shape(load, s, &shape))
        return false;
    if (load->planning) {
        load->bytes += shape_bytes(&shape);
        return true;
    }
    struct native_model *m = load->model;
    if (m->backend->weight_new(m->dev, &shape, out) != MOE_OK)
        return fail_memory(load);
    return stack_fill(load, s, *out);
}

static bool put_matrix(struct loader *load, enum cap_weight kind, int layer,
                       struct moe_weight **out)
{
    struct stack s = {.parts = {kind}, .part_count = 1, .layer = layer, .experts = 1};
    s.layout = kind == CAP_WEIGHT_EMBED ? MOE_ROWS : MOE_MATRIX;
    return put_stack(load, &s, out);
}

/* ---- vectors, in f32; several one after another ---- */

static bool put_vectors(struct loader *load, const enum cap_weight *kinds, int count, int layer,
                        struct moe_buf *out)
{
    struct native_model *m = load->model;
    int64_t numbers = 0, rows, columns;
    for (int i = 0; i < count; i++) {
        if (!cap_weights_shape(m->shape, kinds[i], layer, &rows, &columns))
            return true; /* the layer has none */
        numbers += rows;
    }
    if (load->planning) {
        load->bytes += (uint64_t)numbers * 4;
        return true;
    }
    CAP_AUTO_MEM float *values = calloc((size_t)numbers, sizeof(float));
    if (!values || m->backend->alloc(m->dev, (size_t)numbers * sizeof(float), out) != MOE_OK)
        return fail_memory(load);
    float *to = values;
    for (int i = 0; i < count; i++) {
        struct cap_weight_view view;
        struct cap_weight_block block = {0};
        if (!view_of(load, kinds[i], layer, 0, &view))
            return false;
        for (int64_t row = 0; row < view.rows; row += block.rows) {
            if (!next_block(load, &view, row, &block))
                return false;
            moe_to_f32(block.data, type_of(&view), (size_t)block.rows, to + row);
        }
        to += view.rows;
    }
    return m->backend->upload(m->dev, *out, 0, values, (size_t)numbers * sizeof(float)) == MOE_OK ||
           fail_device(load);
}

static bool put_vector(struct loader *load, enum cap_weight kind, int layer, struct moe_buf *out)
{
    return put_vectors(load, &kind, 1, layer, out);
}

/* ---- the model ---- */

static bool put_attention(struct loader *load, int layer, struct native_layer *to)
{
    static const enum cap_weight biases[] = {CAP_WEIGHT_Q_BIAS, CAP_WEIGHT_K_BIAS,
                                             CAP_WEIGHT_V_BIAS};
    struct stack qkv = {.parts = {CAP_WEIGHT_Q, CAP_WEIGHT_K, CAP_WEIGHT_V},
                        .part_count = 3,
                        .layer = layer,
                        .experts = 1};
    return put_vector(load, CAP_WEIGHT_ATTENTION_NORM, layer, &to->attention_norm) &&
           put_stack(load, &qkv, &to->qkv) && put_vectors(load, biases, 3, layer, &to->qkv_bias) &&
           put_vector(load, CAP_WEIGHT_Q_NORM, layer, &to->q_norm) &&
           put_vector(load, CAP_WEIGHT_K_NORM, layer, &to->k_norm) &&
           put_matrix(load, CAP_WEIGHT_O, layer, &to->o) &&
           put_vector(load, CAP_WEIGHT_O_BIAS, layer, &to->o_bias);
}

static bool put_mlp(struct loader *load, int layer, struct native_layer *to)
{
    const struct cap_model_router *router = &load->model->shape->layers[layer].router;
    bool sparse = router->kind != CAP_ROUTER_NONE;
    struct stack up = {.parts = {CAP_WEIGHT_GATE, CAP_WEIGHT_UP},
                       .part_count = 2,
                       .layer = layer,
                       .experts = sparse ? router->experts : 1,
                       .layout = MOE_PAIRED,
                       .is_mlp = true};
    struct stack down = {.parts = {CAP_WEIGHT_DOWN},
                         .part_count = 1,
                         .layer = layer,
                         .experts = up.experts,
                         .is_mlp = true};
    if (sparse) {
        up.parts[0] = CAP_WEIGHT_EXPERT_GATE;
        up.parts[1] = CAP_WEIGHT_EXPERT_UP;
        down.parts[0] = CAP_WEIGHT_EXPERT_DOWN;
    }
    return put_vector(load, CAP_WEIGHT_MLP_NORM, layer, &to->mlp_norm) &&
           (!sparse || put_matrix(load, CAP_WEIGHT_ROUTER, layer, &to->router)) &&
           put_stack(load, &up, &to->gate_up) && put_stack(load, &down, &to->down);
}

/* A tied head is packed once more: rows to fetch and panels to multiply are laid out differently.
 */
static bool put_all(struct loader *load)
{
    struct native_model *m = load->model;
    bool ok = put_matrix(load, CAP_WEIGHT_EMBED, 0, &m->embed) &&
              put_matrix(load, CAP_WEIGHT_LM_HEAD, 0, &m->head) &&
              put_vector(load, CAP_WEIGHT_NORM, 0, &m->norm);
    for (int i = 0; ok && i < m->shape->layer_count; i++)
        ok = put_attention(load, i, &m->layers[i]) && put_mlp(load, i, &m->layers[i]);
    return ok;
}

static bool check_supported(const struct cap_model *shape, struct cap_err *err)
{
    for (int i = 0; i < shape->layer_count; i++) {
        const struct cap_model_layer *layer = &shape->layers[i];
        const struct cap_model_attention *a = &layer->attention;
        if (a->head_dim % 2 != 0 || a->head_dim > MOE_HEAD_DIM_MAX)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "head_dim %d: the native engine needs an even one of at most %d",
                            a->head_dim, MOE_HEAD_DIM_MAX);
        if (layer->router.top_k > MOE_TOP_K_MAX)
            return cap_fail(err, CAP_UNIMPLEMENTED, "%d experts per token: at most %d can be used",
                            layer->router.top_k, MOE_TOP_K_MAX);
        if (layer->mlp.shared_inner > 0)
            return cap_fail(err, CAP_UNIMPLEMENTED,
                            "layer %d has shared experts, which the native engine does not run", i);
    }
    return true;
}

static bool load_weights(struct native_model *model, const char *dir,
                         const struct native_model_options *options, struct cap_err *err)
{
    CAP_AUTO(cap_tensors) tensors = cap_tensors_open(dir, err);
    if (!tensors || !cap_weights_check(model->shape, tensors, err))
        return false;
    struct loader load = {.model = model,
                          .tensors = tensors,
                          .reader = {.tensors = tensors},
                          .options = options,
                          .err = err,
                          .planning = true};
    uint64_t most =
        options->memory_bytes_max ? options->memory_bytes_max : native_model_memory(model);
    if (!put_all(&load))
        return false;
    if (load.bytes > most)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                        "the weights need %.2f GiB in %s, %.2f GiB of memory may be used",
                        (double)load.bytes / (1 << 30), native_precision_name(model->precision),
                        (double)most / (1 << 30));
    load.planning = false;
    bool ok = put_all(&load);
    cap_weights_reader_done(&load.reader);
    return ok;
}

int native_devices(struct moe_device *out, int max)
{
    int count = 0;
    for (int i = 0; moe_backends[i]; i++)
        if (moe_backends[i]->devices)
            count += moe_backends[i]->devices(out + count, max - count);
    return count;
}

uint64_t native_model_memory(const struct native_model *model)
{
    if (model->backend->memory_left)
        return model->backend->memory_left(model->dev);
    return native_memory_available();
}

static uint64_t weight_bytes(const struct native_model *m, const struct moe_weight *weight)
{
    return weight ? m->backend->weight_bytes(weight) : 0;
}

static void count_bytes(struct native_model *m)
{
    m->bytes_head = weight_bytes(m, m->head) + m->norm.bytes;
    for (int i = 0; i < m->shape->layer_count; i++) {
        const struct native_layer *l = &m->layers[i];
        m->bytes_every_pass += weight_bytes(m, l->qkv) + weight_bytes(m, l->o) +
                               weight_bytes(m, l->router) + l->attention_norm.bytes +
                               l->mlp_norm.bytes + l->q_norm.bytes + l->k_norm.bytes +
                               l->qkv_bias.bytes + l->o_bias.bytes;
        if (!l->router)
            m->bytes_every_pass += weight_bytes(m, l->gate_up) + weight_bytes(m, l->down);
    }
}

uint64_t native_model_expert_bytes(const struct native_model *model, int layer)
{
    const struct native_layer *l = &model->layers[layer];
    return l->router ? weight_bytes(model, l->gate_up) + weight_bytes(model, l->down) : 0;
}

static bool open_device(struct native_model *model, const struct native_model_options *options,
                        struct cap_err *err)
{
    const char *name = options->backend && *options->backend ? options->backend : "cpu";
    CAP_AUTO_BUF(known, 256);
    model->backend = moe_backend_find(name);
    for (int i = 0; moe_backends[i]; i++)
        cap_buf_printf(&known, "%s%s", i ? ", " : "", moe_backends[i]->name);
    if (!model->backend)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no backend \"%s\"; known: %s", name,
                        known.data);
    struct moe_options device = {.threads = options->threads,
                                 .isa = options->isa ? options->isa : getenv("MOECAP_ISA"),
                                 .round_activations = options->precision != NATIVE_F32};
    char why[200];
    if (model->backend->open(&device, &model->dev, why, sizeof(why)) != MOE_OK)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "backend %s: %s", name, why);
    return true;
}

struct native_model *native_model_open(const char *dir, const struct native_model_options *options,
                                       struct cap_err *err)
{
    CAP_AUTO(native_model) model = calloc(1, sizeof(*model));
    if (!model) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory");
        return NULL;
    }
    model->precision = options->precision;
    model->shape = cap_model_open(dir, err);
    if (!model->shape || !check_supported(model->shape, err) || !open_device(model, options, err))
        return NULL;
    model->layers = calloc((size_t)model->shape->layer_count, sizeof(*model->layers));
    model->moe_layers = cap_model_moe_layers(model->shape);
    model->experts = cap_model_experts(model->shape);
    model->top_k = cap_model_top_k(model->shape);
    if (!model->layers || !load_weights(model, dir, options, err)) {
        cap_fail_in(err, "load \"%s\"", dir);
        return NULL;
    }
    count_bytes(model);
    return cap_take(model);
}

static void free_layer(struct native_model *model, struct native_layer *l)
{
    struct moe_buf *bufs[] = {&l->attention_norm, &l->mlp_norm, &l->q_norm,
                              &l->k_norm,         &l->qkv_bias, &l->o_bias};
    struct moe_weight *weights[] = {l->qkv, l->o, l->router, l->gate_up, l->down};
    for (size_t i = 0; i < CAP_COUNT_OF(bufs); i++)
        model->backend->release(model->dev, bufs[i]);
    for (size_t i = 0; i < CAP_COUNT_OF(weights); i++)
        model->backend->weight_free(model->dev, weights[i]);
}

void native_model_free(struct native_model *model)
{
    if (!model)
        return;
    if (model->dev) {
        for (int i = 0; model->layers && i < model->shape->layer_count; i++)
            free_layer(model, &model->layers[i]);
        model->backend->weight_free(model->dev, model->embed);
        model->backend->weight_free(model->dev, model->head);
        model->backend->release(model->dev, &model->norm);
        model->backend->close(model->dev);
    }
    free(model->layers);
    cap_model_free(model->shape);
    free(model);
}
