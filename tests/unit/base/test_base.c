/* What the rest of the tree relies on in lib/base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/near.h"
#include "base/plain.h"
#include "base/python_json.h"
#include "base/rand.h"
#include "base/sorted.h"
#include "base/utf8.h"

static void context_stands_in_front_of_the_reason(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_false(cap_fail(&err, CAP_NOT_FOUND, "run %s does not exist", "run-1"));
    assert_false(cap_fail_in(&err, "watch"));
    assert_string_equal(err.text, "watch: run run-1 does not exist");
    assert_int_equal(err.code, CAP_NOT_FOUND);
}

static void a_failure_can_name_the_field_to_blame(void **state)
{
    struct cap_err err = {0};
    char path[2 * CAP_ERR_FIELD_BYTES_MAX];

    (void)state;
    assert_false(cap_fail_field(&err, CAP_INVALID_ARGUMENT, "spec.limit", "limit %d is odd", 3));
    assert_false(cap_fail_in(&err, "submit"));
    assert_string_equal(err.text, "submit: limit 3 is odd");
    assert_string_equal(err.field, "spec.limit");
    cap_err_clear(&err);
    assert_string_equal(err.field, "");
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_false(cap_fail_field(&err, CAP_INVALID_ARGUMENT, path, "no such field"));
    assert_string_equal(err.field, "");
}

static void a_text_that_is_too_long_ends_in_dots(void **state)
{
    struct cap_err err = {0};
    char text[2 * CAP_ERR_TEXT_BYTES_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cap_fail(&err, CAP_INTERNAL, "%s", text);
    assert_int_equal(strlen(err.text), CAP_ERR_TEXT_BYTES_MAX - 1);
    assert_string_equal(err.text + CAP_ERR_TEXT_BYTES_MAX - 4, "...");
}

static void codes_have_the_names_of_grpc(void **state)
{
    (void)state;
    assert_string_equal(cap_code_name(CAP_OK), "ok");
    assert_string_equal(cap_code_name(CAP_INVALID_ARGUMENT), "invalid_argument");
    for (int code = 0; code < CAP_CODE_COUNT; code++)
        assert_true(*cap_code_name((enum cap_code)code));
    assert_string_equal(cap_code_name(CAP_CODE_COUNT), "unknown");
}

static void arena_refuses_past_its_limit_and_works_after_reset(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1000);

    (void)state;
    assert_non_null(cap_arena_alloc(arena, 900));
    assert_null(cap_arena_alloc(arena, 200));
    assert_null(cap_arena_array(arena, SIZE_MAX / 2, 3));
    cap_arena_reset(arena);
    assert_string_equal(cap_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
}

static void buffer_overflows_once_and_keeps_what_fitted(void **state)
{
    CAP_AUTO_BUF(buf, 8);

    (void)state;
    cap_buf_add_str(&buf, "12345678");
    assert_false(buf.overflowed);
    cap_buf_add_char(&buf, '9');
    assert_true(buf.overflowed);
    assert_string_equal(buf.data, "12345678");
    cap_buf_clear(&buf);
    cap_buf_printf(&buf, "%s", "again");
    cap_buf_drop(&buf, 2);
    assert_string_equal(buf.data, "ain");
}

/* Against a plain array, with few enough keys that slots collide and gaps are closed. */
static void map_agrees_with_an_array_whatever_is_put_and_removed(void **state)
{
    enum { KEYS = 300, STEPS = 200000 };
    CAP_AUTO(cap_map) map = cap_map_new();
    struct cap_rand rand;
    static int values[KEYS];
    bool there[KEYS] = {false};
    size_t count = 0;

    (void)state;
    cap_rand_seed(&rand, 7);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)cap_rand_below(&rand, KEYS);
        char key[24];

        snprintf(key, sizeof key, "k%d", i);
        assert_ptr_equal(cap_map_get(map, key), there[i] ? &values[i] : NULL);
        if (cap_rand_below(&rand, 2)) {
            assert_ptr_equal(cap_map_remove(map, key), there[i] ? &values[i] : NULL);
            count -= there[i];
            there[i] = false;
        } else {
            assert_ptr_equal(cap_map_put(map, key, &values[i]), there[i] ? &values[i] : NULL);
            count += !there[i];
            there[i] = true;
        }
        assert_int_equal(cap_map_count(map), count);
    }
    for (size_t at = 0; at < count; at++)
        assert_ptr_equal(cap_map_get(map, cap_map_key_at(map, at)), cap_map_value_at(map, at));
}

/* Each removal used to build the table anew: this took minutes. */
static size_t comparisons;

static int compare_ints(const void *a, const void *b)
{
    comparisons++;
    return *(const int *)a - *(const int *)b;
}

static bool is_below(const void *item, const void *limit)
{
    return *(const int *)item < *(const int *)limit;
}

static void sorted_agrees_with_an_array_whatever_is_put_and_removed(void **state)
{
    enum { COUNT = 300, STEPS = 5000 };
    CAP_AUTO(cap_sorted) sorted = cap_sorted_new(compare_ints);
    int values[COUNT];
    bool there[COUNT] = {false};
    struct cap_rand rand;
    size_t count = 0;

    (void)state;
    cap_rand_seed(&rand, 3);
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
    for (int step = 0; step < STEPS; step++) {
        int i = (int)cap_rand_below(&rand, COUNT), next = i + 1, below = 0;
        const int *after;

        if (there[i])
            assert_true(cap_sorted_remove(sorted, &values[i]));
        else
            cap_sorted_put(sorted, &values[i]);
        there[i] = !there[i];
        count += there[i] ? 1 : (size_t)-1;
        assert_int_equal(cap_sorted_count(sorted), count);
        if (!there[i])
            assert_false(cap_sorted_remove(sorted, &values[i]));
        while (next < COUNT && !there[next])
            next++;
        after = cap_sorted_after(sorted, &values[i]);
        assert_ptr_equal(after, next < COUNT ? &values[next] : NULL);
        for (int k = 0; k < i; k++)
            below += there[k];
        assert_int_equal(cap_sorted_count_while(sorted, is_below, &values[i]), below);
    }
}

/* In the worst order for a tree that does not keep itself shallow. */
static void sorted_compares_in_proportion_to_the_logarithm(void **state)
{
    enum { COUNT = 1 << 17, LOG = 17 };
    CAP_AUTO(cap_sorted) sorted = cap_sorted_new(compare_ints);
    int *values = calloc(COUNT, sizeof *values);

    (void)state;
    comparisons = 0;
    for (int i = 0; i < COUNT; i++) {
        values[i] = i;
        cap_sorted_put(sorted, &values[i]);
    }
    assert_true(comparisons < (size_t)COUNT * 3 * LOG);
    comparisons = 0;
    for (int i = 0; i < COUNT; i += 2)
        assert_true(cap_sorted_remove(sorted, &values[i]));
    assert_true(comparisons < (size_t)COUNT * 3 * LOG);
    assert_ptr_equal(cap_sorted_after(sorted, NULL), &values[1]);
    free(values);
}

static void removing_from_a_large_map_does_not_depend_on_its_size(void **state)
{
    enum { KEYS = 100000 };
    CAP_AUTO(cap_map) map = cap_map_new();
    static int value;
    char key[24];

    (void)state;
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cap_map_put(map, key, &value);
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_non_null(cap_map_remove(map, key));
    }
    assert_int_equal(cap_map_count(map), 0);
}

static void map_finds_what_was_put_and_forgets_what_was_removed(void **state)
{
    CAP_AUTO(cap_map) map = cap_map_new();
    static int values[1000];
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_null(cap_map_put(map, key, &values[i]));
    }
    assert_ptr_equal(cap_map_put(map, "key-5", &values[6]), &values[5]);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_non_null(cap_map_remove(map, key));
    }
    assert_int_equal(cap_map_count(map), 500);
    assert_null(cap_map_get(map, "key-4"));
    assert_ptr_equal(cap_map_get(map, "key-7"), &values[7]);
    assert_ptr_equal(cap_map_get_n(map, "key-77xyz", 6), &values[77]);
}

static const char *nearest(const char *word)
{
    struct cap_near near = {.word = word};

    for (const char *const *name = (const char *const[]){"submit", "status", "up", "down", NULL};
         *name; name++)
        cap_near_try(&near, *name);
    return near.best;
}

static void the_name_that_was_meant_has_the_fewest_edits(void **state)
{
    (void)state;
    assert_string_equal(nearest("submti"), "submit");
    assert_string_equal(nearest("statu"), "status");
    assert_string_equal(nearest("ip"), "up");
    assert_null(nearest("zz")); /* as many edits as letters */
    assert_null(nearest("frobnicate"));
    assert_null(nearest(""));
}

static void the_same_seed_gives_the_same_stream(void **state)
{
    struct cap_rand a, b;

    (void)state;
    cap_rand_seed(&a, 42);
    cap_rand_seed(&b, 42);
    for (int i = 0; i < 100; i++)
        assert_true(cap_rand_u64(&a) == cap_rand_u64(&b));
    for (int i = 0; i < 1000; i++) {
        assert_true(cap_rand_below(&a, 7) < 7);
        assert_true(cap_rand_unit(&a) < 1.0);
    }
}

static void ids_carry_their_prefix_and_differ(void **state)
{
    char a[CAP_ID_BYTES], b[CAP_ID_BYTES];

    (void)state;
    cap_rand_id("run", a);
    cap_rand_id("run", b);
    assert_memory_equal(a, "run-", 4);
    assert_int_equal(strlen(a), 20);
    assert_string_not_equal(a, b);
}

static void times_are_printed_in_utc_with_milliseconds(void **state)
{
    char text[CAP_TIME_TEXT_BYTES];

    (void)state;
    cap_time_text(1764055231120, text);
    assert_string_equal(text, "2025-11-25T07:20:31.120Z");
}

static void files_are_replaced_whole_and_limits_hold(void **state)
{
    char dir[] = "/tmp/moecap-test-XXXXXX", path[64];
    struct cap_err err = {0};
    size_t length;
    char *data;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b", dir);
    assert_true(cap_dir_make(path, &err));
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    assert_true(cap_file_write(path, "hello", 5, &err));
    data = cap_file_read(path, 5, &length, &err);
    assert_non_null(data);
    assert_int_equal(length, 5);
    free(data);
    assert_null(cap_file_read(path, 4, &length, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
    cap_err_clear(&err);
    assert_null(cap_file_read(dir, 4, NULL, &err));
    assert_non_null(strstr(err.text, "is a directory"));
    cap_err_clear(&err);
    data = cap_file_read_text(path, 5, &err);
    assert_string_equal(data, "hello");
    free(data);
    assert_true(cap_file_write(path, "0\0001\n", 4, &err)); /* not the text "0" */
    assert_null(cap_file_read_text(path, 5, &err));
    assert_non_null(strstr(err.text, "has a zero byte"));
}

static void a_pipe_in_a_folder_of_others_is_refused_and_not_waited_for(void **state)
{
    char dir[] = "/tmp/moecap-test-XXXXXX", path[64];
    struct cap_err err = {0};
    char *data;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(cap_file_read_regular(path, 100, NULL, &err));
    assert_non_null(strstr(err.text, "it is not a regular file"));
    unlink(path);
    assert_true(cap_file_write(path, "hello", 5, &err));
    data = cap_file_read_regular(path, 100, NULL, &err);
    assert_string_equal(data, "hello");
    free(data);
    snprintf(path, sizeof path, "%s/pipe/below", dir);
    cap_err_clear(&err);
    assert_null(cap_file_read(path, 100, NULL, &err));
    assert_int_equal(err.code, CAP_NOT_FOUND); /* a path through a file */
    snprintf(path, sizeof path, "%s/pipe", dir);
    unlink(path);
    assert_int_equal(symlink("pipe", path), 0); /* to itself */
    cap_err_clear(&err);
    assert_null(cap_file_read_regular(path, 100, NULL, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION); /* trying again never helps */
    unlink(path);
    rmdir(dir);
}

/* What a file says of its size is no promise: a pipe has none, and what /proc shows has 0. */
static void what_has_no_size_is_read_whole_or_refused(void **state)
{
    char path[32], text[5000];
    struct cap_err err = {0};
    size_t length = 0;
    int ends[2];
    char *data;

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t limit = 5000; limit >= 4999; limit--) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, sizeof text), sizeof text);
        close(ends[1]);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        data = cap_file_read(path, limit, &length, &err);
        close(ends[0]);
        if (limit == 5000) {
            assert_non_null(data);
            assert_int_equal(length, 5000);
        } else {
            assert_null(data);
            assert_non_null(strstr(err.text, "has more than 4999 bytes"));
            cap_err_clear(&err);
        }
        free(data);
    }
    data = cap_file_read("/proc/self/status", 1 << 20, &length, &err);
    assert_non_null(data);
    assert_int_equal(strlen(data), length);
    assert_true(length > 100);
    free(data);
    assert_null(cap_file_read("/proc/self/status", 100, NULL, &err));
    assert_int_equal(err.code, CAP_RESOURCE_EXHAUSTED);
}

/* ESC, C1 as a character and as a byte, CR, BS, DEL, overrides, isolates, marks, separators. */
static void foreign_text_does_not_act_on_a_terminal(void **state)
{
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    cap_plain_add(&out, "a\033]0;t\007b\rc\bd\x7f"
                        "e\xc2\x9b"
                        "f\x9bg\n"
                        "h\xe2\x80\xae"
                        "i\xe2\x81\xa6"
                        "j\xe2\x80\x8f"
                        "k\xd8\x9c"
                        "l\xe2\x80\xa8");
    assert_string_equal(out.data, "a?]0;t?b?c?d?e?f?g?h?i?j?k?l?");
    cap_buf_clear(&out);
    cap_plain_add_lines(&out, "one\ntwo\033\nthree");
    assert_string_equal(out.data, "one\ntwo?\nthree");
}

static void what_people_write_is_shown_as_it_is(void **state)
{
    static const char text[] =
        "na\xc3\xafve \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe4\xb8\xad\xe6\x96\x87 "
        "\xe2\x82\xac \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac \\ \" %";
    CAP_AUTO_BUF(out, 4096);

    (void)state;
    cap_plain_add(&out, text);
    assert_string_equal(out.data, text);
}

static char *read_back(FILE *file)
{
    static char text[70000];
    size_t length;

    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static void json_keeps_its_value_when_it_is_made_harmless(void **state)
{
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    cap_plain_json(file, "{\n\t\"a\": \"\\u001b x\x7f\xc2\x9b\xe2\x80\xae\xe4\xb8\xad\"\n}");
    assert_string_equal(read_back(file),
                        "{\n\t\"a\": \"\\u001b x\\u007f\\u009b\\u202e\xe4\xb8\xad\"\n}");
}

static void a_line_too_long_to_print_is_cut_and_ends(void **state)
{
    FILE *file = tmpfile();
    char *text = malloc(100001);
    char *back;

    (void)state;
    assert_non_null(file);
    assert_non_null(text);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    cap_plain_line(file, "%s", text);
    free(text);
    back = read_back(file);
    assert_int_equal(strlen(back), (64 << 10) + 1);
    assert_int_equal(back[64 << 10], '\n');
}

static void only_the_shortest_form_of_a_character_below_110000_is_utf8(void **state)
{
    static const struct {
        const char *bytes;
        int size;
    } rows[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xc1\xbf", 0},
        {"\x80", 0},
        {"\xe0\xa0\x80", 3},
        {"\xe0\x9f\xbf", 0},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0},
        {"\xf0\x90\x80\x80", 4},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xe2\x82", -1},
        {"\xf0\x90", -1},
        {"\xe2"
         "a",
         0},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        assert_int_equal(cap_utf8_character(rows[i].bytes, strlen(rows[i].bytes)), rows[i].size);
    assert_int_equal(cap_utf8_bad("a\xc3\xa9\xff", 4), 3);
    assert_int_equal(cap_utf8_bad("a\xc3\xa9", 3), 3);
    assert_int_equal(cap_utf8_bad("a\xc3", 2), 1);
    assert_int_equal(cap_utf8_count("a\xc3\xa9"), 2);
}

static void a_cut_never_ends_inside_a_character(void **state)
{
    (void)state;
    assert_int_equal(cap_utf8_cut("abcdef", 4), 4);
    assert_int_equal(cap_utf8_cut("ab\xe2\x82\xac"
                                  "cd",
                                  5),
                     5);
    assert_int_equal(cap_utf8_cut("ab\xe2\x82\xac", 4), 2);
    assert_int_equal(cap_utf8_cut("ab\xe2\x82\xac", 3), 2);
    assert_int_equal(cap_utf8_cut("\x82\x82\x82\x82\x82\x82", 5), 5); /* no character at all */
    assert_int_equal(cap_utf8_cut("\xc3\xa9", 1), 0);
}

static void tidied_text_is_utf8_and_keeps_what_was(void **state)
{
    static const char *const pairs[][2] = {
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\"\xe2\x82\" is odd", "\"?\" is odd"},
        {"a\xff\xfe\xc3\xa9", "a??\xc3\xa9"},
        {"a\xf0\x9f\x98", "a?"},
        {"\xe2\x82\xe2\x82\xac", "?\xe2\x82\xac"},
        {"\xed\xa0\x80", "???"},
        {"", ""},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(pairs); i++) {
        snprintf(text, sizeof text, "%s", pairs[i][0]);
        cap_utf8_tidy(text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void a_failure_that_quotes_a_piece_of_a_name_is_utf8(void **state)
{
    struct cap_err err = {0};
    char long_name[CAP_ERR_TEXT_BYTES_MAX * 2];

    (void)state;
    cap_fail(&err, CAP_NOT_FOUND, "no model \"%.4s\"", "caf\xc3\xa9");
    assert_string_equal(err.text, "no model \"caf?\"");
    for (int shift = 0; shift < 3; shift++) {
        memset(long_name, 'x', (size_t)shift);
        for (size_t i = (size_t)shift; i + 3 < sizeof long_name; i += 3)
            memcpy(long_name + i, "\xe2\x82\xac", 4);
        cap_err_clear(&err);
        cap_fail(&err, CAP_NOT_FOUND, "%s", long_name);
        assert_int_equal(cap_utf8_bad(err.text, strlen(err.text)), strlen(err.text));
        assert_string_equal(err.text + strlen(err.text) - 3, "...");
        assert_null(strchr(err.text, '?'));
        cap_fail_in(&err, "ab");
        assert_int_equal(cap_utf8_bad(err.text, strlen(err.text)), strlen(err.text));
        assert_null(strchr(err.text, '?'));
    }
}

static void mended_text_does_not_depend_on_how_it_was_divided(void **state)
{
    static const char text[] = "\xc3\xa9\xe2\x82\xe2\x82\xac\xff"
                               "a\xf0\x90";
    struct cap_utf8_mender mender = {0};
    CAP_AUTO_BUF(whole, 64);
    CAP_AUTO_BUF(pieces, 64);

    (void)state;
    cap_utf8_mend(&mender, text, sizeof text - 1, &whole);
    cap_utf8_mend_end(&mender, &whole);
    for (size_t i = 0; i < sizeof text - 1; i++)
        cap_utf8_mend(&mender, text + i, 1, &pieces);
    cap_utf8_mend_end(&mender, &pieces);
    assert_string_equal(whole.data, "\xc3\xa9" CAP_UTF8_REPLACEMENT
                                    "\xe2\x82\xac" CAP_UTF8_REPLACEMENT "a" CAP_UTF8_REPLACEMENT);
    assert_string_equal(pieces.data, whole.data);
}

static void a_wait_ends_when_its_time_has_come(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    int64_t began_ms = cap_clock_ms(cap_clock_system());
    struct timespec end = cap_wait_end(1999);

    (void)state;
    assert_in_range(end.tv_nsec, 0, 999999999);
    end = cap_wait_end(30);
    pthread_mutex_lock(&lock);
    while (cap_wait_until(&never, &lock, &end))
        ;
    assert_false(cap_wait_ms(&never, &lock, 0));
    pthread_mutex_unlock(&lock);
    assert_in_range(cap_clock_ms(cap_clock_system()) - began_ms, 29, 20000);
}

static void check_python_json(const char *text, const char *strict)
{
    size_t length;
    char *got = cap_python_json(text, strlen(text), &length);

    assert_string_equal(got, strict);
    assert_int_equal(length, strlen(strict));
    free(got);
}

static void what_python_writes_and_a_strict_reader_refuses_becomes_strict(void **state)
{
    (void)state;
    check_python_json("{\"limit\": [0.0, Infinity, -Infinity, NaN]}",
                      "{\"limit\": [0.0, \"Infinity\", \"-Infinity\", \"NaN\"]}");
    check_python_json("\xef\xbb\xbf[1]", "[1]");
    check_python_json("[1000000000000000019884624838656, -12, 1e999, 1e-3]",
                      "[1000000000000000019884624838656.0, -12, \"Infinity\", 1e-3]");
}

static void strings_and_mistakes_stay_as_they_are(void **state)
{
    static const char *const texts[] = {"{\"NaN \\\" Infinity\": \"\\\\\", \"x\": -1.5e+3}",
                                        "\"no end Infinity", "[tru, Nan, In, \\]", "", "-"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(texts); i++)
        check_python_json(texts[i], texts[i]);
}

static void a_shuffle_keeps_every_item_and_draws_every_order(void **state)
{
    enum { DRAWS = 6000, ORDERS = 6 };
    struct cap_rand rand;
    int seen[ORDERS] = {0};

    (void)state;
    cap_rand_seed(&rand, 11);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t items[] = {1, 20, 300};

        cap_rand_shuffle(&rand, items, 3, sizeof *items);
        assert_int_equal(items[0] + items[1] + items[2], 321);
        assert_int_equal(items[0] * items[1] * items[2], 6000);
        seen[(items[0] == 1 ? 0 : items[0] == 20 ? 2 : 4) + (items[1] < items[2])]++;
    }
    for (int i = 0; i < ORDERS; i++)
        assert_in_range(seen[i], DRAWS / ORDERS - 150, DRAWS / ORDERS + 150);
    cap_rand_shuffle(&rand, NULL, 0, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shuffle_keeps_every_item_and_draws_every_order),
        cmocka_unit_test(context_stands_in_front_of_the_reason),
        cmocka_unit_test(a_failure_can_name_the_field_to_blame),
        cmocka_unit_test(a_text_that_is_too_long_ends_in_dots),
        cmocka_unit_test(codes_have_the_names_of_grpc),
        cmocka_unit_test(arena_refuses_past_its_limit_and_works_after_reset),
        cmocka_unit_test(buffer_overflows_once_and_keeps_what_fitted),
        cmocka_unit_test(map_agrees_with_an_array_whatever_is_put_and_removed),
        cmocka_unit_test(sorted_agrees_with_an_array_whatever_is_put_and_removed),
        cmocka_unit_test(sorted_compares_in_proportion_to_the_logarithm),
        cmocka_unit_test(removing_from_a_large_map_does_not_depend_on_its_size),
        cmocka_unit_test(map_finds_what_was_put_and_forgets_what_was_removed),
        cmocka_unit_test(the_name_that_was_meant_has_the_fewest_edits),
        cmocka_unit_test(the_same_seed_gives_the_same_stream),
        cmocka_unit_test(ids_carry_their_prefix_and_differ),
        cmocka_unit_test(times_are_printed_in_utc_with_milliseconds),
        cmocka_unit_test(files_are_replaced_whole_and_limits_hold),
        cmocka_unit_test(a_pipe_in_a_folder_of_others_is_refused_and_not_waited_for),
        cmocka_unit_test(what_has_no_size_is_read_whole_or_refused),
        cmocka_unit_test(foreign_text_does_not_act_on_a_terminal),
        cmocka_unit_test(what_people_write_is_shown_as_it_is),
        cmocka_unit_test(json_keeps_its_value_when_it_is_made_harmless),
        cmocka_unit_test(a_line_too_long_to_print_is_cut_and_ends),
        cmocka_unit_test(only_the_shortest_form_of_a_character_below_110000_is_utf8),
        cmocka_unit_test(a_wait_ends_when_its_time_has_come),
        cmocka_unit_test(a_cut_never_ends_inside_a_character),
        cmocka_unit_test(tidied_text_is_utf8_and_keeps_what_was),
        cmocka_unit_test(a_failure_that_quotes_a_piece_of_a_name_is_utf8),
        cmocka_unit_test(what_python_writes_and_a_strict_reader_refuses_becomes_strict),
        cmocka_unit_test(strings_and_mistakes_stay_as_they_are),
        cmocka_unit_test(mended_text_does_not_depend_on_how_it_was_divided),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
