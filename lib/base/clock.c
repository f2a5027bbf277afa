#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t system_monotonic_ns(const struct cap_clock *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t system_wall_ms(const struct cap_clock *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

const struct cap_clock *cap_clock_system(void)
{
    static const struct cap_clock system = {system_monotonic_ns, system_wall_ms};

    return &system;
}

void cap_sleep_ns(int64_t ns)
{
    struct timespec left = {ns / 1000000000, ns % 1000000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

void cap_sleep_ms(int64_t ms)
{
    cap_sleep_ns(ms * 1000000);
}

void cap_time_text(int64_t wall_ms, char out[CAP_TIME_TEXT_BYTES])
{
    time_t seconds = wall_ms / 1000;
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(out, CAP_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + 19, CAP_TIME_TEXT_BYTES - 19, ".%03uZ", (unsigned)(wall_ms % 1000) % 1000u);
}

/* ---- waiting for a condition ---- */

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
