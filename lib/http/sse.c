/* Bytes are collected to lines, lines to events. A line that is cut by a read stays in `line` until
 * its end comes; both buffers are bounded, and an overflow ends the stream rather than a part of an
 * event passing for a whole one. */
#include "http/sse.h"

#include <stdio.h>
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
    if (sse->has_data || *sse->name)
        sse->event(sse->self, sse->name, sse->data.data, sse->data.length);
    cap_buf_clear(&sse->data);
    *sse->name = '\0';
    sse->has_data = false;
}

/* The value of "field: value", "field:value" or "field"; NULL when the line has another field. */
static const char *value_of(const char *line, size_t length, const char *field, size_t *out_length)
{
    size_t name = strlen(field);

    if (length < name || memcmp(line, field, name) != 0 || (length > name && line[name] != ':'))
        return NULL;
    name += length > name;
    name += length > name && line[name] == ' ';
    *out_length = length - name;
    return line + name;
}

/* A JSON object where a field should stand: some servers write their errors so. */
static bool is_bare_object(const char *line, size_t length)
{
    return length >= 2 && line[0] == '{' && line[length - 1] == '}';
}

/* Other fields (id, retry) say nothing to us. */
static void take_field(struct cap_sse *sse, const char *line, size_t length)
{
    size_t bytes;
    const char *value = value_of(line, length, "data", &bytes);

    if (!value && is_bare_object(line, length)) {
        value = line;
        bytes = length;
    }
    if (value) {
        if (sse->has_data)
            cap_buf_add_char(&sse->data, '\n');
        cap_buf_add(&sse->data, value, bytes);
        sse->has_data = true;
        return;
    }
    value = value_of(line, length, "event", &bytes);
    if (value)
        snprintf(sse->name, sizeof sse->name, "%.*s",
                 (int)(bytes < sizeof sse->name ? bytes : sizeof sse->name), value);
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
