/* Who may ask the gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page.h"
#include "service.h"

static void only_own_and_allowed_hosts_are_served(void **state)
{
    (void)state;
    assert_true(gate_host_allowed("localhost:7860", ""));
    assert_true(gate_host_allowed("127.0.0.1", ""));
    assert_true(gate_host_allowed("[::1]:7860", ""));
    assert_true(gate_host_allowed("LOCALHOST", ""));
    assert_false(gate_host_allowed("evil.example", ""));
    assert_false(gate_host_allowed("localhost.evil.example", ""));
    assert_false(gate_host_allowed("", ""));
    assert_true(gate_host_allowed("board.example:443", "a.example,board.example"));
    assert_false(gate_host_allowed("board.example.evil", "a.example,board.example"));
    assert_false(gate_host_allowed("", ",,"));
}

static void only_the_own_page_may_post_from_a_browser(void **state)
{
    (void)state;
    assert_true(gate_same_origin("http://localhost:7860", "localhost:7860"));
    assert_true(gate_same_origin("https://board.example", "board.example"));
    assert_false(gate_same_origin("http://evil.example", "localhost:7860"));
    assert_false(gate_same_origin("http://localhost:1", "localhost:7860"));
    assert_false(gate_same_origin("null", "localhost:7860"));
}

static void the_page_is_in_the_program(void **state)
{
    (void)state;
    assert_int_equal(gate_page_file_count, 3);
    assert_string_equal(gate_page_files[0].path, "/");
    assert_string_equal(gate_page_files[0].type, "text/html; charset=utf-8");
    assert_true(gate_page_files[0].length > 100);
    assert_memory_equal(gate_page_files[0].data, "<!doctype html>", 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_own_and_allowed_hosts_are_served),
        cmocka_unit_test(only_the_own_page_may_post_from_a_browser),
        cmocka_unit_test(the_page_is_in_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
