/* Messages as JSON and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "moecap/v1/scheduler.pb-c.h"
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
    check_refusal("{\"spek\": {}}", "spek: there is no such field, did you mean \"spec\"?");
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
        cmocka_unit_test(wrong_fields_are_named_by_their_path),
        cmocka_unit_test(enums_are_words_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
