/* A directory of safetensors: which files there are, what their headers say, where each tensor
 * lies.
 *
 * A file is an 8-byte length, a header of JSON, and the numbers of all tensors without a gap. What
 * the format's own reader refuses is refused here, too: overlaps, gaps, bytes after the last
 * tensor, a shape that does not match its bytes. The header is read whole, up to its limit.
 */
#include "model/tensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"

enum { LENGTH_BYTES = 8 };
static const size_t ARENA_BYTES_MAX = (size_t)2 << 30;

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

/* ---- types ---- */

static const struct {
    const char *name;
    size_t bytes;
} types[CAP_DTYPE_COUNT] = {{"none", 0},
#define CAP_DTYPE_ROW(name, text, bytes) {text, bytes},
                            CAP_DTYPES(CAP_DTYPE_ROW)
#undef CAP_DTYPE_ROW
};

static const struct {
    const char *name;
    enum cap_dtype dtype;
} config_names[] = {
    {"float32", CAP_DTYPE_F32},
    {"float16", CAP_DTYPE_F16},
    {"bfloat16", CAP_DTYPE_BF16},
    {"float64", CAP_DTYPE_F64},
    {"float", CAP_DTYPE_F32},
    {"half", CAP_DTYPE_F16},
    {"float8_e4m3fn", CAP_DTYPE_F8_E4M3},
    {"float8_e5m2", CAP_DTYPE_F8_E5M2},
};

const char *cap_dtype_name(enum cap_dtype dtype)
{
    return types[dtype].name;
}

size_t cap_dtype_bytes(enum cap_dtype dtype)
{
    return types[dtype].bytes;
}

enum cap_dtype cap_dtype_from_name(const char *name)
{
    for (int i = CAP_DTYPE_NONE + 1; i < CAP_DTYPE_COUNT; i++)
        if (strcmp(name, types[i].name) == 0)
            return (enum cap_dtype)i;
    if (strncmp(name, "torch.", 6) == 0)
        name += 6;
    for (size_t i = 0; i < sizeof config_names / sizeof config_names[0]; i++)
        if (strcmp(name, config_names[i].name) == 0)
            return config_names[i].dtype;
    return CAP_DTYPE_NONE;
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

/* ---- a header ---- */

struct header {
    struct cap_tensor *items; /* in the arena, sorted by offset, which counts from the first byte
                                 after the header; the file is not set */
    size_t count;
};

static bool read_dtype(const json_t *entry, struct cap_tensor *t, struct cap_err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));

    t->dtype = name ? cap_dtype_from_name(name) : CAP_DTYPE_NONE;
    if (t->dtype != CAP_DTYPE_NONE)
        return true;
    return cap_fail(err, CAP_DATA_LOSS, "dtype \"%.40s\" is not known", name ? name : "(missing)");
}

static bool read_shape(const json_t *entry, struct cap_tensor *t, struct cap_err *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t rank = json_array_size(shape);

    if (!json_is_array(shape) || rank > CAP_TENSORS_RANK_MAX)
        return cap_fail(err, CAP_DATA_LOSS, "shape is not a list of at most %d numbers",
                        CAP_TENSORS_RANK_MAX);
    t->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *size = json_array_get(shape, i);

        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return cap_fail(err, CAP_DATA_LOSS, "shape holds something that is not a size");
        t->shape[i] = json_integer_value(size);
    }
    return true;
}

/* The bytes that shape and type ask for; false when they exceed 64 bits. */
static bool count_bytes(const struct cap_tensor *t, uint64_t *out_bytes)
{
    uint64_t bytes = cap_dtype_bytes(t->dtype);

    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)t->shape[i], &bytes))
            return false;
    *out_bytes = bytes;
    return true;
}

static bool read_offsets(const json_t *entry, uint64_t data_bytes, struct cap_tensor *t,
                         struct cap_err *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    uint64_t from, to, bytes = 0;
    char shape[CAP_TENSORS_SHAPE_BYTES];

    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(end) ||
        json_integer_value(first) < 0 || json_integer_value(end) < json_integer_value(first))
        return cap_fail(err, CAP_DATA_LOSS, "data_offsets is not a pair of ascending numbers");
    from = (uint64_t)json_integer_value(first);
    to = (uint64_t)json_integer_value(end);
    if (to > data_bytes)
        return cap_fail(err, CAP_DATA_LOSS,
                        "its bytes end at %" PRIu64 ", but the file has only %" PRIu64
                        " bytes of data: it is truncated or damaged",
                        to, data_bytes);
    if (!count_bytes(t, &bytes) || bytes != to - from)
        return cap_fail(err, CAP_DATA_LOSS,
                        "shape %s in %s takes %" PRIu64 " bytes, but data_offsets span %" PRIu64,
                        cap_tensors_shape_text(t->shape, t->rank, shape), cap_dtype_name(t->dtype),
                        bytes, to - from);
    t->offset = from;
    t->bytes = (size_t)bytes;
    return true;
}

static bool read_entry(const char *name, const json_t *entry, uint64_t data_bytes,
                       struct cap_arena *arena, struct cap_tensor *out, struct cap_err *err)
{
    struct cap_tensor t = {.name = cap_arena_strdup(arena, name)};

    if (!t.name)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the tensors' names take too much memory");
    if (!json_is_object(entry)) {
        cap_fail(err, CAP_DATA_LOSS, "its description is not an object");
        return cap_fail_in(err, "tensor \"%.100s\"", name);
    }
    if (!read_dtype(entry, &t, err) || !read_shape(entry, &t, err) ||
        !read_offsets(entry, data_bytes, &t, err))
        return cap_fail_in(err, "tensor \"%.100s\"", name);
    *out = t;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const struct cap_tensor *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Every byte of data belongs to exactly one tensor. */
static bool check_borders(const struct header *s, uint64_t data_bytes, struct cap_err *err)
{
    uint64_t at = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct cap_tensor *t = &s->items[i];

        if (t->offset < at)
            return cap_fail(err, CAP_DATA_LOSS, "tensors \"%.100s\" and \"%.100s\" overlap",
                            s->items[i - 1].name, t->name);
        if (t->offset > at)
            return cap_fail(err, CAP_DATA_LOSS,
                            "%" PRIu64 " bytes before tensor \"%.100s\" belong to no tensor",
                            t->offset - at, t->name);
        at = t->offset + t->bytes;
    }
    if (at != data_bytes)
        return cap_fail(err, CAP_DATA_LOSS,
                        "%" PRIu64 " bytes after the last tensor belong to no tensor",
                        data_bytes - at);
    return true;
}

static bool read_entries(json_t *header, uint64_t data_bytes, struct cap_arena *arena,
                         struct header *out, struct cap_err *err)
{
    struct header s = {0};
    size_t count = json_object_size(header);
    const char *name;
    json_t *entry;

    if (count > CAP_TENSORS_COUNT_MAX)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%zu tensors, more than %d", count,
                        CAP_TENSORS_COUNT_MAX);
    s.items = cap_arena_array(arena, count + 1, sizeof *s.items);
    if (!s.items)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "%zu tensors take too much memory", count);
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (!read_entry(name, entry, data_bytes, arena, &s.items[s.count], err))
            return false;
        s.count++;
    }
    qsort(s.items, s.count, sizeof *s.items, by_offset);
    if (!check_borders(&s, data_bytes, err))
        return false;
    *out = s;
    return true;
}

static bool parse_header(const char *json, size_t length, uint64_t data_bytes,
                         struct cap_arena *arena, struct header *out, struct cap_err *err)
{
    json_error_t why;
    json_t *header = json_loadb(json, length, JSON_REJECT_DUPLICATES, &why);
    bool ok;

    if (!header)
        return cap_fail(err, CAP_DATA_LOSS, "the header is not JSON: %.200s", why.text);
    ok = json_is_object(header) ? read_entries(header, data_bytes, arena, out, err)
                                : cap_fail(err, CAP_DATA_LOSS, "the header is not a JSON object");
    json_decref(header);
    return ok;
}

bool cap_tensors_check_header(const char *json, size_t length, uint64_t data_bytes,
                              const char *name, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(ARENA_BYTES_MAX);
    struct header header;

    return parse_header(json, length, data_bytes, arena, &header, err) ||
           cap_fail_in(err, "file \"%s\"", name);
}

/* ---- one file ---- */

/* What a file was when its header was read. */
struct file {
    const char *path, *name;
    dev_t device;
    ino_t inode;
    uint64_t bytes;
};

struct cap_tensors {
    struct cap_arena *arena; /* names, paths, tensors */
    struct file *files;      /* [CAP_TENSORS_FILES_MAX] */
    int file_count;
    const struct cap_tensor **items;
    size_t count, capacity;
    struct cap_map *by_name; /* -> const struct cap_tensor */
    uint64_t bytes;
    const char *source;
};

/* Never waits: a pipe is opened without its other end, and refused. */
static int open_regular(const char *path, struct stat *out_info, struct cap_err *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, out_info) == 0 && S_ISREG(out_info->st_mode))
        return fd;
    if (fd >= 0 && fstat(fd, out_info) == 0)
        cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a regular file");
    else
        cap_fail(err, errno == ENOENT ? CAP_NOT_FOUND : CAP_UNAVAILABLE, "could not open it: %s",
                 strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool read_at(int fd, uint64_t at, void *out, size_t bytes, struct cap_err *err)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, (char *)out + done, bytes - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cap_fail(err, CAP_UNAVAILABLE, "could not read it: %s", strerror(errno));
        if (n == 0)
            return cap_fail(err, CAP_DATA_LOSS,
                            "it ends at byte %" PRIu64 ": it was cut short while it was read",
                            at + done);
        done += (size_t)n;
    }
    return true;
}

/* The header's length, which stands before it. */
static bool read_header_length(int fd, uint64_t file_bytes, uint64_t *out_length,
                               struct cap_err *err)
{
    unsigned char b[LENGTH_BYTES];
    uint64_t length = 0;

    if (file_bytes < LENGTH_BYTES)
        return cap_fail(err, CAP_DATA_LOSS, "it has %" PRIu64 " bytes, too few for a header",
                        file_bytes);
    if (!read_at(fd, 0, b, sizeof b, err))
        return false;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)b[i] << 8 * i;
    if (length > CAP_TENSORS_HEADER_BYTES_MAX)
        return cap_fail(err, CAP_DATA_LOSS,
                        "its header claims %" PRIu64 " bytes, more than the limit of %d", length,
                        CAP_TENSORS_HEADER_BYTES_MAX);
    if (length > file_bytes - LENGTH_BYTES)
        return cap_fail(err, CAP_DATA_LOSS,
                        "its header claims %" PRIu64 " bytes, but the file has %" PRIu64
                        ": it is truncated or not a safetensors file",
                        length, file_bytes);
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

static bool add_tensors(struct cap_tensors *t, int file, const struct header *header,
                        uint64_t data_offset, struct cap_err *err)
{
    const struct file *m = &t->files[file];

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
        cap_map_put(t->by_name, tensor->name, tensor);
        keep(t, tensor);
    }
    return true;
}

static bool open_file(struct cap_tensors *t, int file, struct cap_err *err)
{
    struct file *f = &t->files[file];
    struct stat info;
    CAP_AUTO_FD int fd = open_regular(f->path, &info, err);
    CAP_AUTO_MEM char *text = NULL;
    struct header header = {0};
    uint64_t length = 0;
    bool ok = false;

    if (fd >= 0) {
        f->device = info.st_dev;
        f->inode = info.st_ino;
        f->bytes = (uint64_t)info.st_size;
        ok = read_header_length(fd, f->bytes, &length, err);
    }
    if (ok) {
        text = malloc((size_t)length + 1);
        ok = text ? read_at(fd, LENGTH_BYTES, text, (size_t)length, err)
                  : cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for its header");
    }
    ok = ok &&
         parse_header(text, (size_t)length, f->bytes - LENGTH_BYTES - length, t->arena, &header,
                      err) &&
         add_tensors(t, file, &header, LENGTH_BYTES + length, err);
    return ok || cap_fail_in(err, "file \"%s\"", f->path);
}

bool cap_tensors_read(const struct cap_tensors *tensors, const struct cap_tensor *tensor,
                      uint64_t first, size_t bytes, void *out, struct cap_err *err)
{
    const struct file *f = &tensors->files[tensor->file_index];
    struct stat info;
    CAP_AUTO_FD int fd = open_regular(f->path, &info, err);
    bool ok = fd >= 0;

    if (ok && (info.st_dev != f->device || info.st_ino != f->inode))
        ok = cap_fail(err, CAP_DATA_LOSS, "it was replaced while the model was read");
    else if (ok && (uint64_t)info.st_size != f->bytes)
        ok = cap_fail(err, CAP_DATA_LOSS,
                      "it has %lld bytes, but had %" PRIu64 " when its header was read",
                      (long long)info.st_size, f->bytes);
    ok = ok && read_at(fd, tensor->offset + first, out, bytes, err);
    return ok || cap_fail_in(err, "file \"%s\"", f->path);
}

/* ---- which files ---- */

static bool add_file(struct cap_tensors *t, const char *dir, const char *name, struct cap_err *err)
{
    struct file *m = &t->files[t->file_count];

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
    CAP_AUTO_MEM char *text =
        cap_file_read_regular(path, CAP_TENSORS_INDEX_BYTES_MAX, &length, err);
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
