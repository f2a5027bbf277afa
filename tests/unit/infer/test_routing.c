/* What the router chose on its way into a batch: summed over requests, and request by request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inference/node/rows.h"
#include "moecap/v1/inference.pb-c.h"

/* ---- sums ---- */

static void never_full(void *arg)
{
    (void)arg;
    fail_msg("the rows are not full");
}

static void count_full(void *arg)
{
    struct infer_rows *rows = arg;

    cap_buf_clear(&rows->bytes);
    rows->answers++; /* counts the calls */
}

static void the_sums_of_a_large_model_are_more_than_one_batch(void **state)
{
    enum { LAYERS = 100, EXPERTS = 4096 };
    int layers[LAYERS] = {0};
    CAP_AUTO_MEM uint32_t *counts = calloc(LAYERS * EXPERTS, sizeof *counts);
    struct infer_expert_sums sums = {0};
    struct infer_rows rows;
    struct infer_pass pass = {.phase = INFER_PREFILL,
                              .sequences = 1,
                              .moe_layers = LAYERS,
                              .experts = EXPERTS,
                              .moe_layer_ids = layers,
                              .expert_counts = counts};

    (void)state;
    for (int i = 0; i < LAYERS * EXPERTS; i++)
        counts[i] = 3000000000u; /* 5 bytes each on the wire: 2 MB */
    infer_rows_init(&rows);
    infer_expert_sums_pass(&sums, &pass);
    infer_expert_sums_flush(&sums, &rows, count_full, &rows);
    assert_in_range(rows.answers, 3, 4);
    infer_expert_sums_done(&sums);
    infer_rows_done(&rows);
}

static void selections_are_summed_by_phase_and_batch_bucket(void **state)
{
    static const int layers[] = {1, 3};
    static const uint32_t counts[] = {1, 0, 2, 0, 3, 0};
    struct infer_expert_sums sums = {0};
    struct infer_rows rows;
    struct infer_pass pass = {.phase = INFER_DECODE,
                              .sequences = 3,
                              .moe_layers = 2,
                              .experts = 3,
                              .moe_layer_ids = layers,
                              .expert_counts = counts};
    size_t length;

    (void)state;
    infer_rows_init(&rows);
    infer_expert_sums_pass(&sums, &pass);
    pass.sequences = 4;
    infer_expert_sums_pass(&sums, &pass); /* 3 and 4 share the bucket 4 */
    assert_int_equal(sums.of[INFER_DECODE - 1][2][0], 2);
    assert_int_equal(sums.of[INFER_DECODE - 1][2][4], 6);
    infer_expert_sums_flush(&sums, &rows, never_full, NULL);
    length = rows.bytes.length;
    assert_true(length > 0);
    infer_expert_sums_flush(&sums, &rows, never_full, NULL); /* deltas: nothing happened since */
    assert_int_equal(rows.bytes.length, length);
    infer_expert_sums_done(&sums);
    infer_rows_done(&rows);
}

/* ---- of one answer ---- */

static Moecap__V1__AnswerRows *unpack_rows(const struct infer_rows *rows)
{
    Moecap__V1__AnswerRows *message = moecap__v1__answer_rows__unpack(
        NULL, rows->bytes.length, (const uint8_t *)rows->bytes.data);

    assert_non_null(message);
    return message;
}

static void the_routing_of_an_answer_goes_out_by_layer_and_phase(void **state)
{
    static const int layers[] = {1, 3};
    static const uint32_t prefill[] = {1, 0, 3, 0, 4, 0}, decode[] = {0, 0, 0, 7, 0, 300};
    struct infer_routing routing = {.source = "engine",
                                    .moe_layers = 2,
                                    .experts = 3,
                                    .top_k = 2,
                                    .moe_layer_ids = layers,
                                    .prefill = prefill,
                                    .decode = decode};
    struct infer_answer answer = {.text = "", .reasoning = "", .routing = &routing};
    struct infer_rows rows;

    (void)state;
    infer_rows_init(&rows);
    infer_rows_answer(&rows, &answer);
    answer.routing = NULL;
    infer_rows_answer(&rows, &answer);
    Moecap__V1__AnswerRows *sent = unpack_rows(&rows);
    Moecap__V1__SampleRouting *got = sent->answers[0]->routing;
    assert_string_equal(got->source, "engine");
    assert_int_equal(got->experts, 3);
    assert_int_equal(got->top_k, 2);
    assert_int_equal(got->n_layers, 2);
    assert_int_equal(got->layers[0]->layer, 1);
    assert_memory_equal(got->layers[0]->prefill, prefill, 3 * sizeof *prefill);
    assert_int_equal(got->layers[0]->n_decode, 0); /* nothing was chosen */
    assert_memory_equal(got->layers[1]->decode, decode + 3, 3 * sizeof *decode);
    assert_null(sent->answers[1]->routing);
    moecap__v1__answer_rows__free_unpacked(sent, NULL);
    infer_rows_done(&rows);
}

/* 61 layers of 256 experts fit with counts of a long context; far larger ones are left out. */
static void a_routing_past_its_limit_is_left_out_and_the_answer_kept(void **state)
{
    enum { LAYERS = 61, EXPERTS = 4096 };
    int layers[LAYERS];
    CAP_AUTO_MEM uint32_t *counts = calloc(LAYERS * EXPERTS, sizeof *counts);
    struct infer_routing routing = {.source = "engine",
                                    .moe_layers = LAYERS,
                                    .experts = 256,
                                    .top_k = 8,
                                    .moe_layer_ids = layers,
                                    .prefill = counts,
                                    .decode = counts};
    struct infer_answer answer = {.text = "kept", .reasoning = "", .routing = &routing};
    struct infer_rows rows;

    (void)state;
    for (int i = 0; i < LAYERS; i++)
        layers[i] = i;
    for (int i = 0; i < LAYERS * EXPERTS; i++)
        counts[i] = 131072;
    infer_rows_init(&rows);
    infer_rows_answer(&rows, &answer);
    assert_true(rows.routing_seen);
    assert_false(rows.routing_left_out);
    routing.experts = EXPERTS;
    infer_rows_answer(&rows, &answer);
    assert_true(rows.routing_left_out);
    Moecap__V1__AnswerRows *sent = unpack_rows(&rows);
    assert_int_equal(sent->answers[0]->routing->n_layers, LAYERS);
    assert_null(sent->answers[1]->routing);
    assert_string_equal(sent->answers[1]->text, "kept");
    moecap__v1__answer_rows__free_unpacked(sent, NULL);
    infer_rows_done(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selections_are_summed_by_phase_and_batch_bucket),
        cmocka_unit_test(the_sums_of_a_large_model_are_more_than_one_batch),
        cmocka_unit_test(the_routing_of_an_answer_goes_out_by_layer_and_phase),
        cmocka_unit_test(a_routing_past_its_limit_is_left_out_and_the_answer_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
