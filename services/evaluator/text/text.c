/* Python's str on UTF-8: white space, case and punctuation by Unicode's tables (utf8proc). A
 * result shares the input's bytes where nothing changed. Where something did, it is written into
 * the arena, in room for the worst case. */
#include "text/text.h"

#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

struct eval_text eval_text_of(const char *c_string)
{
    return (struct eval_text){c_string, strlen(c_string)};
}

const char *eval_text_c(struct cap_arena *arena, struct eval_text text)
{
    return text.data ? cap_arena_strndup(arena, text.data, text.length) : NULL;
}

/* ---- code points ---- */

/* The code point at `at` (the text is valid UTF-8) and its length in bytes. */
static size_t read_point(struct eval_text text, size_t at, int32_t *out_point)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text.data + at,
                                          (utf8proc_ssize_t)(text.length - at), out_point);

    if (n > 0)
        return (size_t)n;
    *out_point = 0xFFFD;
    return 1;
}

/* Where the code point before `at` begins. */
static size_t step_back(struct eval_text text, size_t at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text.data[at] & 0xC0) == 0x80);
    return at;
}

/* str.isspace() of one character. */
static bool is_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* A text on its way into the arena: room is asked for once, for the worst case. */
struct writer {
    char *data;
    size_t length;
};

static struct writer begin(struct cap_arena *arena, size_t bytes_max)
{
    return (struct writer){cap_arena_alloc(arena, bytes_max + 1), 0};
}

static void put(struct writer *w, const char *data, size_t length)
{
    memcpy(w->data + w->length, data, length);
    w->length += length;
}

static void put_point(struct writer *w, int32_t c)
{
    w->length += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)w->data + w->length);
}

static struct eval_text end(struct writer *w)
{
    return (struct eval_text){w->data, w->length};
}

/* ---- bytes from outside ---- */

static bool is_valid(const char *data, size_t length)
{
    for (size_t at = 0; at < length;) {
        int32_t c;
        utf8proc_ssize_t n;

        if ((unsigned char)data[at] < 0x80) {
            at++;
            continue;
        }
        n = utf8proc_iterate((const utf8proc_uint8_t *)data + at, (utf8proc_ssize_t)(length - at),
                             &c);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

struct eval_text eval_text_valid(struct cap_arena *arena, const char *data, size_t length)
{
    struct writer w;

    if (is_valid(data, length))
        return (struct eval_text){data, length};
    w = begin(arena, 3 * length);
    if (!w.data)
        return EVAL_TEXT_NONE;
    for (size_t at = 0; at < length;) {
        int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)data + at,
                                              (utf8proc_ssize_t)(length - at), &c);

        put_point(&w, n > 0 ? c : 0xFFFD);
        at += n > 0 ? (size_t)n : 1;
    }
    return end(&w);
}

/* ---- comparing and finding ---- */

bool eval_text_equal(struct eval_text a, struct eval_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

size_t eval_text_find(struct eval_text text, struct eval_text needle)
{
    const char *found =
        needle.length ? memmem(text.data, text.length, needle.data, needle.length) : NULL;

    return found ? (size_t)(found - text.data) : text.length + 1;
}

size_t eval_text_find_last(struct eval_text text, struct eval_text needle)
{
    if (needle.length > 0 && needle.length <= text.length)
        for (size_t at = text.length - needle.length + 1; at-- > 0;)
            if (memcmp(text.data + at, needle.data, needle.length) == 0)
                return at;
    return text.length + 1;
}

/* ---- trimming ---- */

struct eval_text eval_text_strip_left(struct eval_text text)
{
    while (text.length > 0) {
        int32_t c;
        size_t n = read_point(text, 0, &c);

        if (!is_space(c))
            break;
        text.data += n;
        text.length -= n;
    }
    return text;
}

struct eval_text eval_text_strip(struct eval_text text)
{
    text = eval_text_strip_left(text);
    while (text.length > 0) {
        size_t at = step_back(text, text.length);
        int32_t c;

        read_point(text, at, &c);
        if (!is_space(c))
            break;
        text.length = at;
    }
    return text;
}

struct eval_text eval_text_strip_nuls(struct eval_text text)
{
    while (text.length > 0 && text.data[text.length - 1] == '\0')
        text.length--;
    return text;
}

/* ---- case ---- */

/* Unicode's Cased property, as far as the final sigma rule asks. */
static bool is_cased(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return true;
    default:
        return c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) ||
               (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F189);
    }
}

static bool is_case_ignorable(int32_t c)
{
    static const int32_t marks[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                    0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                    0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};

    for (size_t i = 0; i < CAP_COUNT_OF(marks); i++)
        if (c == marks[i])
            return true;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* A capital sigma at `at` ends a word: a cased letter before it and none after it, not counting
 * ignorable characters between. */
static bool is_final_sigma(struct eval_text text, size_t at)
{
    int32_t c = 0;
    size_t i = at;

    while (i > 0) {
        i = step_back(text, i);
        read_point(text, i, &c);
        if (!is_case_ignorable(c))
            break;
        c = 0;
    }
    if (!is_cased(c))
        return false;
    for (i = at + 2; i < text.length;) {
        i += read_point(text, i, &c);
        if (!is_case_ignorable(c))
            return !is_cased(c);
    }
    return true;
}

struct eval_text eval_text_lower(struct cap_arena *arena, struct eval_text text)
{
    struct writer w = begin(arena, 2 * text.length); /* simple mappings grow by half at most */

    if (!w.data)
        return EVAL_TEXT_NONE;
    for (size_t at = 0; at < text.length;) {
        int32_t c;
        size_t n = read_point(text, at, &c);

        if (c == 0x130)
            put(&w, "i\xCC\x87", 3);
        else if (c == 0x3A3)
            put_point(&w, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
        else
            put_point(&w, utf8proc_tolower(c));
        at += n;
    }
    return end(&w);
}

/* The longer upper case of a character that has one; NULL for all others. */
static const char *special_upper(int32_t c)
{
    switch (c) {
#define UPPER(point, text)                                                                         \
    case point:                                                                                    \
        return text;
#include "text/upper.def"
#undef UPPER
    default:
        return NULL;
    }
}

struct eval_text eval_text_upper(struct cap_arena *arena, struct eval_text text)
{
    struct writer w = begin(arena, 4 * text.length);

    if (!w.data)
        return EVAL_TEXT_NONE;
    for (size_t at = 0; at < text.length;) {
        int32_t c;
        size_t n = read_point(text, at, &c);
        const char *special = c < 0x80 ? NULL : special_upper(c);

        if (special)
            put(&w, special, strlen(special));
        else
            put_point(&w, utf8proc_toupper(c));
        at += n;
    }
    return end(&w);
}

/* ---- dropping characters ---- */

static bool is_ascii_punctuation(int32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

static bool is_punctuation(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    default:
        return false;
    }
}

static bool is_ascii_digit(int32_t c)
{
    return c >= '0' && c <= '9';
}

static struct eval_text drop(struct cap_arena *arena, struct eval_text text,
                             bool (*unwanted)(int32_t))
{
    struct writer w = begin(arena, text.length);

    if (!w.data)
        return EVAL_TEXT_NONE;
    for (size_t at = 0; at < text.length;) {
        int32_t c;
        size_t n = read_point(text, at, &c);

        if (!unwanted(c))
            put(&w, text.data + at, n);
        at += n;
    }
    return end(&w);
}

struct eval_text eval_text_drop_ascii_punctuation(struct cap_arena *arena, struct eval_text text)
{
    return drop(arena, text, is_ascii_punctuation);
}

struct eval_text eval_text_drop_punctuation(struct cap_arena *arena, struct eval_text text)
{
    return drop(arena, text, is_punctuation);
}

struct eval_text eval_text_drop_digits(struct cap_arena *arena, struct eval_text text)
{
    return drop(arena, text, is_ascii_digit);
}

/* ---- counting ---- */

size_t eval_text_count(struct eval_text text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}

struct eval_text eval_text_first(struct eval_text text, size_t count)
{
    for (size_t i = 0; i < text.length; i++)
        if (((unsigned char)text.data[i] & 0xC0) != 0x80 && count-- == 0)
            return (struct eval_text){text.data, i};
    return text;
}

bool eval_text_is_number(struct eval_text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!is_ascii_digit(text.data[i]))
            return false;
    return text.length > 0;
}
