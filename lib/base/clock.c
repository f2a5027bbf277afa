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

void cap_sleep_ms(int64_t ms)
{
    struct timespec left = {ms / 1000, (ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

void cap_time_text(int64_t wall_ms, char out[CAP_TIME_TEXT_BYTES])
{
    time_t seconds = wall_ms / 1000;
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(out, CAP_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + 19, CAP_TIME_TEXT_BYTES - 19, ".%03uZ", (unsigned)(wall_ms % 1000) % 1000u);
}
