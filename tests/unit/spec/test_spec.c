/* The table of knobs: what each knob accepts, what is said of the rest, and under which names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "spec/spec.h"

enum { ARENA_BYTES = 8 << 20 };

static struct cap_arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = cap_arena_new(ARENA_BYTES);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    cap_arena_free(arena);
    return 0;
}

/* A model, a task, and what `json` says in single quotes; faults of reading and checking. */
static Moecap__V1__EvaluationSpec *read_spec(const char *members, struct cap_spec_faults *out)
{
    CAP_AUTO_BUF(text, 65536);
    Moecap__V1__EvaluationSpec *spec;
    json_error_t where;
    json_t *json;

    cap_buf_printf(&text, "{'model': 'm', 'tasks': ['t']%s%s}", *members ? ", " : "", members);
    for (char *p = text.data; *p; p++)
        if (*p == '\'')
            *p = '"';
    out->count = 0;
    json = json_loads(text.data, 0, &where);
    if (!json)
        print_error("%s: %s\n", text.data, where.text);
    assert_non_null(json);
    spec = cap_spec_from_json(json, arena, out);
    json_decref(json);
    assert_non_null(spec);
    assert_true(cap_spec_fill(spec, arena));
    cap_spec_check(spec, out);
    return spec;
}

static void assert_accepted(const char *members)
{
    struct cap_spec_faults faults;

    read_spec(members, &faults);
    if (faults.count)
        print_error("%s: %s\n", members, faults.items[0].sentence);
    assert_int_equal(faults.count, 0);
}

static void assert_refused(const char *members, const char *field, const char *sentence)
{
    struct cap_spec_faults faults;

    read_spec(members, &faults);
    if (faults.count != 1 || strncmp(faults.items[0].sentence, sentence, strlen(sentence)) != 0) {
        print_error("%s\nwant: %s\n", members, sentence);
        for (size_t i = 0; i < faults.count; i++)
            print_error("is:   %s\n", faults.items[i].sentence);
    }
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.items[0].field, field);
    assert_memory_equal(faults.items[0].sentence, sentence, strlen(sentence));
}

/* ---- the table itself ---- */

static void fields_without_a_row(const ProtobufCMessageDescriptor *type, const char *part,
                                 int *io_missing)
{
    char path[64];

    for (unsigned i = 0; i < type->n_fields; i++) {
        snprintf(path, sizeof path, "%s%s%s", part, *part ? "." : "", type->fields[i].name);
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            fields_without_a_row(type->fields[i].descriptor, path, io_missing);
        else if (!cap_knob_find(path))
            print_error("%s has no row in spec.def\n", path), ++*io_missing;
    }
}

static void every_field_of_an_evaluation_has_a_row(void **state)
{
    int missing = 0;

    (void)state;
    fields_without_a_row(&moecap__v1__evaluation_spec__descriptor, "", &missing);
    assert_int_equal(missing, 0);
}

static ProtobufCType type_of(const char *path)
{
    const ProtobufCMessageDescriptor *type = &moecap__v1__evaluation_spec__descriptor;
    const char *dot = strchr(path, '.');
    char part[64];

    if (dot) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        type = protobuf_c_message_descriptor_get_field_by_name(type, part)->descriptor;
    }
    return protobuf_c_message_descriptor_get_field_by_name(type, dot ? dot + 1 : path)->type;
}

static void every_row_is_of_its_fields_type_and_says_what_people_need(void **state)
{
    (void)state;
    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];
        ProtobufCType type = type_of(knob->path);
        bool is_text = type == PROTOBUF_C_TYPE_STRING, is_real = type == PROTOBUF_C_TYPE_DOUBLE,
             is_switch = type == PROTOBUF_C_TYPE_BOOL;

        assert_int_equal(is_real, knob->kind == CAP_KNOB_REAL);
        assert_int_equal(is_switch, knob->kind == CAP_KNOB_SWITCH);
        assert_int_equal(!is_text && !is_real && !is_switch, knob->kind == CAP_KNOB_WHOLE);
        assert_true(*knob->flag && *knob->help && *knob->label && *knob->unset);
        assert_true(is_switch || knob->example != NULL);
        assert_true(is_switch || is_real || knob->max > 0);
        assert_true(!is_real || knob->high > knob->low);
    }
}

/* What a knob means nothing without, by its example; a ramp's two need each other. */
static void set_needs(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id,
                      struct cap_spec_faults *io_faults)
{
    for (size_t i = 0; i < CAP_COUNT_OF(cap_knobs[id].needs); i++) {
        enum cap_knob_id other = cap_knobs[id].needs[i];

        if (!other || cap_spec_get(spec, other).is_set)
            continue;
        cap_spec_set_text(spec, other, cap_knobs[other].example, arena, io_faults);
        set_needs(spec, other, io_faults);
    }
}

/* An example that is refused helps nobody. */
static void every_example_is_accepted(void **state)
{
    (void)state;
    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];
        Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
        struct cap_spec_faults faults = {.count = 0};
        bool is_fixed = i == CAP_KNOB_input_tokens || i == CAP_KNOB_output_tokens;

        if (!knob->example)
            continue;
        cap_spec_set_text(&spec, (enum cap_knob_id)i, knob->example, arena, &faults);
        set_needs(&spec, (enum cap_knob_id)i, &faults);
        if (i != CAP_KNOB_model)
            cap_spec_set_text(&spec, CAP_KNOB_model, "m", arena, &faults);
        if (i != CAP_KNOB_tasks)
            cap_spec_set_text(&spec, CAP_KNOB_tasks, is_fixed ? CAP_TASK_FIXED : "t", arena,
                              &faults);
        if (knob->when == CAP_WHEN_SERVER || i == CAP_KNOB_engine) {
            if (i != CAP_KNOB_engine)
                cap_spec_set_text(&spec, CAP_KNOB_engine, "vllm", arena, &faults);
            if (i != CAP_KNOB_url)
                cap_spec_set_text(&spec, CAP_KNOB_url, "http://h", arena, &faults);
        }
        assert_true(cap_spec_fill(&spec, arena));
        cap_spec_check(&spec, &faults);
        if (faults.count)
            print_error("%s\n", faults.items[0].sentence);
        assert_int_equal(faults.count, 0);
        assert_true(cap_spec_get(&spec, (enum cap_knob_id)i).is_set);
    }
}

/* ---- defaults ---- */

static void a_model_and_a_task_are_enough(void **state)
{
    struct cap_spec_faults faults;
    Moecap__V1__EvaluationSpec *spec = read_spec("", &faults);

    (void)state;
    assert_int_equal(faults.count, 0);
    assert_string_equal(spec->engine, "native");
    assert_string_equal(spec->precision, "bf16");
    assert_string_equal(spec->prompt_format, "text");
    assert_string_equal(spec->submitter, "anonymous");
    assert_int_equal(spec->load->kind_case, MOECAP__V1__LOAD__KIND_CONCURRENCY);
    assert_int_equal(spec->load->concurrency, 1);
    assert_int_equal(spec->repeats, 1);
}

/* What nobody declared is not declared: no part of the message that is all zeros. */
static void what_is_left_out_stays_absent(void **state)
{
    struct cap_spec_faults faults;
    Moecap__V1__EvaluationSpec *spec =
        read_spec("'engine': 'vllm', 'external': {'url': 'http://h'}, 'generation': null", &faults);

    (void)state;
    assert_int_equal(faults.count, 0);
    assert_null(spec->parallelism);
    assert_null(spec->hardware);
    assert_null(spec->generation);
    assert_string_equal(spec->precision, "");
    assert_int_equal(spec->opt_num_fewshot_case, 0);
    assert_int_equal(spec->opt_sampling_case, 0);
}

static void spellings_of_a_precision_are_the_tables_words(void **state)
{
    static const char *const same[][2] = {{"bfloat16", "bf16"}, {"BF16", "bf16"},
                                          {"float32", "f32"},   {"fp32", "f32"},
                                          {"8bit", "int8"},     {"8-bit", "int8"}};
    struct cap_spec_faults faults;
    char members[64];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(same); i++) {
        snprintf(members, sizeof members, "'precision': '%s'", same[i][0]);
        assert_string_equal(read_spec(members, &faults)->precision, same[i][1]);
        assert_int_equal(faults.count, 0);
    }
    /* what a server says is shown, and hashed, as it was declared */
    assert_string_equal(
        read_spec("'engine': 'vllm', 'external': {'url': 'http://h'}, 'precision': 'bfloat16'",
                  &faults)
            ->precision,
        "bfloat16");
}

/* NVIDIA's Nemotron-3-Super ships Infinity in its config.json, as Python's json writes it. */
static void a_declared_config_may_hold_what_python_writes(void **state)
{
    (void)state;
    assert_accepted("'engine': 'vllm', 'external': {'url': 'http://h', 'model_config': "
                    "'[Infinity, -Infinity, NaN]'}");
}

/* ---- refusals ---- */

static void every_wrong_value_is_named_with_its_range(void **state)
{
    static const char *const cases[][3] = {
        /* members, field, sentence */
        {"'load': {'concurrency': 5000}", "spec.load.concurrency",
         "load.concurrency 5000 is not from 1 to 4096"},
        {"'load': {'concurrency': 0}", "spec.load.concurrency",
         "load.concurrency 0 is not from 1 to 4096"},
        {"'load': {'concurrency': -4}", "spec.load.concurrency",
         "load.concurrency -4 is not from 1 to 4096"},
        {"'load': {'rate_per_s': 0}", "spec.load.rate_per_s",
         "load.rate_per_s 0 is not from 1e-06 to 1e+06"},
        {"'repeats': 101", "spec.repeats", "repeats 101 is not from 1 to 100"},
        {"'limit': -3", "spec.limit", "limit -3 is not from 0 to 4294967295"},
        {"'limit': 4294967296", "spec.limit", "limit 4294967296 is not from 0 to 4294967295"},
        {"'seed': -1", "spec.seed", "seed -1 is not from 0 to 9223372036854775807"},
        {"'sampling': 7", "spec.sampling", "sampling 7 is not above 0 and up to 1"},
        {"'sampling': 0", "spec.sampling", "sampling 0 is not above 0 and up to 1"},
        {"'generation': {'max_tokens': 1048577}", "spec.generation.max_tokens",
         "generation.max_tokens 1048577 is not from 0 to 1048576"},
        {"'generation': {'top_k': 1000001}", "spec.generation.top_k",
         "generation.top_k 1000001 is not from 0 to 1000000"},
        {"'cost': {'rent': 0}", "spec.cost.rent", "cost.rent 0 is not above 0 and up to 1e+06"},
        {"'cost': {'utilisation': 1.1}", "spec.cost.utilisation",
         "cost.utilisation 1.1 is not above 0 and up to 1"},
        {"'cost': {'pue': 0.9}", "spec.cost.pue", "cost.pue 0.9 is not from 1 to 10"},
        {"'cost': {'host_price': -1}", "spec.cost.host_price",
         "cost.host_price -1 is not from 0 to 1e+09"},
        {"'generation': {'temperature': -1}", "spec.generation.temperature",
         "generation.temperature -1 is not from 0 to 100"},
        {"'priority': 101", "spec.priority", "priority 101 is not from -100 to 100"},
        {"'priority': -4294967297", "spec.priority",
         "priority -4294967297 is not from -100 to 100"},
        {"'parallelism': {'tensor': 8}", "spec.parallelism.tensor",
         "parallelism.tensor 8: engine \"native\" runs on one device"},
        {"'hardware': {'device_count': 5000}", "spec.hardware.device_count",
         "hardware.device_count 5000 is not from 0 to 4096"},
        {"'hardware': {'peak_bandwidth_gb_s': 0}", "spec.hardware.peak_bandwidth_gb_s",
         "hardware.peak_bandwidth_gb_s 0 is not from 0.001 to 1e+09"},
        {"'hardware': {'peak_tflops': -1}", "spec.hardware.peak_tflops",
         "hardware.peak_tflops -1 is not from 1e-06 to 1e+09"},
        {"'hardware': {'device': 'tpu'}", "spec.hardware.device",
         "hardware.device \"tpu\" is neither cpu nor cuda"},
        {"'prompt_format': 'html'", "spec.prompt_format",
         "prompt_format \"html\" is neither text nor chat"},
        {"'engine': 'vlm'", "spec.engine", "engine \"vlm\" is unknown, did you mean \"vllm\"?"},
        {"'precision': 'q4_k_m'", "spec.precision",
         "precision \"q4_k_m\" is unknown; known: f32, bf16, int8"},
        {"'external': {'url': 'http://x'}", "spec.external.url",
         "engine \"native\" takes no external.url"},
        {"'engine': 'vllm'", "spec.external.url",
         "engine \"vllm\" needs external.url, e.g. http://127.0.0.1:8000"},
        {"'external': {'api_key_env': 'MOECAP_KEY_A;B'}", "spec.external.api_key_env",
         "external.api_key_env \"MOECAP_KEY_A;B\" is not the name of a variable for keys, such as"},
        {"'external': {'api_key_env': 'PGPASSWORD'}", "spec.external.api_key_env",
         "external.api_key_env \"PGPASSWORD\" is not the name"},
        {"'external': {'model_config': '{'}", "spec.external.model_config",
         "external.model_config is not JSON: line 1"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++)
        assert_refused(cases[i][0], cases[i][1], cases[i][2]);
}

static void what_is_not_of_the_knobs_kind_is_told_with_range_and_example(void **state)
{
    static const char *const cases[][3] = {
        {"'limit': 'all'", "spec.limit",
         "limit \"all\" is not a whole number from 0 to 4294967295, e.g. 100"},
        {"'limit': 2.5", "spec.limit", "limit 2.5 is not a whole number"},
        {"'load': {'rate_per_s': 'x'}", "spec.load.rate_per_s",
         "load.rate_per_s \"x\" is not a number from 1e-06 to 1e+06, e.g. 2.5"},
        {"'sampling': true", "spec.sampling",
         "sampling true is not a number above 0 and up to 1, e.g. 0.25"},
        {"'model': 7", "spec.model", "model 7 is not a name"},
        {"'tasks': 't'", "spec.tasks", "tasks \"t\" is not a list of names, e.g. gsm-mini"},
        {"'generation': {'ignore_eos': 1}", "spec.generation.ignore_eos",
         "generation.ignore_eos 1 is not true or false"},
        {"'generation': 5", "spec.generation", "generation is not an object"},
        {"'limt': 5", "spec.limt", "spec.limt: unknown field, did you mean \"limit\"?"},
        {"'load': {'concurency': 5}", "spec.load.concurency",
         "spec.load.concurency: unknown field, did you mean \"concurrency\"?"},
        {"'load': {'concurrency': 4, 'rate_per_s': 5}", "spec.load.rate_per_s",
         "load.rate_per_s excludes load.concurrency"},
        {"'load': {'rate_per_s': 5, 'replay': '0'}", "spec.load.replay",
         "load.replay excludes load.rate_per_s: one of them is meant"},
        {"'load': {'replay': '0', 'concurrency': 2}", "spec.load.concurrency",
         "load.concurrency excludes load.replay: one of them is meant"},
        {"'load': {'concurrency': 4, 'arrivals': 'constant'}", "spec.load.arrivals",
         "load.arrivals needs load.rate_per_s"},
        {"'load': {'rate_per_s': 4, 'arrivals': 'weibull'}", "spec.load.arrivals",
         "load.arrivals \"weibull\" is neither poisson, constant nor gamma"},
        {"'load': {'rate_per_s': 4, 'arrivals': 'constant', 'burstiness': 2}",
         "spec.load.burstiness", "load.burstiness is of gamma arrivals, not of constant ones"},
        {"'load': {'rate_per_s': 4, 'burstiness': 0}", "spec.load.burstiness",
         "load.burstiness 0 is not from 0.01 to 100"},
        {"'load': {'rate_per_s': 4, 'ramp_to_per_s': 8}", "spec.load.ramp_to_per_s",
         "load.ramp_to_per_s needs load.ramp_s"},
        {"'load': {'rate_per_s': 4, 'ramp_s': 8}", "spec.load.ramp_s",
         "load.ramp_s needs load.ramp_to_per_s"},
        {"'load': {'replay': '1,0'}", "spec.load.replay",
         "load.replay: line 1: 0 comes after 1: times go back"},
        {"'load': {'input_tokens': 8, 'output_tokens': 8}", "spec.load.input_tokens",
         "load.input_tokens is of the task \"fixed\" alone: its prompts are random text"},
        {"'load': {'output_tokens': 8}", "spec.load.output_tokens",
         "load.output_tokens needs load.input_tokens"},
        {"'slo': {'ttft_ms': -1}", "spec.slo.ttft_ms",
         "slo.ttft_ms -1 is not above 0 and up to 1e+09"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++)
        assert_refused(cases[i][0], cases[i][1], cases[i][2]);
}

/* The task fixed and its lengths need each other. */
static void lengths_and_the_task_fixed_need_each_other(void **state)
{
    static const char *const cases[][2] = {
        {"0 0 0", "task \"fixed\" needs load.input_tokens and load.output_tokens"},
        {"8 0 0", "load.input_tokens needs load.output_tokens"},
        {"8 8 9", "load.input_tokens excludes generation.max_tokens: the length is "
                  "load.output_tokens"},
        {"8 8 0", NULL},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
        struct cap_spec_faults faults = {.count = 0};
        const enum cap_knob_id ids[] = {CAP_KNOB_input_tokens, CAP_KNOB_output_tokens,
                                        CAP_KNOB_max_tokens};

        cap_spec_set_text(&spec, CAP_KNOB_model, "m", arena, &faults);
        cap_spec_set_text(&spec, CAP_KNOB_tasks, "fixed", arena, &faults);
        for (size_t k = 0; k < 3; k++)
            cap_spec_set_text(&spec, ids[k], (char[]){cases[i][0][2 * k], '\0'}, arena, &faults);
        assert_true(cap_spec_fill(&spec, arena));
        cap_spec_check(&spec, &faults);
        assert_int_equal(faults.count, cases[i][1] != NULL);
        if (cases[i][1])
            assert_string_equal(faults.items[0].sentence, cases[i][1]);
    }
}

static void texts_have_a_length_and_are_utf8(void **state)
{
    char members[2000], note[600];
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;

    (void)state;
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    snprintf(members, sizeof members, "'note': '%s'", note);
    assert_refused(members, "spec.note", "note has 599 bytes, more than 512");
    cap_spec_set_text(&spec, CAP_KNOB_model, "m", arena, &faults);
    cap_spec_set_text(&spec, CAP_KNOB_tasks, "t", arena, &faults);
    cap_spec_set_text(&spec, CAP_KNOB_note, "caf\xe9", arena, &faults);
    assert_true(cap_spec_fill(&spec, arena));
    cap_spec_check(&spec, &faults);
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.items[0].sentence, "note is not UTF-8");
}

static void not_a_number_is_in_no_range(void **state)
{
    static const enum cap_knob_id reals[] = {CAP_KNOB_rate, CAP_KNOB_sampling, CAP_KNOB_temperature,
                                             CAP_KNOB_top_p};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(reals); i++) {
        Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
        struct cap_spec_faults faults = {.count = 0};

        cap_spec_set_text(&spec, CAP_KNOB_model, "m", arena, &faults);
        cap_spec_set_text(&spec, CAP_KNOB_tasks, "t", arena, &faults);
        cap_spec_set_text(&spec, reals[i], "nan", arena, &faults);
        assert_true(cap_spec_fill(&spec, arena));
        cap_spec_check(&spec, &faults);
        assert_int_equal(faults.count, 1);
        assert_non_null(strstr(faults.items[0].sentence, " nan is not "));
    }
}

static void known_precisions_that_our_engine_lacks_are_no_misspelling(void **state)
{
    (void)state;
    assert_refused("'precision': 'fp8'", "spec.precision",
                   "precision \"fp8\" is not one that engine \"native\" computes in; known: f32, "
                   "bf16, int8");
    assert_refused("'precision': 'int4'", "spec.precision",
                   "precision \"int4\" is not one that engine \"native\" computes in");
    assert_refused("'precision': 'float16'", "spec.precision",
                   "precision \"float16\" is not one that engine \"native\" computes in");
}

static void all_wrong_values_are_told_at_once(void **state)
{
    static const char *const fields[] = {
        "spec.limit",        "spec.load.concurrency", "spec.seed", /* unreadable or out of range */
        "spec.external.url", "spec.sampling",         "spec.repeats", "spec.prompt_format"};
    struct cap_spec_faults faults;
    struct cap_err err = {0};

    (void)state;
    read_spec("'engine': 'vllm', 'load': {'concurrency': 99999}, 'limit': -3, 'sampling': 7, "
              "'repeats': 1000, 'seed': 'abc', 'prompt_format': 'html'",
              &faults);
    assert_int_equal(faults.count, CAP_COUNT_OF(fields));
    for (size_t i = 0; i < CAP_COUNT_OF(fields); i++)
        assert_true(cap_spec_is_blamed(&faults, fields[i]));
    assert_false(cap_spec_faults_fail(&faults, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.field, faults.items[0].field);
    assert_non_null(strstr(err.text, "; "));
}

static void a_flood_of_wrong_names_and_a_list_without_end_are_told_briefly(void **state)
{
    CAP_AUTO(cap_arena) small = cap_arena_new(64 << 10);
    struct cap_spec_faults faults = {.count = 0};
    Moecap__V1__EvaluationSpec *spec;
    json_t *json = json_object(), *tasks = json_array();
    char name[32];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "limit%d", i);
        json_object_set_new(json, name, json_null());
    }
    assert_non_null(cap_spec_from_json(json, arena, &faults));
    assert_int_equal(faults.count, CAP_SPEC_FAULTS_MAX);
    json_decref(json);
    faults.count = 0;
    for (int i = 0; i < 5000; i++)
        json_array_append_new(tasks, json_string("a-task-with-a-name"));
    json = json_pack("{s:o}", "tasks", tasks);
    assert_non_null(spec = cap_spec_from_json(json, small, &faults));
    assert_string_equal(faults.items[0].sentence, "tasks is too long");
    for (size_t i = 0; i < spec->n_tasks; i++)
        assert_non_null(spec->tasks[i]);
    json_decref(json);
}

static void tasks_are_named_once_each(void **state)
{
    struct cap_spec_faults faults;

    (void)state;
    assert_refused("'tasks': ['a', 'b', 'a']", "spec.tasks[2]",
                   "task \"a\" is named twice; use repeats");
    assert_refused("'tasks': []", "spec.tasks", "tasks is empty");
    assert_refused("'tasks': ['a', 5]", "spec.tasks[1]", "tasks[1] is not a name");
    read_spec("'tasks': ['a','b','c','d','e','f','g','h','i','j','k','l','m','n','o','p','q','r',"
              "'s','t','u','v','w','x','y','z','a1','b1','c1','d1','e1','f1','g1','h1','i1','j1',"
              "'k1','l1','m1','n1','o1','p1','q1','r1','s1','t1','u1','v1','w1','x1','y1','z1',"
              "'a2','b2','c2','d2','e2','f2','g2','h2','i2','j2','k2','l2','m2']",
              &faults);
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.items[0].sentence, "tasks has 65 names, more than 64");
}

/* ---- addresses ---- */

static void assert_url(const char *url, const char *sentence)
{
    char members[512];

    snprintf(members, sizeof members, "'engine': 'vllm', 'external': {'url': '%s'}", url);
    if (sentence)
        assert_refused(members, "spec.external.url", sentence);
    else
        assert_accepted(members);
}

static void an_address_that_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    assert_url("ftp://h", "external.url \"ftp://h\" does not begin with http:// or https://");
    assert_url("h:8000", "external.url \"h:8000\" does not begin with");
    assert_url("http://", "external.url \"http://\" names no host");
    assert_url("http:///x", "external.url \"http:///x\" names no host");
    assert_url("http://:8000", "external.url \"http://:8000\" names no host");
    assert_url("http://[::1", "external.url \"http://[::1\" ");
    assert_url("http://[::1]x", "external.url \"http://[::1]x\" ");
    assert_url("http://[zz]", "external.url \"http://[zz]\" ");
    assert_url("http://h:99999",
               "external.url \"http://h:99999\" has a port that is not from 1 to");
    assert_url("http://h:0", "external.url \"http://h:0\" has a port that is not from 1 to 65535");
    assert_url("http://h:-1",
               "external.url \"http://h:-1\" has a port that is not from 1 to 65535");
    assert_url("http://h:80x", "external.url \"http://h:80x\" has a port that is not");
    assert_url("http://127.0.0.1:8000", NULL);
    assert_url("http://[::1]:8000/a@b/v1", NULL);
    assert_url("https://api.example.org/v1", NULL);
    assert_url("http://h:65535/", NULL);
}

/* Results are public, and an address has one meaning for us, the node and libcurl. */
static void an_address_holds_no_password_and_no_second_meaning(void **state)
{
    static const char *const unfit[] = {"http://h/v1?key=1", "http://h#f", "http://h\\\\other/",
                                        "http://a b/", "http://h\\r\\nHost: other"};

    (void)state;
    assert_url("https://user:secret@h:8000/v1",
               "external.url holds a user or a password, which every reader would see");
    for (size_t i = 0; i < CAP_COUNT_OF(unfit); i++) {
        struct cap_spec_faults faults;
        char members[256];

        snprintf(members, sizeof members, "'engine': 'vllm', 'external': {'url': '%s'}", unfit[i]);
        read_spec(members, &faults);
        assert_int_equal(faults.count, 1);
        assert_non_null(strstr(faults.items[0].sentence, "holds a query, a blank or a backslash"));
    }
}

static void an_engine_that_a_node_starts_needs_no_address(void **state)
{
    (void)state;
    assert_accepted("'engine': 'moe-gen'");
    assert_accepted("'engine': 'moe-gen', 'external': {'url': 'http://h'}");
    assert_refused("'engine': 'moe-gen', 'external': {'url': 'http://'}", "spec.external.url",
                   "external.url \"http://\" names no host");
    assert_accepted("'engine': 'vllm', 'external': {'url': 'http://h'}, 'parallelism': {'tensor': "
                    "8}, 'hardware': {'device': 'rocm'}, 'precision': 'fp8'");
}

/* ---- the command line ---- */

static void assert_option(enum cap_knob_id id, const char *text, const char *sentence)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    struct cap_spec_faults faults = {.count = 0};
    CAP_AUTO_BUF(said, 1024);

    cap_spec_set_text(&spec, id, text, arena, &faults);
    cap_spec_check(&spec, &faults);
    for (size_t i = 0; i < faults.count; i++) {
        if (strstr(faults.items[i].sentence, "is empty"))
            continue;
        assert_int_equal(said.length, 0);
        cap_spec_as_options(faults.items[i].sentence, &said);
    }
    assert_string_equal(said.data, sentence);
}

static void the_command_line_says_it_with_its_options(void **state)
{
    (void)state;
    assert_option(CAP_KNOB_concurrency, "-4", "--batch-size -4 is not from 1 to 4096");
    assert_option(CAP_KNOB_concurrency, "0", "--batch-size 0 is not from 1 to 4096");
    assert_option(CAP_KNOB_concurrency, "99999999999999999999",
                  "--batch-size 99999999999999999999 is not from 1 to 4096");
    assert_option(CAP_KNOB_concurrency, "many",
                  "--batch-size \"many\" is not a whole number from 1 to 4096, e.g. 4");
    assert_option(CAP_KNOB_concurrency, "",
                  "--batch-size \"\" is not a whole number from 1 to 4096, e.g. 4");
    assert_option(CAP_KNOB_seed, "9223372036854775808",
                  "--seed 9223372036854775808 is not from 0 to 9223372036854775807");
    assert_option(CAP_KNOB_seed, "9223372036854775807", "");
    assert_option(CAP_KNOB_limit, "0", "");
    assert_option(CAP_KNOB_repeats, "0", "");
    assert_option(CAP_KNOB_priority, "500", "--priority 500 is not from -100 to 100");
    assert_option(CAP_KNOB_max_tokens, "1048577", "--max-tokens 1048577 is not from 0 to 1048576");
    assert_option(CAP_KNOB_temperature, "warm",
                  "--temperature \"warm\" is not a number from 0 to 100, e.g. 0.8");
}

static void sentences_about_other_options_name_those_too(void **state)
{
    static const char *const cases[][2] = {
        {"engine \"vllm\" needs external.url, e.g. http://127.0.0.1:8000",
         "--engine \"vllm\" needs --url, e.g. http://127.0.0.1:8000"},
        {"load.rate_per_s excludes load.concurrency: one of them is meant",
         "--rate excludes --batch-size: one of them is meant"},
        {"external.url holds a user or a password; keys are in variables of the node: "
         "external.api_key_env",
         "--url holds a user or a password; keys are in variables of the node: --api-key-env"},
        {"parallelism.tensor 8: engine \"native\" runs on one device",
         "--tensor-parallel 8: engine \"native\" runs on one device"},
        {"task \"limit\" is unknown; known: limit, seed",
         "task \"limit\" is unknown; known: limit, seed"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        CAP_AUTO_BUF(said, 1024);

        cap_spec_as_options(cases[i][0], &said);
        assert_string_equal(said.data, cases[i][1]);
    }
}

static void several_tasks_stand_in_one_option_or_in_many(void **state)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    struct cap_spec_faults faults = {.count = 0};

    (void)state;
    cap_spec_set_text(&spec, CAP_KNOB_tasks, "a,b", arena, &faults);
    cap_spec_set_text(&spec, CAP_KNOB_tasks, "c", arena, &faults);
    assert_int_equal(spec.n_tasks, 3);
    assert_string_equal(spec.tasks[1], "b");
    assert_string_equal(spec.tasks[2], "c");
}

/* ---- the canonical form ---- */

static const char *canonical_of(const char *members)
{
    struct cap_spec_faults faults;
    struct cap_err err = {0};

    return cap_spec_canonical(read_spec(members, &faults), arena, &err);
}

static void the_hash_ignores_who_asks_and_sees_everything_else(void **state)
{
    const char *plain = canonical_of("");

    (void)state;
    assert_string_equal(plain, canonical_of("'submitter': 'x', 'priority': 9, 'note': 'again'"));
    assert_string_equal(plain, canonical_of("'precision': 'bfloat16'"));
    assert_string_equal(plain, canonical_of("'cost': {'rent': 2}"));
    assert_string_not_equal(plain, canonical_of("'seed': 1"));
    /* goodput is stored: it cannot be counted anew against another objective */
    assert_string_not_equal(plain, canonical_of("'slo': {'ttft_ms': 500}"));
    /* 0 asked for is not the task's own, which may be 0 */
    assert_string_not_equal(plain, canonical_of("'generation': {'temperature': 0}"));
}

static void text_that_is_not_utf8_has_no_canonical_form(void **state)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    struct cap_err err = {0};

    (void)state;
    spec.model = (char *)"caf\xe9";
    assert_null(cap_spec_canonical(&spec, arena, &err));
    assert_string_equal(err.text, "the evaluation holds text that is not UTF-8");
}

/* ---- limits ---- */

static void the_limits_of_info_are_the_tables(void **state)
{
    Moecap__V1__SubmitLimits limits;

    (void)state;
    cap_spec_limits(&limits);
    assert_int_equal(limits.tasks_max, 64);
    assert_int_equal(limits.concurrency_max, 4096);
    assert_true(limits.rate_per_s_max == 1000000);
    assert_int_equal(limits.repeats_max, 100);
    assert_int_equal(limits.num_fewshot_max, 64);
    assert_int_equal(limits.max_tokens_max, 1048576);
    assert_int_equal(limits.top_k_max, 1000000);
    assert_true(limits.temperature_max == 100);
    assert_int_equal(limits.priority_min, -100);
    assert_int_equal(limits.priority_max, 100);
    assert_int_equal(limits.parallelism_max, 1024);
    assert_int_equal(limits.device_count_max, 4096);
    assert_int_equal(limits.model_bytes_max, 512);
    assert_int_equal(limits.revision_bytes_max, 128);
    assert_int_equal(limits.submitter_bytes_max, 64);
    assert_int_equal(limits.note_bytes_max, 512);
    assert_int_equal(limits.url_bytes_max, 2048);
    assert_int_equal(limits.model_config_bytes_max, 1 << 20);
}

/* Whoever adds a knob of generation must say how the board names it: it changes the question. */
static void every_knob_that_changes_what_is_asked_has_its_words(void **state)
{
    (void)state;
    for (int i = 0; i < CAP_KNOB_COUNT; i++) {
        const struct cap_knob *knob = &cap_knobs[i];

        if (knob->group == CAP_GROUP_GENERATION)
            assert_non_null(knob->setting);
        if (knob->setting)
            assert_true((strstr(knob->setting, "%s") != NULL) == (knob->kind != CAP_KNOB_SWITCH));
    }
}

static void a_setting_has_words_where_it_is_not_the_tasks_own(void **state)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Generation generation = MOECAP__V1__GENERATION__INIT;
    struct cap_spec_own own = {.number = {[CAP_KNOB_fewshot] = 5, [CAP_KNOB_top_p] = 1},
                               .generates = true};
    CAP_AUTO_BUF(text, 1024);

    (void)state;
    spec.generation = &generation;
    spec.prompt_format = "chat";
    spec.limit = 150;
    spec.opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
    spec.num_fewshot = 3;
    generation.opt_temperature_case = MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE;
    generation.temperature = 0.8;
    generation.opt_top_p_case = MOECAP__V1__GENERATION__OPT_TOP_P_TOP_P;
    generation.top_p = 1; /* the same as off */
    generation.ignore_eos = true;
    cap_spec_setting(&spec, &own, &text);
    assert_string_equal(text.data, "first 150\n3-shot\nT 0.8\nignore EOS\nchat");
    cap_buf_clear(&text);
    own = (struct cap_spec_own){.number = {[CAP_KNOB_fewshot] = 3}, .whole = true};
    cap_spec_setting(&spec, &own, &text); /* nothing is generated, every sample is taken */
    assert_string_equal(text.data, "chat");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, free_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_an_evaluation_has_a_row),
        TEST(every_row_is_of_its_fields_type_and_says_what_people_need),
        TEST(every_example_is_accepted),
        TEST(a_model_and_a_task_are_enough),
        TEST(what_is_left_out_stays_absent),
        TEST(spellings_of_a_precision_are_the_tables_words),
        TEST(a_declared_config_may_hold_what_python_writes),
        TEST(every_wrong_value_is_named_with_its_range),
        TEST(what_is_not_of_the_knobs_kind_is_told_with_range_and_example),
        TEST(lengths_and_the_task_fixed_need_each_other),
        TEST(texts_have_a_length_and_are_utf8),
        TEST(not_a_number_is_in_no_range),
        TEST(known_precisions_that_our_engine_lacks_are_no_misspelling),
        TEST(all_wrong_values_are_told_at_once),
        TEST(a_flood_of_wrong_names_and_a_list_without_end_are_told_briefly),
        TEST(tasks_are_named_once_each),
        TEST(an_address_that_cannot_be_asked_is_refused),
        TEST(an_address_holds_no_password_and_no_second_meaning),
        TEST(an_engine_that_a_node_starts_needs_no_address),
        TEST(the_command_line_says_it_with_its_options),
        TEST(sentences_about_other_options_name_those_too),
        TEST(several_tasks_stand_in_one_option_or_in_many),
        TEST(the_hash_ignores_who_asks_and_sees_everything_else),
        TEST(text_that_is_not_utf8_has_no_canonical_form),
        TEST(the_limits_of_info_are_the_tables),
        TEST(every_knob_that_changes_what_is_asked_has_its_words),
        TEST(a_setting_has_words_where_it_is_not_the_tasks_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
