#include "timing.h"

#include <assert.h>
#include <stdlib.h>

void infer_timing_start(struct infer_timing *timing, int64_t submitted_ns)
{
    *timing = (struct infer_timing){.submitted_ns = submitted_ns, .chunks_are_tokens = true};
}

static void add_gap(struct infer_timing *timing, int64_t gap_ns)
{
    int64_t us = (gap_ns + 500) / 1000;

    if (timing->gap_count == INFER_GAPS_MAX) {
        timing->chunks_are_tokens = false;
        return;
    }
    if (timing->gap_count == timing->gap_capacity) {
        timing->gap_capacity = timing->gap_capacity ? 2 * timing->gap_capacity : 64;
        timing->gaps_us = realloc(timing->gaps_us, timing->gap_capacity * sizeof *timing->gaps_us);
        assert(timing->gaps_us);
    }
    timing->gaps_us[timing->gap_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void infer_timing_tokens(struct infer_timing *timing, int64_t at_ns, int tokens)
{
    if (tokens > 1)
        timing->chunks_are_tokens = false;
    if (tokens == 0)
        timing->uncounted = true;
    if (timing->first_ns == 0)
        timing->first_ns = at_ns;
    else if (timing->chunks_are_tokens)
        add_gap(timing, at_ns - timing->last_ns);
    timing->before_last_ns = timing->last_ns;
    timing->last_ns = at_ns;
    timing->events++;
}

void infer_timing_closing(struct infer_timing *timing)
{
    timing->is_closed = timing->events > 1;
}

static size_t apart(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* The event that only said "ended" was no token. */
static void drop_last(struct infer_timing *timing)
{
    timing->last_ns = timing->before_last_ns;
    timing->events--;
    if (timing->gap_count > 0)
        timing->gap_count--;
}

void infer_timing_settle(struct infer_timing *timing, int output_tokens)
{
    size_t tokens = output_tokens > 0 ? (size_t)output_tokens : 0;

    if (!timing->uncounted)
        return;
    if (timing->is_closed && tokens > 0 &&
        apart(timing->events - 1, tokens) < apart(timing->events, tokens))
        drop_last(timing);
    if (tokens == 0 || apart(timing->events, tokens) * 100 > tokens * INFER_CHUNKS_APART_PERCENT)
        timing->chunks_are_tokens = false;
}

size_t infer_timing_gaps(const struct infer_timing *timing, const uint32_t **out_gaps_us)
{
    *out_gaps_us = timing->gaps_us;
    return timing->chunks_are_tokens ? timing->gap_count : 0;
}

void infer_timing_done(struct infer_timing *timing)
{
    free(timing->gaps_us);
    *timing = (struct infer_timing){0};
}
