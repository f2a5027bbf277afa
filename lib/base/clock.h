/* clock.h — time that a test can hold in its hand, and waiting that ends by the clock.
 *
 * Code that decides by time takes a `const struct cap_clock *`; programs pass cap_clock_system(),
 * tests pass one of their own. Any thread.
 */
#ifndef CAP_CLOCK_H
#define CAP_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

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
void cap_sleep_ns(int64_t ns);

/* "2026-11-25T07:20:31.120Z" into out, which holds CAP_TIME_TEXT_BYTES. */
enum { CAP_TIME_TEXT_BYTES = 25 };
void cap_time_text(int64_t wall_ms, char out[CAP_TIME_TEXT_BYTES]);

/* ---- waiting for a condition, but not for ever ----
 *
 * Measured by the clock that never goes back, whatever clock the condition was made with: the wall
 * clock may be set while somebody waits.
 *
 *     struct timespec end = cap_wait_end(500);
 *     while (!queue->head && cap_wait_until(&queue->came, &queue->lock, &end))
 *         ;
 *
 * Callers hold the lock, as for pthread_cond_wait, and look again at what they wait for.
 */

/* The moment that is wait_ms from now. */
struct timespec cap_wait_end(int64_t wait_ms);
/* False when that moment has come. */
bool cap_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *end);
/* One wait of at most wait_ms; false when they passed. */
bool cap_wait_ms(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t wait_ms);

#endif
