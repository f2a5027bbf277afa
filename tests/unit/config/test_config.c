/* Settings, counters, digests and log levels: tables and what is made of them. */
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

#include "base/file.h"
#include "config/config.h"
#include "digest/digest.h"
#include "log/log.h"
#include "metrics/metrics.h"

#define SETTINGS                                                                                   \
    CONF(depth_max, int, 10, 1, 100, "batches", "How deep.")                                       \
    CONF(share, double, 0.5, 0, 1, "", "How much.")                                                \
    CONF(quiet, bool, false, 0, 1, "", "Say less.")                                                \
    CONF(name, str, "anna", 1, 8, "", "Who.")

struct values {
#define CONF(name, type, ...) CAP_CONF_MEMBER_##type(name)
    SETTINGS
#undef CONF
};

static const struct cap_config_row rows[] = {
#define CONF(name, type, ...) CAP_CONF_ROW(struct values, name, type, __VA_ARGS__)
    SETTINGS
#undef CONF
};

static const struct cap_config config = {"unittest", rows, CAP_COUNT_OF(rows)};

struct result {
    struct values values;
    enum cap_config_source sources[4];
    struct cap_config_words rest;
    struct cap_err err;
    struct cap_arena *arena;
};

static bool read_into(struct result *r, char **argv)
{
    r->arena = cap_arena_new(1 << 16);
    r->rest = (struct cap_config_words){argv, 0};
    while (argv[r->rest.count])
        r->rest.count++;
    return cap_config_read(&config, &(struct cap_config_target){&r->values, r->arena, r->sources},
                           &r->rest, &r->err);
}

#define READ(r, ...) read_into(r, (char *[]){__VA_ARGS__, NULL})

static void defaults_come_from_the_table(void **state)
{
    struct result r = {0};

    (void)state;
    assert_true(READ(&r, "positional"));
    assert_int_equal(r.values.depth_max, 10);
    assert_true(r.values.share == 0.5);
    assert_false(r.values.quiet);
    assert_string_equal(r.values.name, "anna");
    assert_int_equal(r.rest.count, 1);
    cap_arena_free(r.arena);
}

static void flags_win_over_environment_over_file(void **state)
{
    char path[] = "/tmp/moecap-config-XXXXXX";
    struct result r = {0};
    struct cap_err err = {0};
    const char text[] = "# a comment\ndepth_max = 20\nshare=0.25\nname = file\n";

    (void)state;
    assert_true(mkstemp(path) >= 0);
    assert_true(cap_file_write(path, text, sizeof text - 1, &err));
    setenv("MOECAP_UNITTEST_SHARE", "0.75", 1);
    setenv("MOECAP_UNITTEST_NAME", "env", 1);
    assert_true(READ(&r, "--config", path, "--name=flag", "--quiet"));
    unsetenv("MOECAP_UNITTEST_SHARE");
    unsetenv("MOECAP_UNITTEST_NAME");
    remove(path);
    assert_int_equal(r.values.depth_max, 20);
    assert_int_equal(r.sources[0], CAP_CONFIG_FILE);
    assert_true(r.values.share == 0.75);
    assert_int_equal(r.sources[1], CAP_CONFIG_ENVIRONMENT);
    assert_true(r.values.quiet);
    assert_string_equal(r.values.name, "flag");
    assert_int_equal(r.sources[3], CAP_CONFIG_FLAG);
    assert_int_equal(r.rest.count, 0);
    cap_arena_free(r.arena);
}

static void check_refusal(const char *sentence, char *a, char *b)
{
    struct result r = {0};

    assert_false(b ? READ(&r, a, b) : READ(&r, a));
    assert_string_equal(r.err.text, sentence);
    cap_arena_free(r.arena);
}

static void bad_values_are_refused_with_what_would_be_accepted(void **state)
{
    (void)state;
    check_refusal("depth_max: \"0\" is not a number from 1 to 100 batches", "--depth-max", "0");
    check_refusal("depth_max: \"7x\" is not a number from 1 to 100 batches", "--depth-max", "7x");
    check_refusal("share: \"nan\" is not a number from 0 to 1", "--share", "nan");
    check_refusal("quiet: \"maybe\" is neither true nor false", "--quiet=maybe", NULL);
    check_refusal("name: \"far too long\" has 12 bytes; 1 to 8 are accepted", "--name",
                  "far too long");
    check_refusal("--name needs a value", "--name", NULL);
    check_refusal("--config needs a value", "--quiet", "--config");
}

static void a_bad_line_in_a_file_is_named(void **state)
{
    char path[] = "/tmp/moecap-config-XXXXXX";
    struct result r = {0};
    struct cap_err err = {0};

    (void)state;
    assert_true(mkstemp(path) >= 0);
    assert_true(cap_file_write(path, "depth_max = 2\nwidth = 3\n", 24, &err));
    assert_false(READ(&r, "--config", path));
    assert_non_null(strstr(r.err.text, ":2: unknown setting \"width\""));
    remove(path);
    cap_arena_free(r.arena);
}

static void the_sample_reads_back_as_the_defaults(void **state)
{
    CAP_AUTO_BUF(sample, 1 << 16);
    CAP_AUTO_BUF(help, 1 << 16);

    (void)state;
    cap_config_sample(&config, &sample);
    assert_non_null(strstr(sample.data, "# depth_max = 10\n"));
    assert_non_null(strstr(sample.data, "(1 to 100 batches)"));
    cap_config_help(&config, &help);
    assert_non_null(strstr(help.data, "--depth-max int"));
}

static const char *shown(const char *unit, const char *value)
{
    static char text[512];
    const struct cap_config_row row = {"db", CAP_CONFIG_str, "", 0, 500, unit, "", 0};
    CAP_AUTO_BUF(out, 500);

    cap_config_shown(&row, &value, &out);
    snprintf(text, sizeof text, "%s", out.data);
    return text;
}

static void passwords_in_a_uri_are_hidden(void **state)
{
    static const char *const pairs[][2] = {
        {"postgresql://anna:top@db:5432/x?sslmode=require",
         "postgresql://anna:***@db:5432/x?sslmode=require"},
        {"postgresql://anna:t@p:a@db/x@y", "postgresql://anna:***@db/x@y"},
        {"postgresql://anna@db:5432/x", "postgresql://anna@db:5432/x"},
        {"postgresql://db/x?user=anna&password=top&sslpassword=other",
         "postgresql://db/x?user=anna&password=***&sslpassword=***"},
        {"host=db password=top user=anna", "host=db password=*** user=anna"},
        {"password = 'to p\\' x' host=db", "password = *** host=db"},
        {"host=db passfile=/etc/password", "host=db passfile=/etc/password"},
        {"password=", "password=***"},
        {"password='top", "password=***"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(pairs); i++)
        assert_string_equal(shown("URI", pairs[i][0]), pairs[i][1]);
    assert_string_equal(shown("", "a password=b"), "a password=b");
}

static void counters_are_printed_for_prometheus(void **state)
{
    static const struct cap_metric_row metric_rows[] = {
        {"hits_total", CAP_METRIC_counter, "Hits."}};
    _Atomic int64_t values[1] = {0};
    struct cap_metrics metrics = {"unittest", metric_rows, values, 1};
    CAP_AUTO_BUF(text, 4096);

    (void)state;
    cap_metric_add(&metrics, 0, 3);
    cap_metrics_text(&metrics, &text);
    assert_string_equal(text.data, "# HELP moecap_unittest_hits_total Hits.\n"
                                   "# TYPE moecap_unittest_hits_total counter\n"
                                   "moecap_unittest_hits_total 3\n");
}

static void sha256_is_the_standard_one(void **state)
{
    CAP_AUTO(cap_digest) digest = cap_digest_new();
    char hex[CAP_SHA256_HEX_BYTES], pieces[CAP_SHA256_HEX_BYTES];
    uint8_t bytes[CAP_SHA256_BYTES];

    (void)state;
    cap_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cap_digest_add(digest, "a", 1);
    cap_digest_add(digest, "bc", 2);
    cap_digest_end(digest, bytes);
    cap_hex(bytes, sizeof bytes, pieces);
    assert_string_equal(pieces, hex);
}

static void log_levels_are_per_module(void **state)
{
    struct cap_err err = {0};

    (void)state;
    assert_true(cap_log_set_levels("warn,queue:debug", &err));
    assert_true(cap_log_on(CAP_LOG_DEBUG, "queue.c"));
    assert_false(cap_log_on(CAP_LOG_INFO, "lease.c"));
    assert_false(cap_log_set_levels("loud", &err));
    assert_string_equal(err.text, "log level \"loud\" is not [module:]debug, info, warn or error");
    assert_string_equal(cap_log_quoted("a \"b\"\n"), "\"a \\\"b\\\" \"");
}

/* What the line looks like to whoever reads standard error. */
static void log_one(const char *value, char *out, size_t room)
{
    int ends[2], kept = dup(STDERR_FILENO);
    ssize_t length;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    cap_log_write(CAP_LOG_INFO, "queue.c", "joined", "node=%s", value);
    dup2(kept, STDERR_FILENO);
    length = read(ends[0], out, room - 1);
    out[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(kept);
}

static void a_value_cannot_begin_a_log_line(void **state)
{
    char line[512];

    (void)state;
    log_one("n1\nts=0 level=info event=run_finished\x1b[2J", line, sizeof line);
    assert_non_null(strstr(line, "mod=queue event=joined node=n1?ts=0"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, '\x1b'));
}

/* What one call of the log writes. */
static char *logged(void (*write_it)(void))
{
    char path[] = "/tmp/moecap-log-XXXXXX";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    struct cap_err err = {0};
    char *text;

    dup2(file, STDERR_FILENO);
    write_it();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(file);
    text = cap_file_read(path, 1 << 20, NULL, &err);
    remove(path);
    assert_non_null(text);
    return text;
}

static void log_one_fact(void)
{
    cap_log_context("call=7f3a");
    cap_log(INFO, "run_queued", "run=%s why=%s", "run-1", CAP_LOG_Q("a \"b\"\nc"));
    cap_log(DEBUG, "not_shown", "x=%d", 1);
    cap_log_context(NULL);
}

static void log_too_much(void)
{
    static char much[100000];

    memset(much, 'x', sizeof much - 1);
    cap_log(WARN, "long", "text=%s", much);
    cap_log(WARN, "after", "n=%d", 2);
}

static void a_log_line_is_logfmt_with_the_threads_context(void **state)
{
    struct cap_err err = {0};
    CAP_AUTO_MEM char *text = NULL;

    (void)state;
    assert_true(cap_log_set_levels("info", &err));
    cap_log_init("unittest");
    text = logged(log_one_fact);
    assert_true(strncmp(text, "ts=20", 5) == 0);
    assert_string_equal(strchr(text, ' '), " level=info svc=unittest mod=test_config "
                                           "event=run_queued call=7f3a run=run-1 "
                                           "why=\"a \\\"b\\\" c\"\n");
}

static void log_what_acts_on_a_terminal(void)
{
    cap_log(WARN, "peer", "name=%s and %s",
            CAP_LOG_Q("a\x1b[2J\xc2\x9b"
                      "b\xe2\x80\xae"),
            "c\nd\xff");
}

static void a_peers_text_does_not_act_on_a_terminal_through_the_log(void **state)
{
    CAP_AUTO_MEM char *text = logged(log_what_acts_on_a_terminal);

    (void)state;
    assert_non_null(strstr(text, "name=\"a [2J?b?\" and c?d?\n"));
}

static void what_a_peer_can_cause_fills_no_log(void **state)
{
    struct cap_log_limit limit = {0};
    int told = 0, untold = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) /* a line a second */
        told += cap_log_may(&limit, 5000 + i * 1000, &untold);
    assert_int_equal(told, (1000 / 60 + 1) * CAP_LOG_LIMIT_LINES);
    assert_true(cap_log_may(&limit, 5000 + 2000 * 1000, &untold));
    assert_int_equal(untold, 30); /* of the last minute, of which 40 s had passed */
    assert_true(cap_log_may(&limit, 5000 + 2000 * 1000, &untold));
    assert_int_equal(untold, 0);
}

static void a_long_log_line_is_cut_and_the_next_one_whole(void **state)
{
    CAP_AUTO_MEM char *text = logged(log_too_much), *second = NULL;

    (void)state;
    second = strdup(strchr(text, '\n') + 1);
    assert_true(strcspn(text, "\n") < 4096);
    assert_non_null(strstr(text, "event=long text=xxx"));
    assert_non_null(strstr(second, "event=after n=2\n"));
    assert_string_equal(strchr(second, '\n'), "\n");
}

static void made_markdown_has_a_row_for_each_setting_and_counter(void **state)
{
    static const struct cap_metric_row metric_rows[] = {{"nodes", CAP_METRIC_gauge, "Nodes now."}};
    _Atomic int64_t values[1] = {0};
    struct cap_metrics metrics = {"unittest", metric_rows, values, 1};
    CAP_AUTO_BUF(text, 1 << 16);

    (void)state;
    cap_config_markdown(&config, &text);
    assert_non_null(strstr(text.data, "| `depth_max` | `10` | 1 to 100 batches | How deep. | "
                                      "`MOECAP_UNITTEST_DEPTH_MAX` |\n"));
    cap_buf_clear(&text);
    cap_metrics_markdown(&metrics, &text);
    assert_non_null(strstr(text.data, "| `moecap_unittest_nodes` | gauge | Nodes now. |\n"));
}

static bool at_the_second_time(void *arg)
{
    int *times = arg;

    return ++*times == 2;
}

static void the_digest_of_a_large_file_can_be_given_up(void **state)
{
    char path[] = "/tmp/moecap-digest-XXXXXX", hex[CAP_SHA256_HEX_BYTES];
    int file = mkstemp(path), times = 0;
    struct cap_err err = {0};

    (void)state;
    assert_int_equal(ftruncate(file, 40 << 20), 0);
    close(file);
    assert_false(cap_sha256_file_unless(path, at_the_second_time, &times, hex, &err));
    assert_int_equal(err.code, CAP_CANCELLED);
    assert_int_equal(times, 2);
    cap_err_clear(&err);
    times = 2;
    assert_true(cap_sha256_file_unless(path, at_the_second_time, &times, hex, &err));
    assert_int_equal(times, 2 + 3); /* at 0, 16 and 32 MiB */
    remove(path);
}

static void the_digest_of_a_file_is_that_of_its_bytes(void **state)
{
    char path[] = "/tmp/moecap-digest-XXXXXX", hex[CAP_SHA256_HEX_BYTES];
    struct cap_err err = {0};

    (void)state;
    assert_true(mkstemp(path) >= 0);
    assert_true(cap_file_write(path, "abc", 3, &err));
    assert_true(cap_sha256_file_unless(path, NULL, NULL, hex, &err));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    remove(path);
    assert_false(cap_sha256_file_unless(path, NULL, NULL, hex, &err));
    assert_non_null(strstr(err.text, path));
    cap_err_clear(&err);
    assert_int_equal(mkfifo(path, 0600), 0); /* a model's folder is filled by others */
    assert_false(cap_sha256_file_unless(path, NULL, NULL, hex, &err));
    assert_non_null(strstr(err.text, "it is not a regular file"));
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(flags_win_over_environment_over_file),
        cmocka_unit_test(bad_values_are_refused_with_what_would_be_accepted),
        cmocka_unit_test(a_bad_line_in_a_file_is_named),
        cmocka_unit_test(the_sample_reads_back_as_the_defaults),
        cmocka_unit_test(passwords_in_a_uri_are_hidden),
        cmocka_unit_test(counters_are_printed_for_prometheus),
        cmocka_unit_test(sha256_is_the_standard_one),
        cmocka_unit_test(log_levels_are_per_module),
        cmocka_unit_test(a_log_line_is_logfmt_with_the_threads_context),
        cmocka_unit_test(a_peers_text_does_not_act_on_a_terminal_through_the_log),
        cmocka_unit_test(what_a_peer_can_cause_fills_no_log),
        cmocka_unit_test(a_long_log_line_is_cut_and_the_next_one_whole),
        cmocka_unit_test(made_markdown_has_a_row_for_each_setting_and_counter),
        cmocka_unit_test(the_digest_of_a_large_file_can_be_given_up),
        cmocka_unit_test(the_digest_of_a_file_is_that_of_its_bytes),
        cmocka_unit_test(a_value_cannot_begin_a_log_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
