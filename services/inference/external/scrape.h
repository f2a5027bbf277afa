/* scrape.h — a server's own counters while it is measured: Prometheus text, once a second at most.
 *
 * What is kept are extremes and differences of a few series; a series that is missing is unknown,
 * not 0. Several label sets of a name are summed, but of a share the largest is taken. The worker's
 * thread only.
 */
#ifndef INFER_SCRAPE_H
#define INFER_SCRAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names of a kind; NULL = it has no such series. */
struct infer_series {
    const char *running, *waiting; /* gauges: requests */
    const char *kv_share;          /* gauge: 0 to 1 */
    const char *cached;            /* counter: prompt tokens that needed no prefill */
    const char *preempted;         /* counter: requests put back */
};

struct infer_scrape {
    int samples;
    double running_max, waiting_max, kv_share_max; /* NAN = unknown */
    double cached_first, cached_last, preempted_first, preempted_last;
};

void infer_scrape_begin(struct infer_scrape *scrape);
/* NUL-terminated text. */
void infer_scrape_take(struct infer_scrape *scrape, const struct infer_series *series,
                       const char *text);
/* As a sentence; false when nothing was seen. */
bool infer_scrape_tell(const struct infer_scrape *scrape, char *out, size_t room);

/* The value of a series in Prometheus text; NAN when it is not there. */
double infer_scrape_value(const char *text, const char *name, bool largest);

#endif
