/* The page in the program, packing, and entity tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/rand.h"
#include "page.h"
#include "service.h"

static void the_page_is_in_the_program(void **state)
{
    const struct gate_page_file *page = gate_page_find("/");

    (void)state;
    assert_non_null(page);
    assert_string_equal(page->type, "text/html; charset=utf-8");
    assert_string_equal(page->caching, "no-cache");
    assert_int_equal(strlen(page->etag), 34);
    assert_true(page->length > 100);
    assert_memory_equal(page->data, "<!doctype html>", 15);
}

static void every_view_has_an_address_and_nothing_else_has(void **state)
{
    static const char *const views[] = {"/submit", "/queue", "/nodes", "/runs/run-1",
                                        "/evaluations/eval-1"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(views); i++)
        assert_ptr_equal(gate_page_find(views[i]), gate_page_find("/"));
    assert_null(gate_page_find("/runs"));
    assert_null(gate_page_find("/submit/x"));
    assert_null(gate_page_find("/assets/none.js"));
    assert_null(gate_page_find(""));
}

static void files_with_a_digest_in_their_name_are_kept_for_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < gate_page_file_count; i++) {
        const struct gate_page_file *file = &gate_page_files[i];

        if (strstr(file->type, "javascript") || strstr(file->type, "css")) {
            assert_non_null(strchr(file->path, '-'));
            assert_non_null(strstr(file->caching, "immutable"));
            assert_non_null(file->gzip);
            assert_memory_equal(file->gzip, "\x1f\x8b", 2);
        }
    }
}

static void gzip_is_sent_only_to_those_who_take_it(void **state)
{
    (void)state;
    assert_true(gate_takes_gzip("gzip, deflate, br, zstd"));
    assert_true(gate_takes_gzip("br;q=1.0, GZIP;q=0.5"));
    assert_true(gate_takes_gzip("*"));
    assert_false(gate_takes_gzip(NULL));
    assert_false(gate_takes_gzip(""));
    assert_false(gate_takes_gzip("identity"));
    assert_false(gate_takes_gzip("gzip;q=0, br"));
    assert_false(gate_takes_gzip("br, gzip;q=0.000"));
    assert_false(gate_takes_gzip("x-gzip"));
}

static void unpack(const struct cap_buf *packed, char *out, size_t *length)
{
    z_stream stream = {.next_in = (z_const Bytef *)packed->data,
                       .avail_in = (uInt)packed->length,
                       .next_out = (Bytef *)out,
                       .avail_out = (uInt)*length};

    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    *length = stream.total_out;
    inflateEnd(&stream);
}

static void what_is_packed_can_be_unpacked_and_is_dropped_when_it_does_not_fit(void **state)
{
    static char text[300000], back[sizeof text];
    struct cap_rand rand;
    size_t length = sizeof back;

    (void)state;
    cap_rand_seed(&rand, 7);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + cap_rand_below(&rand, 20));
    CAP_AUTO_BUF(packed, sizeof text);
    assert_true(gate_gzip(text, sizeof text, &packed));
    assert_in_range(packed.length, 1, sizeof text * 3 / 4);
    unpack(&packed, back, &length);
    assert_int_equal(length, sizeof text);
    assert_memory_equal(back, text, sizeof text);
    CAP_AUTO_BUF(small, 1000);
    assert_false(gate_gzip(text, sizeof text, &small));
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
        cmocka_unit_test(a_list_of_entity_tags_is_searched),
        cmocka_unit_test(the_page_is_in_the_program),
        cmocka_unit_test(every_view_has_an_address_and_nothing_else_has),
        cmocka_unit_test(files_with_a_digest_in_their_name_are_kept_for_ever),
        cmocka_unit_test(gzip_is_sent_only_to_those_who_take_it),
        cmocka_unit_test(what_is_packed_can_be_unpacked_and_is_dropped_when_it_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
