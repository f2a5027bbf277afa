/* The one CSV dialect: columns, units, empty cells for what is unknown, and cells that a spreadsheet
 * would take for a formula. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/table.h"

static const struct cap_table_column columns[] = {
    {"id", "id"}, {"model", "spec.model"}, {"value", "value"}, {"list", "list"}};
static const struct cap_table_group group = {
    "figures",
    "id",
    {{"", "value", "invalid"}, {"_low", "low", "invalid"}, {"_reason", "reason", NULL}}};
static const struct cap_table plain = {"t", "rows", columns, 4, NULL};
static const struct cap_table grouped = {"t", "rows", columns, 1, &group};

/* A list of replies, each a page. */
struct pages {
    const char *const *replies;
    size_t next;
};

static json_t *next_page(void *arg, bool first, struct cap_err *err)
{
    struct pages *pages = arg;
    json_t *json;

    pages->next = first ? 0 : pages->next;
    if (!pages->replies[pages->next])
        return NULL;
    if (strcmp(pages->replies[pages->next], "away") == 0) {
        cap_fail(err, CAP_UNAVAILABLE, "away");
        return NULL;
    }
    json = json_loads(pages->replies[pages->next++], 0, NULL);
    assert_non_null(json);
    return json;
}

static void check(const struct cap_table *table, const char *reply, const char *wanted,
                  const char *expected)
{
    CAP_AUTO_BUF(out, 1 << 20);
    const char *const replies[] = {reply, NULL};
    struct pages pages = {.replies = replies};
    struct cap_err err = {0};
    char list[64], *rest = list, *names[8];
    size_t count = 0;

    snprintf(list, sizeof list, "%s", wanted);
    while (*wanted && rest)
        names[count++] = strsep(&rest, ";");
    assert_true(cap_table_write(table, names, count, next_page, &pages, &out, &err));
    assert_string_equal(out.data, expected);
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

static void the_words_of_a_list_share_a_cell(void **state)
{
    static const struct cap_table_column words[] = {{"id", "id"}, {"marks", "marks[].id"}};
    static const struct cap_table table = {"t", "rows", words, 2, NULL};

    (void)state;
    check(&table,
          "{\"rows\": [{\"id\": \"a\", \"marks\": [{\"id\": \"unsettled\"}, {\"id\": \"noisy\"}]},"
          " {\"id\": \"b\", \"marks\": []}, {\"id\": \"c\"}]}",
          "", "id,marks\r\na,unsettled; noisy\r\nb,\r\nc,\r\n");
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

/* Blanks, a byte order mark, zero width, marks of direction and full-width signs hide nothing. */
static void a_formula_is_found_behind_what_cannot_be_seen(void **state)
{
    static const char *const armed[] = {" =1",
                                        "\n=1",
                                        "\nx",
                                        "\xc2\xa0=1",
                                        "\xef\xbb\xbf=1",
                                        "\xe2\x80\x8b=1",
                                        "\xe2\x80\x8f@x",
                                        "\xe3\x80\x80+1",
                                        "\xef\xbc\x9d"
                                        "1",
                                        "\xef\xbc\x8b"
                                        "1",
                                        "\xef\xbc\x8d"
                                        "1",
                                        "\xef\xbc\xa0x",
                                        "\x01=1",
                                        " \t \xe2\x81\xa0-1"};
    static const char *const harmless[] = {"a=1",
                                           "",
                                           " a",
                                           ("\xef\xbb\xbf"
                                            "a"),
                                           "1-1",
                                           "\xe2\x80\x9cx\xe2\x80\x9d"};
    CAP_AUTO_BUF(out, 1000);

    (void)state;
    for (size_t i = 0; i < sizeof armed / sizeof *armed; i++) {
        json_t *row = json_pack("{s:[{s:s}]}", "rows", "id", armed[i]);
        char *text = json_dumps(row, 0), expected[200];

        snprintf(expected, sizeof expected, "id,model,value,list\r\n\"'%s\",,,\r\n", armed[i]);
        check(&plain, text, "", expected);
        free(text);
        json_decref(row);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        json_t *row = json_pack("{s:[{s:s}]}", "rows", "id", harmless[i]);
        char *text = json_dumps(row, 0), expected[200];
        bool quoted = *harmless[i] == ' ';

        snprintf(expected, sizeof expected, "id,model,value,list\r\n%s%s%s,,,\r\n",
                 quoted ? "\"" : "", harmless[i], quoted ? "\"" : "");
        check(&plain, text, "", expected);
        free(text);
        json_decref(row);
    }
}

static void pages_come_out_as_one_table_with_the_columns_of_all(void **state)
{
    static const char *const replies[] = {
        "{\"rows\": [{\"id\": \"a\", \"figures\": [{\"id\": \"x\", \"value\": 1}]}]}",
        "{\"rows\": []}",
        "{\"rows\": [{\"id\": \"b\", \"figures\": [{\"id\": \"y\", \"value\": 0}]}]}", NULL};
    static const char *const broken[] = {"{\"rows\": []}", "away", NULL};
    struct pages pages = {.replies = replies}, no_pages = {.replies = broken};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cap_err err = {0};

    (void)state;
    assert_true(cap_table_write(&grouped, NULL, 0, next_page, &pages, &out, &err));
    assert_string_equal(out.data, "id,x,x_low,x_reason,y,y_low,y_reason\r\n"
                                  "a,1,,,,,\r\nb,,,,0,,\r\n");
    assert_false(cap_table_write(&grouped, NULL, 0, next_page, &no_pages, &out, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_a_header_and_a_line_for_each_row),
        cmocka_unit_test(the_words_of_a_list_share_a_cell),
        cmocka_unit_test(cells_with_commas_quotes_and_lines_are_quoted),
        cmocka_unit_test(a_text_that_looks_like_a_formula_is_disarmed_and_a_number_is_not),
        cmocka_unit_test(a_formula_is_found_behind_what_cannot_be_seen),
        cmocka_unit_test(pages_come_out_as_one_table_with_the_columns_of_all),
        cmocka_unit_test(numbers_are_as_short_as_they_can_be),
        cmocka_unit_test(items_of_a_row_become_columns_and_the_unknown_is_empty_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
