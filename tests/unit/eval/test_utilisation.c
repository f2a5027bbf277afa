/* S-MBU and S-MFU from passes: worked vectors, and the traps of those who computed them before:
 * wrong denominators, means of ratios, passes of two kinds, a gap that wipes out its neighbours. */
#include "vectors.h"

#include <math.h>

#include "evaluator/measure.h"

static struct cap_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = cap_arena_new(64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

/* ---- a run ---- */

/* What the messages of a run say, and the run that they are; a test changes what it is about. */
struct told {
    Moecap__V1__EvidenceHeader header;
    Moecap__V1__EvaluationSpec spec;
    Moecap__V1__Hardware hardware;
    Moecap__V1__Parallelism parallelism;
    Moecap__V1__TaskInfo task;
    Moecap__V1__ShardReport report;
    Moecap__V1__NodeHardware node;
    Moecap__V1__ComputeRate rate, *rates[1];
};

/* Our engine in bf16 on two sockets of 307.2 GB/s and 373.5552 TFLOP/s, of which the probe attained
 * 400 GB/s and 2 TFLOP/s. */
static void tell(struct told *told)
{
    moecap__v1__evidence_header__init(&told->header);
    moecap__v1__evaluation_spec__init(&told->spec);
    moecap__v1__hardware__init(&told->hardware);
    moecap__v1__parallelism__init(&told->parallelism);
    moecap__v1__task_info__init(&told->task);
    moecap__v1__shard_report__init(&told->report);
    moecap__v1__node_hardware__init(&told->node);
    moecap__v1__compute_rate__init(&told->rate);
    told->header.spec = &told->spec;
    told->header.task = &told->task;
    told->header.report = &told->report;
    told->header.attempted = told->header.attempts = 1;
    told->task.output_type = "generate_until";
    told->spec.precision = "bf16";
    told->spec.hardware = &told->hardware;
    told->spec.parallelism = &told->parallelism;
    told->report.timing_boundary = "engine";
    told->report.hardware = &told->node;
    told->node.cpu = "Intel(R) Xeon(R) Platinum 8468";
    told->node.sockets = 2;
    told->node.last_level_cache_bytes = 1; /* as good as none */
    told->node.opt_read_bandwidth_case =
        MOECAP__V1__NODE_HARDWARE__OPT_READ_BANDWIDTH_READ_BANDWIDTH_GB_S;
    told->node.read_bandwidth_gb_s = 400;
    told->rate.precision = "bf16";
    told->rate.gflop_per_s = 2000;
    told->rates[0] = &told->rate;
    told->node.compute = told->rates;
    told->node.n_compute = 1;
}

/* A server of others, with what the submitter says of its machine. */
static void tell_server(struct told *told, const char *hardware)
{
    tell(told);
    told->report.timing_boundary = "http";
    told->hardware.description = (char *)hardware;
}

static struct eval_evidence *evidence_of(const struct told *told)
{
    struct eval_run run;
    struct cap_err err = {0};

    assert_true(eval_run_read(&told->header, arena, &run, &err));
    return eval_evidence_new(&run);
}

static void add_pass(struct eval_evidence *e, Moecap__V1__Phase phase, double gb, double gflop,
                     double ms)
{
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT;

    pass.phase = phase;
    pass.sequences = 4;
    pass.tokens = 8;
    pass.duration_ns = (uint64_t)(ms * 1e6);
    pass.opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
    pass.weight_bytes = (uint64_t)(gb * 0.75e9);
    pass.opt_kv_bytes_case = MOECAP__V1__PASS__OPT_KV_BYTES_KV_BYTES;
    pass.kv_bytes = (uint64_t)(gb * 0.25e9);
    pass.opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
    pass.flops = gflop * 1e9;
    eval_evidence_add_pass(e, &pass);
}

#define PREFILL MOECAP__V1__PHASE__PHASE_PREFILL
#define DECODE MOECAP__V1__PHASE__PHASE_DECODE
#define MIXED MOECAP__V1__PHASE__PHASE_MIXED

/* ---- its figures ---- */

static const Moecap__V1__Figure *figure(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_figures; i++)
        if (strcmp(summary.figures[i]->id, id) == 0)
            return summary.figures[i];
    fail_msg("there is no figure %s", id);
    return NULL;
}

static void assert_figure(struct eval_evidence *e, const char *id, double expected,
                          const char *basis)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (!f->opt_value_case || fabs(f->value - expected) > 1e-9 * fabs(expected))
        fail_msg("%s is %.17g (%s), expected %.17g", id, f->value, f->reason, expected);
    assert_string_equal(f->reason, "");
    assert_string_equal(f->basis, basis);
    assert_false(f->invalid);
}

static void assert_none(struct eval_evidence *e, const char *id, const char *reason)
{
    const Moecap__V1__Figure *f = figure(e, id);

    if (f->opt_value_case)
        fail_msg("%s is %g, not null", id, f->value);
    assert_string_equal(f->reason, reason);
    assert_string_equal(f->basis, "unavailable");
}

static void assert_invalid(struct eval_evidence *e, const char *id, double value,
                           const char *reason)
{
    const Moecap__V1__Figure *f = figure(e, id);

    assert_true(f->opt_value_case && fabs(f->value - value) < 1e-9 * value);
    assert_true(f->invalid);
    assert_string_equal(f->reason, reason);
}

/* ---- worked vectors ---- */

static void utilisation_is_work_over_time_over_the_peak(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);    /* 307.2 GB/s, 400 GFLOP/s */
    add_pass(e, PREFILL, 3.072, 100, 80); /* 38.4 GB/s, 1250 GFLOP/s */
    assert_figure(e, "peak_gb_per_s", 614.4, "nameplate");
    assert_figure(e, "peak_gflop_per_s", 2 * 373555.2, "nameplate");
    assert_figure(e, "attainable_gb_per_s", 400, "measured");
    assert_figure(e, "attainable_gflop_per_s", 2000, "measured");
    assert_figure(e, "smbu_decode", 0.5, "derived");
    assert_figure(e, "smbu_decode_attainable", 0.768, "derived");
    assert_figure(e, "smfu_decode_attainable", 0.2, "derived");
    assert_figure(e, "smbu_prefill", 0.0625, "derived");
    assert_figure(e, "smfu_prefill", 1250 / 747110.4, "derived");
    assert_figure(e, "smfu_prefill_attainable", 0.625, "derived");
    assert_none(e, "smbu_mixed", "no mixed passes");
}

static const Moecap__V1__Histogram *histogram(struct eval_evidence *e, const char *id)
{
    Moecap__V1__Summary summary;

    assert_true(eval_measure(e, arena, &summary));
    for (size_t i = 0; i < summary.n_histograms; i++)
        if (strcmp(summary.histograms[i]->id, id) == 0)
            return summary.histograms[i];
    return NULL;
}

/* Passes in the bucket that holds this rate. */
static uint64_t passes_at(const Moecap__V1__Histogram *h, double rate)
{
    double from = h->lowest;

    for (size_t i = 0; i < h->n_counts; i++, from *= h->growth)
        if (rate >= from && rate < from * h->growth)
            return h->counts[i];
    return 0;
}

static void the_distribution_over_passes_is_kept(void **state)
{
    struct told told;
    const Moecap__V1__Histogram *h;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 3, 4, 10); /* 300 GB/s, 400 GFLOP/s */
    add_pass(e, DECODE, 3, 4, 10);
    add_pass(e, DECODE, 3, 4, 90); /* 33 and 44 */
    h = histogram(e, "decode_gb_per_s");
    assert_non_null(h);
    assert_int_equal(passes_at(h, 300), 2);
    assert_int_equal(passes_at(h, 33.3), 1);
    h = histogram(e, "decode_gflop_per_s");
    assert_non_null(h);
    assert_int_equal(passes_at(h, 400), 2);
    assert_null(histogram(e, "prefill_gb_per_s"));
}

/* ---- traps ---- */

static void trap_d16_a_mixed_pass_is_in_neither_phase(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);
    add_pass(e, MIXED, 3.072, 20, 40);
    assert_figure(e, "smbu_decode", 0.5, "derived");
    assert_figure(e, "decode_tokens_per_s", 800, "measured");
    assert_none(e, "smbu_prefill", "no prefill passes");
    assert_figure(e, "smbu_mixed", 0.125, "derived");
    assert_figure(e, "smfu_mixed_attainable", 0.25, "derived");
}

static void trap_d17_it_is_a_sum_over_a_sum_not_a_mean_of_ratios(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 3, 4, 10); /* 300 GB/s */
    add_pass(e, DECODE, 3, 4, 90); /* 33 GB/s: the mean of both would be 167, not 60 */
    assert_figure(e, "smbu_decode_attainable", 0.15, "derived");
    assert_figure(e, "smfu_decode_attainable", 0.04, "derived");
}

/* Sixteen passes, of which every third is three times as fast. */
static void a_utilisation_is_as_sure_as_its_rate(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    for (int i = 0; i < 16; i++)
        add_pass(e, DECODE, 3, 4, i % 3 ? 50 : 17);
    const Moecap__V1__Figure *smbu = figure(e, "smbu_decode_attainable"),
                             *rate = figure(e, "decode_gb_per_s");
    assert_true(smbu->low < smbu->value && smbu->value < smbu->high);
    assert_true(fabs(smbu->high / smbu->value - rate->high / rate->value) < 1e-9);
    assert_true(figure(e, "smfu_decode_attainable")->opt_low_case != 0);
}

static void trap_c10_a_pass_without_duration_lends_no_work(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);
    add_pass(e, DECODE, 3.072, 4, 0);
    assert_figure(e, "smbu_decode", 0.5, "derived");
    assert_figure(e, "smfu_decode_attainable", 0.2, "derived");
}

static void trap_t2_sequences_of_a_pass_multiply_nothing(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, PREFILL, 1, 20, 20); /* 4 sequences, 8 tokens */
    assert_figure(e, "smfu_prefill_attainable", 0.5, "derived");
    assert_figure(e, "prefill_tokens_per_s", 400, "measured");
}

static void trap_c25_an_unknown_peak_takes_no_other_figure_with_it(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.node.cpu = "AMD EPYC";
    told.node.n_compute = 0;
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);
    assert_none(e, "smbu_decode",
                "unknown device \"AMD EPYC\"; `moecap hardware` lists all; --peak-bandwidth and "
                "--peak-flops declare its peaks");
    assert_none(e, "smfu_decode_attainable", "the node did not measure what it attains in bf16");
    assert_figure(e, "smbu_decode_attainable", 0.768, "derived");
    assert_figure(e, "decode_tokens_per_s", 800, "measured");
    assert_figure(e, "decode_gb_per_s", 307.2, "derived");
}

static void trap_d18_a_count_that_is_no_number_is_not_reckoned_with(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell_server(&told, "N/A x H100-SXM");
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);
    assert_none(
        e, "peak_gb_per_s",
        "\"N/A x H100-SXM\" is not from 1 to 4096 devices; --peak-bandwidth and --peak-flops "
        "declare its peaks");
    assert_none(
        e, "smbu_decode",
        "\"N/A x H100-SXM\" is not from 1 to 4096 devices; --peak-bandwidth and --peak-flops "
        "declare its peaks");
    assert_figure(e, "decode_tokens_per_s", 800, "measured");
}

static void trap_t1_the_number_of_devices_is_said_once(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL, *eight = NULL;

    (void)state;
    tell_server(&told, "1x H100-SXM");
    told.parallelism.tensor = 4;
    told.parallelism.pipeline = 2;
    e = evidence_of(&told);
    assert_none(e, "peak_gb_per_s", "parallelism needs 8 devices, \"1x H100-SXM\" says 1");
    told.hardware.description = "H100-SXM"; /* how many, the parallelism says */
    eight = evidence_of(&told);
    assert_figure(eight, "peak_gb_per_s", 8 * 3350, "declared");
    assert_figure(eight, "peak_gflop_per_s", 8 * 989500, "declared");
}

static void trap_t6_a_utilisation_above_one_is_invalid(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    add_pass(e, DECODE, 6.144, 40, 8);
    assert_invalid(e, "smbu_decode", 1.25,
                   "1.25 times what the machine can do by its data sheet: the peak is another one");
    assert_invalid(e, "smfu_decode_attainable", 2.5,
                   "2.5 times what the machine attained when its node started: it was busy then");
    assert_figure(e, "smfu_decode", 5000 / 747110.4, "derived");
}

static void trap_d5_activation_is_a_mean_over_the_layers_that_have_experts(void **state)
{
    struct told told;
    uint32_t distinct[] = {4, 8}; /* of a model with dense layers beside these two */
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.report.moe_layers = 2;
    told.report.experts = 8;
    told.report.top_k = 2;
    e = evidence_of(&told);
    pass.phase = DECODE;
    pass.tokens = pass.sequences = 4;
    pass.duration_ns = 1000;
    pass.distinct_experts = distinct;
    pass.n_distinct_experts = 2;
    eval_evidence_add_pass(e, &pass);
    assert_figure(e, "activated_experts_decode", 6, "measured");
}

static void trap_c4_earlier_chunks_are_no_tokens_of_a_chunk(void **state)
{
    struct told told;
    Moecap__V1__Pass pass = MOECAP__V1__PASS__INIT;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    e = evidence_of(&told);
    pass.phase = PREFILL;
    pass.sequences = 1;
    pass.tokens = 64;
    pass.duration_ns = 1000000;
    for (pass.context_sum = 64; pass.context_sum <= 256; pass.context_sum += 64)
        eval_evidence_add_pass(e, &pass);
    assert_figure(e, "prefill_tokens_per_s", 64000, "measured"); /* not 160,000 */
}

/* ---- caches ---- */

static void what_the_cache_may_have_kept_is_no_memory_traffic(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.node.last_level_cache_bytes = 100000000;
    e = evidence_of(&told);
    add_pass(e, DECODE, 0.5, 4, 2); /* 0.4 GB of it came from memory */
    assert_figure(e, "smbu_decode_attainable", 0.5, "derived");
    add_pass(e, DECODE, 0.1, 4, 2); /* none of it */
    assert_figure(e, "smbu_decode_attainable", 0.25, "derived");
}

static void a_model_that_fits_in_the_cache_has_no_valid_bandwidth(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.node.last_level_cache_bytes = 210000000;
    e = evidence_of(&told);
    add_pass(e, DECODE, 0.2, 4, 2);
    assert_invalid(e, "smbu_decode_attainable", 0.25,
                   "what a pass reads fits in the last-level cache of 210 MB: it is no memory "
                   "traffic");
    assert_invalid(e, "smbu_decode", 100 / 614.4,
                   "what a pass reads fits in the last-level cache of 210 MB: it is no memory "
                   "traffic");
    assert_figure(e, "smfu_decode_attainable", 1, "derived");
}

static void without_a_known_cache_nobody_knows_what_memory_gave(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.node.last_level_cache_bytes = 0;
    e = evidence_of(&told);
    add_pass(e, DECODE, 3.072, 4, 10);
    assert_none(e, "smbu_decode",
                "the node does not know its last-level cache, so not what memory gave");
    assert_figure(e, "smfu_decode_attainable", 0.2, "derived");
}

/* ---- where peaks come from ---- */

static void declared_peaks_win_and_make_the_figure_declared(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.hardware.opt_peak_bandwidth_case =
        MOECAP__V1__HARDWARE__OPT_PEAK_BANDWIDTH_PEAK_BANDWIDTH_GB_S;
    told.hardware.peak_bandwidth_gb_s = 1000;
    told.hardware.opt_peak_tflops_case = MOECAP__V1__HARDWARE__OPT_PEAK_TFLOPS_PEAK_TFLOPS;
    told.hardware.peak_tflops = 4;
    e = evidence_of(&told);
    add_pass(e, DECODE, 5, 10, 10);
    assert_figure(e, "peak_gb_per_s", 1000, "declared");
    assert_figure(e, "peak_gflop_per_s", 4000, "declared");
    assert_figure(e, "smbu_decode", 0.5, "declared");
    assert_figure(e, "smfu_decode", 0.25, "declared");
    assert_figure(e, "smfu_decode_attainable", 0.5, "derived");
}

static void a_servers_machine_is_declared_and_nobody_measured_it(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL, *silent = NULL;

    (void)state;
    tell_server(&told, "2x A100-SXM4-80GB");
    told.spec.precision = "fp8"; /* which that card computes in bf16 */
    e = evidence_of(&told);
    assert_figure(e, "peak_gb_per_s", 2 * 2039, "declared");
    assert_figure(e, "peak_gflop_per_s", 2 * 312000, "declared");
    assert_none(e, "attainable_gb_per_s", "nobody measured the server's machine");
    told.hardware.description = "";
    silent = evidence_of(&told);
    assert_none(silent, "peak_gb_per_s", "hardware is not declared; --hardware says it");
}

/* torch_dtype says bf16 of a checkpoint that is kept in fp8. */
static void trap_c19_a_quantised_checkpoint_is_computed_in_what_it_is_kept_in(void **state)
{
    struct told told;
    Moecap__V1__External external = MOECAP__V1__EXTERNAL__INIT;
    CAP_AUTO(eval_evidence) e = NULL, *silent = NULL;

    (void)state;
    tell_server(&told, "H100-SXM");
    told.spec.external = &external;
    external.model_config =
        "{\"model_type\": \"qwen3_moe\", \"hidden_size\": 256, \"num_hidden_layers\": 2,"
        " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 64,"
        " \"intermediate_size\": 512, \"moe_intermediate_size\": 128, \"num_experts\": 8,"
        " \"num_experts_per_tok\": 2, \"vocab_size\": 1024, \"torch_dtype\": \"bfloat16\","
        " \"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}}";
    e = evidence_of(&told);
    assert_figure(e, "peak_gflop_per_s", 1979000, "declared");
    external.model_config = "";
    told.spec.precision = "";
    silent = evidence_of(&told);
    assert_none(silent, "peak_gflop_per_s", "the precision is not declared; --precision says it");
}

static void a_card_of_the_node_has_its_own_peaks_and_no_cache_of_ours(void **state)
{
    static char *devices[] = {"NVIDIA H200", "NVIDIA H200"};
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.node.devices = devices;
    told.node.n_devices = 2; /* of which our engine uses one */
    told.node.device_memory_bytes = 2 * UINT64_C(150754820096);
    told.node.last_level_cache_bytes = UINT64_MAX;
    e = evidence_of(&told);
    add_pass(e, DECODE, 4.8, 4, 2);
    assert_figure(e, "smbu_decode", 0.5, "derived");
    assert_none(e, "attainable_gb_per_s",
                "the node's probe measures processors, and it ran on a card");
}

static void a_part_of_a_processor_has_no_data_sheet(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL, *whole = NULL;

    (void)state;
    tell(&told);
    told.node.cores = 2;
    e = evidence_of(&told);
    assert_none(e, "peak_gb_per_s",
                "the node has 2 of the 96 cores of Xeon-Platinum-8468; the data sheet is of all of "
                "them");
    told.node.cores = 192; /* threads */
    whole = evidence_of(&told);
    assert_figure(whole, "peak_gb_per_s", 614.4, "nameplate");
}

static void a_run_that_nobody_reported_has_reasons(void **state)
{
    struct told told;
    CAP_AUTO(eval_evidence) e = NULL;

    (void)state;
    tell(&told);
    told.header.report = NULL;
    e = evidence_of(&told);
    assert_none(e, "peak_gb_per_s", "no shard reported its machine");
    assert_none(e, "attainable_gb_per_s", "no shard reported its machine");
    assert_none(e, "smbu_decode", "no pass records");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utilisation_is_work_over_time_over_the_peak),
        cmocka_unit_test(the_distribution_over_passes_is_kept),
        cmocka_unit_test(trap_d16_a_mixed_pass_is_in_neither_phase),
        cmocka_unit_test(trap_d17_it_is_a_sum_over_a_sum_not_a_mean_of_ratios),
        cmocka_unit_test(a_utilisation_is_as_sure_as_its_rate),
        cmocka_unit_test(trap_c10_a_pass_without_duration_lends_no_work),
        cmocka_unit_test(trap_t2_sequences_of_a_pass_multiply_nothing),
        cmocka_unit_test(trap_c25_an_unknown_peak_takes_no_other_figure_with_it),
        cmocka_unit_test(trap_d18_a_count_that_is_no_number_is_not_reckoned_with),
        cmocka_unit_test(trap_t1_the_number_of_devices_is_said_once),
        cmocka_unit_test(trap_t6_a_utilisation_above_one_is_invalid),
        cmocka_unit_test(trap_d5_activation_is_a_mean_over_the_layers_that_have_experts),
        cmocka_unit_test(trap_c4_earlier_chunks_are_no_tokens_of_a_chunk),
        cmocka_unit_test(what_the_cache_may_have_kept_is_no_memory_traffic),
        cmocka_unit_test(a_model_that_fits_in_the_cache_has_no_valid_bandwidth),
        cmocka_unit_test(without_a_known_cache_nobody_knows_what_memory_gave),
        cmocka_unit_test(declared_peaks_win_and_make_the_figure_declared),
        cmocka_unit_test(a_servers_machine_is_declared_and_nobody_measured_it),
        cmocka_unit_test(trap_c19_a_quantised_checkpoint_is_computed_in_what_it_is_kept_in),
        cmocka_unit_test(a_card_of_the_node_has_its_own_peaks_and_no_cache_of_ours),
        cmocka_unit_test(a_part_of_a_processor_has_no_data_sheet),
        cmocka_unit_test(a_run_that_nobody_reported_has_reasons),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
