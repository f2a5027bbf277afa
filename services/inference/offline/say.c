/* How the offline verbs speak: sentences or JSON, and nothing that acts on a terminal. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/exit.h"
#include "base/plain.h"
#include "offline/offline.h"

enum { STRING_BYTES_MAX = 1 << 20 };

bool infer_says_json(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i]; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static void print_json(FILE *out, const json_t *value)
{
    CAP_AUTO_MEM char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (text)
        cap_plain_json(out, text);
    fputc('\n', out);
}

void infer_say_json(const json_t *value)
{
    print_json(stdout, value);
}

void infer_say_failure(bool as_json, const char *verb, const struct cap_err *err)
{
    json_t *json;

    if (!as_json) {
        cap_plain_line(stderr, "moecap %s: %s", verb, err->text);
        return;
    }
    json =
        json_pack("{s:{s:s,s:s}}", "error", "code", cap_code_name(err->code), "message", err->text);
    print_json(stderr, json);
    json_decref(json);
}

int infer_say_usage(bool as_json, const char *verb, const char *help, const char *fmt, ...)
{
    struct cap_err err = {0};
    char text[CAP_ERR_TEXT_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cap_fail(&err, CAP_INVALID_ARGUMENT, "%s", text);
    infer_say_failure(as_json, verb, &err);
    if (!as_json)
        fputs(help, stderr);
    return CAP_EXIT_USAGE;
}

json_t *infer_plain_json(const json_t *value)
{
    json_t *out, *item;
    const char *key;
    size_t i;

    if (json_is_string(value)) {
        CAP_AUTO_BUF(plain, STRING_BYTES_MAX);

        cap_plain_add(&plain, json_string_value(value));
        return json_string(plain.data);
    }
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, item) json_array_append_new(out, infer_plain_json(item));
        return out;
    }
    if (!json_is_object(value))
        return json_copy((json_t *)value);
    out = json_object();
    json_object_foreach((json_t *)value, key, item)
    {
        CAP_AUTO_BUF(plain, STRING_BYTES_MAX);

        cap_plain_add(&plain, key);
        json_object_set_new(out, plain.data, infer_plain_json(item));
    }
    return out;
}
