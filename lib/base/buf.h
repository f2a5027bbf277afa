/* buf.h — a growing byte buffer that cannot be made without its maximum.
 *
 * Always NUL-terminated, so `data` is also a C string. Past the maximum the buffer turns
 * `overflowed` and drops what is added: fill it as a whole, then ask once.
 *
 *     struct cap_buf b;
 *     cap_buf_init(&b, 1 << 20);
 *     cap_buf_printf(&b, "%d samples\n", n);
 *     if (b.overflowed) ...
 *     cap_buf_done(&b);
 */
#ifndef CAP_BUF_H
#define CAP_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct cap_buf {
    char *data; /* never NULL after init: "" while empty */
    size_t length;
    size_t capacity;
    size_t bytes_max;
    bool overflowed;
};

void cap_buf_init(struct cap_buf *buf, size_t bytes_max);
void cap_buf_done(struct cap_buf *buf);
/* Empties the buffer and forgets an overflow; keeps the memory. */
void cap_buf_clear(struct cap_buf *buf);

void cap_buf_add(struct cap_buf *buf, const void *data, size_t length);
void cap_buf_add_str(struct cap_buf *buf, const char *text);
void cap_buf_add_char(struct cap_buf *buf, char c);
void cap_buf_printf(struct cap_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cap_buf_vprintf(struct cap_buf *buf, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Drops the first `length` bytes. */
void cap_buf_drop(struct cap_buf *buf, size_t length);

/* The text, now the caller's to free(); the buffer is empty and usable again. */
char *cap_buf_take(struct cap_buf *buf);

/* Scope-bound: CAP_AUTO_BUF(b, 1 << 20); */
#define CAP_AUTO_BUF(name, max)                                                                    \
    __attribute__((cleanup(cap_buf_done))) struct cap_buf name;                                    \
    cap_buf_init(&name, max)

#endif
