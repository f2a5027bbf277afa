/* What of the store needs no database: texts that PostgreSQL takes, COPY lines, states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer_rows.pb-c.h"
#include "base/arena.h"
#include "base/auto.h"
#include "base/file.h"
#include "store/embedded.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/row_map.h"
#include "store/run.h"
#include "store/store.h"

static void text_of_every_script_fits_as_it_is(void **state)
{
    static const char text[] = "plain, Grüße, 汉字, \U0001F9E0, \u07FF\u0800\uFFFF\U0010FFFF";

    (void)state;
    assert_true(store_text_fits(text, strlen(text)));
}

static void what_is_no_utf8_does_not_fit(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* a continuation byte alone */
        "\xC0\xAF",         /* overlong "/" */
        "\xE0\x80\xAF",     /* overlong, three bytes */
        "\xED\xA0\x80",     /* a surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xE2\x82",         /* cut */
        "\xFF",
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++)
        assert_false(store_text_fits(bad[i], strlen(bad[i])));
    assert_false(store_text_fits("a\0b", 3));
}

static void bytes_that_do_not_fit_get_stand_ins(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 16);
    const char *good = "as it is";

    (void)state;
    assert_string_equal(store_text_fit(arena, "a\xE2\x82z\xFF"), "a<0xE2><0x82>z<0xFF>");
    assert_ptr_equal(store_text_fit(arena, good), good);
}

static void copy_lines_escape_what_copy_would_read(void **state)
{
    STORE_AUTO_COPY(copy, 1 << 16);

    (void)state;
    store_copy_text(&copy, "tab\there\\.\nnext\r\0end", 20);
    store_copy_str(&copy, "\\N");
    store_copy_null(&copy);
    store_copy_int(&copy, INT64_MIN);
    store_copy_end_row(&copy);
    assert_string_equal(copy.lines.data, "tab\\there\\\\.\\nnext\\r<0x00>end\t\\\\N\t\\N\t"
                                         "-9223372036854775808\n");
}

static void numbers_are_written_to_the_last_digit(void **state)
{
    CAP_AUTO_BUF(out, 1 << 10);

    (void)state;
    store_add_int(&out, INT64_MIN);
    store_add_uint(&out, UINT64_MAX);
    store_add_int(&out, 0);
    store_add_u32s(&out, (uint32_t[]){1, 4294967295U}, 2);
    store_add_u32s(&out, NULL, 0);
    assert_string_equal(out.data, "-9223372036854775808184467440737095516150{1,4294967295}{}");
}

static void copy_lines_hold_bytes(void **state)
{
    STORE_AUTO_COPY(copy, 1 << 16);

    (void)state;
    store_copy_bytes(&copy, (struct store_bytes){(const uint8_t *)"\0\xa5\xff", 3});
    store_copy_bytes(&copy, (struct store_bytes){0});
    store_copy_end_row(&copy);
    assert_string_equal(copy.lines.data, "\\\\x00a5ff\t\\N\n");
}

static void a_full_copy_buffer_says_so(void **state)
{
    STORE_AUTO_COPY(copy, 8);

    (void)state;
    store_copy_str(&copy, "more than eight bytes");
    assert_true(copy.lines.overflowed);
}

/* ---- the row map ---- */

static void braces_of_a_statement_become_columns(void **state)
{
    CAP_AUTO_BUF(out, 1 << 12);

    (void)state;
    store_map_expand("COPY figure (run_no, {figure}) FROM STDIN", &out);
    assert_string_equal(out.data, "COPY figure (run_no, id, value, low, high, reason, unit, basis,"
                                  " invalid, certified) FROM STDIN");
    cap_buf_clear(&out);
    store_map_expand("SELECT {doc d doc.}, '{}' FROM x", &out);
    assert_string_equal(out.data, "SELECT d.ordinal AS \"doc.ordinal\", d.uid AS \"doc.uid\","
                                  " d.doc AS \"doc.json\", '{}' FROM x");
    cap_buf_clear(&out);
    store_map_expand("{run_task t}{answer.routing s}", &out);
    assert_string_equal(out.data, "t.name AS \"task\", t.metrics[1] AS \"headline_metric\","
                                  " t.samples AS \"task_samples\"s.routing AS \"routing\"");
    cap_buf_clear(&out);
    store_map_expand("{event e}", &out);
    assert_non_null(strstr(out.data, "(extract(epoch FROM e.at) * 1000)::bigint AS \"at_ms\""));
}

/* A field that a map forgets would come in and be lost without a word. */
static void a_map_carries_every_field_of_its_message(void **state)
{
    static const struct {
        enum store_map map;
        const ProtobufCMessageDescriptor *type;
    } whole[] = {
        {STORE_MAP_answer, &moecap__v1__sample_answer__descriptor},
        {STORE_MAP_verdict, &moecap__v1__verdict__descriptor},
        {STORE_MAP_pass, &moecap__v1__pass__descriptor},
        {STORE_MAP_expert_count, &moecap__v1__expert_count__descriptor},
        {STORE_MAP_power, &moecap__v1__power_sample__descriptor},
        {STORE_MAP_figure, &moecap__v1__figure__descriptor},
        {STORE_MAP_histogram, &moecap__v1__histogram__descriptor},
        {STORE_MAP_curve, &moecap__v1__curve__descriptor},
        {STORE_MAP_mark, &moecap__v1__mark__descriptor},
        {STORE_MAP_task, &moecap__v1__task_info__descriptor},
        {STORE_MAP_doc, &moecap__v1__task_doc__descriptor},
        {STORE_MAP_attempt, &moecap__v1__attempt__descriptor},
        {STORE_MAP_event, &moecap__v1__event__descriptor},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(whole); i++) {
        const char *table;
        size_t count;
        const struct store_column *columns = store_map_columns(whole[i].map, &count, &table);
        for (unsigned f = 0; f < whole[i].type->n_fields; f++) {
            const char *name = whole[i].type->fields[f].name;
            size_t at = 0, length = strlen(name);
            while (at < count && (strncmp(columns[at].field, name, length) != 0 ||
                                  (columns[at].field[length] && columns[at].field[length] != '.')))
                at++;
            if (at == count)
                fail_msg("%s.%s has no row in row_map.def", whole[i].type->name, name);
        }
    }
}

/* ---- states ---- */

static void no_state_follows_an_end_but_invalid_after_finished(void **state)
{
    (void)state;
    for (int from = STORE_STATE_FINISHED; from < STORE_STATE_COUNT; from++)
        for (int to = 0; to < STORE_STATE_COUNT; to++)
            assert_int_equal(store_state_may_follow((enum store_state)from, (enum store_state)to),
                             from == STORE_STATE_FINISHED && to == STORE_STATE_INVALID);
}

static void a_run_is_finished_only_out_of_grading(void **state)
{
    (void)state;
    for (int from = 0; from < STORE_STATE_COUNT; from++)
        assert_int_equal(store_state_may_follow((enum store_state)from, STORE_STATE_FINISHED),
                         from == STORE_STATE_GRADING);
}

static void migrations_are_numbered_without_a_gap(void **state)
{
    (void)state;
    assert_true(store_migration_count > 0);
    for (size_t i = 0; i < store_migration_count; i++)
        assert_int_equal(store_migrations[i].version, i + 1);
}

static char *password_of(const char *bytes, size_t length, struct cap_err *err)
{
    char path[] = "/tmp/moecap-password-XXXXXX";
    struct cap_err writing = {0};
    char *password;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_true(cap_file_write(path, bytes, length, &writing));
    password = store_pg_password_read(path, err);
    remove(path);
    return password;
}

static void a_password_file_is_one_line(void **state)
{
    static const char *const good[][2] = {
        {"top secret", "top secret"}, {"top\n", "top"}, {"top \r\n", "top "}, {"top\n\n", "top"}};
    static const char *const bad[][2] = {{"", "has an empty first line"},
                                         {"\ntop", "has an empty first line"},
                                         {"a\nb", "is not one line"}};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(good); i++) {
        struct cap_err err = {0};
        CAP_AUTO_MEM char *password = password_of(good[i][0], strlen(good[i][0]), &err);
        assert_non_null(password);
        assert_string_equal(password, good[i][1]);
    }
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        struct cap_err err = {0};
        assert_null(password_of(bad[i][0], strlen(bad[i][0]), &err));
        assert_non_null(strstr(err.text, bad[i][1]));
    }
    struct cap_err err = {0};
    assert_null(password_of("to\0p", 4, &err));
    assert_non_null(strstr(err.text, "is not one line"));
    cap_err_clear(&err);
    assert_null(store_pg_password_read("/nonexistent/password", &err));
    assert_non_null(strstr(err.text, "/nonexistent/password"));
}

static void a_missing_postgresql_is_a_sentence(void **state)
{
    char dir[STORE_PATH_BYTES];
    struct cap_err err = {0};

    (void)state;
    assert_false(store_bindir_find("/nonexistent", "", dir, &err));
    assert_string_equal(err.text, "no initdb, pg_ctl and postgres in \"/nonexistent\"");
}

/* Field by field the same, but for texts and the report, which are bytes. */
static void assert_twins(const ProtobufCMessageDescriptor *ours,
                         const ProtobufCMessageDescriptor *wire)
{
    assert_int_equal(ours->n_fields, wire->n_fields);
    for (unsigned i = 0; i < ours->n_fields; i++) {
        const ProtobufCFieldDescriptor *a = &ours->fields[i], *b = &wire->fields[i];
        assert_int_equal(a->id, b->id);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->label, b->label);
        if (a->type != PROTOBUF_C_TYPE_BYTES)
            assert_int_equal(a->type, b->type);
    }
}

static void the_rows_we_unpack_are_those_of_the_wire(void **state)
{
    (void)state;
    assert_twins(&moecap__store__raw_rows__descriptor, &moecap__v1__answer_rows__descriptor);
    assert_twins(&moecap__store__raw_answer__descriptor, &moecap__v1__sample_answer__descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_every_script_fits_as_it_is),
        cmocka_unit_test(what_is_no_utf8_does_not_fit),
        cmocka_unit_test(bytes_that_do_not_fit_get_stand_ins),
        cmocka_unit_test(copy_lines_escape_what_copy_would_read),
        cmocka_unit_test(numbers_are_written_to_the_last_digit),
        cmocka_unit_test(copy_lines_hold_bytes),
        cmocka_unit_test(a_full_copy_buffer_says_so),
        cmocka_unit_test(braces_of_a_statement_become_columns),
        cmocka_unit_test(a_map_carries_every_field_of_its_message),
        cmocka_unit_test(no_state_follows_an_end_but_invalid_after_finished),
        cmocka_unit_test(a_run_is_finished_only_out_of_grading),
        cmocka_unit_test(migrations_are_numbered_without_a_gap),
        cmocka_unit_test(the_rows_we_unpack_are_those_of_the_wire),
        cmocka_unit_test(a_password_file_is_one_line),
        cmocka_unit_test(a_missing_postgresql_is_a_sentence),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
