/* Messages as JSON and back: names, presence, what is unknown and therefore left out, and the refusals of
 * a body that does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "moecap/v1/store.pb-c.h"
#include "wire/json.h"

static Moecap__V1__SubmitRequest *read_request(const char *text, struct cap_arena *arena,
                                               struct cap_err *err)
{
    json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
    ProtobufCMessage *message;

    assert_non_null(json);
    message = cap_wire_from_json(json, &moecap__v1__submit_request__descriptor, arena, err);
    json_decref(json);
    return (Moecap__V1__SubmitRequest *)message;
}

static void a_message_reads_back_what_was_written(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_err err = {0};
    Moecap__V1__SubmitRequest *request = read_request(
        "{\"spec\": {\"model\": \"m\", \"tasks\": [\"a\", \"b\"], \"limit\": 5, \"seed\": 9,"
        " \"load\": {\"concurrency\": 4}, \"generation\": {\"temperature\": 0, \"ignore_eos\": "
        "true}},"
        " \"dry_run\": true}",
        arena, &err);
    json_t *json, *spec;

    (void)state;
    assert_non_null(request);
    assert_int_equal(request->spec->n_tasks, 2);
    assert_int_equal(request->spec->load->kind_case, MOECAP__V1__LOAD__KIND_CONCURRENCY);
    /* a temperature of zero that was given is not one that was left out */
    assert_int_equal(request->spec->generation->opt_temperature_case,
                     MOECAP__V1__GENERATION__OPT_TEMPERATURE_TEMPERATURE);
    json = cap_wire_to_json(&request->base);
    spec = json_object_get(json, "spec");
    assert_int_equal(json_integer_value(json_object_get(spec, "limit")), 5);
    assert_null(json_object_get(spec, "sampling"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "tasks"), 1)), "b");
    json_decref(json);
    assert_null(request->spec->hardware);
}

static bool has(const json_t *object, const char *name)
{
    return json_object_get(object, name) != NULL;
}

/* Nobody knows, or nobody asked: that is no number. */
static void what_is_unknown_is_left_out(void **state)
{
    static const char *const of_spec[] = {"limit", "repeats"};
    static const char *const of_report[] = {
        "moe_layers",   "experts",      "top_k",          "threads",        "isa",
        "model_sha256", "model_family", "engine_version", "started_wall_ms"};
    static const char *const of_progress[] = {"started_at_ms", "ended_at_ms", "output_tokens_per_s",
                                              "concurrency"};
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Parallelism parallelism = MOECAP__V1__PARALLELISM__INIT;
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;
    Moecap__V1__NodeHardware hardware = MOECAP__V1__NODE_HARDWARE__INIT;
    Moecap__V1__RunProgress progress = MOECAP__V1__RUN_PROGRESS__INIT;
    json_t *json;

    (void)state;
    spec.parallelism = &parallelism;
    report.hardware = &hardware;
    json = cap_wire_to_json(&spec.base);
    for (size_t i = 0; i < CAP_COUNT_OF(of_spec); i++)
        assert_false(has(json, of_spec[i]));
    assert_int_equal(json_object_size(json_object_get(json, "parallelism")), 0);
    json_decref(json);
    json = cap_wire_to_json(&report.base);
    for (size_t i = 0; i < CAP_COUNT_OF(of_report); i++)
        assert_false(has(json, of_report[i]));
    assert_false(has(json_object_get(json, "hardware"), "device_memory_bytes"));
    assert_false(has(json_object_get(json, "hardware"), "governor"));
    json_decref(json);
    json = cap_wire_to_json(&progress.base);
    for (size_t i = 0; i < CAP_COUNT_OF(of_progress); i++)
        assert_false(has(json, of_progress[i]));
    json_decref(json);
}

static void what_is_known_to_be_zero_is_a_zero(void **state)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Parallelism parallelism = MOECAP__V1__PARALLELISM__INIT;
    Moecap__V1__ShardReport report = MOECAP__V1__SHARD_REPORT__INIT;
    Moecap__V1__RunProgress progress = MOECAP__V1__RUN_PROGRESS__INIT;
    json_t *json;

    (void)state;
    spec.parallelism = &parallelism;
    parallelism.tensor = 2;
    spec.limit = 7;
    spec.revision = "v1";
    json = cap_wire_to_json(&spec.base);
    assert_int_equal(json_integer_value(json_object_get(json, "limit")), 7);
    assert_string_equal(json_string_value(json_object_get(json, "revision")), "v1");
    assert_true(has(json, "seed") && has(json, "priority") && has(json, "note"));
    assert_int_equal(json_object_size(json_object_get(json, "parallelism")), 1);
    json_decref(json);
    json = cap_wire_to_json(&report.base);
    assert_true(has(json, "retries") && has(json, "load_average") && has(json, "ended_us"));
    json_decref(json);
    json = cap_wire_to_json(&progress.base);
    assert_true(has(json, "samples_answered") && has(json, "samples_total") && has(json, "repeat"));
    json_decref(json);
}

/* Text and tree are the same document. */
static void check_text(const ProtobufCMessage *message)
{
    CAP_AUTO_BUF(text, 1 << 20);
    json_t *tree = cap_wire_to_json(message), *read;
    json_error_t error;

    cap_wire_write(message, &text);
    read = json_loadb(text.data, text.length, JSON_ALLOW_NUL, &error);
    if (!read || !json_equal(read, tree))
        fail_msg("%s: %s", error.text, text.data);
    json_decref(read);
    json_decref(tree);
}

static void text_is_what_the_tree_would_give(void **state)
{
    static char every_byte[256], not_text[] = "caf\xe9";
    Moecap__V1__BoardReply board = MOECAP__V1__BOARD_REPLY__INIT;
    Moecap__V1__BoardRow row = MOECAP__V1__BOARD_ROW__INIT, empty = MOECAP__V1__BOARD_ROW__INIT;
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__Figure figure[4] = {MOECAP__V1__FIGURE__INIT, MOECAP__V1__FIGURE__INIT,
                                    MOECAP__V1__FIGURE__INIT, MOECAP__V1__FIGURE__INIT};
    Moecap__V1__Figure *figures[] = {&figure[0], &figure[1], &figure[2], &figure[3]};
    Moecap__V1__BoardRow *rows[] = {&row, &empty};
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    static const double values[] = {0.1, 1e300, -3, 5e-324};

    (void)state;
    for (int i = 1; i < 128; i++)
        every_byte[i - 1] = (char)i;
    spec.note = every_byte;
    spec.submitter = "gr\xc3\xbc\xc3\x9f \"\\/";
    spec.revision = not_text;
    spec.tasks = (char *[]){"a", "b"};
    spec.n_tasks = 2;
    spec.seed = INT64_MAX;
    spec.priority = -7;
    for (int i = 0; i < 4; i++) {
        figure[i].opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
        figure[i].value = values[i];
    }
    figure[3].opt_low_case = MOECAP__V1__FIGURE__OPT_LOW_LOW;
    figure[3].low = __builtin_nan("");
    row.spec = &spec;
    row.state = MOECAP__V1__RUN_STATE__RUN_STATE_FINISHED;
    row.figures = figures;
    row.n_figures = 4;
    empty.state = (Moecap__V1__RunState)99; /* of a newer program */
    board.rows = rows;
    board.n_rows = 2;
    board.more = 1;
    check_text(&board.base);
    board.opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
    board.next_after = "run-1";
    check_text(&board.base);
    batch.rows = (ProtobufCBinaryData){3, (uint8_t *)"\x00\xff\x10"};
    check_text(&batch.base);
}

static void a_field_is_written_by_its_name(void **state)
{
    Moecap__V1__BoardReply board = MOECAP__V1__BOARD_REPLY__INIT;
    CAP_AUTO_BUF(text, 100);

    (void)state;
    assert_false(cap_wire_write_field(&board.base, "next_after", &text));
    assert_false(cap_wire_write_field(&board.base, "no_such", &text));
    board.opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
    board.next_after = "a\"b";
    assert_true(cap_wire_write_field(&board.base, "next_after", &text));
    assert_string_equal(text.data, "a\"b");
    assert_true(cap_wire_write_field(&board.base, "more", &text));
    assert_string_equal(text.data, "a\"bfalse");
}

static void the_next_page_is_asked_for_by_what_the_reply_says(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__BoardReply board = MOECAP__V1__BOARD_REPLY__INIT;
    Moecap__V1__BoardRequest board_request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__ListSamplesReply samples = MOECAP__V1__LIST_SAMPLES_REPLY__INIT;
    Moecap__V1__ListSamplesRequest samples_request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;

    (void)state;
    assert_false(cap_wire_follow(&board.base, &board_request.base, "after", arena));
    board.opt_next_case = MOECAP__V1__BOARD_REPLY__OPT_NEXT_NEXT_AFTER;
    board.next_after = "run-7";
    assert_true(cap_wire_follow(&board.base, &board_request.base, "after", arena));
    assert_string_equal(board_request.after, "run-7");
    samples.opt_next_case = MOECAP__V1__LIST_SAMPLES_REPLY__OPT_NEXT_NEXT_AFTER;
    samples.next_after = 99;
    assert_true(cap_wire_follow(&samples.base, &samples_request.base, "after_ordinal", arena));
    assert_int_equal(samples_request.opt_after_case,
                     MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL);
    assert_int_equal(samples_request.after_ordinal, 99);
}

static void the_headline_metric_is_the_accuracy_of_every_task(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    Moecap__V1__Figure figure = MOECAP__V1__FIGURE__INIT, *figures[] = {&figure};
    Moecap__V1__BoardRow row = MOECAP__V1__BOARD_ROW__INIT;

    (void)state;
    row.headline_metric = "acc";
    cap_wire_add_accuracy(&row, arena); /* nothing is known yet */
    assert_int_equal(row.n_figures, 0);
    figure.id = "acc";
    figure.opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    figure.value = 0.75;
    row.figures = figures;
    row.n_figures = 1;
    cap_wire_add_accuracy(&row, arena);
    cap_wire_add_accuracy(&row, arena); /* once */
    assert_int_equal(row.n_figures, 2);
    assert_string_equal(row.figures[1]->id, "accuracy");
    assert_true(row.figures[1]->value == 0.75);
    assert_string_equal(figure.id, "acc");
}

static void check_refusal(const char *text, const char *sentence)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_err err = {0};

    assert_null(read_request(text, arena, &err));
    assert_string_equal(err.text, sentence);
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    /* for a form, the same path by itself */
    if (strncmp(sentence, "body:", 5) == 0)
        assert_string_equal(err.field, "");
    else
        assert_true(strlen(err.field) == strcspn(sentence, ":") &&
                    strncmp(err.field, sentence, strlen(err.field)) == 0);
}

static void wrong_fields_are_named_by_their_path(void **state)
{
    (void)state;
    check_refusal("{\"spek\": {}}", "spek: unknown field, did you mean \"spec\"?");
    check_refusal("{\"spec\": []}", "spec: expected an object");
    check_refusal("{\"spec\": {\"limit\": -1}}",
                  "spec.limit: expected a whole number from 0 to 4294967295");
    check_refusal("{\"spec\": {\"limit\": 1.5}}",
                  "spec.limit: expected a whole number from 0 to 4294967295");
    check_refusal("{\"spec\": {\"tasks\": [\"a\", 7]}}",
                  "spec.tasks[1]: expected a text without NUL");
    check_refusal("{\"spec\": {\"model\": \"a\\u0000b\"}}",
                  "spec.model: expected a text without NUL");
    check_refusal("{\"dry_run\": 1}", "dry_run: expected true or false");
    check_refusal("{\"spec\": {\"load\": {\"concurrency\": 4, \"rate_per_s\": 2}}}",
                  "spec.load.rate_per_s: excludes another field that is there, too");
    check_refusal("[]", "body: expected an object");
}

static void enums_are_words_both_ways(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    json_t *json = json_loads("{\"run_id\": \"r\", \"state\": \"grading\"}", 0, NULL);
    struct cap_err err = {0};
    Moecap__V1__RunProgress *run = (Moecap__V1__RunProgress *)cap_wire_from_json(
        json, &moecap__v1__run_progress__descriptor, arena, &err);
    json_t *back;

    (void)state;
    assert_non_null(run);
    assert_int_equal(run->state, MOECAP__V1__RUN_STATE__RUN_STATE_GRADING);
    back = cap_wire_to_json(&run->base);
    assert_string_equal(json_string_value(json_object_get(back, "state")), "grading");
    json_decref(back);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reads_back_what_was_written),
        cmocka_unit_test(the_next_page_is_asked_for_by_what_the_reply_says),
        cmocka_unit_test(the_headline_metric_is_the_accuracy_of_every_task),
        cmocka_unit_test(what_is_unknown_is_left_out),
        cmocka_unit_test(what_is_known_to_be_zero_is_a_zero),
        cmocka_unit_test(text_is_what_the_tree_would_give),
        cmocka_unit_test(a_field_is_written_by_its_name),
        cmocka_unit_test(wrong_fields_are_named_by_their_path),
        cmocka_unit_test(enums_are_words_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
