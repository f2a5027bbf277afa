/* clock.h — time that a test can hold in its hand.
 *
 * Code that decides by time takes a `const struct cap_clock *`; programs pass cap_clock_system(),
 * tests pass one of their own. Any thread.
 */
#ifndef CAP_CLOCK_H
#define CAP_CLOCK_H

#include <stdint.h>

struct cap_clock {
    int64_t (*monotonic_ns)(const struct cap_clock *clock); /* never goes back */
    int64_t (*wall_ms)(const struct cap_clock *clock);      /* Unix time */
};

const struct cap_clock *cap_clock_system(void);

static inline int64_t cap_clock_ns(const struct cap_clock *clock)
{
    return clock->monotonic_ns(clock);
}

static inline int64_t cap_clock_ms(const struct cap_clock *clock)
{
    return clock->monotonic_ns(clock) / 1000000;
}

static inline int64_t cap_clock_wall_ms(const struct cap_clock *clock)
{
    return clock->wall_ms(clock);
}

void cap_sleep_ms(int64_t ms);

/* "2026-11-25T07:20:31.120Z" into out, which holds CAP_TIME_TEXT_BYTES. */
enum { CAP_TIME_TEXT_BYTES = 25 };
void cap_time_text(int64_t wall_ms, char out[CAP_TIME_TEXT_BYTES]);

#endif
