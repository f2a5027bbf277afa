#include "base/wait.h"

struct timespec cap_wait_end(int64_t wait_ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += wait_ms / 1000;
    end.tv_nsec += wait_ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return end;
}

bool cap_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *end)
{
    return pthread_cond_clockwait(condition, lock, CLOCK_MONOTONIC, end) == 0;
}

bool cap_wait_ms(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t wait_ms)
{
    struct timespec end = cap_wait_end(wait_ms);

    return cap_wait_until(condition, lock, &end);
}
