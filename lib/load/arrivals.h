/* arrivals.h — when the requests of an open loop are due.
 *
 * Arrivals are made in two steps. A process with gaps of mean 1 (constant, Poisson, gamma) gives
 * the count of expected arrivals until the next one; the rate, which may ramp, turns that count
 * into a time: the moment at which so many were expected. So every process works with every rate. A
 * replay takes its times as they are, from the first one on.
 *
 * Pure: no clock, no thread. Same form and seed, same times, to the last bit.
 *
 *     struct cap_arrivals arrivals;
 *     cap_arrivals_start(&arrivals, &(struct cap_arrivals_form){.rate_per_s = 5}, seed);
 *     while (isfinite(due_s = cap_arrivals_next_s(&arrivals)))
 *         send_at(due_s);
 */
#ifndef CAP_ARRIVALS_H
#define CAP_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"

enum cap_arrival_process { CAP_ARRIVALS_POISSON, CAP_ARRIVALS_CONSTANT, CAP_ARRIVALS_GAMMA };

struct cap_arrivals_form {
    enum cap_arrival_process process;
    double rate_per_s;            /* mean; of a ramp where it begins */
    double burstiness;            /* of gamma: its shape, 1 = Poisson, lower = in bursts */
    double ramp_to_per_s, ramp_s; /* the rate moves there within so long, and stays; 0 = no ramp */
    const double *times_s;        /* a replay: [time_count]; NULL = none. Borrowed */
    size_t time_count;
};

struct cap_arrivals {
    struct cap_arrivals_form form;
    struct cap_rand rand;
    double expected; /* arrivals until now */
    size_t given;
};

/* The form of what a specification says. With an empty word: gamma where there is a burstiness,
 * else Poisson. `burstiness` 0 = not set. False with a sentence for another word. */
bool cap_arrivals_process(const char *word, double burstiness, struct cap_arrivals_form *io_form,
                          struct cap_err *err);

void cap_arrivals_start(struct cap_arrivals *arrivals, const struct cap_arrivals_form *form,
                        uint64_t seed);
/* Seconds from the start to the next arrival; INFINITY after the last one of a replay. */
double cap_arrivals_next_s(struct cap_arrivals *arrivals);

/* ---- a file of times ----
 *
 * Numbers of seconds, separated by lines, blanks or commas; what follows a # in a line is a
 * comment. They do not go back. Only their distances from the first one count, so Unix times
 * will do.
 */

enum { CAP_REPLAY_TIMES_MAX = 128 << 10 };

/* From the first time on, so the first is 0. free() *out_times_s. */
bool cap_replay_read(const char *text, double **out_times_s, size_t *out_count,
                     struct cap_err *err);

#endif
