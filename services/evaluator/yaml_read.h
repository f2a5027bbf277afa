/* yaml_read.h — YAML as JSON values, with the line of each top-level key.
 *
 * The values are those that PyYAML's safe loader would give (YAML 1.1: yes and no are booleans), so
 * that tasks written for lm-evaluation-harness mean the same; the standard tags (!!null, !!str,
 * ...) are obeyed, others such as !function refused. One file is one document. Depth and number of
 * nodes, anchors and directives are limited before libyaml builds anything, since its work grows
 * with their square. Any thread.
 */
#ifndef EVAL_YAML_READ_H
#define EVAL_YAML_READ_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

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
