/* timing.h — when a request's tokens became visible, and what may be said about the gaps.
 *
 * A gap between two events is a gap between two tokens only if each event carried exactly one. One
 * chunk of several tokens, or of an unknown number, and the request has no inter-token gaps at all:
 * a chunk is never passed off as a token. Times are the engine's stamps, monotonic nanoseconds.
 */
#ifndef INFER_TIMING_H
#define INFER_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Gaps kept per request; a longer answer reports none rather than the first ones only. */
enum { INFER_GAPS_MAX = 65536 };

struct infer_timing {
    int64_t submitted_ns;
    int64_t first_ns, last_ns; /* 0 = no token yet */
    bool chunks_are_tokens;
    uint32_t *gaps_us;
    size_t gap_count, gap_capacity;
};

void infer_timing_start(struct infer_timing *timing, int64_t submitted_ns);
/* An event with `tokens` tokens (0 = cannot be counted) became visible. */
void infer_timing_tokens(struct infer_timing *timing, int64_t at_ns, int tokens);
/* The gaps, or none where chunks are not tokens. Borrowed. */
size_t infer_timing_gaps(const struct infer_timing *timing, const uint32_t **out_gaps_us);
void infer_timing_done(struct infer_timing *timing);

#endif
