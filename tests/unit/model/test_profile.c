/* Profiles of activated experts: the seed's layout, in between its batch sizes, and what is refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "model/profile.h"

static void the_seeds_file_is_read_and_its_points_are_joined(void **state)
{
    struct cap_err err = {0};
    struct cap_profile p;
    double at;

    (void)state;
    assert_true(cap_profile_read("dataset,batch_size,average_activated_experts\r\n"
                                 "gsm8k,16,70\r\nmath,16,74\r\ngsm8k,1,8\r\n\r\n",
                                 &p, &err));
    assert_int_equal(p.count, 2);
    assert_true(cap_profile_at(&p, 1, &at) && at == 8);
    assert_true(cap_profile_at(&p, 16, &at) && at == 72);
    assert_true(cap_profile_at(&p, 8.5, &at) && fabs(at - 40) < 1e-9);
    assert_false(cap_profile_at(&p, 0.5, &at));
    assert_false(cap_profile_at(&p, 16.5, &at));
}

/* L3: one reader wants blanks where the writer has underscores, another other columns first. */
static void trap_l3_columns_are_found_by_either_name(void **state)
{
    struct cap_err err = {0};
    struct cap_profile p;
    double at;

    (void)state;
    assert_true(cap_profile_read("average activated experts,model,batch size\n7.9,m,1", &p, &err));
    assert_true(cap_profile_at(&p, 1, &at) && at == 7.9);
}

static void what_is_no_profile_is_a_sentence(void **state)
{
    static const char *const texts[][2] = {
        {"", "first line"},
        {"a,b\n1,2", "first line"},
        {"batch_size,average_activated_experts\n", "no rows"},
        {"batch_size,average_activated_experts\n1,x", "line 2"},
        {"batch_size,average_activated_experts\n1,2\n-1,2", "line 3"},
        {"batch_size,average_activated_experts\n1", "line 2"},
        {"batch_size,average_activated_experts\n1,nan", "line 2"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(texts); i++) {
        struct cap_err err = {0};
        struct cap_profile p;

        assert_false(cap_profile_read(texts[i][0], &p, &err));
        if (!strstr(err.text, texts[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, texts[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_file_is_read_and_its_points_are_joined),
        cmocka_unit_test(trap_l3_columns_are_found_by_either_name),
        cmocka_unit_test(what_is_no_profile_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
