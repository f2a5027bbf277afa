#include "load.h"

#include <assert.h>
#include <math.h>

void infer_load_closed(struct infer_load *load, int concurrency)
{
    assert(concurrency > 0);
    *load = (struct infer_load){.in_flight_max = concurrency};
}

/* Gaps of a Poisson process are exponential. */
static int64_t draw_gap_ns(struct infer_load *load)
{
    double gap_s = -log(1.0 - cap_rand_unit(&load->rand)) / load->rate_per_s;
    double gap_ns = gap_s * 1e9;

    return gap_ns < 9e15 ? (int64_t)gap_ns : (int64_t)9e15; /* 104 days is never */
}

void infer_load_open(struct infer_load *load, double rate_per_s, int in_flight_max, uint64_t seed,
                     int64_t now_ns)
{
    assert(rate_per_s > 0 && in_flight_max > 0);
    *load = (struct infer_load){.in_flight_max = in_flight_max, .rate_per_s = rate_per_s};
    cap_rand_seed(&load->rand, seed);
    load->next_due_ns = now_ns + draw_gap_ns(load);
}

static bool is_open(const struct infer_load *load)
{
    return load->rate_per_s > 0;
}

bool infer_load_due(const struct infer_load *load, int64_t now_ns, int64_t *out_due_ns)
{
    if (load->in_flight >= load->in_flight_max || (is_open(load) && now_ns < load->next_due_ns))
        return false;
    *out_due_ns = is_open(load) ? load->next_due_ns : now_ns;
    return true;
}

void infer_load_started(struct infer_load *load)
{
    load->in_flight++;
    if (is_open(load))
        load->next_due_ns += draw_gap_ns(load);
}

void infer_load_ended(struct infer_load *load)
{
    assert(load->in_flight > 0);
    load->in_flight--;
}

int64_t infer_load_wait_ns(const struct infer_load *load, int64_t now_ns)
{
    if (load->in_flight >= load->in_flight_max)
        return INT64_MAX;
    if (!is_open(load) || load->next_due_ns <= now_ns)
        return 0;
    return load->next_due_ns - now_ns;
}
