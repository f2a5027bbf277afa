/* Tasks: from YAML files to a definition, and found by name.
 *
 * Reading never opens a file: the caller brings the files, and is told which ones are missing
 * (includes may include). The files are laid over each other, an included one first, so that a
 * file's own keys win; each key remembers its file and line, for failures. Finding opens files, and
 * is for work without services (`grade`): a path, or NAME.yaml in the folder given, in
 * $MOECAP_TASKS, in ./tasks and beside the program; or one of the built-in graders. */
#include "task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keys.h"

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
        if (m->files[i].name && strcmp(m->files[i].name, name) == 0)
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

enum { PATH_BYTES = EVAL_TASK_PATH_BYTES };

/* ---- files of a task that is found ---- */

static void free_files(struct eval_task_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)files[i].name);
        free((void *)files[i].text);
    }
}

static bool bring(const char *folder, int folder_length, const char *name,
                  struct eval_task_file *out, struct cap_err *err)
{
    char path[PATH_BYTES];

    if (snprintf(path, sizeof path, "%.*s%s", folder_length, folder, name) >= (int)sizeof path)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the path of \"%.100s\" is too long", name);
    out->text = cap_file_read_regular(path, 1 << 20, &out->length, err);
    if (!out->text)
        return false;
    if (!(out->name = strdup(name)))
        abort();
    return true;
}

static bool load(const char *path, struct eval_task_file *files, size_t *io_count,
                 struct eval_task_source *out, struct cap_err *err)
{
    const char *slash = strrchr(path, '/'), *main_name = slash ? slash + 1 : path;
    int folder = (int)(main_name - path);

    if (!bring(path, folder, main_name, &files[0], err))
        return false;
    *io_count = 1;
    for (;;) {
        if (!eval_task_read(main_name, files, *io_count, out, err))
            return false;
        if (out->task)
            return true;
        for (size_t i = 0; i < out->missing_count; i++) {
            if (*io_count == EVAL_TASK_FILES_MAX)
                return cap_fail(err, CAP_INVALID_ARGUMENT, "%s: more than %d files", path,
                                EVAL_TASK_FILES_MAX);
            if (!bring(path, folder, out->missing[i], &files[*io_count], err))
                return cap_fail_in(err, "include of %s", main_name);
            (*io_count)++;
        }
    }
}

bool eval_task_load(const char *path, struct eval_task_source *out, struct cap_err *err)
{
    struct eval_task_file files[EVAL_TASK_FILES_MAX] = {0};
    size_t count = 0;
    bool ok = load(path, files, &count, out, err);

    free_files(files, count);
    return ok;
}

/* ---- built-in graders ---- */

static const struct {
    const char *name, *what, *yaml;
} graders[] = {
#define GRADER(name, what, yaml) {name, what, yaml},
#include "graders.def"
#undef GRADER
};

static struct eval_task *open_grader(size_t i, struct cap_err *err)
{
    struct eval_task_source source;
    CAP_AUTO_BUF(yaml, 1 << 16);
    struct eval_task_file file = {.name = graders[i].name};

    cap_buf_printf(&yaml, "task: %s\ndoc_to_text: text\ndoc_to_target: gold\n%s", graders[i].name,
                   graders[i].yaml);
    file.text = yaml.data;
    file.length = yaml.length;
    if (!eval_task_read(file.name, &file, 1, &source, err))
        return NULL;
    free(source.definition);
    return source.task;
}

void eval_grader_list(struct cap_buf *out)
{
    for (size_t i = 0; i < CAP_COUNT_OF(graders); i++)
        cap_buf_printf(out, "  %-18s %s\n", graders[i].name, graders[i].what);
}

/* ---- by name ---- */

/* The folder of the program with `tail` after it. */
static bool beside_program(const char *tail, char out[PATH_BYTES])
{
    char program[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;

    if (length <= 0)
        return false;
    program[length] = '\0';
    slash = strrchr(program, '/');
    return slash &&
           snprintf(out, PATH_BYTES, "%.*s/%s", (int)(slash - program), program, tail) < PATH_BYTES;
}

static bool find_file(const char *name, const char *folder, char out[PATH_BYTES])
{
    char built[PATH_BYTES], installed[PATH_BYTES];
    const char *folders[] = {
        folder,
        folder ? NULL : getenv("MOECAP_TASKS"),
        folder ? NULL : "tasks",
        !folder && beside_program("../../../tasks", built) ? built : NULL,
        !folder && beside_program("../share/moecap/tasks", installed) ? installed : NULL,
    };

    for (size_t i = 0; i < CAP_COUNT_OF(folders); i++)
        if (folders[i] && snprintf(out, PATH_BYTES, "%s/%s.yaml", folders[i], name) < PATH_BYTES &&
            cap_file_exists(out))
            return true;
    return false;
}

static bool is_path(const char *name)
{
    size_t length = strlen(name);

    return strchr(name, '/') || (length > 5 && strcmp(name + length - 5, ".yaml") == 0);
}

bool eval_task_locate(const char *name, const char *folder, char out[EVAL_TASK_PATH_BYTES],
                      struct cap_err *err)
{
    if (!is_path(name))
        return find_file(name, folder, out) ||
               cap_fail(err, CAP_NOT_FOUND, "there is no task \"%.80s\": no %.80s.yaml in %s", name,
                        name, folder ? folder : "$MOECAP_TASKS, ./tasks or the program's own");
    return snprintf(out, PATH_BYTES, "%s", name) < PATH_BYTES ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "the path of the task is too long");
}

struct eval_task *eval_task_find(const char *name, const char *folder, struct cap_err *err)
{
    struct eval_task_source source;
    char path[PATH_BYTES];
    const char *names[CAP_COUNT_OF(graders) + 1] = {NULL}, *nearest;

    if (is_path(name) || find_file(name, folder, path)) {
        if (!eval_task_load(is_path(name) ? name : path, &source, err))
            return NULL;
        free(source.definition);
        return source.task;
    }
    for (size_t i = 0; i < CAP_COUNT_OF(graders); i++) {
        names[i] = graders[i].name;
        if (strcmp(name, graders[i].name) == 0)
            return open_grader(i, err);
    }
    nearest = eval_key_nearest(names, name);
    cap_fail(err, CAP_NOT_FOUND, "there is no task and no grader \"%.80s\"%s%s%s", name,
             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return NULL;
}
