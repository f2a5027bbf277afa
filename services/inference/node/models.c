/* The model folders, found at start, and their digests with a cache of them. Folders are filled by
 * others: only regular files are read, and a file that cannot be read is that model's problem. */
#include "node/models.h"

#include <assert.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/python_json.h"
#include "log/log.h"

enum { CONFIG_BYTES_MAX = 1 << 20, PATH_BYTES_MAX = 4096, CACHE_BYTES_MAX = 4 << 20 };

static char *copy(const char *text)
{
    char *result = strdup(text);

    assert(result);
    return result;
}

static bool join(char out[PATH_BYTES_MAX], const char *dir, const char *name)
{
    return snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name) < PATH_BYTES_MAX;
}

/* ---- files of a model ---- */

struct file_list {
    struct dirent **entries;
    int count;
};

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void file_list_done(struct file_list *files)
{
    for (int i = 0; i < files->count; i++)
        free(files->entries[i]);
    free(files->entries);
}

#define AUTO_FILES __attribute__((cleanup(file_list_done))) struct file_list

/* Sorted by byte value, so that every node gives a model the same digest. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void list_files(const char *path, struct file_list *out)
{
    out->count = scandir(path, &out->entries, is_visible, by_bytes);
    if (out->count < 0)
        *out = (struct file_list){0};
}

static bool stat_file(const char *dir, const char *name, char out_path[PATH_BYTES_MAX],
                      struct stat *out)
{
    return join(out_path, dir, name) && stat(out_path, out) == 0 && S_ISREG(out->st_mode);
}

static uint64_t count_bytes(const char *path)
{
    AUTO_FILES files;
    char file[PATH_BYTES_MAX];
    struct stat info;
    uint64_t bytes = 0;

    list_files(path, &files);
    for (int i = 0; i < files.count; i++)
        if (stat_file(path, files.entries[i]->d_name, file, &info))
            bytes += (uint64_t)info.st_size;
    return bytes;
}

/* ---- digests, cached as lines "size mtime_ns sha256 path" ---- */

static bool cache_path(const struct infer_models *models, char out[PATH_BYTES_MAX])
{
    return *models->state_dir && join(out, models->state_dir, "model-digests");
}

static void cache_line(struct cap_buf *out, const struct stat *info, const char *sha256,
                       const char *path)
{
    cap_buf_printf(out, "%lld %lld.%09ld %s %s\n", (long long)info->st_size,
                   (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec, sha256, path);
}

/* The cache is a hint: unreadable, it is empty. */
static bool cache_find(const struct infer_models *models, const struct stat *info, const char *path,
                       char out[CAP_SHA256_HEX_BYTES])
{
    enum { HEX = CAP_SHA256_HEX_BYTES - 1 };
    char file[PATH_BYTES_MAX], blank[CAP_SHA256_HEX_BYTES];
    CAP_AUTO_MEM char *text = NULL;
    CAP_AUTO_BUF(wanted, 2 * PATH_BYTES_MAX);
    struct cap_err err = {0};
    size_t length, head;

    if (!cache_path(models, file) || !(text = cap_file_read(file, CACHE_BYTES_MAX, &length, &err)))
        return false;
    memset(blank, '-', HEX);
    blank[HEX] = '\0';
    cache_line(&wanted, info, blank, path);
    head = (size_t)(strchr(wanted.data, '-') - wanted.data);
    for (const char *line = text; *line; line = strchrnul(line, '\n'), line += *line == '\n')
        if (strncmp(line, wanted.data, head) == 0 && strlen(line) >= wanted.length &&
            memcmp(line + head + HEX, wanted.data + head + HEX, wanted.length - head - HEX) == 0) {
            memcpy(out, line + head, HEX);
            out[HEX] = '\0';
            return true;
        }
    return false;
}

static void cache_add(const struct infer_models *models, const struct stat *info, const char *path,
                      const char *sha256)
{
    char file[PATH_BYTES_MAX];
    CAP_AUTO_BUF(text, CACHE_BYTES_MAX + 2 * PATH_BYTES_MAX);
    CAP_AUTO_MEM char *old = NULL;
    struct cap_err err = {0};
    size_t length = 0;

    if (!cache_path(models, file))
        return;
    old = cap_file_read(file, CACHE_BYTES_MAX / 2, &length, &err); /* past that: start over */
    cap_err_clear(&err);
    cache_line(&text, info, sha256, path);
    if (old)
        cap_buf_add(&text, old, length);
    if (!cap_file_write(file, text.data, text.length, &err))
        cap_log(DEBUG, "digest_cache", "reason=%s", CAP_LOG_Q(err.text));
}

/* A digest being made: `unwanted` ends it. */
struct digesting {
    const struct infer_models *models;
    bool (*unwanted)(void *arg);
    void *arg;
};

static bool digest_file(const struct digesting *d, const char *path, const struct stat *info,
                        char out[CAP_SHA256_HEX_BYTES], struct cap_err *err)
{
    if (cache_find(d->models, info, path, out))
        return true;
    if (!cap_sha256_file_unless(path, d->unwanted, d->arg, out, err))
        return false;
    cache_add(d->models, info, path, out);
    return true;
}

static bool digest_dir(const struct digesting *d, const char *path, char out[CAP_SHA256_HEX_BYTES],
                       struct cap_err *err)
{
    AUTO_FILES files;
    CAP_AUTO_BUF(list, 1 << 20);
    char file[PATH_BYTES_MAX], sha256[CAP_SHA256_HEX_BYTES];
    struct stat info;

    list_files(path, &files);
    for (int i = 0; i < files.count; i++) {
        if (!stat_file(path, files.entries[i]->d_name, file, &info))
            continue;
        if (!digest_file(d, file, &info, sha256, err))
            return false;
        cap_buf_printf(&list, "%s  %s\n", sha256, files.entries[i]->d_name);
    }
    cap_sha256_hex(list.data, list.length, out);
    return true;
}

bool infer_models_digest(struct infer_models *models, const char *path, bool (*unwanted)(void *arg),
                         void *arg, char out[CAP_SHA256_HEX_BYTES], struct cap_err *err)
{
    const struct digesting d = {models, unwanted, arg};
    int index = 0;

    while (index < models->count && strcmp(models->list[index].path, path) != 0)
        index++;
    out[0] = '\0';
    if (index < models->count)
        infer_models_sha256(models, index, out);
    if (*out)
        return true;
    if (!digest_dir(&d, path, out, err))
        return cap_fail_in(err, "digest of model \"%s\"", path);
    if (index < models->count) {
        pthread_mutex_lock(&models->lock);
        memcpy(models->list[index].sha256, out, CAP_SHA256_HEX_BYTES);
        pthread_mutex_unlock(&models->lock);
    }
    return true;
}

void infer_models_sha256(struct infer_models *models, int index, char out[CAP_SHA256_HEX_BYTES])
{
    pthread_mutex_lock(&models->lock);
    memcpy(out, models->list[index].sha256, CAP_SHA256_HEX_BYTES);
    pthread_mutex_unlock(&models->lock);
}

/* ---- finding models ---- */

static bool is_model(const char *path)
{
    char file[PATH_BYTES_MAX];

    return join(file, path, "config.json") && cap_file_exists(file);
}

/* Models that also read pictures keep it with the settings of their text part. */
static int64_t context_of(const json_t *config)
{
    static const char key[] = "max_position_embeddings";
    const json_t *own = json_object_get(config, key),
                 *nested = json_object_get(json_object_get(config, "text_config"), key);
    json_int_t tokens = json_integer_value(own ? own : nested);

    return tokens > 0 && tokens <= UINT32_MAX ? tokens : 0;
}

/* For estimates of the model: its shape, before anything is loaded. */
static char *config_text(const json_t *config)
{
    char *text = config ? json_dumps(config, JSON_COMPACT) : NULL;

    if (text && strlen(text) <= INFER_MODELS_CONFIG_BYTES_MAX)
        return text;
    free(text);
    return copy("");
}

/* What the directory says it is; the engine judges the rest when it loads. */
static void read_family(struct infer_model *model)
{
    char file[PATH_BYTES_MAX];
    CAP_AUTO_MEM char *text = NULL, *strict = NULL;
    struct cap_err err = {0};
    json_error_t where;
    json_t *config = NULL;
    const char *type = NULL;
    size_t length;

    join(file, model->path, "config.json");
    text = cap_file_read_regular(file, CONFIG_BYTES_MAX, &length, &err);
    if (text)
        strict = cap_python_json(text, length, &length);
    if (!text)
        model->problem = copy(err.text);
    else if (!(config = json_loadb(strict, length, 0, &where)) ||
             !(type = json_string_value(json_object_get(config, "model_type")))) {
        cap_fail(&err, CAP_INVALID_ARGUMENT, "%s: %s", file,
                 config ? "there is no model_type" : where.text);
        model->problem = copy(err.text);
    }
    model->family = copy(type ? type : "");
    model->context_max = context_of(config);
    model->config = config_text(config);
    json_decref(config);
}

static bool has_name(const struct infer_models *models, const char *name)
{
    for (int i = 0; i < models->count; i++)
        if (strcmp(models->list[i].name, name) == 0)
            return true;
    return false;
}

static void add_model(struct infer_models *models, const char *path)
{
    CAP_AUTO_MEM char *real = realpath(path, NULL);
    struct infer_model *model = &models->list[models->count];
    const char *name = real ? strrchr(real, '/') + 1 : NULL;

    if (!name || !*name || has_name(models, name))
        return;
    if (models->count == INFER_MODELS_MAX) {
        cap_log(WARN, "model_left_out", "path=%s reason=\"more than %d models\"", CAP_LOG_Q(real),
                INFER_MODELS_MAX);
        return;
    }
    *model = (struct infer_model){.name = copy(name), .path = copy(real)};
    read_family(model);
    if (!model->problem)
        model->problem = copy("");
    model->bytes = count_bytes(real);
    models->count++;
}

static void add_dir(struct infer_models *models, const char *path)
{
    AUTO_FILES files = {0};
    char sub[PATH_BYTES_MAX];

    if (is_model(path)) {
        add_model(models, path);
        return;
    }
    list_files(path, &files);
    if (files.count == 0)
        cap_log(WARN, "no_models", "path=%s reason=\"not a directory, or empty\"", CAP_LOG_Q(path));
    for (int i = 0; i < files.count; i++)
        if (join(sub, path, files.entries[i]->d_name) && is_model(sub))
            add_model(models, sub);
}

static void digest_small_models(struct infer_models *models, uint64_t digest_bytes_max)
{
    char sha256[CAP_SHA256_HEX_BYTES];

    for (int i = 0; i < models->count; i++) {
        struct infer_model *model = &models->list[i];
        struct cap_err err = {0};

        if (model->bytes <= digest_bytes_max &&
            !infer_models_digest(models, model->path, NULL, NULL, sha256, &err) &&
            !*model->problem) {
            free(model->problem);
            model->problem = copy(err.text);
        }
        cap_log(INFO, "model", "name=%s family=%s bytes=%llu problem=%s", CAP_LOG_Q(model->name),
                model->family, (unsigned long long)model->bytes, CAP_LOG_Q(model->problem));
    }
}

struct infer_models *infer_models_open(const char *dirs, const char *state_dir,
                                       uint64_t digest_bytes_max)
{
    struct infer_models *models = calloc(1, sizeof *models);
    CAP_AUTO_MEM char *list = copy(dirs);
    char *rest = list, *dir;

    assert(models);
    models->list = calloc(INFER_MODELS_MAX, sizeof *models->list);
    assert(models->list);
    pthread_mutex_init(&models->lock, NULL);
    models->state_dir = copy(state_dir ? state_dir : "");
    while ((dir = strsep(&rest, ":")) != NULL)
        if (*dir)
            add_dir(models, dir);
    digest_small_models(models, digest_bytes_max);
    return models;
}

void infer_models_free(struct infer_models *models)
{
    if (!models)
        return;
    for (int i = 0; i < models->count; i++) {
        free(models->list[i].name);
        free(models->list[i].path);
        free(models->list[i].family);
        free(models->list[i].problem);
        free(models->list[i].config);
    }
    pthread_mutex_destroy(&models->lock);
    free(models->list);
    free(models->state_dir);
    free(models);
}

const struct infer_model *infer_models_find(const struct infer_models *models, const char *name,
                                            struct cap_err *err)
{
    CAP_AUTO_BUF(names, 384);

    for (int i = 0; i < models->count; i++) {
        if (strcmp(models->list[i].name, name) == 0 || strcmp(models->list[i].path, name) == 0)
            return &models->list[i];
        cap_buf_printf(&names, "%s%s", names.length ? ", " : "", models->list[i].name);
    }
    cap_fail(err, CAP_NOT_FOUND, "this node has no model \"%.100s\"; it has: %s", name,
             models->count ? names.data : "none");
    return NULL;
}

const char *infer_models_resolve(const struct infer_models *models, const char *name, bool any_path,
                                 struct cap_err *err)
{
    struct cap_err unknown = {0};
    const struct infer_model *model = infer_models_find(models, name, &unknown);

    if (model)
        return model->path;
    if (any_path && name[0] == '/')
        return name;
    *err = unknown;
    return NULL;
}
