#include <utf8proc.h>

#include "jinja/internal.h"

size_t jinja_utf8_next(const char *text, size_t length)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)length, &c);

    return n > 0 ? (size_t)n : 1;
}

size_t jinja_utf8_count(struct run *run, struct value s)
{
    size_t count = 0;

    if (!jinja_charge(run, s.s.length))
        return 0;
    for (size_t at = 0; at < s.s.length; count++)
        at += jinja_utf8_next(s.s.text + at, s.s.length - at);
    return count;
}

size_t jinja_utf8_offset(const char *text, size_t length, size_t characters)
{
    size_t at = 0;

    while (characters-- > 0 && at < length)
        at += jinja_utf8_next(text + at, length - at);
    return at < length ? at : length;
}

struct value jinja_change_case(struct run *run, struct value s, bool upper)
{
    CAP_AUTO_BUF(out, TEMPLATE_BYTES_MAX);

    if (!jinja_charge(run, 2 * s.s.length))
        return s;
    for (size_t at = 0; at < s.s.length;) {
        size_t n = jinja_utf8_next(s.s.text + at, s.s.length - at);
        utf8proc_int32_t c;
        uint8_t bytes[4];

        if (utf8proc_iterate((const uint8_t *)s.s.text + at, (utf8proc_ssize_t)n, &c) <= 0) {
            cap_buf_add(&out, s.s.text + at, n);
        } else if (upper && c == 0xdf) { /* the only common letter whose capital is two */
            cap_buf_add_str(&out, "SS");
        } else {
            c = upper ? utf8proc_toupper(c) : utf8proc_tolower(c);
            cap_buf_add(&out, bytes, (size_t)utf8proc_encode_char(c, bytes));
        }
        at += n;
    }
    return jinja_take_buf(run, &out);
}

bool jinja_utf8_is_letter(const char *text, size_t length)
{
    utf8proc_int32_t c = -1;

    if (utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &c) <= 0)
        return false;
    return utf8proc_category(c) >= UTF8PROC_CATEGORY_LU &&
           utf8proc_category(c) <= UTF8PROC_CATEGORY_LO;
}
