/* The radar's YAML. libyaml builds the document of a small file; we look up six keys in it, and say
 * for each what was expected where something else stands. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "plot_read.h"

enum { AXES = 3, TICKS_MAX = 1000 };

#define BASELINE_DEFAULT 20.0

struct reader {
    yaml_document_t *document;
    struct cap_arena *arena;
    struct cap_err *err;
};

static bool bad(struct reader *r, const yaml_node_t *node, const char *what)
{
    return cap_fail(r->err, CAP_INVALID_ARGUMENT, "line %zu: %s",
                    node ? node->start_mark.line + 1 : 1, what);
}

static const char *text_of(struct reader *r, const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE
               ? cap_arena_strndup(r->arena, (const char *)node->data.scalar.value,
                                   node->data.scalar.length)
               : NULL;
}

static const yaml_node_t *node_of(struct reader *r, int index)
{
    return yaml_document_get_node(r->document, index);
}

/* The value of a key; NULL: it is not there. */
static const yaml_node_t *value_of(struct reader *r, const yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const char *name = text_of(r, node_of(r, p->key));

        if (name && strcmp(name, key) == 0)
            return node_of(r, p->value);
    }
    return NULL;
}

static size_t length_of(const yaml_node_t *list)
{
    return list && list->type == YAML_SEQUENCE_NODE
               ? (size_t)(list->data.sequence.items.top - list->data.sequence.items.start)
               : 0;
}

static const yaml_node_t *item_of(struct reader *r, const yaml_node_t *list, size_t index)
{
    return node_of(r, list->data.sequence.items.start[index]);
}

static bool read_number(struct reader *r, const yaml_node_t *node, const char *what, double *out)
{
    const char *text = text_of(r, node);
    char *end;

    if (text && (strcmp(text, "null") == 0 || strcmp(text, "~") == 0 || !*text)) {
        *out = NAN;
        return true;
    }
    *out = text ? strtod(text, &end) : 0;
    if (!text || *end || end == text || !isfinite(*out))
        return cap_fail(r->err, CAP_INVALID_ARGUMENT, "line %zu: %s is not a number",
                        node ? node->start_mark.line + 1 : 1, what);
    return true;
}

/* ---- the six keys ---- */

/* Without axis_keys: those of the first system, which the sample of the seed's README has in the
 * order of its labels. */
static bool read_keys(struct reader *r, const yaml_node_t *root, struct cap_radar *out,
                      const char **out_note)
{
    const yaml_node_t *keys = value_of(r, root, "axis_keys"), *data = value_of(r, root, "data");
    const yaml_node_t *first = NULL;

    if (keys) {
        if (length_of(keys) != AXES)
            return bad(r, keys, "axis_keys is not a list of three: performance, cost, accuracy");
        for (size_t i = 0; i < AXES; i++)
            if (!(out->axes[i].key = text_of(r, item_of(r, keys, i))))
                return bad(r, keys, "axis_keys holds something that is not a text");
        return true;
    }
    if (data && data->type == YAML_MAPPING_NODE &&
        data->data.mapping.pairs.start < data->data.mapping.pairs.top)
        first = node_of(r, data->data.mapping.pairs.start->value);
    if (!first || first->type != YAML_MAPPING_NODE ||
        first->data.mapping.pairs.top - first->data.mapping.pairs.start != AXES)
        return bad(r, first ? first : root,
                   "axis_keys is missing, and the first system of data does not have three values "
                   "to take them from");
    for (size_t i = 0; i < AXES; i++)
        if (!(out->axes[i].key = text_of(r, node_of(r, first->data.mapping.pairs.start[i].key))))
            return bad(r, first, "a key of the first system is not a text");
    *out_note = cap_arena_printf(r->arena,
                                 "axis_keys is missing; taken as performance: %s, cost: %s, "
                                 "accuracy: %s",
                                 out->axes[0].key, out->axes[1].key, out->axes[2].key);
    return true;
}

static bool read_labels(struct reader *r, const yaml_node_t *root, struct cap_radar *out)
{
    const yaml_node_t *labels = value_of(r, root, "axis_labels");

    if (labels && length_of(labels) != AXES)
        return bad(r, labels, "axis_labels is not a list of three: performance, cost, accuracy");
    for (size_t i = 0; i < AXES; i++) {
        out->axes[i].label = labels ? text_of(r, item_of(r, labels, i)) : out->axes[i].key;
        if (!out->axes[i].label)
            return bad(r, labels, "axis_labels holds something that is not a text");
    }
    return true;
}

/* The ceiling of cost is the second to last tick; without ticks the highest cost. */
static bool read_ceiling(struct reader *r, const yaml_node_t *root, struct cap_radar *out)
{
    const yaml_node_t *ticks = value_of(r, root, "ticks");
    size_t count = length_of(ticks);

    if (ticks && (count < 2 || count > TICKS_MAX))
        return bad(r, ticks,
                   "ticks is not a list of two numbers or more; the second to last is the "
                   "ceiling of cost");
    if (ticks)
        return read_number(r, item_of(r, ticks, count - 2), "the second to last of ticks",
                           &out->axes[1].high);
    out->axes[1].high = 0;
    for (size_t i = 0; i < out->system_count; i++)
        out->axes[1].high = fmax(out->axes[1].high, out->systems[i].raw[1]);
    return true;
}

static bool read_baseline(struct reader *r, const yaml_node_t *root, struct cap_radar *out)
{
    const yaml_node_t *node = value_of(r, root, "baseline");

    out->baseline = BASELINE_DEFAULT;
    if (node && !read_number(r, node, "baseline", &out->baseline))
        return false;
    return (out->baseline >= 0 && out->baseline < 100) ||
           bad(r, node, "baseline is not a percentage from 0 to below 100");
}

static bool read_system(struct reader *r, const yaml_node_pair_t *pair, struct cap_radar *out)
{
    struct cap_radar_system *system = &out->systems[out->system_count];
    const yaml_node_t *values = node_of(r, pair->value);

    if (!(system->name = text_of(r, node_of(r, pair->key))))
        return bad(r, node_of(r, pair->key), "a system's name is not a text");
    if (!values || values->type != YAML_MAPPING_NODE)
        return bad(r, values, "a system of data has no values");
    for (size_t i = 0; i < AXES; i++) {
        const yaml_node_t *node = value_of(r, values, out->axes[i].key);

        if (!node)
            return cap_fail(r->err, CAP_INVALID_ARGUMENT,
                            "line %zu: system \"%.60s\" has no \"%.60s\"; write null when it is "
                            "not known",
                            values->start_mark.line + 1, system->name, out->axes[i].key);
        if (!read_number(r, node, out->axes[i].key, &system->raw[i]))
            return false;
    }
    out->system_count++;
    return true;
}

static bool read_data(struct reader *r, const yaml_node_t *root, struct cap_radar *out)
{
    const yaml_node_t *data = value_of(r, root, "data");

    if (!data || data->type != YAML_MAPPING_NODE)
        return bad(r, data ? data : root,
                   "data is missing: a map of systems, each with its values");
    for (yaml_node_pair_t *p = data->data.mapping.pairs.start; p < data->data.mapping.pairs.top;
         p++) {
        if (out->system_count == CAP_RADAR_SYSTEMS_MAX)
            return cap_fail(r->err, CAP_INVALID_ARGUMENT,
                            "data has more than %d systems, which a radar cannot show",
                            CAP_RADAR_SYSTEMS_MAX);
        if (!read_system(r, p, out))
            return false;
    }
    return out->system_count > 0 || bad(r, data, "data has no system");
}

static bool read_root(struct reader *r, struct cap_radar *out, const char **out_note)
{
    static const enum cap_radar_scale scales[AXES] = {CAP_RADAR_LOWEST, CAP_RADAR_CEILING,
                                                      CAP_RADAR_TO_ONE};
    const yaml_node_t *root = yaml_document_get_root_node(r->document);

    if (!root || root->type != YAML_MAPPING_NODE)
        return bad(r, root, "this is not a map with model_name, axis_labels and data");
    out->axis_count = AXES;
    for (size_t i = 0; i < AXES; i++)
        out->axes[i].scale = scales[i];
    out->title = text_of(r, value_of(r, root, "model_name"));
    if (!out->title || !*out->title)
        return bad(r, root, "model_name is missing");
    return read_keys(r, root, out, out_note) && read_labels(r, root, out) &&
           read_baseline(r, root, out) && read_data(r, root, out) && read_ceiling(r, root, out);
}

bool cli_plot_read_radar(const char *text, size_t length, struct cap_arena *arena,
                         struct cap_radar *out, const char **out_note, struct cap_err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct reader reader = {&document, arena, err};
    bool fine;

    memset(out, 0, sizeof *out);
    *out_note = "";
    if (length > CLI_PLOT_YAML_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the file has more than %d KiB",
                        CLI_PLOT_YAML_BYTES_MAX >> 10);
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (!yaml_parser_load(&parser, &document)) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "line %zu: this is not YAML: %s",
                 parser.problem_mark.line + 1, parser.problem ? parser.problem : "unreadable");
        yaml_parser_delete(&parser);
        return false;
    }
    fine = read_root(&reader, out, out_note);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return fine;
}
