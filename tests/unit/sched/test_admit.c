/* Which evaluations are accepted, what is said of the others, and which samples a run takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/admit.h"
#include "scheduler/expand.h"

static const char *const task_names[] = {"choice-mini", "gsm-mini", "gsm8k"};
static const char *const model_names[] = {"moecap-tiny", "mixtral-8x7b"};
static const uint32_t task_pools[] = {0, 5, 64}, model_contexts[] = {2048, 0};
static const struct sched_known known = {.tasks = {task_names, 3},
                                         .task_pools = task_pools,
                                         .models = {model_names, 2},
                                         .model_contexts = model_contexts,
                                         .nodes = 1};
static const char *const one_task[] = {"gsm-mini"};

/* What spec_wire.c makes of a message with a model and a task and nothing else. */
static struct sched_spec plain_spec(void)
{
    return (struct sched_spec){.model = "moecap-tiny",
                               .revision = "",
                               .engine = "",
                               .precision = "",
                               .hardware = "",
                               .device = "",
                               .tasks = one_task,
                               .task_count = 1,
                               .prompt_format = "",
                               .url = "",
                               .served_model = "",
                               .model_config = "",
                               .api_key_env = "",
                               .submitter = "",
                               .note = ""};
}

static struct sched_spec filled_spec(void)
{
    struct sched_spec spec = plain_spec();

    sched_spec_fill(&spec);
    return spec;
}

static void assert_refused(const struct sched_spec *spec, enum cap_code code, const char *text)
{
    struct sched_faults faults;
    struct cap_err err = {0};

    assert_false(sched_admit(spec, &known, &faults, &err));
    assert_true(faults.count > 0);
    assert_string_equal(err.field, faults.items[0].field);
    if (err.code != code || !strstr(err.text, text))
        print_error("got %s: %s\nwant: %s\n", cap_code_name(err.code), err.text, text);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, text));
}

/* Sentences of fields begin with the field's name. */
static void assert_blamed(const struct sched_spec *spec, const char *sentence)
{
    char field[64];
    struct sched_faults faults;
    struct cap_err err = {0};

    snprintf(field, sizeof field, "spec.%.*s", (int)strcspn(sentence, " "), sentence);
    assert_false(sched_admit(spec, &known, &faults, &err));
    assert_string_equal(err.field, field);
}

static void assert_admitted(const struct sched_spec *spec)
{
    struct sched_faults faults;
    struct cap_err err = {0};

    sched_admit(spec, &known, &faults, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(err.code, CAP_OK);
}

/* ---- admission ---- */

static void model_and_task_are_enough(void **state)
{
    struct sched_spec spec = filled_spec();

    (void)state;
    assert_admitted(&spec);
    assert_string_equal(spec.engine, "native");
    assert_string_equal(spec.precision, "bf16");
    assert_string_equal(spec.prompt_format, "text");
    assert_string_equal(spec.submitter, "anonymous");
    assert_int_equal(spec.concurrency, 1);
    assert_int_equal(spec.repeats, 1);
    assert_int_equal(spec.tensor, 1);
}

static void unknown_names_come_with_the_known_and_the_nearest(void **state)
{
    static const char *const tasks[] = {"gsm-mni"};
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.tasks = tasks;
    assert_refused(&spec, CAP_NOT_FOUND,
                   "task \"gsm-mni\" is unknown, did you mean \"gsm-mini\"?; known: choice-mini, "
                   "gsm-mini, gsm8k");
    spec = filled_spec();
    spec.model = "moecap-tyni";
    assert_refused(&spec, CAP_NOT_FOUND, "model \"moecap-tyni\" is unknown, did you mean");
    spec = filled_spec();
    spec.precision = "q4_k_m";
    assert_refused(&spec, CAP_NOT_FOUND, "precision \"q4_k_m\" is unknown; known: f32, bf16, int8");
    spec = filled_spec();
    spec.engine = "vlm";
    assert_refused(&spec, CAP_NOT_FOUND, "engine \"vlm\" is unknown, did you mean \"vllm\"?");
}

static void every_wrong_field_is_named_with_its_value(void **state)
{
    static char long_note[600], not_text[] = "caf\xe9";
    const struct {
        const char *text;
        size_t offset;
        int64_t value;
    } numbers[] = {
#define NUMBER(field, value, text) {text, offsetof(struct sched_spec, field), value}
        NUMBER(concurrency, 5000, "load.concurrency 5000 is not from 1 to 4096"),
        NUMBER(concurrency, 0, "load.concurrency 0 is not from 1 to 4096"),
        NUMBER(repeats, 101, "repeats 101 is not from 1 to 100"),
        NUMBER(max_tokens, 1048577, "generation.max_tokens 1048577 is not from 0 to 1048576"),
        NUMBER(top_k, 1000001, "generation.top_k 1000001 is not from 0 to 1000000"),
        NUMBER(priority, 101, "priority 101 is not from -100 to 100"),
        NUMBER(priority, -101, "priority -101 is not from -100 to 100"),
        NUMBER(tensor, 8, "parallelism 8 x 1 x 1 x 1 (tensor, pipeline, data, expert)"),
        NUMBER(device_count, 5000, "hardware.device_count 5000 is not from 0 to 4096"),
    };
    const struct {
        const char *text, *value;
        size_t offset;
    } texts[] = {
#define TEXT(field, value, text) {text, value, offsetof(struct sched_spec, field)}
        TEXT(model, "", "model is empty"),
        TEXT(model, "./here", "model \"./here\" is no name"),
        TEXT(note, long_note, "note has 599 bytes, more than 512"),
        TEXT(note, not_text, "note is not UTF-8"),
        TEXT(submitter, long_note, "submitter has 599 bytes, more than 64"),
        TEXT(revision, long_note, "revision has 599 bytes, more than 128"),
        TEXT(prompt_format, "html", "prompt_format \"html\" is neither text nor chat"),
        TEXT(device, "tpu", "hardware.device \"tpu\" is neither cpu nor cuda"),
        TEXT(url, "http://x", "engine \"native\" takes no external.url"),
        TEXT(api_key_env, "MOECAP_KEY_A;B",
             "external.api_key_env \"MOECAP_KEY_A;B\" is not the name"),
        TEXT(api_key_env, "PGPASSWORD", "external.api_key_env \"PGPASSWORD\" is not the name"),
    };

    (void)state;
    memset(long_note, 'n', sizeof long_note - 1);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sched_spec spec = filled_spec();

        memcpy((char *)&spec + numbers[i].offset, &numbers[i].value, sizeof numbers[i].value);
        assert_refused(&spec, CAP_INVALID_ARGUMENT, numbers[i].text);
        assert_blamed(&spec, numbers[i].text);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sched_spec spec = filled_spec();

        memcpy((char *)&spec + texts[i].offset, &texts[i].value, sizeof texts[i].value);
        assert_refused(&spec, CAP_INVALID_ARGUMENT, texts[i].text);
    }
}

static void real_numbers_have_bounds_and_not_a_number_is_none(void **state)
{
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.has_sampling = true;
    spec.sampling = 1.5;
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "sampling 1.5 is not above 0 and up to 1");
    spec.sampling = __builtin_nan("");
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "sampling nan");
    spec = filled_spec();
    spec.has_temperature = true;
    spec.temperature = __builtin_nan("");
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "generation.temperature nan is not from 0 to 100");
    spec = filled_spec();
    spec.open_loop = true;
    spec.rate_per_s = 0;
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "load.rate_per_s 0 is not from");
    spec = filled_spec();
    spec.seed = UINT64_MAX;
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "seed 18446744073709551615 is above");
}

static void several_problems_are_told_together(void **state)
{
    struct sched_spec spec = filled_spec();
    struct sched_faults faults;
    struct cap_err err = {0};

    (void)state;
    spec.concurrency = 0;
    spec.repeats = 1000;
    spec.prompt_format = "html";
    assert_false(sched_admit(&spec, &known, &faults, &err));
    assert_string_equal(err.text, "load.concurrency 0 is not from 1 to 4096; repeats 1000 is not "
                                  "from 1 to 100; prompt_format \"html\" is neither text nor chat");
    assert_int_equal(faults.count, 3);
    assert_string_equal(err.field, "spec.load.concurrency");
    assert_string_equal(faults.items[1].field, "spec.repeats");
    assert_string_equal(faults.items[1].sentence, "repeats 1000 is not from 1 to 100");
    assert_string_equal(faults.items[2].field, "spec.prompt_format");
}

static void a_hundred_wrong_fields_are_told_as_far_as_there_is_room(void **state)
{
    static const char *tasks[SCHED_TASKS_MAX];
    struct sched_spec spec = filled_spec();
    struct sched_faults faults;
    struct cap_err err = {0};

    (void)state;
    for (int i = 0; i < SCHED_TASKS_MAX; i++)
        tasks[i] = "no-such-task";
    spec.tasks = tasks;
    spec.task_count = SCHED_TASKS_MAX;
    assert_false(sched_admit(&spec, &known, &faults, &err));
    assert_int_equal(faults.count, SCHED_FAULTS_MAX);
    assert_string_equal(faults.items[0].field, "spec.tasks[0]");
    assert_string_equal(err.field, "spec.tasks[0]");
}

static void what_a_node_would_find_out_is_said_before(void **state)
{
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.has_fewshot = true;
    spec.num_fewshot = 5;
    assert_admitted(&spec);
    spec.num_fewshot = 6;
    assert_refused(&spec, CAP_INVALID_ARGUMENT,
                   "num_fewshot 6 is more than task \"gsm-mini\" has examples, 5");
    spec = filled_spec();
    spec.max_tokens = 2047;
    assert_admitted(&spec);
    spec.max_tokens = 2048;
    assert_refused(&spec, CAP_INVALID_ARGUMENT,
                   "generation.max_tokens 2048 never fits: the context of model \"moecap-tiny\" is "
                   "2048 tokens, the prompt's included");
    spec.model = "mixtral-8x7b"; /* a node offers it without saying its context */
    assert_admitted(&spec);
}

static void tasks_are_named_once_each(void **state)
{
    static const char *const twice[] = {"gsm-mini", "gsm-mini"};
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.tasks = twice;
    spec.task_count = 2;
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "task \"gsm-mini\" is named twice; use repeats");
    spec.task_count = 0;
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "tasks is empty");
}

static void a_server_needs_its_address_and_declares_the_rest(void **state)
{
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.engine = "vllm";
    spec.model = "Qwen/Qwen3-30B-A3B";
    spec.precision = "fp8";
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "engine \"vllm\" needs external.url");
    spec.url = "http://";
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "it is \"http://\"");
    spec.engine = "moe-gen"; /* a node may start one */
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "it is \"http://\"");
    spec.url = "";
    assert_admitted(&spec);
    spec.engine = "vllm";
    spec.url = "http://127.0.0.1:8000";
    spec.tensor = 8;
    spec.device = "rocm";
    assert_admitted(&spec);
}

/* Results are public, and an address has one meaning for us, the node and libcurl. */
static void an_address_holds_no_password_and_no_second_meaning(void **state)
{
    static const char *const unfit[] = {"http://h/v1?key=1", "http://h#f", "http://h\\other/",
                                        "http://a b/", "http://h\r\nHost: other"};
    struct sched_spec spec = filled_spec();

    (void)state;
    spec.engine = "vllm";
    spec.url = "https://user:secret@h:8000/v1";
    assert_refused(&spec, CAP_INVALID_ARGUMENT, "a user or a password, which every reader would");
    for (size_t i = 0; i < CAP_COUNT_OF(unfit); i++) {
        spec.url = unfit[i];
        assert_refused(&spec, CAP_INVALID_ARGUMENT, "holds a query, a blank or a backslash");
    }
    spec.url = "http://[::1]:8000/a@b/v1";
    assert_admitted(&spec);
}

static void a_path_and_an_empty_house_are_not_judged_by_name(void **state)
{
    struct sched_spec spec = filled_spec();
    struct sched_known nobody = known;
    struct sched_faults faults;
    struct cap_err err = {0};

    (void)state;
    spec.model = "/models/anything";
    assert_admitted(&spec);
    spec.model = "not-there-yet";
    nobody.nodes = 0;
    assert_true(sched_admit(&spec, &nobody, &faults, &err));
}

/* ---- the config hash ---- */

static void hash_of(const struct sched_spec *spec, char out[CAP_SHA256_HEX_BYTES])
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_err err = {0};
    const char *json = sched_spec_json(spec, arena, &err);

    assert_non_null(json);
    cap_sha256_hex(json, strlen(json), out);
}

static void the_hash_ignores_who_asks_and_sees_everything_else(void **state)
{
    char plain[CAP_SHA256_HEX_BYTES], other[CAP_SHA256_HEX_BYTES];
    struct sched_spec spec = filled_spec();

    (void)state;
    hash_of(&spec, plain);
    spec.submitter = "somebody";
    spec.priority = 9;
    spec.note = "again";
    hash_of(&spec, other);
    assert_string_equal(plain, other);
    spec.seed = 1;
    hash_of(&spec, other);
    assert_string_not_equal(plain, other);
    spec = filled_spec();
    spec.has_temperature = true; /* 0 asked for is not the task's own, which may be 0 */
    hash_of(&spec, other);
    assert_string_not_equal(plain, other);
}

static void defaults_left_out_and_written_out_are_the_same(void **state)
{
    char left_out[CAP_SHA256_HEX_BYTES], written[CAP_SHA256_HEX_BYTES];
    struct sched_spec spec = filled_spec();

    (void)state;
    hash_of(&spec, left_out);
    spec = plain_spec();
    spec.engine = "native";
    spec.precision = "bf16";
    spec.prompt_format = "text";
    spec.has_load = true;
    spec.concurrency = 1;
    spec.repeats = 1;
    spec.tensor = spec.pipeline = spec.data = spec.expert = 1;
    sched_spec_fill(&spec);
    hash_of(&spec, written);
    assert_string_equal(left_out, written);
}

static void the_canonical_form_has_sorted_keys(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct sched_spec spec = filled_spec();
    struct cap_err err = {0};

    (void)state;
    assert_string_equal(
        sched_spec_json(&spec, arena, &err),
        "{\"engine\":\"native\",\"external\":{\"api_key_env\":\"\",\"model_config\":\"\","
        "\"served_model\":\"\",\"url\":\"\"},\"generation\":{\"ignore_eos\":false,\"max_tokens\":0,"
        "\"temperature\":null,\"top_k\":0,\"top_p\":null},\"hardware\":{\"description\":\"\","
        "\"device\":\"\",\"device_count\":0},\"limit\":0,\"load\":{\"concurrency\":1,"
        "\"rate_per_s\":0.0},\"model\":\"moecap-tiny\",\"num_fewshot\":null,\"parallelism\":{"
        "\"data\":1,\"expert\":1,\"pipeline\":1,\"tensor\":1},\"precision\":\"bf16\","
        "\"prompt_format\":\"text\",\"repeats\":1,\"revision\":\"\",\"sampling\":null,\"seed\":0,"
        "\"tasks\":[\"gsm-mini\"]}");
}

/* ---- which samples ---- */

static struct sched_selection select_of(const struct sched_spec *spec, const char *task,
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
    struct sched_spec spec = filled_spec();

    (void)state;
    assert_int_equal(select_of(&spec, "t", 1319, arena).count, 1319);
    spec.limit = 7;
    assert_int_equal(select_of(&spec, "t", 1319, arena).count, 7);
    assert_int_equal(select_of(&spec, "t", 1319, arena).ordinals[6], 6);
    spec.limit = 5000;
    assert_int_equal(select_of(&spec, "t", 1319, arena).count, 1319);
}

static void a_share_is_drawn_by_seed_and_task(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct sched_spec spec = filled_spec();
    struct sched_selection first, again, other;

    (void)state;
    spec.has_sampling = true;
    spec.sampling = 0.1;
    spec.seed = 42;
    first = select_of(&spec, "t", 1000, arena);
    again = select_of(&spec, "t", 1000, arena);
    assert_int_equal(first.count, 100);
    assert_memory_equal(first.ordinals, again.ordinals, 100 * sizeof(uint32_t));
    other = select_of(&spec, "u", 1000, arena);
    assert_memory_not_equal(first.ordinals, other.ordinals, 100 * sizeof(uint32_t));
    spec.seed = 43;
    other = select_of(&spec, "t", 1000, arena);
    assert_memory_not_equal(first.ordinals, other.ordinals, 100 * sizeof(uint32_t));
    spec.limit = 10; /* the first ten of the share */
    spec.seed = 42;
    other = select_of(&spec, "t", 1000, arena);
    assert_int_equal(other.count, 10);
    assert_memory_equal(first.ordinals, other.ordinals, 10 * sizeof(uint32_t));
}

static void a_draw_never_changes_between_versions(void **state)
{
    static const uint32_t expected[] = {22, 45, 59, 82, 86, 125, 131, 144, 147, 165};
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct sched_spec spec = filled_spec();
    struct sched_selection drawn;

    (void)state;
    spec.has_sampling = true;
    spec.sampling = 0.05;
    spec.seed = 1;
    drawn = select_of(&spec, "gsm-mini", 200, arena);
    assert_int_equal(drawn.count, sizeof expected / sizeof *expected);
    assert_memory_equal(drawn.ordinals, expected, sizeof expected);
}

/* Each of 100 samples should be drawn 200 times in 2,000 draws of a tenth; 5 standard deviations
 * are 67. */
static void each_sample_is_drawn_equally_often(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct sched_spec spec = filled_spec();
    int hits[100] = {0};

    (void)state;
    spec.has_sampling = true;
    spec.sampling = 0.1;
    for (spec.seed = 0; spec.seed < 2000; spec.seed++) {
        struct sched_selection drawn = select_of(&spec, "t", 100, arena);

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
    struct sched_spec spec = filled_spec();
    struct sched_selection selection;
    struct cap_err err = {0};

    (void)state;
    spec.has_sampling = true;
    spec.sampling = 1e-9;
    assert_int_equal(select_of(&spec, "t", 1000, arena).count, 1);
    assert_false(sched_select(&spec, "empty", 0, arena, &selection, &err));
    assert_string_equal(err.text, "task \"empty\" has no samples");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_and_task_are_enough),
        cmocka_unit_test(unknown_names_come_with_the_known_and_the_nearest),
        cmocka_unit_test(every_wrong_field_is_named_with_its_value),
        cmocka_unit_test(real_numbers_have_bounds_and_not_a_number_is_none),
        cmocka_unit_test(several_problems_are_told_together),
        cmocka_unit_test(a_hundred_wrong_fields_are_told_as_far_as_there_is_room),
        cmocka_unit_test(what_a_node_would_find_out_is_said_before),
        cmocka_unit_test(tasks_are_named_once_each),
        cmocka_unit_test(a_server_needs_its_address_and_declares_the_rest),
        cmocka_unit_test(an_address_holds_no_password_and_no_second_meaning),
        cmocka_unit_test(a_path_and_an_empty_house_are_not_judged_by_name),
        cmocka_unit_test(the_hash_ignores_who_asks_and_sees_everything_else),
        cmocka_unit_test(defaults_left_out_and_written_out_are_the_same),
        cmocka_unit_test(the_canonical_form_has_sorted_keys),
        cmocka_unit_test(without_limits_a_run_takes_every_sample),
        cmocka_unit_test(a_share_is_drawn_by_seed_and_task),
        cmocka_unit_test(a_draw_never_changes_between_versions),
        cmocka_unit_test(each_sample_is_drawn_equally_often),
        cmocka_unit_test(a_tiny_share_is_one_sample_and_an_empty_task_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
