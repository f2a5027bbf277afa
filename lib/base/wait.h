/* wait.h — waiting for a condition, but not for ever.
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
#ifndef CAP_WAIT_H
#define CAP_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The moment that is wait_ms from now. */
struct timespec cap_wait_end(int64_t wait_ms);
/* False when that moment has come. */
bool cap_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *end);
/* One wait of at most wait_ms; false when they passed. */
bool cap_wait_ms(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t wait_ms);

#endif
