#include "http/sse.h"

#include <string.h>

void cap_sse_init(struct cap_sse *sse, size_t event_bytes_max, cap_sse_event *event, void *self)
{
    *sse = (struct cap_sse){.event = event, .self = self};
    cap_buf_init(&sse->line, event_bytes_max);
    cap_buf_init(&sse->data, event_bytes_max);
}

void cap_sse_done(struct cap_sse *sse)
{
    cap_buf_done(&sse->line);
    cap_buf_done(&sse->data);
}

static void give_event(struct cap_sse *sse)
{
    if (sse->has_data)
        sse->event(sse->self, sse->data.data, sse->data.length);
    cap_buf_clear(&sse->data);
    sse->has_data = false;
}

/* "data: x", "data:x", "data"; other fields (event, id, retry) say nothing to us. */
static void take_field(struct cap_sse *sse, const char *line, size_t length)
{
    const char *value = line + 4;

    if (length < 4 || memcmp(line, "data", 4) != 0 || (length > 4 && *value != ':'))
        return;
    if (length > 4)
        value++;
    if (value < line + length && *value == ' ')
        value++;
    if (sse->has_data)
        cap_buf_add_char(&sse->data, '\n');
    cap_buf_add(&sse->data, value, (size_t)(line + length - value));
    sse->has_data = true;
}

static void take_line(struct cap_sse *sse)
{
    const char *line = sse->line.data;
    size_t length = sse->line.length;

    if (!sse->started && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        length -= 3;
    }
    sse->started = true;
    if (length == 0)
        give_event(sse);
    else
        take_field(sse, line, length);
    if (!sse->line.overflowed) /* an overflow must be seen by the caller */
        cap_buf_clear(&sse->line);
}

/* The next piece of a line, up to its end or the end of the bytes; returns how far it went. */
static size_t take_piece(struct cap_sse *sse, const char *bytes, size_t length)
{
    size_t n = 0;

    if (sse->after_cr && *bytes == '\n') { /* the second half of CRLF */
        sse->after_cr = false;
        return 1;
    }
    sse->after_cr = false;
    while (n < length && bytes[n] != '\n' && bytes[n] != '\r')
        n++;
    cap_buf_add(&sse->line, bytes, n);
    if (n == length)
        return n;
    sse->after_cr = bytes[n] == '\r';
    take_line(sse);
    return n + 1;
}

bool cap_sse_add(struct cap_sse *sse, const char *bytes, size_t length, struct cap_err *err)
{
    for (size_t at = 0; at < length;) {
        at += take_piece(sse, bytes + at, length - at);
        if (sse->line.overflowed || sse->data.overflowed)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "the server sent an event of more than %zu KiB",
                            sse->line.bytes_max >> 10);
    }
    return true;
}

void cap_sse_end(struct cap_sse *sse)
{
    if (sse->line.length > 0)
        take_line(sse);
    give_event(sse);
}
