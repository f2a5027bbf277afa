#include "task_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keys.h"

enum { PATH_BYTES = 4096 };

/* ---- files ---- */

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

/* The folder of the program with `tail` behind it. */
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
