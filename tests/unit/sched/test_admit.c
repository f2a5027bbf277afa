/* Which evaluations are accepted here, where tasks, models and nodes are known, and which samples a
 * run takes. What a value says by itself is tested in tests/unit/spec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/admit.h"

static const char *const task_names[] = {"choice-mini", "gsm-mini", "gsm8k"};
static const char *const model_names[] = {"moecap-tiny", "mixtral-8x7b"};
static const uint32_t task_pools[] = {0, 5, 64}, model_contexts[] = {2048, 0};
static const struct sched_known known = {.tasks = {task_names, 3},
                                         .task_pools = task_pools,
                                         .models = {model_names, 2},
                                         .model_contexts = model_contexts,
                                         .nodes = 1};

struct setting {
    enum cap_knob_id knob;
    const char *text;
};

static struct cap_arena *spec_arena;

static int make_arena(void **state)
{
    (void)state;
    spec_arena = cap_arena_new(8 << 20);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    cap_arena_free(spec_arena);
    return 0;
}

/* moecap-tiny on gsm-mini, with these knobs set as on the command line; filled. */
static Moecap__V1__EvaluationSpec *spec_with(const struct setting *settings, size_t count)
{
    Moecap__V1__EvaluationSpec *spec = cap_arena_alloc(spec_arena, sizeof *spec);
    struct cap_spec_faults faults = {.count = 0};

    moecap__v1__evaluation_spec__init(spec);
    for (size_t i = 0; i < count; i++)
        cap_spec_set_text(spec, settings[i].knob, settings[i].text, spec_arena, &faults);
    if (!*spec->model)
        cap_spec_set_text(spec, CAP_KNOB_model, "moecap-tiny", spec_arena, &faults);
    if (spec->n_tasks == 0)
        cap_spec_set_text(spec, CAP_KNOB_tasks, "gsm-mini", spec_arena, &faults);
    assert_int_equal(faults.count, 0);
    assert_true(cap_spec_fill(spec, spec_arena));
    return spec;
}

#define SPEC(...)                                                                                  \
    spec_with((const struct setting[]){__VA_ARGS__},                                               \
              sizeof(const struct setting[]){__VA_ARGS__} / sizeof(struct setting))
#define PLAIN                                                                                      \
    {                                                                                              \
        CAP_KNOB_seed, "0"                                                                         \
    }

static void assert_refused_by(const struct sched_known *here,
                              const Moecap__V1__EvaluationSpec *spec, enum cap_code code,
                              const char *sentence)
{
    struct cap_spec_faults faults = {.count = 0};

    sched_admit(spec, here, &faults);
    assert_true(faults.count > 0);
    if (!strstr(faults.items[0].sentence, sentence))
        print_error("is:   %s\nwant: %s\n", faults.items[0].sentence, sentence);
    assert_non_null(strstr(faults.items[0].sentence, sentence));
    assert_int_equal(faults.items[0].code, code);
}

static void assert_refused(const Moecap__V1__EvaluationSpec *spec, enum cap_code code,
                           const char *sentence)
{
    assert_refused_by(&known, spec, code, sentence);
}

static void assert_admitted_by(const struct sched_known *here,
                               const Moecap__V1__EvaluationSpec *spec)
{
    struct cap_spec_faults faults = {.count = 0};

    sched_admit(spec, here, &faults);
    if (faults.count)
        print_error("%s\n", faults.items[0].sentence);
    assert_int_equal(faults.count, 0);
}

static void assert_admitted(const Moecap__V1__EvaluationSpec *spec)
{
    assert_admitted_by(&known, spec);
}

/* ---- admission ---- */

static void unknown_names_come_with_the_known_and_the_nearest(void **state)
{
    (void)state;
    assert_admitted(SPEC(PLAIN));
    assert_refused(SPEC({CAP_KNOB_tasks, "gsm-mni"}), CAP_NOT_FOUND,
                   "task \"gsm-mni\" is unknown, did you mean \"gsm-mini\"? known: choice-mini, "
                   "gsm-mini, gsm8k");
    assert_refused(SPEC({CAP_KNOB_model, "moecap-tyni"}), CAP_NOT_FOUND,
                   "model \"moecap-tyni\" is unknown, did you mean");
    assert_refused(SPEC({CAP_KNOB_model, "./here"}), CAP_INVALID_ARGUMENT,
                   "model \"./here\" is not a name");
    assert_refused(SPEC({CAP_KNOB_engine, "vlm"}), CAP_NOT_FOUND,
                   "engine \"vlm\" is unknown, did you mean \"vllm\"?");
}

/* A value that is wrong by itself and a name that does not exist are told together. */
static void several_problems_are_told_together(void **state)
{
    Moecap__V1__EvaluationSpec *spec =
        SPEC({CAP_KNOB_tasks, "no-such-task"}, {CAP_KNOB_format, "html"}, {CAP_KNOB_sampling, "7"});
    struct cap_spec_faults faults = {.count = 0};
    struct cap_err err = {0};

    (void)state;
    sched_admit(spec, &known, &faults);
    assert_int_equal(faults.count, 3);
    assert_true(cap_spec_is_blamed(&faults, "spec.tasks[0]"));
    assert_true(cap_spec_is_blamed(&faults, "spec.prompt_format"));
    assert_true(cap_spec_is_blamed(&faults, "spec.sampling"));
    assert_false(cap_spec_faults_fail(&faults, &err));
    assert_string_equal(err.field, faults.items[0].field);
}

static void a_hundred_wrong_fields_are_told_as_far_as_there_is_room(void **state)
{
    Moecap__V1__EvaluationSpec *spec = SPEC({CAP_KNOB_format, "html"});
    char *tasks[64], names[64][8];
    struct cap_spec_faults faults = {.count = 0};

    (void)state;
    for (int i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "no-%d", i);
        tasks[i] = names[i];
    }
    spec->tasks = tasks;
    spec->n_tasks = 64;
    sched_admit(spec, &known, &faults);
    assert_int_equal(faults.count, CAP_SPEC_FAULTS_MAX);
    assert_string_equal(faults.items[1].field, "spec.tasks[0]");
}

static void what_a_node_would_find_out_is_said_before(void **state)
{
    (void)state;
    assert_admitted(SPEC({CAP_KNOB_fewshot, "5"}));
    assert_refused(SPEC({CAP_KNOB_fewshot, "6"}), CAP_INVALID_ARGUMENT,
                   "num_fewshot 6 is more than task \"gsm-mini\" has examples, 5");
    assert_admitted(SPEC({CAP_KNOB_max_tokens, "2047"}));
    assert_refused(SPEC({CAP_KNOB_max_tokens, "2048"}), CAP_INVALID_ARGUMENT,
                   "generation.max_tokens 2048 never fits: the context of model \"moecap-tiny\" is "
                   "2048 tokens, the prompt's included");
    /* a node offers it without saying its context */
    assert_admitted(SPEC({CAP_KNOB_max_tokens, "2048"}, {CAP_KNOB_model, "mixtral-8x7b"}));
}

static void a_path_and_an_empty_house_are_not_judged_by_name(void **state)
{
    struct sched_known nobody = known;

    (void)state;
    assert_admitted(SPEC({CAP_KNOB_model, "/models/anything"}));
    nobody.nodes = 0;
    assert_admitted_by(&nobody, SPEC({CAP_KNOB_model, "not-there-yet"}));
}

/* A node asks whatever it reaches, and there a cloud keeps its credentials. */
static void assert_doubt(const char *hardware, const char *tensor, const char *expected)
{
    const struct setting settings[] = {{CAP_KNOB_engine, "vllm"},
                                       {CAP_KNOB_url, "http://127.0.0.1:1"},
                                       {CAP_KNOB_hardware, hardware},
                                       {CAP_KNOB_tensor, tensor}};
    const char *doubt = sched_hardware_doubt(spec_with(settings, 4), spec_arena);

    if (!expected)
        assert_null(doubt);
    else if (!doubt || !strstr(doubt, expected))
        fail_msg("%s: %s", hardware, doubt);
}

static void hardware_that_is_not_known_is_told_at_once(void **state)
{
    (void)state;
    assert_doubt("8x H100-SXM", "8", NULL);
    assert_doubt("H100-SXM", "8", NULL); /* how many, the parallelism says */
    assert_doubt("8x H100-SXM", "4", NULL);
    assert_doubt("", "1", NULL);
    assert_doubt("1x H100-SXM", "8", "\"1x H100-SXM\" says 1, parallelism needs 8");
    assert_doubt("8x H100", "8", "\"8x H100\" may be H100-PCIe-80GB, H100-SXM-80GB; say which");
    assert_doubt("our cluster", "8", "without --peak-bandwidth and --peak-flops");
}

static void a_link_local_address_needs_a_node_that_allows_it(void **state)
{
    static const char *const unfit[] = {"http://169.254.169.254",
                                        "http://169.254.0.1:80/v1",
                                        "http://2852039166",
                                        "http://0xa9fea9fe",
                                        "http://[fe80::1]",
                                        "http://[fe80::1%25eth0]:80",
                                        "http://[febf::1]",
                                        "http://[::ffff:169.254.1.1]",
                                        "http://[64:ff9b::a9fe:a9fe]",
                                        "http://[fd00:ec2::254]/",
                                        "http://metadata.google.internal.",
                                        "http://100.100.100.200"};
    static const char *const fit[] = {"http://127.0.0.1:8000", "http://[::1]", "http://10.0.0.1",
                                      "http://[fd00::1]", "http://h"};
    struct sched_known allowed = known;

    (void)state;
    allowed.link_local = true;
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        Moecap__V1__EvaluationSpec *spec =
            SPEC({CAP_KNOB_engine, "vllm"}, {CAP_KNOB_url, unfit[i]});

        assert_refused(spec, CAP_INVALID_ARGUMENT, "is link-local, where clouds keep");
        assert_admitted_by(&allowed, spec);
    }
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++)
        assert_admitted(SPEC({CAP_KNOB_engine, "vllm"}, {CAP_KNOB_url, fit[i]}));
}

/* ---- which samples ---- */

static struct sched_selection select_of(const Moecap__V1__EvaluationSpec *spec, const char *task,
                                        uint32_t samples, struct cap_arena *arena)
{
    struct sched_selection selection = {0};
    struct cap_err err = {0};

    assert_true(sched_select(spec, task, samples, arena, &selection, &err));
    for (size_t i = 1; i < selection.count; i++)
        assert_true(selection.ordinals[i - 1] < selection.ordinals[i]);
    assert_true(selection.count == 0 || selection.ordinals[selection.count - 1] < samples);
    return selection;
}

static void without_limits_a_run_takes_every_sample(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__EvaluationSpec *spec = SPEC(PLAIN);

    (void)state;
    assert_int_equal(select_of(spec, "t", 1319, arena).count, 1319);
    spec->limit = 7;
    assert_int_equal(select_of(spec, "t", 1319, arena).count, 7);
    assert_int_equal(select_of(spec, "t", 1319, arena).ordinals[6], 6);
    spec->limit = 5000;
    assert_int_equal(select_of(spec, "t", 1319, arena).count, 1319);
}

static void a_share_is_drawn_by_seed_and_task(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__EvaluationSpec *spec = SPEC(PLAIN);
    struct sched_selection first, again, other;

    (void)state;
    spec = SPEC({CAP_KNOB_sampling, "0.1"});
    spec->seed = 42;
    first = select_of(spec, "t", 1000, arena);
    again = select_of(spec, "t", 1000, arena);
    assert_int_equal(first.count, 100);
    assert_memory_equal(first.ordinals, again.ordinals, 100 * sizeof(uint32_t));
    other = select_of(spec, "u", 1000, arena);
    assert_memory_not_equal(first.ordinals, other.ordinals, 100 * sizeof(uint32_t));
    spec->seed = 43;
    other = select_of(spec, "t", 1000, arena);
    assert_memory_not_equal(first.ordinals, other.ordinals, 100 * sizeof(uint32_t));
    spec->limit = 10; /* the first ten of the share */
    spec->seed = 42;
    other = select_of(spec, "t", 1000, arena);
    assert_int_equal(other.count, 10);
    assert_memory_equal(first.ordinals, other.ordinals, 10 * sizeof(uint32_t));
}

static void a_draw_never_changes_between_versions(void **state)
{
    static const uint32_t expected[] = {22, 45, 59, 82, 86, 125, 131, 144, 147, 165};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__EvaluationSpec *spec = SPEC(PLAIN);
    struct sched_selection drawn;

    (void)state;
    spec = SPEC({CAP_KNOB_sampling, "0.05"});
    spec->seed = 1;
    drawn = select_of(spec, "gsm-mini", 200, arena);
    assert_int_equal(drawn.count, sizeof expected / sizeof *expected);
    assert_memory_equal(drawn.ordinals, expected, sizeof expected);
}

/* Each of 100 samples should be drawn 200 times in 2,000 draws of a tenth; 5 standard deviations
 * are 67. */
static void each_sample_is_drawn_equally_often(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__EvaluationSpec *spec = SPEC(PLAIN);
    int hits[100] = {0};

    (void)state;
    spec = SPEC({CAP_KNOB_sampling, "0.1"});
    for (spec->seed = 0; spec->seed < 2000; spec->seed++) {
        struct sched_selection drawn = select_of(spec, "t", 100, arena);

        assert_int_equal(drawn.count, 10);
        for (size_t i = 0; i < drawn.count; i++)
            hits[drawn.ordinals[i]]++;
        cap_arena_reset(arena);
    }
    for (int i = 0; i < 100; i++)
        assert_in_range(hits[i], 133, 267);
}

static void a_tiny_share_is_one_sample_and_an_empty_task_is_refused(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__EvaluationSpec *spec = SPEC(PLAIN);
    struct sched_selection selection;
    struct cap_err err = {0};

    (void)state;
    spec = SPEC({CAP_KNOB_sampling, "1e-9"});
    assert_int_equal(select_of(spec, "t", 1000, arena).count, 1);
    assert_false(sched_select(spec, "empty", 0, arena, &selection, &err));
    assert_string_equal(err.text, "task \"empty\" has no samples");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, free_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unknown_names_come_with_the_known_and_the_nearest),
        TEST(several_problems_are_told_together),
        TEST(a_hundred_wrong_fields_are_told_as_far_as_there_is_room),
        TEST(what_a_node_would_find_out_is_said_before),
        TEST(a_path_and_an_empty_house_are_not_judged_by_name),
        TEST(hardware_that_is_not_known_is_told_at_once),
        TEST(a_link_local_address_needs_a_node_that_allows_it),
        TEST(without_limits_a_run_takes_every_sample),
        TEST(a_share_is_drawn_by_seed_and_task),
        TEST(a_draw_never_changes_between_versions),
        TEST(each_sample_is_drawn_equally_often),
        TEST(a_tiny_share_is_one_sample_and_an_empty_task_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
