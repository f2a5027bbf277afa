#include "model/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
static bool check_borders(const struct cap_safetensors *s, uint64_t data_bytes, struct cap_err *err)
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
                        "%" PRIu64 " bytes behind the last tensor belong to no tensor",
                        data_bytes - at);
    return true;
}

static bool read_entries(json_t *header, uint64_t data_bytes, struct cap_arena *arena,
                         struct cap_safetensors *out, struct cap_err *err)
{
    struct cap_safetensors s = {0};
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

bool cap_safetensors_parse(const char *json, size_t length, uint64_t data_bytes,
                           struct cap_arena *arena, struct cap_safetensors *out,
                           struct cap_err *err)
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
