/* The worker pool: every unit once, whatever the number of threads. */
#include <stdatomic.h>
#include <unistd.h>

#include "cpu/pool.h"
#include "kernels.h"

enum { UNITS_MAX = 1000 };

struct counted {
    _Atomic int done[UNITS_MAX];
    _Atomic int most_thread;
};

static void count(void *context, int unit, int thread)
{
    struct counted *c = context;
    atomic_fetch_add(&c->done[unit], 1);
    if (thread > c->most_thread)
        c->most_thread = thread;
}

static void every_unit_is_done_exactly_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct cpu_pool *pool = cpu_pool_open(threads);
        assert_non_null(pool);
        for (int round = 0; round < 2000; round++) {
            struct counted c = {0};
            int units = round % 37;
            cpu_pool_run(pool, count, &c, units);
            for (int i = 0; i < 40; i++)
                assert_int_equal(c.done[i], i < units);
            assert_true(c.most_thread < threads);
        }
        cpu_pool_free(pool);
    }
}

static void workers_that_fell_asleep_wake_up(void **state)
{
    (void)state;
    struct cpu_pool *pool = cpu_pool_open(3);
    for (int round = 0; round < 20; round++) {
        struct counted c = {0};
        usleep(3000); /* longer than they spin */
        cpu_pool_run(pool, count, &c, UNITS_MAX);
        for (int i = 0; i < UNITS_MAX; i++)
            assert_int_equal(c.done[i], 1);
    }
    cpu_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_is_done_exactly_once),
        cmocka_unit_test(workers_that_fell_asleep_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
