/* output.h — from the bytes of tokens to text that may be shown: whole characters, stop strings
 * cut.
 *
 * A token may end in the middle of a character, and a stop string may span tokens. So text is held
 * back while it is an unfinished character or could still become a stop string. What comes out is
 * always complete UTF-8 without NUL (what can never be that becomes U+FFFD), does not depend on how
 * the bytes were divided into tokens, and never contains any part of a stop string that ended the
 * text.
 *
 *     infer_output_text_start(&flow, stops, stop_count);
 *     piece = infer_output_text_feed(&flow, bytes, length, is_last_token);
 *     if (flow.stopped) ...                                   a stop string was seen
 *     infer_output_text_done(&flow);
 */
#ifndef INFER_OUTPUT_H
#define INFER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/utf8.h"

struct infer_output_text {
    const char *const *stops; /* borrowed */
    int stop_count;
    bool stopped;
    struct cap_utf8_mender mender;
    struct cap_buf held, piece;
};

void infer_output_text_start(struct infer_output_text *flow, const char *const *stops,
                             int stop_count);
void infer_output_text_done(struct infer_output_text *flow);
/* Text that may be shown now, "" if none; valid until the next call. With `last` nothing is held
 * back. After a stop always "". */
const char *infer_output_text_feed(struct infer_output_text *flow, const void *bytes, size_t length,
                                   bool last);

#endif
