/* One pass over the text. Strings are skipped whole, so that a word inside of one stays; outside of
 * them only the three words and numbers that a strict reader refuses are replaced. Nothing is
 * parsed: what is wrong stays wrong, and the strict reader behind this one says where. */
#include "base/python_json.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { SAFE_DIGITS = 18 }; /* of an integer: fewer than 2^63 for certain */

/* The string that begins at `at`, with both of its quotes; to the end when it has no second one. */
static size_t string_length(const char *at, size_t left)
{
    size_t i = 1;

    while (i < left && at[i] != '"')
        i += at[i] == '\\' && i + 1 < left ? 2 : 1;
    return i < left ? i + 1 : left;
}

static size_t word_length(const char *at, size_t left)
{
    static const char *const words[] = {"Infinity", "-Infinity", "NaN"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);

        if (left >= length && memcmp(at, words[i], length) == 0)
            return length;
    }
    return 0;
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static size_t number_length(const char *at, size_t left)
{
    size_t i = is_one_of(*at, "-0123456789");

    while (i > 0 && i < left && is_one_of(at[i], "0123456789+-.eE"))
        i++;
    return i;
}

/* Up to what may begin one of the above. */
static size_t other_length(const char *at, size_t left)
{
    size_t i = 1;

    while (i < left && !is_one_of(at[i], "\"IN-0123456789"))
        i++;
    return i;
}

static void add_quoted(struct cap_buf *out, const char *text, size_t length)
{
    cap_buf_add_char(out, '"');
    cap_buf_add(out, text, length);
    cap_buf_add_char(out, '"');
}

static void add_number(struct cap_buf *out, const char *at, size_t length)
{
    char text[400]; /* longer ones can only be integers past every double */
    double value;

    if (length <= SAFE_DIGITS && !memchr(at, 'e', length) && !memchr(at, 'E', length)) {
        cap_buf_add(out, at, length);
        return;
    }
    memcpy(text, at, length < sizeof text ? length : sizeof text - 1);
    text[length < sizeof text ? length : sizeof text - 1] = '\0';
    value = strtod(text, NULL);
    if (isinf(value)) {
        add_quoted(out, value < 0 ? "-Infinity" : "Infinity", value < 0 ? 9 : 8);
        return;
    }
    cap_buf_add(out, at, length);
    if (strspn(text, "-0123456789") == length)
        cap_buf_add(out, ".0", 2);
}

char *cap_python_json(const char *text, size_t length, size_t *out_length)
{
    static const char mark[] = "\xef\xbb\xbf";
    struct cap_buf out;
    size_t i = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;

    cap_buf_init(&out, SIZE_MAX / 2);
    while (i < length) {
        size_t n;

        if (text[i] == '"') {
            n = string_length(text + i, length - i);
            cap_buf_add(&out, text + i, n);
        } else if ((n = word_length(text + i, length - i))) {
            add_quoted(&out, text + i, n);
        } else if ((n = number_length(text + i, length - i))) {
            add_number(&out, text + i, n);
        } else {
            n = other_length(text + i, length - i);
            cap_buf_add(&out, text + i, n);
        }
        i += n;
    }
    *out_length = out.length;
    return cap_buf_take(&out);
}
