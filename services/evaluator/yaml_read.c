/* YAML by libyaml, in two passes.
 *
 * The first looks at events only, and ends the reading where a file is too deep, too large or more
 * than one document: libyaml would build all of it first, in time that grows with the square of
 * depth, anchors and directives. The second builds the document and makes JSON values of it, by the
 * implicit types of YAML 1.1 as PyYAML resolves them. An alias is the node that it names, so depth
 * and number of values are counted once more there. */
#include "keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- limits ---- */

enum { TEXT_TAGS_MAX = 1024 };

/* What a file holds, found by its events before anything is built of them. */
struct shape {
    size_t depth, nodes, anchors, documents;
    /* where plain scalars stand that are texts by their tag: a document's node does not tell "!!str
     * 1" from 1 */
    size_t texts[TEXT_TAGS_MAX], text_count;
};

static const unsigned char *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* Why reading ends with this event; NULL: it goes on. */
static const char *too_much(struct shape *shape, const yaml_event_t *event)
{
    bool starts =
        event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;

    shape->depth += starts;
    shape->depth -= event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
    shape->nodes += starts || event->type == YAML_SCALAR_EVENT;
    shape->anchors += anchor_of(event) != NULL;
    shape->documents += event->type == YAML_DOCUMENT_START_EVENT;
    if (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag &&
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (shape->text_count == TEXT_TAGS_MAX)
            return "too many tags";
        shape->texts[shape->text_count++] = event->start_mark.index;
    }
    if (shape->documents > 1)
        return "a second document begins here; a task is one document";
    if (shape->depth > EVAL_YAML_DEPTH_MAX)
        return "too deep, or a value that contains itself";
    if (shape->anchors > EVAL_YAML_ANCHORS_MAX)
        return "too many anchors";
    return shape->nodes > EVAL_YAML_NODES_MAX ? "too many values" : NULL;
}

static bool has_few_directives(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t at = 0; at < length;) {
        const char *newline = memchr(text + at, '\n', length - at);

        count += text[at] == '%';
        at = newline ? (size_t)(newline - text) + 1 : length;
    }
    return count <= EVAL_YAML_DIRECTIVES_MAX;
}

static void set_input(yaml_parser_t *parser, const void *text, size_t length)
{
    if (!yaml_parser_initialize(parser))
        abort();
    /* an empty file may come without any bytes, which libyaml refuses with an assertion */
    yaml_parser_set_input_string(parser, length ? text : (const unsigned char *)"", length);
}

static bool fail_parse(const char *name, const yaml_parser_t *parser, struct cap_err *err)
{
    return cap_fail(err, CAP_INVALID_ARGUMENT, "%s:%zu: %s", name, parser->problem_mark.line + 1,
                    parser->problem ? parser->problem : "not YAML");
}

static bool read_shape(const char *name, const void *text, size_t length, struct shape *shape,
                       struct cap_err *err)
{
    yaml_parser_t parser;
    bool ok = true, ended = false;

    if (!has_few_directives(text, length))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s: more than %d lines begin with %%", name,
                        EVAL_YAML_DIRECTIVES_MAX);
    set_input(&parser, text, length);
    while (ok && !ended) {
        yaml_event_t event;
        const char *why;

        if (!yaml_parser_parse(&parser, &event)) {
            ok = fail_parse(name, &parser, err);
            break;
        }
        why = too_much(shape, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        if (why)
            ok = cap_fail(err, CAP_INVALID_ARGUMENT, "%s:%zu: %s", name, event.start_mark.line + 1,
                          why);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return ok;
}

/* ---- reading ---- */

struct reading {
    const char *name;
    const struct shape *shape;
    yaml_document_t *document;
    size_t nodes;
    struct cap_err *err;
};

static json_t *refuse(struct reading *r, const yaml_node_t *node, const char *why)
{
    cap_fail(r->err, CAP_INVALID_ARGUMENT, "%s:%zu: %s", r->name, node->start_mark.line + 1, why);
    return NULL;
}

/* ---- scalars: the implicit types of YAML 1.1 as PyYAML resolves them ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool is_decimal(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');

    return *digits && strspn(digits, "0123456789") == strlen(digits) &&
           (digits[0] != '0' || digits[1] == '\0');
}

/* [-+]?digits.digits([eE][-+]digits)?: a point is needed, and a sign in the exponent. */
static bool is_real(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+'), *point;

    point = p + strspn(p, "0123456789");
    if (*point != '.')
        return false;
    p = point + 1 + strspn(point + 1, "0123456789");
    if (p == point + 1 && (point == text || strchr("-+", point[-1])))
        return false; /* a lone point */
    if (*p == 'e' || *p == 'E') {
        if (p[1] != '-' && p[1] != '+')
            return false;
        p += 2;
        if (!*p)
            return false;
        p += strspn(p, "0123456789");
    }
    return *p == '\0';
}

static json_t *plain_scalar(struct reading *r, const yaml_node_t *node, const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"yes",  "Yes", "YES", "true", "True",
                                        "TRUE", "on",  "On",  "ON",   NULL};
    static const char *const falses[] = {"no",    "No",  "NO",  "false", "False",
                                         "FALSE", "off", "Off", "OFF",   NULL};

    if (is_one_of(text, nulls))
        return json_null();
    if (is_one_of(text, trues))
        return json_true();
    if (is_one_of(text, falses))
        return json_false();
    if (is_decimal(text)) {
        if (strlen(text) > 18)
            return refuse(r, node, "the number is too large");
        return json_integer(strtoll(text, NULL, 10));
    }
    if (is_real(text)) {
        double value = strtod(text, NULL);

        return isfinite(value) ? json_real(value) : refuse(r, node, "the number is too large");
    }
    return json_string(text);
}

static bool is_tagged(const struct shape *shape, const yaml_node_t *node)
{
    for (size_t i = 0; i < shape->text_count; i++)
        if (shape->texts[i] == node->start_mark.index)
            return true;
    return false;
}

/* A scalar of a standard tag: the implicit type where the text is one of that type's. */
static json_t *tagged_scalar(struct reading *r, const yaml_node_t *node, const char *text)
{
    const char *tag = (const char *)node->tag;
    json_t *value;

    if (strcmp(tag, YAML_NULL_TAG) == 0)
        return json_null();
    value = plain_scalar(r, node, text);
    if (value && strcmp(tag, YAML_FLOAT_TAG) == 0 && json_is_integer(value)) {
        double real = (double)json_integer_value(value);

        json_decref(value);
        value = json_real(real);
    }
    if (value && ((strcmp(tag, YAML_BOOL_TAG) == 0 && json_is_boolean(value)) ||
                  (strcmp(tag, YAML_INT_TAG) == 0 && json_is_integer(value)) ||
                  (strcmp(tag, YAML_FLOAT_TAG) == 0 && json_is_real(value))))
        return value;
    json_decref(value);
    return r->err->code ? NULL : refuse(r, node, "the text is not of the type that its tag names");
}

static json_t *read_scalar(struct reading *r, const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    json_t *value;

    if (strlen(text) != node->data.scalar.length)
        return refuse(r, node, "a text cannot hold U+0000");
    if (strcmp((const char *)node->tag, YAML_STR_TAG) != 0)
        return tagged_scalar(r, node, text);
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_tagged(r->shape, node))
        value = plain_scalar(r, node, text);
    else
        value = json_string(text);
    if (!value && r->err->code == CAP_OK)
        return refuse(r, node, "the text is not UTF-8");
    return value;
}

/* ---- nodes ---- */

static json_t *read_node(struct reading *r, int index, int depth);

static bool check_tag(struct reading *r, const yaml_node_t *node)
{
    static const char *const scalars[] = {YAML_STR_TAG, YAML_NULL_TAG,  YAML_BOOL_TAG,
                                          YAML_INT_TAG, YAML_FLOAT_TAG, NULL};
    const char *tag = (const char *)node->tag;

    if (node->type == YAML_SCALAR_NODE
            ? is_one_of(tag, scalars)
            : strcmp(tag, node->type == YAML_SEQUENCE_NODE ? YAML_SEQ_TAG : YAML_MAP_TAG) == 0)
        return true;
    if (strncmp(tag, "!function", 9) == 0)
        refuse(r, node,
               "!function: code in a task is not run; use a template, filter_list and "
               "metric_list instead");
    else
        cap_fail(r->err, CAP_INVALID_ARGUMENT, "%s:%zu: the tag \"%.60s\" is not known", r->name,
                 node->start_mark.line + 1, tag);
    return false;
}

static json_t *read_sequence(struct reading *r, const yaml_node_t *node, int depth)
{
    json_t *list = json_array();
    const yaml_node_item_t *item = node->data.sequence.items.start;

    for (; item < node->data.sequence.items.top; item++) {
        json_t *value = read_node(r, *item, depth + 1);

        if (!value) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, value);
    }
    return list;
}

/* A mapping's key as a text. */
static const char *read_key(struct reading *r, const yaml_node_t *map, int index)
{
    const yaml_node_t *key = yaml_document_get_node(r->document, index);

    if (key && key->type == YAML_SCALAR_NODE &&
        strlen((const char *)key->data.scalar.value) == key->data.scalar.length)
        return (const char *)key->data.scalar.value;
    refuse(r, key ? key : map, "a key must be a text");
    return NULL;
}

static bool add_pair(struct reading *r, const yaml_node_t *map, const yaml_node_pair_t *pair,
                     json_t *object, json_t *lines, int depth)
{
    const char *key = read_key(r, map, pair->key);
    const yaml_node_t *node = yaml_document_get_node(r->document, pair->key);
    json_t *value;

    if (!key)
        return false;
    if (json_object_get(object, key))
        return cap_fail(r->err, CAP_INVALID_ARGUMENT, "%s:%zu: the key \"%.80s\" is there twice",
                        r->name, node->start_mark.line + 1, key);
    if (!(value = read_node(r, pair->value, depth + 1)))
        return false;
    if (json_object_set_new(object, key, value) != 0)
        return refuse(r, node, "a key is not UTF-8") != NULL;
    if (lines)
        json_object_set_new(lines, key, json_integer((json_int_t)node->start_mark.line + 1));
    return true;
}

static json_t *read_mapping(struct reading *r, const yaml_node_t *node, json_t *lines, int depth)
{
    json_t *object = json_object();
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;

    for (; pair < node->data.mapping.pairs.top; pair++)
        if (!add_pair(r, node, pair, object, lines, depth)) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static json_t *read_node(struct reading *r, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(r->document, index);

    /* An alias is the node it names: limits on depth and count keep cycles and bombs out. */
    if (depth > EVAL_YAML_DEPTH_MAX)
        return refuse(r, node, "too deep, or a value that contains itself");
    if (++r->nodes > EVAL_YAML_NODES_MAX)
        return refuse(r, node, "too many values");
    if (!check_tag(r, node))
        return NULL;
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return read_scalar(r, node);
    case YAML_SEQUENCE_NODE:
        return read_sequence(r, node, depth);
    default:
        return read_mapping(r, node, NULL, depth);
    }
}

/* ---- documents ---- */

static bool read_document(struct reading *r, json_t **out_values, json_t **out_lines)
{
    const yaml_node_t *root = yaml_document_get_root_node(r->document);
    json_t *values, *lines;

    if (!root)
        return cap_fail(r->err, CAP_INVALID_ARGUMENT, "%s: the file is empty", r->name);
    if (root->type != YAML_MAPPING_NODE)
        return refuse(r, root, "a task consists of keys and values") != NULL;
    lines = json_object();
    values = read_mapping(r, root, lines, 0);
    if (!values) {
        json_decref(lines);
        return false;
    }
    *out_values = values;
    *out_lines = lines;
    return true;
}

bool eval_yaml_read(const char *name, const void *text, size_t length, json_t **out_values,
                    json_t **out_lines, struct cap_err *err)
{
    struct shape shape = {0};
    struct reading r = {.name = name, .shape = &shape, .err = err};
    yaml_document_t document;
    yaml_parser_t parser;
    bool ok;

    if (length > EVAL_YAML_BYTES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s has %zu bytes, at most %d", name, length,
                        EVAL_YAML_BYTES_MAX);
    if (!read_shape(name, text, length, &shape, err))
        return false;
    set_input(&parser, text, length);
    if (yaml_parser_load(&parser, &document)) {
        r.document = &document;
        ok = read_document(&r, out_values, out_lines);
        yaml_document_delete(&document);
    } else {
        ok = fail_parse(name, &parser, err);
    }
    yaml_parser_delete(&parser);
    return ok;
}
