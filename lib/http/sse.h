/* sse.h — server-sent events out of a byte stream that may be cut anywhere.
 *
 * Lines end with LF, CRLF or CR; a byte order mark at the start and comment lines (":...") are
 * skipped; several data lines of an event are joined with LF; an empty line ends an event. An event
 * may have a name ("event: error"), which says what its data is; the last name of an event counts.
 * An event with a name and no data is given, too: browsers drop it, but an error without words is
 * still an error. A line that is a JSON object without "data:" counts as data: errors come so. What
 * came without the empty line is given at the end of the stream: servers forget it. One user at a
 * time.
 *
 *     struct cap_sse sse;
 *     cap_sse_init(&sse, 1 << 20, on_event, me);
 *     while (read_some(bytes, &n))
 *         if (!cap_sse_add(&sse, bytes, n, err)) ...
 *     cap_sse_end(&sse);
 *     cap_sse_done(&sse);
 */
#ifndef CAP_HTTP_SSE_H
#define CAP_HTTP_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { CAP_SSE_NAME_BYTES = 48 };

/* `name` is "" for an event without one, and cut to fit; both texts are NUL-terminated and valid
 * during the call. */
typedef void cap_sse_event(void *self, const char *name, const char *data, size_t length);

struct cap_sse {
    struct cap_buf line, data;
    char name[CAP_SSE_NAME_BYTES];
    bool started, after_cr, has_data;
    cap_sse_event *event;
    void *self;
};

/* event_bytes_max bounds a line and an event's data. */
void cap_sse_init(struct cap_sse *sse, size_t event_bytes_max, cap_sse_event *event, void *self);
void cap_sse_done(struct cap_sse *sse);

/* Calls `event` for each that is complete. Fails when one is larger than the limit. */
bool cap_sse_add(struct cap_sse *sse, const char *bytes, size_t length, struct cap_err *err);
/* The stream has ended. */
void cap_sse_end(struct cap_sse *sse);

#endif
