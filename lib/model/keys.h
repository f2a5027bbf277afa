/* keys.h — typed reading of config.json's keys, with bounds and sentences. Inside lib/model only.
 *
 * A key that is absent or null leaves `*out` as it was: callers put the default there first, or ask
 * cap_keys_need beforehand.
 */
#ifndef CAP_KEYS_H
#define CAP_KEYS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* DIR/NAME as an object, the caller's reference; read as Python's json reads it (python_json.h).
 * NULL with a sentence: no regular file, no JSON, no object. */
json_t *cap_keys_read_file(const char *dir, const char *name, struct cap_err *err);

bool cap_keys_has(const json_t *object, const char *key);
/* Fails when the key is absent or null. */
bool cap_keys_need(const json_t *object, const char *key, struct cap_err *err);

bool cap_keys_int(const json_t *object, const char *key, int min, int max, int *out,
                  struct cap_err *err);
bool cap_keys_need_int(const json_t *object, const char *key, int min, int max, int *out,
                       struct cap_err *err);
bool cap_keys_double(const json_t *object, const char *key, double min, double max, double *out,
                     struct cap_err *err);
bool cap_keys_bool(const json_t *object, const char *key, bool *out, struct cap_err *err);
/* Borrowed from the object. */
bool cap_keys_string(const json_t *object, const char *key, const char **out, struct cap_err *err);

#endif
