/* Many made-up worlds (world.c), each from its own seed. MOECAP_SIM_SEEDS sets how many,
 * MOECAP_SIM_SEED plays one of them again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS_DEFAULT = 2000 };

static void add(struct world_result *sum, const struct world_result *one)
{
    sum->runs += one->runs;
    sum->finished += one->finished;
    sum->failed += one->failed;
    sum->cancelled += one->cancelled;
    sum->invalid += one->invalid;
    sum->slow_times += one->slow_times;
    sum->clock_jumps += one->clock_jumps;
    sum->idlers += one->idlers;
    sum->leases += one->leases;
    sum->steps += one->steps;
    sum->crashes += one->crashes;
    sum->stalls += one->stalls;
    sum->outages += one->outages;
    sum->restarts += one->restarts;
    sum->lost_replies += one->lost_replies;
    sum->repeated_batches += one->repeated_batches;
    if (one->ended_ms > sum->ended_ms)
        sum->ended_ms = one->ended_ms;
}

static void every_run_ends_once_whatever_crashes_stalls_or_goes_away(void **state)
{
    const char *count = getenv("MOECAP_SIM_SEEDS"), *only = getenv("MOECAP_SIM_SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only ? from : strtoull(count ? count : "0", NULL, 10);
    struct world_result sum = {0};

    (void)state;
    if (to == 0)
        to = SEEDS_DEFAULT;
    for (uint64_t seed = from; seed <= to; seed++) {
        struct world_result one;

        world_run(seed, &one);
        add(&sum, &one);
    }
    print_message(
        "%llu seeds, %d runs: %d finished, %d failed, %d cancelled, %d invalid; %d steps,"
        " %d leases, %d crashes, %d stalls, %d nodes that idled, %d outages, %d slow times,"
        " %d clock jumps, %d restarts, %d lost replies, %d repeated batches; the slowest"
        " took %lld s\n",
        (unsigned long long)(to - from + 1), sum.runs, sum.finished, sum.failed, sum.cancelled,
        sum.invalid, sum.steps, sum.leases, sum.crashes, sum.stalls, sum.idlers, sum.outages,
        sum.slow_times, sum.clock_jumps, sum.restarts, sum.lost_replies, sum.repeated_batches,
        (long long)sum.ended_ms / 1000);
    assert_true(sum.finished > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_ends_once_whatever_crashes_stalls_or_goes_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
