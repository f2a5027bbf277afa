/* What is read of config.json: one key at a time, with its type and its bounds, or a sentence with
 * the key and the value; and the parts that families share, each from several keys. */
#include "model/family.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/python_json.h"

enum { FILE_BYTES_MAX = 4 << 20 };

json_t *cap_keys_read_file(const char *dir, const char *name, struct cap_err *err)
{
    char path[PATH_MAX];
    size_t length;
    CAP_AUTO_MEM char *text = NULL, *strict = NULL;
    json_error_t why;
    json_t *json;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", dir);
        return NULL;
    }
    text = cap_file_read_regular(path, FILE_BYTES_MAX, &length, err);
    if (!text)
        return NULL;
    strict = cap_python_json(text, length, &length);
    json = json_loadb(strict, length, 0, &why);
    if (!json)
        cap_fail(err, CAP_INVALID_ARGUMENT, "%s, line %d: %.200s", name, why.line, why.text);
    else if (!json_is_object(json))
        cap_fail(err, CAP_INVALID_ARGUMENT, "%s is not a JSON object", name);
    else
        return json;
    json_decref(json);
    return NULL;
}

/* The value as JSON, shortened, for a message. */
static bool fail_value(const json_t *value, const char *key, const char *expected,
                       struct cap_err *err)
{
    CAP_AUTO_MEM char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is %.60s, expected %s", key,
                    text ? text : "unreadable", expected);
}

static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

bool cap_keys_has(const json_t *object, const char *key)
{
    return find(object, key) != NULL;
}

bool cap_keys_need(const json_t *object, const char *key, struct cap_err *err)
{
    if (cap_keys_has(object, key))
        return true;
    return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" is missing", key);
}

bool cap_keys_int(const json_t *object, const char *key, int min, int max, int *out,
                  struct cap_err *err)
{
    const json_t *value = find(object, key);
    char expected[64];
    double number = json_number_value(value);

    if (!value)
        return true;
    if (!json_is_number(value) || number != floor(number) || number < min || number > max) {
        snprintf(expected, sizeof expected, "an integer from %d to %d", min, max);
        return fail_value(value, key, expected, err);
    }
    *out = (int)number;
    return true;
}

bool cap_keys_need_int(const json_t *object, const char *key, int min, int max, int *out,
                       struct cap_err *err)
{
    return cap_keys_need(object, key, err) && cap_keys_int(object, key, min, max, out, err);
}

bool cap_keys_double(const json_t *object, const char *key, double min, double max, double *out,
                     struct cap_err *err)
{
    const json_t *value = find(object, key);
    char expected[64];
    double number = json_number_value(value);

    if (!value)
        return true;
    if (!json_is_number(value) || !(number >= min && number <= max)) {
        snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
        return fail_value(value, key, expected, err);
    }
    *out = number;
    return true;
}

bool cap_keys_bool(const json_t *object, const char *key, bool *out, struct cap_err *err)
{
    const json_t *value = find(object, key);

    if (!value)
        return true;
    if (!json_is_boolean(value))
        return fail_value(value, key, "true or false", err);
    *out = json_is_true(value);
    return true;
}

bool cap_keys_string(const json_t *object, const char *key, const char **out, struct cap_err *err)
{
    const json_t *value = find(object, key);

    if (!value)
        return true;
    if (!json_is_string(value))
        return fail_value(value, key, "a string", err);
    *out = json_string_value(value);
    return true;
}

/* ==== the parts that families share ==== */

enum { HEADS_MAX = 4096, WIDTH_MAX = 1 << 20, CONTEXT_MAX = 1 << 30 };

bool cap_part_gqa(const json_t *config, const struct cap_model *model,
                  struct cap_model_attention *out, struct cap_err *err)
{
    struct cap_model_attention a = {0};

    if (!cap_keys_need_int(config, "num_attention_heads", 1, HEADS_MAX, &a.heads, err))
        return false;
    assert(a.heads > 0);
    a.kv_heads = a.heads;
    a.head_dim = model->hidden / a.heads;
    if (!cap_keys_int(config, "num_key_value_heads", 1, HEADS_MAX, &a.kv_heads, err) ||
        !cap_keys_int(config, "head_dim", 2, WIDTH_MAX, &a.head_dim, err))
        return false;
    if (a.heads % a.kv_heads != 0)
        return cap_fail(
            err, CAP_INVALID_ARGUMENT,
            "\"num_attention_heads\" %d is not a multiple of \"num_key_value_heads\" %d", a.heads,
            a.kv_heads);
    if (a.head_dim < 2 || a.head_dim % 2 != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"head_dim\" is %d, expected an even number",
                        a.head_dim);
    a.scale = 1 / sqrt(a.head_dim);
    *out = a;
    return true;
}

bool cap_part_window(const json_t *config, const char *switch_key, int absent, int *out_window,
                     struct cap_err *err)
{
    bool used = true;
    int window = 0;

    if (switch_key) {
        used = false;
        if (!cap_keys_bool(config, switch_key, &used, err))
            return false;
    }
    if (used && !json_object_get(config, "sliding_window"))
        window = absent;
    if (used && !cap_keys_int(config, "sliding_window", 1, CONTEXT_MAX, &window, err))
        return false;
    *out_window = window;
    return true;
}

bool cap_part_softmax_router(const json_t *config, const char *experts_key, bool renormalize,
                             struct cap_model_router *out, struct cap_err *err)
{
    struct cap_model_router r = {
        .kind = CAP_ROUTER_SOFTMAX, .scale = 1, .renormalize = renormalize};

    if (!cap_keys_need_int(config, experts_key, 0, CAP_MODEL_EXPERTS_MAX, &r.experts, err))
        return false;
    if (r.experts == 0)
        r = (struct cap_model_router){.kind = CAP_ROUTER_NONE};
    else if (!cap_keys_need_int(config, "num_experts_per_tok", 1, r.experts, &r.top_k, err))
        return false;
    *out = r;
    return true;
}
