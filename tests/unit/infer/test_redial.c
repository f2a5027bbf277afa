/* When a node dials again, and what it logs of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inference/node/stream.h"

static struct cap_err because(enum cap_code code, const char *text)
{
    struct cap_err err = {0};

    cap_fail(&err, code, "%s", text);
    return err;
}

/* Ends `count` times without a welcome; how many of them were to be logged. */
static int fail_times(struct infer_redial *redial, int count, const struct cap_err *reason)
{
    int told = 0;

    for (int i = 0; i < count; i++)
        told += infer_redial_ended(redial, -1, reason);
    return told;
}

static void a_scheduler_that_is_away_is_dialled_every_five_seconds(void **state)
{
    struct infer_redial redial = {0};
    struct cap_err away = because(CAP_UNAVAILABLE, "connection refused");

    (void)state;
    assert_true(infer_redial_ended(&redial, -1, &away));
    assert_int_equal(redial.pause_ms, INFER_REDIAL_MS_MIN);
    assert_int_equal(fail_times(&redial, 99, &away), 0);
    assert_int_equal(redial.pause_ms, INFER_REDIAL_MS_MAX);
    assert_int_equal(redial.untold, 99);
}

static void a_refusal_for_good_is_dialled_ever_more_rarely_and_told_once(void **state)
{
    struct infer_redial redial = {0};
    struct cap_err name = because(CAP_INVALID_ARGUMENT, "a node's name has 1 to 63 bytes");
    struct cap_err other = because(CAP_INVALID_ARGUMENT, "a node names 2000 models");
    int64_t waited_ms = 0;
    int calls = 0;

    (void)state;
    for (; waited_ms < 86400000; calls++) {
        infer_redial_ended(&redial, -1, &name);
        waited_ms += redial.pause_ms;
    }
    assert_in_range(calls, 280, 310); /* in a day, not 17,280 */
    assert_int_equal(redial.pause_ms, INFER_REDIAL_REFUSED_MS_MAX);
    assert_int_equal(redial.untold, calls - 1);
    assert_int_equal(fail_times(&redial, 5, &other), 1); /* another reason is news */
}

static void a_reason_that_may_pass_brings_the_short_pause_back(void **state)
{
    struct infer_redial redial = {0};
    struct cap_err refused = because(CAP_UNIMPLEMENTED, "no such method");
    struct cap_err away = because(CAP_UNAVAILABLE, "connection refused");

    (void)state;
    fail_times(&redial, 20, &refused);
    assert_true(infer_redial_ended(&redial, -1, &away));
    assert_int_equal(redial.pause_ms, INFER_REDIAL_MS_MAX);
}

static void a_stream_that_lived_starts_anew_and_one_that_hung_up_at_once_does_not(void **state)
{
    struct infer_redial redial = {0};
    struct cap_err none = {0};

    (void)state;
    assert_true(infer_redial_ended(&redial, 3, &none));
    assert_string_equal(redial.reason, INFER_REDIAL_HUNG_UP);
    for (int i = 0; i < 10; i++)
        assert_false(infer_redial_ended(&redial, 3, &none));
    assert_int_equal(redial.pause_ms, INFER_REDIAL_MS_MAX);
    assert_true(infer_redial_ended(&redial, 60000, &none));
    assert_int_equal(redial.pause_ms, INFER_REDIAL_MS_MIN);
    assert_int_equal(redial.untold, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scheduler_that_is_away_is_dialled_every_five_seconds),
        cmocka_unit_test(a_refusal_for_good_is_dialled_ever_more_rarely_and_told_once),
        cmocka_unit_test(a_reason_that_may_pass_brings_the_short_pause_back),
        cmocka_unit_test(a_stream_that_lived_starts_anew_and_one_that_hung_up_at_once_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
