/* keys.h — what people write: YAML as JSON values, known keys with their types and near misses,
 * values as Python writes them.
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

/* ---- keys ---- */

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

/* ---- values as Python writes them ---- */

struct eval_text eval_json_text(const json_t *string);
/* str() of a JSON value as Python would have it: 18, 18.0, True, None; in the arena. */
struct eval_text eval_json_str(struct cap_arena *arena, const json_t *value);
/* A Python literal list or tuple of numbers and strings ("['a', \"b\", 3]"); NULL when it is none.
 */
json_t *eval_python_list(struct eval_text text);
/* JSON as Python's json reads it (base/python_json.h); NULL where even that is not JSON. */
json_t *eval_python_json(const char *text, size_t length);

/* ---- YAML (yaml_read.c) ----
 *
 * The values are those that PyYAML's safe loader would give (YAML 1.1: yes and no are booleans), so
 * that tasks written for lm-evaluation-harness mean the same; the standard tags (!!null, !!str,
 * ...) are obeyed, others such as !function refused. One file is one document. Depth and number of
 * nodes, anchors and directives are limited before libyaml builds anything, since its work grows
 * with their square.
 */

enum {
    EVAL_YAML_BYTES_MAX = 1 << 20,
    EVAL_YAML_NODES_MAX = 100000, /* aliases count as what they stand for */
    EVAL_YAML_DEPTH_MAX = 32,
    EVAL_YAML_ANCHORS_MAX = 256,
    EVAL_YAML_DIRECTIVES_MAX = 16,
};

/* The document's mapping as a JSON object (new reference), and its keys' lines as an object of
 * numbers. `name` goes into failures: "gsm8k.yaml:14: ...". */
bool eval_yaml_read(const char *name, const void *text, size_t length, json_t **out_values,
                    json_t **out_lines, struct cap_err *err);

#endif
