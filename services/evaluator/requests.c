/* What is kept of each request that has times, and the sums over a stretch of time. */
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "stats/stats.h"

static void keep_gaps(struct eval_requests *requests, struct eval_request *r, const uint32_t *gaps,
                      size_t count)
{
    if (requests->gap_count + count > EVAL_VALUES_MAX) {
        requests->overflowed = true;
        return;
    }
    if (requests->gap_count + count > requests->gap_room) {
        requests->gap_room = 2 * (requests->gap_count + count);
        requests->gaps = realloc(requests->gaps, requests->gap_room * sizeof *requests->gaps);
        if (!requests->gaps)
            abort();
    }
    if (count > 0)
        memcpy(requests->gaps + requests->gap_count, gaps, count * sizeof *gaps);
    r->gaps_at = requests->gap_count;
    r->gap_count = count;
    requests->gap_count += count;
}

void eval_requests_add(struct eval_requests *requests, const struct eval_request *request,
                       const uint32_t *gaps, size_t gap_count)
{
    struct eval_request *kept;

    if (requests->count == EVAL_REQUESTS_MAX) {
        requests->overflowed = true;
        return;
    }
    if (requests->count == requests->room) {
        requests->room = requests->room ? 2 * requests->room : 256;
        requests->items = realloc(requests->items, requests->room * sizeof *requests->items);
        if (!requests->items)
            abort();
    }
    kept = &requests->items[requests->count++];
    *kept = *request;
    keep_gaps(requests, kept, gaps, gap_count);
}

void eval_requests_done(struct eval_requests *requests)
{
    free(requests->items);
    free(requests->gaps);
}

/* ---- the stretch that rates are taken over ---- */

bool eval_in_window(const struct eval_evidence *e, const struct eval_request *r)
{
    const struct eval_settling *s = &e->settling;

    return r->completed && (!s->settled || (r->ended_us > s->from_us && r->ended_us <= s->to_us));
}

struct eval_window eval_window_of(const struct eval_evidence *e)
{
    const struct eval_settling *s = &e->settling;
    struct eval_window w = {
        .seconds = (double)(e->last_ended_us - e->first_submitted_us) / 1e6,
        .completed = e->completed,
        .prompt_tokens = e->prompt_tokens,
        .output_tokens = e->output_tokens,
    };

    if (!s->settled)
        return w;
    w = (struct eval_window){.seconds = (double)(s->to_us - s->from_us) / 1e6};
    for (size_t i = 0; i < e->requests.count; i++) {
        const struct eval_request *r = &e->requests.items[i];

        if (!eval_in_window(e, r))
            continue;
        w.completed++;
        w.prompt_tokens += r->prompt_tokens;
        w.output_tokens += r->output_tokens;
    }
    return w;
}

/* ---- ends ---- */

static int by_end(const void *a, const void *b)
{
    const struct eval_request *x = *(const struct eval_request *const *)a,
                              *y = *(const struct eval_request *const *)b;

    return (x->ended_us > y->ended_us) - (x->ended_us < y->ended_us);
}

static void fill_times(const struct eval_evidence *e, struct eval_ends *ends)
{
    const struct eval_settling *s = &e->settling;
    int64_t before = s->settled ? s->from_us : e->first_submitted_us;

    for (size_t i = 0; i < ends->count; i++) {
        ends->times_s[i] = (double)(ends->items[i]->ended_us - before) / 1e6;
        before = ends->items[i]->ended_us;
    }
    if (s->settled && ends->count > 0)
        ends->times_s[ends->count - 1] += (double)(s->to_us - before) / 1e6;
}

struct eval_ends *eval_ends_new(const struct eval_evidence *e)
{
    size_t room = e->requests.count + 1;
    struct eval_ends *ends = calloc(1, sizeof *ends);

    if (!ends || !(ends->items = malloc(room * sizeof *ends->items)) ||
        !(ends->amounts = malloc(room * sizeof *ends->amounts)) ||
        !(ends->times_s = malloc(room * sizeof *ends->times_s)))
        abort();
    for (size_t i = 0; i < e->requests.count; i++)
        if (eval_in_window(e, &e->requests.items[i]))
            ends->items[ends->count++] = &e->requests.items[i];
    if (ends->count > 0)
        qsort(ends->items, ends->count, sizeof *ends->items, by_end);
    fill_times(e, ends);
    /* Requests that are in flight together end together: a block holds a round of them. */
    ends->block = cap_stats_block(ends->count);
    if (ends->block < e->settling.in_flight)
        ends->block = e->settling.in_flight;
    return ends;
}

void eval_ends_free(struct eval_ends *ends)
{
    if (!ends)
        return;
    free(ends->items);
    free(ends->amounts);
    free(ends->times_s);
    free(ends);
}

bool eval_ends_interval(const struct eval_ends *ends, struct cap_interval *out)
{
    return cap_stats_ratio(ends->amounts, ends->times_s, ends->count, ends->block, out);
}

/* ---- right answers ---- */

void eval_right_add(struct eval_right *right, uint32_t ordinal)
{
    size_t at = ordinal / 8, bytes = 2 * at + 64;

    if (ordinal >= EVAL_VALUES_MAX) {
        right->overflowed = true;
        return;
    }
    if (at >= right->bytes) {
        right->bits = realloc(right->bits, bytes);
        if (!right->bits)
            abort();
        memset(right->bits + right->bytes, 0, bytes - right->bytes);
        right->bytes = bytes;
    }
    right->bits[at] |= (uint8_t)(1u << ordinal % 8);
}

bool eval_is_right(const struct eval_right *right, uint32_t ordinal)
{
    return ordinal / 8 < right->bytes && (right->bits[ordinal / 8] >> ordinal % 8 & 1) != 0;
}
