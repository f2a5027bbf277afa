/* Bytes wait in `held` while they may still become a stop string or a whole character. */
#include "text/output.h"

#include <stdint.h>
#include <string.h>

/* Far more than a token and a stop string; a bound, not an expectation. */
enum { HELD_BYTES_MAX = 1 << 20 };

void infer_output_text_start(struct infer_output_text *flow, const char *const *stops,
                             int stop_count)
{
    *flow = (struct infer_output_text){.stops = stops, .stop_count = stop_count};
    cap_buf_init(&flow->held, HELD_BYTES_MAX);
    cap_buf_init(&flow->piece, HELD_BYTES_MAX);
}

void infer_output_text_done(struct infer_output_text *flow)
{
    cap_buf_done(&flow->held);
    cap_buf_done(&flow->piece);
}

/* ---- bytes to whole characters ---- */

/* A NUL would end the text of everyone who reads it as a string. */
static void add_byte(struct infer_output_text *flow, unsigned char byte)
{
    if (byte != '\0') {
        cap_utf8_mend(&flow->mender, &byte, 1, &flow->held);
        return;
    }
    cap_utf8_mend_end(&flow->mender, &flow->held);
    cap_buf_add_str(&flow->held, CAP_UTF8_REPLACEMENT);
}

/* ---- stop strings ---- */

/* The stop string that is complete first, as if the text had come character by character. */
static bool find_stop(const struct infer_output_text *flow, size_t *out_start)
{
    size_t best_end = SIZE_MAX;

    for (int i = 0; i < flow->stop_count; i++) {
        size_t length = strlen(flow->stops[i]);
        const char *at = length ? strstr(flow->held.data, flow->stops[i]) : NULL;
        size_t start = at ? (size_t)(at - flow->held.data) : 0;

        if (at &&
            (start + length < best_end || (start + length == best_end && start < *out_start))) {
            best_end = start + length;
            *out_start = start;
        }
    }
    return best_end != SIZE_MAX;
}

/* Length of the longest end of the held text that a stop string begins with. */
static size_t length_to_hold(const struct infer_output_text *flow)
{
    size_t hold = 0;

    for (int i = 0; i < flow->stop_count; i++) {
        size_t length = strlen(flow->stops[i]);
        size_t most = flow->held.length < length ? flow->held.length : length;

        for (size_t n = most; n > hold; n--)
            if (memcmp(flow->held.data + flow->held.length - n, flow->stops[i], n) == 0)
                hold = n;
    }
    return hold;
}

static const char *show(struct infer_output_text *flow, size_t length)
{
    cap_buf_clear(&flow->piece);
    cap_buf_add(&flow->piece, flow->held.data, length);
    cap_buf_drop(&flow->held, length);
    return flow->piece.data;
}

const char *infer_output_text_feed(struct infer_output_text *flow, const void *bytes, size_t length,
                                   bool last)
{
    const unsigned char *byte = bytes;
    size_t stop_start = 0;

    if (flow->stopped)
        return "";
    for (size_t i = 0; i < length; i++)
        add_byte(flow, byte[i]);
    if (last)
        cap_utf8_mend_end(&flow->mender, &flow->held);
    flow->stopped = find_stop(flow, &stop_start);
    if (flow->stopped)
        return show(flow, stop_start);
    return show(flow, flow->held.length - (last ? 0 : length_to_hold(flow)));
}
