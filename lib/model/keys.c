/* One key of config.json at a time: its type and its bounds, or a sentence with the key and the
 * value. */
#include "model/family.h"

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
