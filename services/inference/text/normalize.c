/* Unicode forms by utf8proc. It is slow and most text is plain, so only stretches that may change
 * go through it. */
#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"

enum { NORMALIZED_BYTES_MAX = 1 << 30 };

static const struct {
    const char *name;
    int options;
} forms[] = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

static bool add_step(const json_t *json, struct infer_normalizer *out, struct cap_err *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));

    if (out->step_count == INFER_NORMALIZE_STEPS_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "normalizer has more than %d steps",
                        INFER_NORMALIZE_STEPS_MAX);
    for (size_t i = 0; type && i < CAP_COUNT_OF(forms); i++)
        if (strcmp(type, forms[i].name) == 0) {
            out->steps[out->step_count++] = forms[i].options;
            return true;
        }
    return cap_fail(err, CAP_UNIMPLEMENTED,
                    "normalizer \"%.40s\" is not supported; supported: NFC, NFD, NFKC, NFKD",
                    type ? type : "(no type)");
}

bool infer_normalizer_read(const json_t *json, struct infer_normalizer *out, struct cap_err *err)
{
    struct infer_normalizer n = {0};
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *list = json_object_get(json, "normalizers");
    bool sequence = type && strcmp(type, "Sequence") == 0;

    if (json && !json_is_null(json) && !sequence && !add_step(json, &n, err))
        return false;
    for (size_t i = 0; sequence && i < json_array_size(list); i++)
        if (!add_step(json_array_get(list, i), &n, err))
            return false;
    *out = n;
    return true;
}

/* Characters below it never change and never join with what is before them, in the form. */
static const char *skip_plain(const char *at, const char *end, bool nfc)
{
    /* NFC: all below U+0300 are composed starters; their first bytes are below 0xcc */
    unsigned char limit = nfc ? 0xcc : 0x80;

    while (at < end && (unsigned char)*at < limit)
        at++;
    return at;
}

static const char *skip_other(const char *at, const char *end, bool nfc)
{
    unsigned char limit = nfc ? 0xcc : 0x80;

    while (at < end && ((unsigned char)*at >= limit || ((unsigned char)*at & 0xc0) == 0x80))
        at++;
    return at;
}

/* utf8proc is slow, and most text is plain: only the other stretches go through it, each with the
 * plain character before it, which may take accents. */
static bool normalize_stretch(const char *at, const char *end, int options, struct cap_buf *out,
                              struct cap_err *err)
{
    utf8proc_uint8_t *form = NULL;
    utf8proc_ssize_t bytes =
        utf8proc_map((const utf8proc_uint8_t *)at, end - at, &form, (utf8proc_option_t)options);

    if (bytes < 0)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not normalize the text: %s",
                        utf8proc_errmsg(bytes));
    cap_buf_add(out, form, (size_t)bytes);
    free(form);
    return true;
}

static bool apply_form(int options, const char *text, size_t length, struct cap_buf *out,
                       struct cap_err *err)
{
    bool nfc = options == forms[0].options;
    const char *end = text + length;

    for (const char *at = text; at < end;) {
        const char *other = skip_plain(at, end, nfc), *start = other;

        if (other == end) {
            cap_buf_add(out, at, (size_t)(end - at));
            break;
        }
        while (start > at && ((unsigned char)*--start & 0xc0) == 0x80)
            ;
        cap_buf_add(out, at, (size_t)(start - at));
        at = skip_other(other, end, nfc);
        if (!normalize_stretch(start, at, options, out, err))
            return false;
    }
    return true;
}

bool infer_normalize(const struct infer_normalizer *normalizer, struct cap_arena *arena,
                     const char **text, size_t *length, struct cap_err *err)
{
    for (int i = 0; i < normalizer->step_count; i++) {
        bool nfc = normalizer->steps[i] == forms[0].options;
        CAP_AUTO_BUF(form, NORMALIZED_BYTES_MAX);

        if (skip_plain(*text, *text + *length, nfc) == *text + *length)
            continue;
        if (!apply_form(normalizer->steps[i], *text, *length, &form, err))
            return false;
        *text = cap_arena_strndup(arena, form.data, form.length);
        *length = form.length;
        if (!*text || form.overflowed)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "could not normalize the text: it takes too much memory");
    }
    return true;
}
