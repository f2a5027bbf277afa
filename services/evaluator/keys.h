/* keys.h — JSON objects written by people: known keys, their types, and near misses.
 *
 * Every failure names the key and, for an unknown one, the nearest known name. Any thread.
 */
#ifndef EVAL_KEYS_H
#define EVAL_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "text/text.h"

/* The name nearest to `word` among the NULL-terminated names; NULL when none is near. */
const char *eval_key_nearest(const char *const *names, const char *word);
/* Refuses an object with a key outside `names`. */
bool eval_keys_known(const json_t *object, const char *const *names, struct cap_err *err);

/* Each reads `key` of `object` if it is there, and leaves *out alone if it is not. */
bool eval_key_bool(const json_t *object, const char *key, bool *out, struct cap_err *err);
bool eval_key_int(const json_t *object, const char *key, long min, long max, long *out,
                  struct cap_err *err);
bool eval_key_real(const json_t *object, const char *key, double min, double max, double *out,
                   struct cap_err *err);
bool eval_key_text(const json_t *object, const char *key, struct eval_text *out,
                   struct cap_err *err);

struct eval_text eval_json_text(const json_t *string);
/* str() of a JSON value as Python would have it: 18, 18.0, True, None; in the arena. */
struct eval_text eval_json_str(struct cap_arena *arena, const json_t *value);
/* A Python literal list or tuple of numbers and strings ("['a', \"b\", 3]"); NULL when it is none.
 */
json_t *eval_python_list(struct eval_text text);
/* JSON as Python's json reads it (base/python_json.h); NULL where even that is not JSON. */
json_t *eval_python_json(const char *text, size_t length);

#endif
