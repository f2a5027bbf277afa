#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

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
    json_t *list = json_object_get(json, "normalizers"), *item;
    size_t i;

    if (json && !json_is_null(json)) {
        if (!type || strcmp(type, "Sequence") != 0) {
            if (!add_step(json, &n, err))
                return false;
        } else
            json_array_foreach(list, i, item)
            {
                if (!add_step(item, &n, err))
                    return false;
            }
    }
    *out = n;
    return true;
}

static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

bool infer_normalize(const struct infer_normalizer *normalizer, struct cap_arena *arena,
                     const char **text, size_t *length, struct cap_err *err)
{
    for (int i = 0; i < normalizer->step_count && !is_ascii(*text, *length); i++) {
        utf8proc_uint8_t *form = NULL;
        utf8proc_ssize_t bytes =
            utf8proc_map((const utf8proc_uint8_t *)*text, (utf8proc_ssize_t)*length, &form,
                         (utf8proc_option_t)normalizer->steps[i]);
        char *copy = bytes < 0 ? NULL : cap_arena_strndup(arena, (char *)form, (size_t)bytes);

        free(form);
        if (!copy)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not normalize the text: %s",
                            bytes < 0 ? utf8proc_errmsg(bytes) : "it takes too much memory");
        *text = copy;
        *length = (size_t)bytes;
    }
    return true;
}
