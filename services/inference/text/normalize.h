/* normalize.h — the normalizer of a tokenizer.json: Unicode forms, or nothing. Immutable. */
#ifndef INFER_NORMALIZE_H
#define INFER_NORMALIZE_H

#include <jansson.h>

#include "base/arena.h"
#include "text/tokenizer.h"

enum { INFER_NORMALIZE_STEPS_MAX = 8 };

struct infer_normalizer {
    int steps[INFER_NORMALIZE_STEPS_MAX]; /* utf8proc options */
    int step_count;
};

/* `json` may be NULL or null. */
bool infer_normalizer_read(const json_t *json, struct infer_normalizer *out, struct cap_err *err);

/* The text itself when there is nothing to do, else a copy in the arena. */
bool infer_normalize(const struct infer_normalizer *normalizer, struct cap_arena *arena,
                     const char **text, size_t *length, struct cap_err *err);

#endif
