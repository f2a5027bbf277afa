/* timing.h — when a request's tokens became visible, and what may be said about the gaps.
 *
 * A gap between two events is a gap between two tokens only if each event carried exactly one. One
 * event of several tokens and the request has no inter-token gaps at all. A server's chunks cannot
 * be counted while they come; they pass for tokens only if in the end they were as many as the
 * server says that it made, within 2 %. A last chunk that only says "ended" is a token or not,
 * whichever makes the counts agree better. Times are the engine's stamps, monotonic nanoseconds.
 */
#ifndef INFER_TIMING_H
#define INFER_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Gaps kept per request; a longer answer reports none rather than the first ones only. */
enum { INFER_GAPS_MAX = 65536, INFER_CHUNKS_APART_PERCENT = 2 };

struct infer_timing {
    int64_t submitted_ns;
    int64_t first_ns, last_ns; /* 0 = no token yet */
    bool chunks_are_tokens;
    bool uncounted;         /* an event came without a number of tokens */
    bool is_closed;         /* the last event only said "ended"; */
    int64_t before_last_ns; /* the one before it */
    size_t events;
    uint32_t *gaps_us;
    size_t gap_count, gap_capacity;
};

void infer_timing_start(struct infer_timing *timing, int64_t submitted_ns);
/* An event with `tokens` tokens (0 = cannot be counted) became visible. */
void infer_timing_tokens(struct infer_timing *timing, int64_t at_ns, int tokens);
/* The last event only said "ended". */
void infer_timing_closing(struct infer_timing *timing);
/* The request has ended with so many tokens; -1 = unknown. */
void infer_timing_settle(struct infer_timing *timing, int output_tokens);
/* The gaps, or none where chunks are not tokens. Borrowed. */
size_t infer_timing_gaps(const struct infer_timing *timing, const uint32_t **out_gaps_us);
void infer_timing_done(struct infer_timing *timing);

#endif
