/* A directory of safetensors: finds the files, maps them, checks every header, indexes the names.
 */
#include "model/tensors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "model/safetensors.h"

enum { INDEX_BYTES_MAX = 256 << 20, LENGTH_BYTES = 8 };
static const size_t ARENA_BYTES_MAX = (size_t)2 << 30;

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

struct mapping {
    const char *path, *name;
    void *address;
    size_t bytes;
};

struct cap_tensors {
    struct cap_arena *arena; /* names, paths, tensors */
    struct mapping *files;   /* [CAP_TENSORS_FILES_MAX] */
    int file_count;
    const struct cap_tensor **items;
    size_t count, capacity;
    struct cap_map *by_name; /* -> const struct cap_tensor */
    uint64_t bytes;
    const char *source;
};

/* ---- one file ---- */

static bool map_file(struct mapping *m, struct cap_err *err)
{
    CAP_AUTO_FD int fd = open(m->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return cap_fail(err, errno == ENOENT ? CAP_NOT_FOUND : CAP_UNAVAILABLE,
                        "could not open it: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a regular file");
    if (info.st_size < LENGTH_BYTES)
        return cap_fail(err, CAP_DATA_LOSS, "it has %" PRId64 " bytes, too few for a header",
                        (int64_t)info.st_size);
    m->bytes = (size_t)info.st_size;
    m->address = mmap(NULL, m->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (m->address != MAP_FAILED)
        return true;
    m->address = NULL;
    return cap_fail(err, CAP_UNAVAILABLE, "could not map it: %s", strerror(errno));
}

static bool read_header_length(const struct mapping *m, uint64_t *out_length, struct cap_err *err)
{
    const unsigned char *b = m->address;
    uint64_t length = 0;

    assert(b);
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)b[i] << 8 * i;
    if (length > CAP_TENSORS_HEADER_BYTES_MAX)
        return cap_fail(err, CAP_DATA_LOSS,
                        "its header claims %" PRIu64 " bytes, more than the format's limit of %d",
                        length, CAP_TENSORS_HEADER_BYTES_MAX);
    if (length > m->bytes - LENGTH_BYTES)
        return cap_fail(err, CAP_DATA_LOSS,
                        "its header claims %" PRIu64 " bytes, but the file has %zu: it is "
                        "truncated or not a safetensors file",
                        length, m->bytes);
    *out_length = length;
    return true;
}

static void keep(struct cap_tensors *t, const struct cap_tensor *tensor)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 256;
        t->items = realloc(t->items, t->capacity * sizeof *t->items);
        if (!t->items)
            abort();
    }
    t->items[t->count++] = tensor;
    t->bytes += tensor->bytes;
}

static bool add_tensors(struct cap_tensors *t, int file, const struct cap_safetensors *header,
                        uint64_t data_offset, struct cap_err *err)
{
    const struct mapping *m = &t->files[file];

    for (size_t i = 0; i < header->count; i++) {
        struct cap_tensor *tensor = &header->items[i];
        const struct cap_tensor *twin = cap_map_get(t->by_name, tensor->name);

        if (twin)
            return cap_fail(err, CAP_DATA_LOSS, "tensor \"%.100s\" is also in \"%s\"", tensor->name,
                            twin->file);
        if (t->count == CAP_TENSORS_COUNT_MAX)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the model has more than %d tensors",
                            CAP_TENSORS_COUNT_MAX);
        tensor->file = m->path;
        tensor->file_index = file;
        tensor->offset += data_offset;
        tensor->data = (const char *)m->address + tensor->offset;
        cap_map_put(t->by_name, tensor->name, tensor);
        keep(t, tensor);
    }
    return true;
}

static bool open_file(struct cap_tensors *t, int file, struct cap_err *err)
{
    struct mapping *m = &t->files[file];
    struct cap_safetensors header;
    uint64_t length = 0;

    if (map_file(m, err) && read_header_length(m, &length, err) &&
        cap_safetensors_parse((const char *)m->address + LENGTH_BYTES, (size_t)length,
                              m->bytes - LENGTH_BYTES - length, t->arena, &header, err) &&
        add_tensors(t, file, &header, LENGTH_BYTES + length, err))
        return true;
    return cap_fail_in(err, "file \"%s\"", m->path);
}

/* ---- which files ---- */

static bool add_file(struct cap_tensors *t, const char *dir, const char *name, struct cap_err *err)
{
    struct mapping *m = &t->files[t->file_count];

    if (t->file_count == CAP_TENSORS_FILES_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the model has more than %d files",
                        CAP_TENSORS_FILES_MAX);
    if (!name[0] || strchr(name, '/') || name[0] == '.')
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"weight_map\" names \"%.100s\", which is not a file of the directory",
                        name);
    m->path = cap_arena_printf(t->arena, "%s/%s", dir, name);
    m->name = cap_arena_strdup(t->arena, name);
    if (!m->path || !m->name)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the file names take too much memory");
    t->file_count++;
    return true;
}

static bool add_shards(struct cap_tensors *t, const char *dir, json_t *map, struct cap_err *err)
{
    CAP_AUTO(cap_map) seen = cap_map_new();
    const char *tensor;
    json_t *file;

    json_object_foreach(map, tensor, file)
    {
        if (!json_is_string(file))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "\"weight_map\" gives no file name for tensor \"%.100s\"", tensor);
        if (!cap_map_put(seen, json_string_value(file), t) &&
            !add_file(t, dir, json_string_value(file), err))
            return false;
    }
    return t->file_count > 0 || cap_fail(err, CAP_INVALID_ARGUMENT, "\"weight_map\" is empty");
}

/* What the index promises must be where it says. */
static bool check_shards(const struct cap_tensors *t, json_t *map, struct cap_err *err)
{
    const char *name;
    json_t *file;

    json_object_foreach(map, name, file)
    {
        const struct cap_tensor *tensor = cap_map_get(t->by_name, name);
        const char *promised = json_string_value(file);
        const char *actual = tensor ? t->files[tensor->file_index].name : NULL;

        if (!promised)
            return cap_fail(err, CAP_DATA_LOSS, "the index names no file for tensor \"%.100s\"",
                            name);
        if (!actual || strcmp(actual, promised) != 0)
            return cap_fail(err, CAP_DATA_LOSS, "tensor \"%.100s\" is not in its file \"%.100s\"",
                            name, promised);
    }
    return true;
}

static bool open_files(struct cap_tensors *t, struct cap_err *err)
{
    for (int i = 0; i < t->file_count; i++)
        if (!open_file(t, i, err))
            return false;
    return true;
}

static bool open_sharded(struct cap_tensors *t, const char *dir, const char *path,
                         struct cap_err *err)
{
    size_t length;
    CAP_AUTO_MEM char *text = cap_file_read_regular(path, INDEX_BYTES_MAX, &length, err);
    json_error_t why;
    json_t *index, *map;
    bool ok;

    if (!text)
        return false;
    index = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    map = json_object_get(index, "weight_map");
    if (!index)
        ok = cap_fail(err, CAP_INVALID_ARGUMENT, "%s, line %d: %.200s", index_name, why.line,
                      why.text);
    else if (!json_is_object(map))
        ok = cap_fail(err, CAP_INVALID_ARGUMENT, "%s has no object \"weight_map\"", index_name);
    else if (!add_shards(t, dir, map, err))
        ok = cap_fail_in(err, "%s", index_name);
    else
        ok =
            open_files(t, err) && (check_shards(t, map, err) || cap_fail_in(err, "%s", index_name));
    json_decref(index);
    return ok;
}

static bool open_dir(struct cap_tensors *t, const char *dir, struct cap_err *err)
{
    char single[PATH_MAX], index[PATH_MAX];

    if (snprintf(single, sizeof single, "%s/%s", dir, single_name) >= (int)sizeof single ||
        snprintf(index, sizeof index, "%s/%s", dir, index_name) >= (int)sizeof index)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", dir);
    t->source = cap_arena_strdup(t->arena, cap_file_exists(single) ? single : index);
    if (cap_file_exists(single))
        return add_file(t, dir, single_name, err) && open_files(t, err);
    if (cap_file_exists(index))
        return open_sharded(t, dir, index, err);
    return cap_fail(err, CAP_NOT_FOUND, "directory \"%s\" has neither %s nor %s", dir, single_name,
                    index_name);
}

/* ---- life ---- */

struct cap_tensors *cap_tensors_open(const char *dir, struct cap_err *err)
{
    CAP_AUTO(cap_tensors) t = calloc(1, sizeof *t);

    if (!t)
        abort();
    t->arena = cap_arena_new(ARENA_BYTES_MAX);
    t->files = calloc(CAP_TENSORS_FILES_MAX, sizeof *t->files);
    t->by_name = cap_map_new();
    if (!t->files)
        abort();
    return open_dir(t, dir, err) ? cap_take(t) : NULL;
}

void cap_tensors_free(struct cap_tensors *tensors)
{
    if (!tensors)
        return;
    for (int i = 0; i < tensors->file_count; i++)
        if (tensors->files[i].address)
            munmap(tensors->files[i].address, tensors->files[i].bytes);
    cap_map_free(tensors->by_name);
    cap_arena_free(tensors->arena);
    free(tensors->files);
    free(tensors->items);
    free(tensors);
}

/* ---- questions ---- */

const struct cap_tensor *cap_tensors_find(const struct cap_tensors *tensors, const char *name)
{
    return cap_map_get(tensors->by_name, name);
}

size_t cap_tensors_count(const struct cap_tensors *tensors)
{
    return tensors->count;
}

const struct cap_tensor *cap_tensors_at(const struct cap_tensors *tensors, size_t index)
{
    return tensors->items[index];
}

uint64_t cap_tensors_bytes(const struct cap_tensors *tensors)
{
    return tensors->bytes;
}

const char *cap_tensors_source(const struct cap_tensors *tensors)
{
    return tensors->source;
}

const char *cap_tensors_shape_text(const int64_t *shape, int rank,
                                   char out[CAP_TENSORS_SHAPE_BYTES])
{
    size_t at = 0;

    out[at++] = '[';
    for (int i = 0; i < rank && at < CAP_TENSORS_SHAPE_BYTES - 24; i++)
        at += (size_t)snprintf(out + at, CAP_TENSORS_SHAPE_BYTES - at, "%s%" PRId64, i ? ", " : "",
                               shape[i]);
    out[at++] = ']';
    out[at] = '\0';
    return out;
}

bool cap_tensors_check_header(const char *json, size_t length, uint64_t data_bytes,
                              const char *name, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES_MAX);
    struct cap_safetensors header;

    return cap_safetensors_parse(json, length, data_bytes, arena, &header, err) ||
           cap_fail_in(err, "file \"%s\"", name);
}
