/* Lines of JSON to requests. Everything lies in one arena with the prompts themselves. */
#include "offline/prompts.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/auto.h"

enum { STOPS_MAX = 16, TASK_BYTES_MAX = 128 };

struct kept {
    struct infer_prompts prompts; /* first: what the caller holds */
    struct cap_arena *arena;
    size_t expected;
};

static const char *keep_text(struct kept *k, const json_t *value)
{
    const char *text = json_string_value(value);

    return text ? cap_arena_strdup(k->arena, text) : NULL;
}

/* ---- the first line ---- */

/* The name becomes part of a file's. */
static bool is_task_name(const char *name)
{
    return name && *name && *name != '.' && strlen(name) <= TASK_BYTES_MAX &&
           !strpbrk(name, "/,\"\r\n");
}

static bool read_head(struct kept *k, const json_t *line, struct cap_err *err)
{
    const json_t *count = json_object_get(line, "prompts");

    k->prompts.task = keep_text(k, json_object_get(line, "task"));
    k->prompts.output_type = keep_text(k, json_object_get(line, "output_type"));
    if (!k->prompts.output_type || !json_is_integer(count) || json_integer_value(count) < 0 ||
        json_integer_value(count) > INFER_PROMPTS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "it is not the head that moecap render writes: task, output_type, prompts");
    if (!is_task_name(k->prompts.task))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task's name cannot be part of a file's");
    k->expected = (size_t)json_integer_value(count);
    if (k->expected == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task has no samples");
    k->prompts.items = cap_arena_array(k->arena, k->expected, sizeof *k->prompts.items);
    return k->prompts.items || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many prompts");
}

/* ---- a prompt ---- */

static bool read_stops(struct kept *k, const json_t *list, struct infer_request *out)
{
    size_t count = json_array_size(list);
    const char **stops = cap_arena_array(k->arena, count + 1, sizeof *stops);

    if (!stops || count > STOPS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!(stops[i] = keep_text(k, json_array_get(list, i))))
            return false;
    out->stop = stops;
    out->stop_count = (int)count;
    return true;
}

static bool read_messages(struct kept *k, const json_t *list, struct infer_request *out)
{
    size_t count = json_array_size(list);
    struct infer_message *messages = cap_arena_array(k->arena, count + 1, sizeof *messages);

    if (!messages)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_array_get(list, i);

        messages[i].role = keep_text(k, json_object_get(message, "role"));
        messages[i].content = keep_text(k, json_object_get(message, "content"));
        if (!messages[i].role || !messages[i].content)
            return false;
    }
    out->messages = messages;
    out->message_count = (int)count;
    return count > 0;
}

static double number_or(const json_t *line, const char *key, double otherwise)
{
    const json_t *value = json_object_get(line, key);

    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static bool read_prompt(struct kept *k, const json_t *line, struct cap_err *err)
{
    struct infer_request *request = &k->prompts.items[k->prompts.count];
    const json_t *text = json_object_get(line, "text");

    request->id = k->prompts.count + 1;
    request->max_tokens = (int)number_or(line, "max_tokens", 0);
    request->temperature = number_or(line, "temperature", 0);
    request->top_p = number_or(line, "top_p", 1);
    request->top_k = (int)number_or(line, "top_k", 0);
    request->seed = (uint64_t)json_integer_value(json_object_get(line, "seed"));
    request->text = keep_text(k, text);
    if ((!request->text && !read_messages(k, json_object_get(line, "messages"), request)) ||
        !read_stops(k, json_object_get(line, "stop"), request))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "it is not a prompt: text or messages, and at most %d stop strings",
                        STOPS_MAX);
    k->prompts.count++;
    return true;
}

/* ---- all lines ---- */

static bool read_line(struct kept *k, const char *text, size_t length, bool first,
                      struct cap_err *err)
{
    json_error_t why;
    json_t *line = json_loadb(text, length, 0, &why);
    bool ok;

    if (!line)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is not JSON: %.200s", why.text);
    if (!first && k->prompts.count == k->expected)
        ok = cap_fail(err, CAP_INVALID_ARGUMENT, "more than the %zu prompts of its head",
                      k->expected);
    else
        ok = first ? read_head(k, line, err) : read_prompt(k, line, err);
    json_decref(line);
    return ok;
}

static bool read_lines(struct kept *k, FILE *in, struct cap_err *err)
{
    CAP_AUTO_MEM char *line = NULL;
    size_t capacity = 0;
    ssize_t length;

    for (long number = 1; (length = getline(&line, &capacity, in)) >= 0; number++)
        if (!read_line(k, line, (size_t)length, number == 1, err))
            return cap_fail_in(err, "line %ld of the prompts", number);
    if (ferror(in))
        return cap_fail(err, CAP_UNAVAILABLE, "could not read the prompts: %s", strerror(errno));
    return (k->expected > 0 && k->prompts.count == k->expected) ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "the prompts end early: %zu of %zu",
                    k->prompts.count, k->expected);
}

bool infer_prompts_read(const char *path, struct infer_prompts **out, struct cap_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    CAP_AUTO_STREAM FILE *opened = is_stdin ? NULL : fopen(path, "re");
    struct kept *k;

    if (!is_stdin && !opened)
        return cap_fail(err, CAP_NOT_FOUND, "could not open \"%s\": %s", path, strerror(errno));
    if (!(k = calloc(1, sizeof *k)))
        abort();
    k->arena = cap_arena_new(INFER_PROMPTS_BYTES_MAX);
    if (!read_lines(k, is_stdin ? stdin : opened, err)) {
        infer_prompts_free(&k->prompts);
        return false;
    }
    *out = &k->prompts;
    return true;
}

void infer_prompts_free(struct infer_prompts *prompts)
{
    struct kept *k = (struct kept *)prompts;

    if (!k)
        return;
    cap_arena_free(k->arena);
    free(k);
}
