/* A growing buffer that remembers that it overflowed: writers add without looking, and the reader
 * of the text asks once. The capacity doubles up to the limit; an empty buffer owns no memory and
 * still holds a NUL. */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty[1] = "";

void cap_buf_init(struct cap_buf *buf, size_t bytes_max)
{
    *buf = (struct cap_buf){.data = empty, .bytes_max = bytes_max};
}

void cap_buf_done(struct cap_buf *buf)
{
    if (buf->capacity > 0)
        free(buf->data);
    cap_buf_init(buf, buf->bytes_max);
}

void cap_buf_clear(struct cap_buf *buf)
{
    buf->length = 0;
    buf->overflowed = false;
    if (buf->capacity > 0)
        buf->data[0] = '\0';
}

/* Makes room for `more` bytes and the NUL; false (and overflowed) when that passes the maximum. */
static bool reserve(struct cap_buf *buf, size_t more)
{
    size_t need, capacity;
    char *data;

    if (buf->overflowed || more > buf->bytes_max - buf->length) {
        buf->overflowed = true;
        return false;
    }
    need = buf->length + more + 1;
    if (need <= buf->capacity)
        return true;
    capacity = buf->capacity ? buf->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    data = realloc(buf->capacity ? buf->data : NULL, capacity);
    if (!data)
        abort();
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void cap_buf_add(struct cap_buf *buf, const void *data, size_t length)
{
    if (!reserve(buf, length))
        return;
    if (length > 0)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void cap_buf_add_str(struct cap_buf *buf, const char *text)
{
    cap_buf_add(buf, text, strlen(text));
}

void cap_buf_add_char(struct cap_buf *buf, char c)
{
    cap_buf_add(buf, &c, 1);
}

void cap_buf_vprintf(struct cap_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    int length;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    assert(length >= 0);
    if (!reserve(buf, (size_t)length))
        return;
    vsnprintf(buf->data + buf->length, (size_t)length + 1, fmt, args);
    buf->length += (size_t)length;
}

void cap_buf_printf(struct cap_buf *buf, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    cap_buf_vprintf(buf, fmt, args);
    va_end(args);
}

void cap_buf_drop(struct cap_buf *buf, size_t length)
{
    assert(length <= buf->length);
    if (length == 0)
        return;
    memmove(buf->data, buf->data + length, buf->length - length + 1);
    buf->length -= length;
}

char *cap_buf_take(struct cap_buf *buf)
{
    char *data = buf->capacity ? buf->data : strdup("");

    if (!data)
        abort();
    cap_buf_init(buf, buf->bytes_max);
    return data;
}
