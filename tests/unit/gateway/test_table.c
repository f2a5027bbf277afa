/* Tables as CSV, and entity tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service.h"
#include "table.h"

static const struct gate_column columns[] = {
    {"id", "id"}, {"model", "spec.model"}, {"value", "value"}, {"list", "list"}};
static const struct gate_group group = {
    "figures",
    "id",
    {{"", "value", "invalid"}, {"_low", "low", "invalid"}, {"_reason", "reason", NULL}}};
static const struct gate_table plain = {"t", "rows", columns, 4, NULL};
static const struct gate_table grouped = {"t", "rows", columns, 1, &group};

static void check(const struct gate_table *table, const char *reply, const char *wanted,
                  const char *expected)
{
    CAP_AUTO_BUF(out, 1 << 20);
    json_t *json = json_loads(reply, 0, NULL);

    assert_non_null(json);
    gate_table_csv(table, json, wanted, &out);
    assert_string_equal(out.data, expected);
    json_decref(json);
}

static void a_table_has_a_header_and_a_line_for_each_row(void **state)
{
    (void)state;
    check(&plain, "{\"rows\": []}", "", "id,model,value,list\r\n");
    check(&plain,
          "{\"rows\": [{\"id\": \"a\", \"spec\": {\"model\": \"m\"}, \"value\": 0,"
          " \"list\": [\"x\", 1]}, {\"id\": \"b\", \"spec\": null}]}",
          "", "id,model,value,list\r\na,m,0,\"[\"\"x\"\",1]\"\r\nb,,,\r\n");
}

static void cells_with_commas_quotes_and_lines_are_quoted(void **state)
{
    (void)state;
    check(&plain,
          "{\"rows\": [{\"id\": \"a,b\", \"spec\": {\"model\": \"say \\\"x\\\"\"},"
          " \"value\": \"one\\ntwo\"}, {\"id\": \" lead\", \"value\": \"gr\u00fc\u00df\"}]}",
          "",
          "id,model,value,list\r\n\"a,b\",\"say \"\"x\"\"\",\"one\ntwo\",\r\n"
          "\" lead\",,gr\u00fc\u00df,\r\n");
}

static void a_text_that_looks_like_a_formula_is_disarmed_and_a_number_is_not(void **state)
{
    (void)state;
    check(&plain,
          "{\"rows\": [{\"id\": \"=1+1\", \"spec\": {\"model\": \"@x\"}, \"value\": -5.5},"
          " {\"id\": \"-\", \"spec\": {\"model\": \"+a\"}, \"value\": \"\\tx\"}]}",
          "", "id,model,value,list\r\n\"'=1+1\",\"'@x\",-5.5,\r\n\"'-\",\"'+a\",\"'\tx\",\r\n");
}

static void numbers_are_as_short_as_they_can_be(void **state)
{
    (void)state;
    check(&plain,
          "{\"rows\": [{\"id\": 0.1, \"value\": 1e300, \"list\": true},"
          " {\"id\": 0.3333333333333333, \"value\": 9007199254740993}]}",
          "",
          "id,model,value,list\r\n0.1,,1e+300,true\r\n0.3333333333333333,,9007199254740993,\r\n");
}

static void items_of_a_row_become_columns_and_the_unknown_is_empty_with_its_reason(void **state)
{
    static const char reply[] =
        "{\"rows\": [{\"id\": \"r1\", \"figures\": [{\"id\": \"acc\", \"value\": 0.5, \"low\": 0.4,"
        " \"reason\": \"\"}]},"
        " {\"id\": \"r2\", \"figures\": [{\"id\": \"watts\", \"reason\": \"no meter\"},"
        " {\"id\": \"acc\", \"value\": 7, \"low\": 6, \"invalid\": true, \"reason\": \"above "
        "1\"}]}]}";

    (void)state;
    check(&grouped, reply, "",
          "id,acc,acc_low,acc_reason,watts,watts_low,watts_reason\r\n"
          "r1,0.5,0.4,,,,\r\nr2,,,above 1,,,no meter\r\n");
    check(&grouped, reply, "watts;none",
          "id,watts,watts_low,watts_reason,none,none_low,none_reason\r\n"
          "r1,,,,,,\r\nr2,,,no meter,,,\r\n");
}

static void a_list_of_entity_tags_is_searched(void **state)
{
    (void)state;
    assert_true(gate_etag_known("\"a\"", "\"a\""));
    assert_true(gate_etag_known("\"b\", W/\"a\" , \"c\"", "\"a\""));
    assert_true(gate_etag_known("*", "\"a\""));
    assert_true(gate_etag_known("\"a\"", "W/\"a\""));
    assert_true(gate_etag_known("W/\"a\"", "W/\"a\""));
    assert_false(gate_etag_known("\"ab\", \"\"", "\"a\""));
    assert_false(gate_etag_known("", "\"a\""));
    assert_false(gate_etag_known(NULL, "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_a_header_and_a_line_for_each_row),
        cmocka_unit_test(cells_with_commas_quotes_and_lines_are_quoted),
        cmocka_unit_test(a_text_that_looks_like_a_formula_is_disarmed_and_a_number_is_not),
        cmocka_unit_test(numbers_are_as_short_as_they_can_be),
        cmocka_unit_test(items_of_a_row_become_columns_and_the_unknown_is_empty_with_its_reason),
        cmocka_unit_test(a_list_of_entity_tags_is_searched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
