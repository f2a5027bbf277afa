/* Eight threads, every kind of call, random deadlines and cancels: nothing may hang, leak or race.
 */
#include "echo_service.h"

#include "base/clock.h"
#include "base/rand.h"

enum { THREADS = 8, STRESS_MS = 5000 };

struct stress {
    struct fixture *f;
    uint64_t seed;
    int64_t until_ms;
    pthread_t thread;
    long calls;
};

static void stress_once(struct stress *s, struct cap_rand *rand)
{
    struct cap_rpc_options options = {.timeout_ms = 1 + (int64_t)cap_rand_below(rand, 40)};
    const struct cap_rpc_method *method = &echo_rpc_service.methods[cap_rand_below(rand, 4)];
    bool one = method->kind == CAP_RPC_UNARY || method->kind == CAP_RPC_SERVER_STREAM;
    request_type request =
        make_request(cap_rand_below(rand, 2) ? "sleep" : "x", (uint32_t)cap_rand_below(rand, 50));
    struct cap_rpc_call *call =
        cap_rpc_open(s->f->channel, method, &options, one ? &request.base : NULL);
    struct cap_err err = {0};

    for (uint64_t i = cap_rand_below(rand, 5); i > 0 && !one; i--)
        cap_rpc_send(call, &request.base);
    if (cap_rand_below(rand, 3) == 0)
        cap_rpc_cancel(call);
    else if (cap_rand_below(rand, 2) == 0)
        cap_rpc_send_done(call);
    if (cap_rand_below(rand, 2))
        (void)cap_rpc_receive(call);
    (void)cap_rpc_close(call, &err);
    s->calls++;
}

static void *stress(void *argument)
{
    struct stress *s = argument;
    struct cap_rand rand;

    cap_rand_seed(&rand, s->seed);
    while (cap_clock_ms(cap_clock_system()) < s->until_ms)
        stress_once(s, &rand);
    return NULL;
}

static void random_cancels_and_deadlines_leave_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct stress threads[THREADS];
    long calls = 0;

    for (uint64_t i = 0; i < THREADS; i++) {
        threads[i] = (struct stress){f, i, cap_clock_ms(cap_clock_system()) + STRESS_MS, 0, 0};
        pthread_create(&threads[i].thread, NULL, stress, &threads[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        calls += threads[i].calls;
    }
    print_message("%ld random calls\n", calls);
    assert_true(calls > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(random_cancels_and_deadlines_leave_nothing_behind),
    };
    int failed;

    cap_rpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cap_rpc_shutdown();
    return failed;
}
