/* S-MBU and S-MFU of ten decode steps: ours, and what two predecessors make of the same steps.
 *
 * golden-metrics.csv has the steps and three results of each. The recommended one must be ours to
 * the last digit given, without norms, LM head and KV writes, which it leaves out. The other two
 * are known to be wrong: the tests compute them by the wrong formula, which must give the file's
 * number, and then show that ours does not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "model/cost.h"
#include "model/shape.h"
#include "published.h"

static const double h100_bytes_per_s = 3350e9;
static const double last_digit = 1e-6;

struct step {
    const char *config, *name;
    int devices, batch, context;
    double seconds, activated;
    enum cap_precision precision;
    double peak_flops; /* dense */
    double lb_smbu, lb_smfu, cap_smbu, cap_smfu, smbu, smfu;
};

enum { STEPS_MAX = 16, FIELDS = 14 };

struct golden {
    char text[STEPS_MAX][1024];
    struct step steps[STEPS_MAX];
    size_t count;
};

static const char *config_of(const char *golden)
{
    for (size_t i = 0; i < CAP_COUNT_OF(published); i++)
        if (published[i].golden && strcmp(published[i].golden, golden) == 0)
            return published[i].config;
    fail_msg("no config for %s", golden);
    return NULL;
}

static void read_step(char *line, struct step *out)
{
    char *f[FIELDS];
    int count = 0;

    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at && count < FIELDS; count++)
        f[count] = strsep(&at, ",");
    assert_int_equal(count, FIELDS);
    *out = (struct step){config_of(f[0]),
                         f[0],
                         atoi(f[1]),
                         atoi(f[3]),
                         atoi(f[4]),
                         atof(f[5]),
                         atof(f[6]),
                         cap_precision_find(f[2]),
                         0,
                         atof(f[7]),
                         atof(f[8]),
                         atof(f[9]),
                         atof(f[10]),
                         atof(f[11]),
                         atof(f[12])};
    out->peak_flops = out->precision == CAP_PRECISION_FP8 ? 1979e12 : 989.5e12;
}

static int open_golden(void **state)
{
    struct golden *g = calloc(1, sizeof *g);
    char path[1024], head[1024];

    snprintf(path, sizeof path, "%s/tests/unit/model/golden-metrics.csv",
             getenv("MOECAP_SOURCE_DIR"));
    CAP_AUTO_STREAM FILE *file = fopen(path, "r");
    if (!g || !file || !fgets(head, sizeof head, file))
        return -1;
    while (g->count < STEPS_MAX && fgets(g->text[g->count], sizeof g->text[0], file)) {
        read_step(g->text[g->count], &g->steps[g->count]);
        g->count++;
    }
    *state = g;
    return g->count == 10 ? 0 : -1;
}

static int close_golden(void **state)
{
    free(*state);
    return 0;
}

static struct cap_model *model_of(const struct step *s)
{
    struct cap_err err = {0};
    json_t *json = published_json(s->config);
    struct cap_model *model = cap_shape_model(json, &err);

    json_decref(json);
    if (!model)
        fail_msg("%s", err.text);
    return model;
}

/* ---- ours ---- */

static struct cap_cost_parts cost_of(const struct cap_model *model, const struct step *s)
{
    int64_t keys = (int64_t)s->batch * s->context;
    struct cap_cost_pass pass = {.tokens = s->batch,
                                 .sequences = s->batch,
                                 .logits_tokens = s->batch,
                                 .context_sum = keys,
                                 .attended_sum = (double)keys,
                                 .distinct_mean = s->activated,
                                 .format = cap_cost_format_plain(s->precision),
                                 .kv_element_bytes = 2};
    struct cap_cost_parts parts;

    cap_cost_by_part(model, &pass, &parts);
    return parts;
}

static double smbu_of(const struct cap_cost_parts *parts, const struct step *s)
{
    double bytes = 0;

    for (int i = 0; i < CAP_PART_COUNT; i++)
        if (i != CAP_PART_norms && i != CAP_PART_head && i != CAP_PART_kv_write)
            bytes += parts->bytes[i];
    return bytes / s->seconds / (s->devices * h100_bytes_per_s);
}

static double smfu_of(const struct cap_cost_parts *parts, const struct step *s)
{
    double flops = 0;

    for (int i = 0; i < CAP_PART_COUNT; i++)
        if (i != CAP_PART_head)
            flops += parts->flops[i];
    return flops / s->seconds / (s->devices * s->peak_flops);
}

static void check(const char *name, const char *what, double got, double want)
{
    if (fabs(got - want) > last_digit)
        fail_msg("%s: %s is %.8f, wanted %.6f", name, what, got, want);
}

static void recommended_column_is_reproduced(void **state)
{
    const struct golden *g = *state;

    for (size_t i = 0; i < g->count; i++) {
        const struct step *s = &g->steps[i];
        CAP_AUTO(cap_model) model = model_of(s);
        struct cap_cost_parts parts = cost_of(model, s);

        check(s->name, "S-MBU", smbu_of(&parts, s), s->smbu);
        check(s->name, "S-MFU", smfu_of(&parts, s), s->smfu);
    }
}

/* ---- theirs ---- */

/* How a predecessor counts a step; each member is one of its faults. */
struct theirs {
    bool one_expert;    /* D1: FLOPs of one expert, whatever top-k is */
    bool batch_squared; /* D2: the scores of the whole batch, for each token of it */
    bool no_context;    /* D3: tokens of the step stand for the context */
    bool right_shared;  /* not L10 */
};

struct counted {
    double bytes, flops;
};

static double scores_of(const struct cap_model_attention *a)
{
    return 2.0 * a->heads * (a->head_dim + (a->value_dim ? a->value_dim : a->head_dim));
}

/* Neither has routers, norms or the LM head, and the cache has the precision of the weights (D4). */
static struct counted count(const struct cap_model *model, const struct step *s,
                            const struct theirs *how)
{
    double weight = s->precision == CAP_PRECISION_FP8 ? 1 : 2, B = s->batch;
    double keys = how->no_context ? B : B * s->context;
    struct counted sum = {0, 0};

    for (int i = 0; i < model->layer_count; i++) {
        const struct cap_model_layer *l = &model->layers[i];
        const struct cap_model_attention *a = &l->attention;
        bool latent = a->kind == CAP_ATTENTION_MLA, routed = l->router.kind != CAP_ROUTER_NONE;
        double expert = 3.0 * model->hidden * l->mlp.inner;
        double shared =
            latent && !how->right_shared ? 2 * expert : 3.0 * model->hidden * l->mlp.shared_inner;
        double attention =
            latent
                ? model->hidden * (double)(a->kv_rank + a->rope_dim) +
                      (double)a->kv_rank * a->heads * (a->head_dim - a->rope_dim + a->value_dim) +
                      (double)a->heads * a->value_dim * model->hidden +
                      (a->q_rank ? (double)a->q_rank * (model->hidden + a->heads * a->head_dim)
                                 : (double)model->hidden * a->heads * a->head_dim)
                : 2.0 * model->hidden * (a->heads + a->kv_heads) * a->head_dim;
        double kv = latent ? a->kv_rank + a->rope_dim : 2.0 * a->kv_heads * a->head_dim;
        double mlp_bytes = routed ? s->activated * expert + shared : expert;
        double mlp = routed ? (how->one_expert ? 1 : l->router.top_k) * expert + shared : expert;

        sum.bytes += weight * (attention + mlp_bytes + kv * keys);
        sum.flops +=
            B * (2 * (attention + mlp) + scores_of(a) * s->context * (how->batch_squared ? B : 1));
    }
    return sum;
}

static double mbu(double bytes, const struct step *s)
{
    return bytes / s->seconds / (s->devices * h100_bytes_per_s);
}

static double mfu(double flops, const struct step *s)
{
    return flops / s->seconds / (s->devices * s->peak_flops);
}

/* The wrong formulas are understood: they give the numbers that the wrong programs gave. */
static void both_predecessors_columns_are_reproduced_by_their_faults(void **state)
{
    const struct theirs lb = {.one_expert = false};
    const struct theirs client = {.one_expert = true, .batch_squared = true};
    const struct golden *g = *state;

    for (size_t i = 0; i < g->count; i++) {
        const struct step *s = &g->steps[i];
        CAP_AUTO(cap_model) model = model_of(s);

        check(s->name, "LB's S-MBU", mbu(count(model, s, &lb).bytes, s), s->lb_smbu);
        check(s->name, "LB's S-MFU", mfu(count(model, s, &lb).flops, s), s->lb_smfu);
        check(s->name, "CAP26's S-MBU", mbu(count(model, s, &client).bytes, s), s->cap_smbu);
        check(s->name, "CAP26's S-MFU", mfu(count(model, s, &client).flops, s), s->cap_smfu);
    }
}

static const struct step *find_step(const struct golden *g, const char *name, int batch)
{
    for (size_t i = 0; i < g->count; i++)
        if (strstr(g->steps[i].name, name) && g->steps[i].batch == batch)
            return &g->steps[i];
    fail_msg("no step of %s at %d", name, batch);
    return NULL;
}

static void trap_d1_top_k_is_not_forgotten(void **state)
{
    const struct step *s = find_step(*state, "Qwen3-30B", 1);
    CAP_AUTO(cap_model) model = model_of(s);
    struct cap_cost_parts parts = cost_of(model, s);

    assert_true(s->smfu > 2 * s->cap_smfu); /* at batch 1 the other fault does not show */
    /* top-k 8 of 48 layers, 3 x 2048 x 768 numbers each */
    assert_true(parts.flops[CAP_PART_experts] == 2.0 * 48 * 8 * 3 * 2048 * 768);
}

/* Qwen3-30B, batch 32, context 2000, 10 ms: 0.0227 and not 0.170. */
static void trap_d2_scores_are_not_multiplied_by_the_batch_twice(void **state)
{
    const struct theirs client = {.one_expert = true, .batch_squared = true};
    struct step s = *find_step(*state, "Qwen3-30B", 32);
    CAP_AUTO(cap_model) model = model_of(&s);
    struct cap_cost_parts parts;

    s.context = 2000;
    s.seconds = 0.01;
    parts = cost_of(model, &s);
    check(s.name, "S-MFU", round(1e4 * smfu_of(&parts, &s)) / 1e4, 0.0227);
    check(s.name, "their S-MFU", round(1e3 * mfu(count(model, &s, &client).flops, &s)) / 1e3,
          0.170);
}

/* With tokens for the context the cache of 32 x 1,024 keys becomes that of 32. */
static void trap_d3_the_cache_is_that_of_the_context(void **state)
{
    const struct theirs lost = {.no_context = true};
    const struct step *s = find_step(*state, "Qwen3-30B", 32);
    CAP_AUTO(cap_model) model = model_of(s);
    struct cap_cost_parts parts = cost_of(model, s);

    assert_true(parts.bytes[CAP_PART_kv_read] == 2.0 * 49152 * 32 * 1024);
    assert_true(mbu(count(model, s, &lost).bytes, s) < 0.95 * smbu_of(&parts, s));
}

/* R1's weights take one byte each, its cache two. */
static void trap_d4_the_cache_has_a_precision_of_its_own(void **state)
{
    const struct step *s = find_step(*state, "DeepSeek-R1", 32);
    CAP_AUTO(cap_model) model = model_of(s);
    struct cap_cost_parts parts = cost_of(model, s);

    assert_true(parts.bytes[CAP_PART_kv_read] == 2.0 * 35136 * 32 * 1024);
}

/* Three of R1's 61 layers are dense: a mean over all 61 is not to be multiplied by 58. */
static void trap_d5_activation_counts_layers_with_experts_only(void **state)
{
    const struct step *s = find_step(*state, "DeepSeek-R1", 32);
    CAP_AUTO(cap_model) model = model_of(s);
    struct cap_cost_parts parts = cost_of(model, s);
    double theirs = s->activated * 58 / 61 * 58 * 44040192;

    assert_true(fabs(parts.bytes[CAP_PART_experts] - s->activated * 58 * 44040192) < 1);
    assert_true(theirs < 0.96 * parts.bytes[CAP_PART_experts]);
}

/* Two shared experts where there is one: L10 is why R1's columns differ at batch 1. */
static void trap_l10_r1_reads_one_shared_expert(void **state)
{
    const struct theirs fixed = {.right_shared = true};
    const struct step *s = find_step(*state, "DeepSeek-R1", 1);
    CAP_AUTO(cap_model) model = model_of(s);

    assert_true(fabs(s->lb_smbu - s->smbu) > 0.004);
    assert_true(fabs(mbu(count(model, s, &fixed).bytes, s) - s->smbu) < 0.0005);
}

/* The cache of one request is not that of the batch. */
static void trap_t11_the_cache_is_that_of_the_whole_batch(void **state)
{
    const struct step *one = find_step(*state, "Mixtral", 1),
                      *all = find_step(*state, "Mixtral", 32);
    CAP_AUTO(cap_model) model = model_of(all);
    struct cap_cost_parts alone = cost_of(model, one), together = cost_of(model, all);

    assert_true(together.bytes[CAP_PART_kv_read] == 32 * alone.bytes[CAP_PART_kv_read]);
    assert_true(together.flops[CAP_PART_scores] == 32 * alone.flops[CAP_PART_scores]);
}

/* ---- as executed ---- */

/* Absorbed, each head scores with 576 numbers and sums 512; expanded with 192 and 128. */
static void latent_attention_is_counted_as_executed(void **state)
{
    const struct step *s = find_step(*state, "DeepSeek-R1", 32);
    CAP_AUTO(cap_model) model = model_of(s);
    struct cap_cost_pass pass = {
        .tokens = 1, .attended_sum = 1000, .format = cap_cost_format_plain(CAP_PRECISION_FP8)};
    struct cap_cost_parts expanded, absorbed;

    cap_cost_by_part(model, &pass, &expanded);
    pass.absorbed = true;
    cap_cost_by_part(model, &pass, &absorbed);
    assert_true(expanded.flops[CAP_PART_scores] == 2.0 * 61 * 128 * (192 + 128) * 1000);
    assert_true(absorbed.flops[CAP_PART_scores] == 2.0 * 61 * 128 * (576 + 512) * 1000);
    assert_true(expanded.flops[CAP_PART_attention] == absorbed.flops[CAP_PART_attention]);
}

/* V3.2: of 10,000 keys each token attends to 2,048, and the indexer looks at them all. */
static void chosen_keys_are_counted_and_so_is_their_choice(void **state)
{
    const struct step *s = find_step(*state, "DeepSeek-R1", 1);
    json_t *json = published_json(s->config);
    struct cap_err err = {0};
    CAP_AUTO(cap_model) model = NULL;
    struct cap_cost_pass pass = {.tokens = 1,
                                 .context_sum = 10000,
                                 .context_sum_windowed = 2048,
                                 .attended_sum = 10000,
                                 .attended_sum_windowed = 2048,
                                 .format = cap_cost_format_plain(CAP_PRECISION_FP8),
                                 .kv_element_bytes = 2};
    struct cap_cost_parts parts;

    json_object_set_new(json, "model_type", json_string("deepseek_v32"));
    json_object_set_new(json, "index_n_heads", json_integer(64));
    json_object_set_new(json, "index_head_dim", json_integer(128));
    json_object_set_new(json, "index_topk", json_integer(2048));
    model = cap_shape_model(json, &err);
    json_decref(json);
    if (!model)
        fail_msg("%s", err.text);
    cap_cost_by_part(model, &pass, &parts);
    assert_true(parts.bytes[CAP_PART_kv_read] == 61 * 2.0 * (2048 * 576 + 10000 * 128));
    assert_true(parts.flops[CAP_PART_scores] ==
                61 * (2.0 * 128 * (192 + 128) * 2048 + 2.0 * 64 * 128 * 10000));
    assert_int_equal(cap_cost_kv_bytes_per_token(model, 1), 61 * (576 + 128));
}

static void uniform_choice_wakes_fewer_experts_than_tokens_choose(void **state)
{
    (void)state;
    assert_true(fabs(cap_cost_uniform_experts(128, 8, 1) - 8) < 1e-9);
    assert_true(fabs(cap_cost_uniform_experts(128, 8, 32) - 111.771) < 1e-3); /* as in the file */
    assert_true(cap_cost_uniform_experts(8, 8, 5) == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recommended_column_is_reproduced),
        cmocka_unit_test(both_predecessors_columns_are_reproduced_by_their_faults),
        cmocka_unit_test(trap_d1_top_k_is_not_forgotten),
        cmocka_unit_test(trap_d2_scores_are_not_multiplied_by_the_batch_twice),
        cmocka_unit_test(trap_d3_the_cache_is_that_of_the_context),
        cmocka_unit_test(trap_d4_the_cache_has_a_precision_of_its_own),
        cmocka_unit_test(trap_d5_activation_counts_layers_with_experts_only),
        cmocka_unit_test(trap_l10_r1_reads_one_shared_expert),
        cmocka_unit_test(trap_t11_the_cache_is_that_of_the_whole_batch),
        cmocka_unit_test(latent_attention_is_counted_as_executed),
        cmocka_unit_test(chosen_keys_are_counted_and_so_is_their_choice),
        cmocka_unit_test(uniform_choice_wakes_fewer_experts_than_tokens_choose),
    };

    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
