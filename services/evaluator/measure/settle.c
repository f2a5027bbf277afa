/* Which requests of a run are its warm-up, and whether the rest is a steady state.
 *
 * The first requests meet an empty engine: all of a closed loop come at once, caches are cold, and
 * what they took says nothing of the load that was asked for. Requests are left out by their place
 * in the order of submission, never by their size or their time: at least twice the requests in
 * flight, and more until neither the time to first token nor the number in flight changes any more
 * with time. Where the rest never gets flat, or is too short to tell, the run is unsettled; then
 * nothing is left out, and a mark says so. docs/methodology.md has the rule in words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "measure.h"
#include "stats/stats.h"

enum {
    ROUNDS = 2,        /* of requests in flight: left out at least, and measured at least */
    MEASURED_MIN = 32, /* requests that the test looks at, at least */
    BATCHES_MAX = 32,  /* neighbours are averaged: what they have in common is no trend */
    TRIES = 10,        /* lengths of the warm-up, up to half of the run */
    ENDED_MIN = 8,     /* requests that a rate is taken over */
};
/* A change over all measured requests that nobody would act on, however certain it is. */
static const double tolerated = 0.05;

static int by_submission(const void *a, const void *b)
{
    const struct eval_request *x = a, *y = b;

    if (x->submitted_us != y->submitted_us)
        return x->submitted_us < y->submitted_us ? -1 : 1;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What the test looks at, by request in the order of submission. */
struct series {
    const struct eval_request *requests;
    double *in_flight; /* when the request was submitted, it included */
    size_t count;
    bool first_tokens; /* their times are known; else the whole request's is looked at */
};

/* Requests that were submitted together are in flight together. */
static void count_in_flight(struct series *s)
{
    CAP_AUTO_MEM int64_t *ends = malloc((s->count + 1) * sizeof *ends);
    size_t ended = 0, submitted = 0;

    if (!ends)
        abort();
    for (size_t i = 0; i < s->count; i++)
        ends[i] = s->requests[i].ended_us;
    qsort(ends, s->count, sizeof *ends, by_time);
    for (size_t i = 0; i < s->count; i++) {
        int64_t now = s->requests[i].submitted_us;

        while (submitted < s->count && s->requests[submitted].submitted_us <= now)
            submitted++;
        while (ended < s->count && ends[ended] <= now)
            ended++;
        s->in_flight[i] = submitted > ended ? (double)(submitted - ended) : 1;
    }
}

/* The means of neighbours, from request `from` on. Returns how many. */
static size_t batch(const struct series *s, size_t from, bool in_flight, double *out_x,
                    double *out_y)
{
    size_t left = s->count - from, batches = left < BATCHES_MAX ? left : BATCHES_MAX, made = 0;

    for (size_t b = 0; b < batches; b++) {
        size_t first = from + left * b / batches, end = from + left * (b + 1) / batches;
        double x = 0, y = 0, n = 0;

        for (size_t i = first; i < end; i++) {
            const struct eval_request *r = &s->requests[i];

            if (!in_flight && !r->completed)
                continue;
            x += (double)r->submitted_us;
            y += in_flight         ? s->in_flight[i]
                 : s->first_tokens ? r->ttft_us
                                   : (double)(r->ended_us - r->submitted_us);
            n++;
        }
        if (n == 0)
            continue;
        out_x[made] = x / n;
        out_y[made++] = y / n;
    }
    return made;
}

/* *out_change is the slope over the whole length, as a share of the mean. */
static bool is_flat(const struct series *s, size_t from, bool in_flight, double *out_change)
{
    double x[BATCHES_MAX] = {0}, y[BATCHES_MAX] = {0}, slope, sum = 0;
    struct cap_interval i;
    size_t count = batch(s, from, in_flight, x, y);

    *out_change = 0;
    if (!cap_stats_trend(x, y, count, &slope, &i))
        return true; /* no time passes */
    for (size_t k = 0; k < count; k++)
        sum += y[k];
    if (sum > 0)
        *out_change = slope * (x[count - 1] - x[0]) / (sum / (double)count);
    return (i.low <= 0 && i.high >= 0) || fabs(*out_change) <= tolerated;
}

/* Of an open loop nobody asked for a number in flight: it is what came about. */
static size_t in_flight_of(const struct eval_evidence *e, const struct series *s)
{
    double sum = 0;

    if (e->run.concurrency > 0)
        return e->run.concurrency;
    for (size_t i = 0; i < s->count; i++)
        sum += s->in_flight[i];
    return (size_t)ceil(sum / (double)s->count);
}

static void find_warm_up(const struct series *s, size_t at_least, struct eval_settling *out)
{
    size_t most = s->count - out->to_measure;
    size_t half = s->count / 2 > at_least ? s->count / 2 : at_least;
    size_t step;

    most = most < half ? most : half;
    step = (most - at_least) / TRIES + 1;
    for (size_t from = at_least; from <= most; from += step) {
        out->drifting = !is_flat(s, from, false, &out->change)  ? EVAL_DRIFT_TIME
                        : !is_flat(s, from, true, &out->change) ? EVAL_DRIFT_IN_FLIGHT
                                                                : EVAL_DRIFT_NONE;
        if (out->drifting == EVAL_DRIFT_NONE) {
            out->settled = true;
            out->warm_up = from;
            return;
        }
    }
}

/* As many requests are under way at the first of these moments as at the second, so that what ended
 * between them is what was worked on. */
static void find_window(const struct series *s, struct eval_settling *out)
{
    size_t ended = 0;

    out->from_us = s->requests[out->warm_up].submitted_us;
    out->to_us = s->requests[s->count - 1].submitted_us;
    for (size_t i = 0; i < s->count; i++)
        ended += s->requests[i].completed && s->requests[i].ended_us > out->from_us &&
                 s->requests[i].ended_us <= out->to_us;
    if (ended >= ENDED_MIN)
        return;
    out->settled = false;
    out->drifting = EVAL_DRIFT_NO_STATE;
    out->warm_up = 0;
}

static struct eval_settling settle(const struct eval_evidence *e, struct series *s)
{
    struct eval_settling out = {.requests = s->count};

    if (s->count == 0)
        return out;
    count_in_flight(s);
    out.in_flight = in_flight_of(e, s);
    out.to_measure = ROUNDS * out.in_flight > MEASURED_MIN ? ROUNDS * out.in_flight : MEASURED_MIN;
    out.needed = ROUNDS * out.in_flight + out.to_measure;
    if (s->count >= out.needed)
        find_warm_up(s, ROUNDS * out.in_flight, &out);
    if (out.settled)
        find_window(s, &out);
    return out;
}

/* ---- what is measured ---- */

static void keep_measured(struct eval_evidence *e, struct eval_request *r)
{
    if (r->warm_up || !r->completed)
        return;
    eval_values_add(&e->e2e, (double)(r->ended_us - r->submitted_us));
    if (r->ttft_us >= 0)
        eval_values_add(&e->ttft, r->ttft_us);
    if (r->tpot_us >= 0)
        eval_values_add(&e->tpot, r->tpot_us);
    if (r->started_us >= 0)
        eval_values_add(&e->queue, (double)(r->started_us - r->submitted_us));
    if (r->started_us >= 0 && r->ttft_us >= 0)
        eval_values_add(&e->service_ttft, r->ttft_us - (double)(r->started_us - r->submitted_us));
    for (size_t i = 0; i < r->gap_count; i++)
        eval_values_add(&e->itl, (double)e->requests.gaps[r->gaps_at + i]);
}

static bool know_first_tokens(const struct eval_requests *requests)
{
    for (size_t i = 0; i < requests->count; i++)
        if (requests->items[i].completed && requests->items[i].ttft_us < 0)
            return false;
    return true;
}

void eval_settle(struct eval_evidence *e)
{
    struct eval_requests *requests = &e->requests;
    CAP_AUTO_MEM double *in_flight = malloc((requests->count + 1) * sizeof *in_flight);
    struct series series = {requests->items, in_flight, requests->count,
                            know_first_tokens(requests)};

    if (!in_flight)
        abort();
    if (requests->count > 0)
        qsort(requests->items, requests->count, sizeof *requests->items, by_submission);
    e->settling = settle(e, &series);
    e->ttft.count = e->tpot.count = e->itl.count = e->e2e.count = 0;
    e->queue.count = e->service_ttft.count = 0;
    for (size_t i = 0; i < requests->count; i++) {
        requests->items[i].warm_up = i < e->settling.warm_up;
        keep_measured(e, &requests->items[i]);
    }
}

/* ---- the family ---- */

static void mark(const struct eval_evidence *e, struct eval_figures *f)
{
    const struct eval_settling *s = &e->settling;
    const char *what = !e->run.scoring && know_first_tokens(&e->requests) ? "time to first token"
                                                                          : "time of a request";

    if (s->settled)
        eval_mark(f, "settled", false,
                  "after %zu of %zu requests neither the %s nor the requests in flight changed any "
                  "more; these are left out of times and rates",
                  s->warm_up, s->requests, what);
    else if (s->requests < s->needed)
        eval_mark(f, "unsettled", true,
                  "%zu of %zu requests needed: %zu to warm up with %zu in flight, and %zu to "
                  "measure; times and rates are of all requests",
                  s->requests, s->needed, s->needed - s->to_measure, s->in_flight, s->to_measure);
    else if (s->drifting == EVAL_DRIFT_NO_STATE)
        eval_mark(f, "unsettled", true,
                  "hardly a request ended before the last was submitted: there is no steady state; "
                  "times and rates are of all requests");
    else
        eval_mark(f, "unsettled", true,
                  "the %s changes by %+.0f %% from the first measured request to the last; times "
                  "and rates are of all requests",
                  s->drifting == EVAL_DRIFT_TIME ? what : "number of requests in flight",
                  s->change * 100);
}

void eval_measure_settling(struct eval_evidence *e, struct eval_figures *f)
{
    const char *problem = eval_timing_problem(e);

    if (!problem && e->requests.count == 0)
        problem = "no times";
    if (!problem && e->requests.overflowed)
        problem = "too many values";
    if (!problem && e->completed == 0)
        problem = "no completed samples";
    if (problem) {
        eval_figure_none(f, EVAL_FIGURE_warm_up_requests, problem);
        eval_figure_none(f, EVAL_FIGURE_measured_s, problem);
        return;
    }
    eval_figure_set(f, EVAL_FIGURE_warm_up_requests, (double)e->settling.warm_up);
    eval_figure_set(f, EVAL_FIGURE_measured_s, eval_window_of(e).seconds);
    mark(e, f);
}
