#include "task_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "yaml_read.h"

enum { INCLUDE_DEPTH_MAX = 8 };

struct merge {
    const struct eval_task_file *files;
    size_t file_count;
    struct eval_task_source *out;
    json_t *values; /* merged so far */
    json_t *places; /* key -> "file:line" */
    struct cap_err *err;
};

static bool merge_file(struct merge *m, const char *name, int depth);

/* ---- includes ---- */

/* "common/base.yaml" named by "sub/task.yaml" is "sub/common/base.yaml". */
static bool resolve(struct merge *m, const char *from, const char *name,
                    char out[EVAL_TASK_FILE_NAME_BYTES_MAX])
{
    const char *slash = strrchr(from, '/');
    int folder = slash ? (int)(slash - from + 1) : 0;

    if (name[0] == '/' || strncmp(name, "../", 3) == 0 || strstr(name, "/../")) {
        const char *last = strrchr(name, '/') + 1;

        return cap_fail(m->err, CAP_INVALID_ARGUMENT,
                        "%s: include \"%.200s\" must lie in the task's folder: copy that file "
                        "beside this one and write \"include: %.100s\"",
                        from, name, last);
    }
    if (snprintf(out, EVAL_TASK_FILE_NAME_BYTES_MAX, "%.*s%s", folder, from, name) >=
        EVAL_TASK_FILE_NAME_BYTES_MAX)
        return cap_fail(m->err, CAP_INVALID_ARGUMENT, "%s: the name of an include is too long",
                        from);
    return true;
}

static bool merge_include(struct merge *m, const char *from, const json_t *include, int depth)
{
    char name[EVAL_TASK_FILE_NAME_BYTES_MAX];

    if (!json_is_string(include) || !json_string_length(include))
        return cap_fail(m->err, CAP_INVALID_ARGUMENT, "%s: include must name a file", from);
    return resolve(m, from, json_string_value(include), name) && merge_file(m, name, depth + 1);
}

static bool merge_includes(struct merge *m, const char *from, const json_t *include, int depth)
{
    json_t *entry;
    size_t i;

    if (!json_is_array(include))
        return merge_include(m, from, include, depth);
    json_array_foreach((json_t *)include, i, entry)
    {
        if (!merge_include(m, from, entry, depth))
            return false;
    }
    return true;
}

/* ---- files ---- */

static bool note_missing(struct merge *m, const char *name)
{
    struct eval_task_source *out = m->out;

    for (size_t i = 0; i < out->missing_count; i++)
        if (strcmp(out->missing[i], name) == 0)
            return true;
    if (out->missing_count == EVAL_TASK_FILES_MAX)
        return cap_fail(m->err, CAP_INVALID_ARGUMENT, "a task has at most %d files",
                        EVAL_TASK_FILES_MAX);
    snprintf(out->missing[out->missing_count++], EVAL_TASK_FILE_NAME_BYTES_MAX, "%s", name);
    return true;
}

static bool refuse_unknown(struct merge *m, const char *name, const char *key, const json_t *line)
{
    const char *nearest = eval_key_nearest(eval_task_keys, key);

    return cap_fail(m->err, CAP_INVALID_ARGUMENT, "%s:%lld: unknown key \"%.80s\"%s%s%s", name,
                    (long long)json_integer_value(line), key, nearest ? "; did you mean \"" : "",
                    nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool is_known(const char *key)
{
    for (const char *const *known = eval_task_keys; *known; known++)
        if (strcmp(*known, key) == 0)
            return true;
    return false;
}

static bool overlay(struct merge *m, const char *name, json_t *values, const json_t *lines)
{
    const char *key;
    json_t *value;

    json_object_foreach(values, key, value)
    {
        const json_t *line = json_object_get(lines, key);

        if (!is_known(key))
            return refuse_unknown(m, name, key, line);
        if (strcmp(key, "include") == 0)
            continue;
        if (json_is_null(value))
            json_object_del(m->values, key); /* the harness's null is "not set" */
        else
            json_object_set(m->values, key, value);
        json_object_set_new(m->places, key,
                            json_sprintf("%s:%lld", name, (long long)json_integer_value(line)));
    }
    return true;
}

static bool merge_file(struct merge *m, const char *name, int depth)
{
    const struct eval_task_file *file = NULL;
    json_t *values, *lines, *include;
    bool ok;

    if (depth > INCLUDE_DEPTH_MAX)
        return cap_fail(m->err, CAP_INVALID_ARGUMENT, "%s: more than %d includes deep, or a circle",
                        name, INCLUDE_DEPTH_MAX);
    for (size_t i = 0; i < m->file_count; i++)
        if (strcmp(m->files[i].name, name) == 0)
            file = &m->files[i];
    if (!file)
        return note_missing(m, name);
    if (!eval_yaml_read(name, file->text, file->length, &values, &lines, m->err))
        return false;
    include = json_object_get(values, "include");
    ok = (!include || merge_includes(m, name, include, depth)) && overlay(m, name, values, lines);
    json_decref(values);
    json_decref(lines);
    return ok;
}

/* ---- definitions ---- */

/* The canonical form of a definition, the caller's to free(). */
static char *definition_text(const json_t *definition)
{
    char *text = json_dumps(definition, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));

    if (!text)
        abort();
    return text;
}

static bool open_merged(struct merge *m, const char *main_name)
{
    const char *key = NULL, *place;

    m->out->task = eval_task_open_json(m->values, &key, m->err);
    if (m->out->task) {
        m->out->definition = definition_text(m->values);
        return true;
    }
    place = key ? json_string_value(json_object_get(m->places, key)) : NULL;
    return cap_fail_in(m->err, "%s", place ? place : main_name);
}

bool eval_task_read(const char *main_name, const struct eval_task_file *files, size_t file_count,
                    struct eval_task_source *out, struct cap_err *err)
{
    struct eval_task_source source = {0};
    struct merge m = {files, file_count, &source, json_object(), json_object(), err};
    bool ok =
        merge_file(&m, main_name, 0) && (source.missing_count > 0 || open_merged(&m, main_name));

    json_decref(m.values);
    json_decref(m.places);
    if (ok)
        *out = source;
    return ok;
}

void eval_task_source_done(struct eval_task_source *source)
{
    eval_task_free(source->task);
    free(source->definition);
    source->task = NULL;
    source->definition = NULL;
}
