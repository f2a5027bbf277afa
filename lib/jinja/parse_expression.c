/* Expressions. Precedence, loosest first: ternary, or, and, not, comparison and in, + -, ~,
 * * / // %, unary and **, then postfix: attribute, index, call, filter, test. */
#include "jinja/parse.h"

static struct node *binary(struct parser *p, enum binary_op op, struct node *a, struct node *b)
{
    struct node *node = a && b ? make(p, N_BINARY) : NULL;

    if (node) {
        node->op = op;
        node->a = a;
        node->b = b;
    }
    return node;
}

/* ---- primaries ---- */

/* Items up to `close`, which is taken; one_item tells a parenthesis from a tuple. */
static bool items(struct parser *p, const char *close, struct node **out_items, int *out_count,
                  bool *out_comma)
{
    struct node **tail = out_items;

    *out_count = 0;
    *out_comma = false;
    while (!take_symbol(p, close)) {
        if (!(*tail = jinja_parse_expression(p)))
            return false;
        tail = &(*tail)->next;
        ++*out_count;
        if (take_symbol(p, ","))
            *out_comma = true;
        else if (!is_symbol(p, close))
            return fail(p, "expected , or ", close) != NULL;
    }
    return true;
}

/* An item that may be linked into a list: a fresh node, because literals are shared by nobody. */
static struct node *sequence(struct parser *p, enum node_kind kind, const char *close)
{
    struct node *node = make(p, kind), *first = NULL;
    int count;
    bool comma;

    if (!node || !items(p, close, &first, &count, &comma))
        return NULL;
    if (kind == N_TUPLE && count == 1 && !comma)
        return first;
    node->args = first;
    return node;
}

static struct node *dictionary(struct parser *p)
{
    struct node *node = make(p, N_DICT), **tail = node ? &node->args : NULL;

    while (node && !take_symbol(p, "}")) {
        struct node *pair = make(p, N_TUPLE);

        if (!pair || !(pair->a = jinja_parse_expression(p)) || !expect_symbol(p, ":") ||
            !(pair->b = jinja_parse_expression(p)))
            return NULL;
        *tail = pair;
        tail = &pair->next;
        if (!take_symbol(p, ",") && !is_symbol(p, "}"))
            return fail(p, "expected , or }", "");
    }
    return node;
}

static struct node *word(struct parser *p)
{
    static const struct {
        const char *word;
        struct value value;
    } constants[] = {{"true", {.kind = V_BOOL, .b = true}},
                     {"True", {.kind = V_BOOL, .b = true}},
                     {"false", {.kind = V_BOOL, .b = false}},
                     {"False", {.kind = V_BOOL, .b = false}},
                     {"none", {.kind = V_NONE}},
                     {"None", {.kind = V_NONE}}};
    const char *name = (p->at++)->text;
    struct node *node;

    for (size_t i = 0; i < CAP_COUNT_OF(constants); i++)
        if (strcmp(name, constants[i].word) == 0)
            return literal(p, constants[i].value);
    node = make(p, N_NAME);
    if (node)
        node->name = name;
    return node;
}

static struct node *strings(struct parser *p)
{
    struct value value = jinja_str(p->at->text, p->at->length);

    p->at++;
    while (p->at->kind == T_STRING) { /* adjacent strings are one */
        const char *joined =
            cap_arena_printf(p->arena, "%.*s%s", (int)value.s.length, value.s.text, p->at->text);

        if (!joined)
            return fail(p, "the template is too large", "");
        value = jinja_cstr(joined);
        p->at++;
    }
    return literal(p, value);
}

static struct node *primary(struct parser *p)
{
    const struct token *token = p->at;

    switch (token->kind) {
    case T_STRING:
        return strings(p);
    case T_INT:
        p->at++;
        return literal(p, jinja_int(token->i));
    case T_FLOAT:
        p->at++;
        return literal(p, (struct value){.kind = V_FLOAT, .f = token->f});
    case T_NAME:
        return word(p);
    default:
        if (take_symbol(p, "("))
            return sequence(p, N_TUPLE, ")");
        if (take_symbol(p, "["))
            return sequence(p, N_LIST, "]");
        if (take_symbol(p, "{"))
            return dictionary(p);
        return fail(p, "expected an expression", "");
    }
}

/* ---- postfix ---- */

static struct node *argument(struct parser *p)
{
    const char *keyword = NULL;
    struct node *value, *node;

    if (p->at->kind == T_NAME && p->at[1].kind == T_SYMBOL && strcmp(p->at[1].text, "=") == 0) {
        keyword = p->at->text;
        p->at += 2;
    }
    value = jinja_parse_expression(p);
    node = value ? make(p, N_TUPLE) : NULL;
    if (node) {
        node->name = keyword;
        node->a = value;
    }
    return node;
}

static bool arguments(struct parser *p, struct node **tail)
{
    while (!take_symbol(p, ")")) {
        if (!(*tail = argument(p)))
            return false;
        tail = &(*tail)->next;
        if (!take_symbol(p, ",") && !is_symbol(p, ")"))
            return fail(p, "expected , or )", "") != NULL;
    }
    return true;
}

static struct node *slice(struct parser *p, struct node *of, struct node *start)
{
    struct node *node = make(p, N_SLICE);

    if (!node)
        return NULL;
    node->a = of;
    node->b = start;
    if (!is_symbol(p, "]") && !is_symbol(p, ":") && !(node->c = jinja_parse_expression(p)))
        return NULL;
    if (take_symbol(p, ":") && !is_symbol(p, "]") && !(node->step = jinja_parse_expression(p)))
        return NULL;
    return expect_symbol(p, "]") ? node : NULL;
}

static struct node *subscript(struct parser *p, struct node *of)
{
    struct node *node, *start = NULL;

    if (!is_symbol(p, ":") && !(start = jinja_parse_expression(p)))
        return NULL;
    if (take_symbol(p, ":"))
        return slice(p, of, start);
    node = make(p, N_INDEX);
    if (!node || !expect_symbol(p, "]"))
        return NULL;
    node->a = of;
    node->b = start;
    return node;
}

static struct node *attribute(struct parser *p, struct node *of)
{
    struct node *node;

    if (p->at->kind == T_INT) { /* a.0 is a[0] */
        node = make(p, N_INDEX);
        if (node) {
            node->a = of;
            node->b = literal(p, jinja_int(p->at->i));
            p->at++;
        }
        return node;
    }
    node = make(p, N_ATTRIBUTE);
    if (!node || !(node->name = expect_name(p)))
        return NULL;
    node->a = of;
    return node;
}

static struct node *call(struct parser *p, struct node *callee)
{
    struct node *node = make(p, N_CALL);

    if (!node || !arguments(p, &node->args))
        return NULL;
    node->a = callee;
    return node;
}

static struct node *postfix(struct parser *p, struct node *node)
{
    while (node) {
        if (take_symbol(p, "."))
            node = attribute(p, node);
        else if (take_symbol(p, "["))
            node = subscript(p, node);
        else if (take_symbol(p, "("))
            node = call(p, node);
        else
            break;
    }
    return node;
}

struct node *jinja_parse_filter(struct parser *p, struct node *in)
{
    struct node *node = make(p, N_FILTER);

    if (!node || !(node->name = expect_name(p)))
        return NULL;
    if (!p->soft && !p->unknown && !jinja_has_filter(node->name))
        p->unknown = node;
    node->a = in;
    return !take_symbol(p, "(") || arguments(p, &node->args) ? node : NULL;
}

static bool starts_test_argument(const struct parser *p)
{
    static const char *const words[] = {"and", "or", "else", "if", "is", "in", "not", "recursive"};

    if (p->at->kind == T_STRING || p->at->kind == T_INT || p->at->kind == T_FLOAT ||
        is_symbol(p, "["))
        return true;
    for (size_t i = 0; i < CAP_COUNT_OF(words); i++)
        if (is_word(p, words[i]))
            return false;
    return p->at->kind == T_NAME;
}

static struct node *test(struct parser *p, struct node *in)
{
    struct node *node = make(p, N_TEST);

    if (!node)
        return NULL;
    node->negated = take_word(p, "not");
    if (!(node->name = expect_name(p)))
        return NULL;
    if (!p->soft && !p->unknown && !jinja_has_test(node->name))
        p->unknown = node;
    node->a = in;
    if (take_symbol(p, "("))
        return arguments(p, &node->args) ? node : NULL;
    if (starts_test_argument(p)) {
        node->args = make(p, N_TUPLE);
        if (!node->args || !(node->args->a = postfix(p, primary(p))))
            return NULL;
    }
    return node;
}

static struct node *filters_and_tests(struct parser *p, struct node *node)
{
    while (node) {
        if (take_symbol(p, "|"))
            node = jinja_parse_filter(p, node);
        else if (take_word(p, "is"))
            node = test(p, node);
        else if (take_symbol(p, "("))
            node = postfix(p, call(p, node));
        else
            break;
    }
    return node;
}

/* ---- operators ---- */

static struct node *unary(struct parser *p, bool with_filters)
{
    struct node *node;
    bool minus = take_symbol(p, "-");

    if (minus || take_symbol(p, "+")) {
        struct node *operand = descend(p) ? unary(p, false) : NULL;

        p->depth--;
        node = operand ? make(p, minus ? N_NEGATE : N_PLUS) : NULL;
        if (node)
            node->a = operand;
    } else {
        node = postfix(p, primary(p));
    }
    return with_filters ? filters_and_tests(p, node) : node;
}

static struct node *power(struct parser *p)
{
    struct node *node = unary(p, true);

    while (node && take_symbol(p, "**"))
        node = binary(p, O_POWER, node, unary(p, true));
    return node;
}

static struct node *product(struct parser *p)
{
    struct node *node = power(p);

    while (node) {
        if (take_symbol(p, "*"))
            node = binary(p, O_MULTIPLY, node, power(p));
        else if (take_symbol(p, "//"))
            node = binary(p, O_FLOOR_DIVIDE, node, power(p));
        else if (take_symbol(p, "/"))
            node = binary(p, O_DIVIDE, node, power(p));
        else if (take_symbol(p, "%"))
            node = binary(p, O_MODULO, node, power(p));
        else
            break;
    }
    return node;
}

static struct node *concatenation(struct parser *p)
{
    struct node *node = product(p);

    while (node && take_symbol(p, "~"))
        node = binary(p, O_CONCAT, node, product(p));
    return node;
}

static struct node *sum(struct parser *p)
{
    struct node *node = concatenation(p);

    while (node) {
        if (take_symbol(p, "+"))
            node = binary(p, O_ADD, node, concatenation(p));
        else if (take_symbol(p, "-"))
            node = binary(p, O_SUBTRACT, node, concatenation(p));
        else
            break;
    }
    return node;
}

static bool take_comparison(struct parser *p, enum binary_op *out)
{
    static const struct {
        const char *symbol;
        enum binary_op op;
    } symbols[] = {{"==", O_EQUAL},         {"!=", O_NOT_EQUAL}, {"<=", O_LESS_EQUAL},
                   {">=", O_GREATER_EQUAL}, {"<", O_LESS},       {">", O_GREATER}};

    for (size_t i = 0; i < CAP_COUNT_OF(symbols); i++) {
        if (take_symbol(p, symbols[i].symbol)) {
            *out = symbols[i].op;
            return true;
        }
    }
    if (take_word(p, "in")) {
        *out = O_IN;
        return true;
    }
    if (is_word(p, "not") && p->at[1].kind == T_NAME && strcmp(p->at[1].text, "in") == 0) {
        p->at += 2;
        *out = O_NOT_IN;
        return true;
    }
    return false;
}

/* a < b < c means a < b and b < c. */
static struct node *comparison(struct parser *p)
{
    struct node *left = sum(p), *all = NULL;
    enum binary_op op;

    while (left && take_comparison(p, &op)) {
        struct node *right = sum(p), *one = binary(p, op, left, right);

        if (!one)
            return NULL;
        if (all) {
            struct node *both = make(p, N_AND);

            if (!both)
                return NULL;
            both->a = all;
            both->b = one;
            all = both;
        } else {
            all = one;
        }
        left = right;
    }
    return left && all ? all : left;
}

static struct node *negation(struct parser *p)
{
    struct node *node, *operand;

    if (!take_word(p, "not"))
        return comparison(p);
    operand = descend(p) ? negation(p) : NULL;
    p->depth--;
    node = operand ? make(p, N_NOT) : NULL;
    if (node)
        node->a = operand;
    return node;
}

struct node *jinja_parse_logic(struct parser *p, bool either)
{
    struct node *node = either ? jinja_parse_logic(p, false) : negation(p);

    while (node && take_word(p, either ? "or" : "and")) {
        struct node *joined = make(p, either ? N_OR : N_AND);

        if (!joined)
            return NULL;
        joined->a = node;
        joined->b = either ? jinja_parse_logic(p, false) : negation(p);
        node = joined->b ? joined : NULL;
    }
    return node;
}

struct node *jinja_parse_expression(struct parser *p)
{
    const struct node *unknown = p->unknown;
    struct node *node;

    if (!descend(p))
        return NULL;
    node = jinja_parse_logic(p, true);
    while (node && take_word(p, "if")) {
        struct node *ternary = make(p, N_TERNARY);

        if (!ternary)
            return NULL;
        ternary->b = node;
        if (!(ternary->a = jinja_parse_logic(p, true)))
            return NULL;
        if (take_word(p, "else") && !(ternary->c = jinja_parse_expression(p)))
            return NULL;
        node = ternary;
        p->unknown = unknown; /* one of its parts is not reached */
    }
    p->depth--;
    return node;
}
