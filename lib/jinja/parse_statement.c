/* Tokens to a tree of statements. */
#include "jinja/parse.h"

static struct node *statements(struct parser *p, const char *const *ends, const char **out_end);

/* Behind "if": the branches; an elif is the only statement of the else before it. */
static struct node *branches(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif",
                                                                                        NULL};
    struct node *first = NULL, **tail = &first;
    const char *end = "elif";

    while (strcmp(end, "elif") == 0) {
        struct node *node = make(p, N_IF);

        if (!node || !(node->a = jinja_parse_expression(p)) || !expect_close(p))
            return NULL;
        node->body = statements(p, ends, &end);
        if (!end)
            return NULL;
        *tail = node;
        tail = &node->orelse;
    }
    if (strcmp(end, "else") == 0) {
        if (!expect_close(p))
            return NULL;
        *tail = statements(p, last, &end);
    }
    return end && expect_close(p) ? first : NULL;
}

static struct node *if_statement(struct parser *p)
{
    struct node *node;

    p->soft++;
    node = branches(p);
    p->soft--;
    return node;
}

/* "a" or "a, b" or "(a, b)" */
static bool targets(struct parser *p, struct node **tail)
{
    bool parenthesis = take_symbol(p, "(");

    do {
        struct node *target = make(p, N_NAME);

        if (!target || !(target->name = expect_name(p)))
            return false;
        *tail = target;
        tail = &target->next;
    } while (take_symbol(p, ","));
    return !parenthesis || expect_symbol(p, ")");
}

static struct node *for_statement(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    struct node *node = make(p, N_FOR);
    const char *end;

    if (!node || !targets(p, &node->args) || !(take_word(p, "in") || fail(p, "expected in", "")) ||
        !(node->a = jinja_parse_logic(p, true)))
        return NULL;
    if (take_word(p, "if") && !(node->b = jinja_parse_expression(p)))
        return NULL;
    if (!expect_close(p))
        return NULL;
    node->body = statements(p, ends, &end);
    if (end && strcmp(end, "else") == 0) {
        if (!expect_close(p))
            return NULL;
        node->orelse = statements(p, last, &end);
    }
    return end && expect_close(p) ? node : NULL;
}

/* "a" or, without parentheses, the tuple "a, b". */
static struct node *tuple_or_one(struct parser *p)
{
    struct node *first = jinja_parse_expression(p), *tuple, **tail;

    if (!first || !is_symbol(p, ","))
        return first;
    tuple = make(p, N_TUPLE);
    if (!tuple)
        return NULL;
    tuple->args = first;
    for (tail = &first->next; take_symbol(p, ","); tail = &(*tail)->next)
        if (!(*tail = jinja_parse_expression(p)))
            return NULL;
    return tuple;
}

static struct node *set_statement(struct parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    struct node *node = make(p, N_SET);
    const char *end;

    if (!node || !targets(p, &node->args))
        return NULL;
    if (take_symbol(p, ".") && !(node->name = expect_name(p))) /* an attribute of a namespace */
        return NULL;
    if (take_symbol(p, "=")) {
        struct node *value = tuple_or_one(p);

        node->a = value;
        return value && expect_close(p) ? node : NULL;
    }
    node->kind = N_SET_BLOCK;
    if (!expect_close(p))
        return NULL;
    node->body = statements(p, ends, &end);
    return end && expect_close(p) ? node : NULL;
}

static bool parameters(struct parser *p, struct node **tail)
{
    while (!take_symbol(p, ")")) {
        struct node *parameter = make(p, N_NAME);

        if (!parameter || !(parameter->name = expect_name(p)))
            return false;
        if (take_symbol(p, "=") && !(parameter->a = jinja_parse_expression(p)))
            return false;
        *tail = parameter;
        tail = &parameter->next;
        if (!take_symbol(p, ",") && !is_symbol(p, ")"))
            return fail(p, "expected , or )", "") != NULL;
    }
    return true;
}

static struct node *macro_statement(struct parser *p)
{
    static const char *const ends[] = {"endmacro", NULL};
    struct node *node = make(p, N_MACRO);
    const char *end;

    if (!node || !(node->name = expect_name(p)) || !expect_symbol(p, "(") ||
        !parameters(p, &node->args) || !expect_close(p))
        return NULL;
    node->body = statements(p, ends, &end);
    if (end && p->at->kind == T_NAME) /* {% endmacro name %} */
        p->at++;
    return end && expect_close(p) ? node : NULL;
}

static struct node *with_statement(struct parser *p)
{
    static const char *const ends[] = {"endwith", NULL};
    struct node *node = make(p, N_WITH), **tail = node ? &node->args : NULL;
    const char *end;

    for (bool more = p->at->kind == T_NAME; node && more; more = take_symbol(p, ",")) {
        struct node *name = make(p, N_NAME);

        if (!name || !(name->name = expect_name(p)) || !expect_symbol(p, "=") ||
            !(name->a = jinja_parse_expression(p)))
            return NULL;
        *tail = name;
        tail = &name->next;
    }
    if (!node || !expect_close(p))
        return NULL;
    node->body = statements(p, ends, &end);
    return end && expect_close(p) ? node : NULL;
}

static struct node *filter_statement(struct parser *p)
{
    static const char *const ends[] = {"endfilter", NULL};
    struct node *node = make(p, N_FILTER_BLOCK), *chain;
    const char *end;

    chain = node ? jinja_parse_filter(p, NULL) : NULL;
    while (chain && take_symbol(p, "|"))
        chain = jinja_parse_filter(p, chain);
    if (!chain || !expect_close(p))
        return NULL;
    node->a = chain;
    node->body = statements(p, ends, &end);
    return end && expect_close(p) ? node : NULL;
}

/* {% generation %} marks what an assistant said, for training; it only groups. */
static struct node *group_statement(struct parser *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    struct node *node = make(p, N_IF);
    const char *end;

    if (!node || !(node->a = literal(p, jinja_bool(true))) || !expect_close(p))
        return NULL;
    node->body = statements(p, ends, &end);
    return end && expect_close(p) ? node : NULL;
}

static struct node *jump(struct parser *p, enum node_kind kind)
{
    struct node *node = make(p, kind);

    return node && expect_close(p) ? node : NULL;
}

static struct node *block(struct parser *p)
{
    if (take_word(p, "if"))
        return if_statement(p);
    if (take_word(p, "for"))
        return for_statement(p);
    if (take_word(p, "set"))
        return set_statement(p);
    if (take_word(p, "macro"))
        return macro_statement(p);
    if (take_word(p, "filter"))
        return filter_statement(p);
    if (take_word(p, "with"))
        return with_statement(p);
    if (take_word(p, "break"))
        return jump(p, N_BREAK);
    if (take_word(p, "continue"))
        return jump(p, N_CONTINUE);
    if (take_word(p, "generation"))
        return group_statement(p);
    return fail(p, "this tag is not understood: ", p->at->kind == T_NAME ? p->at->text : "{%");
}

static struct node *output(struct parser *p)
{
    struct node *node = make(p, N_OUTPUT);

    if (!node || !(node->a = tuple_or_one(p)))
        return NULL;
    if (p->at->kind != T_CLOSE_OUTPUT)
        return fail(p, "expected }}", "");
    p->at++;
    return node;
}

static const char *match_end(const struct parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (is_word(p, *ends))
            return *ends;
    return NULL;
}

static struct node *tag(struct parser *p, bool is_output)
{
    struct node *node = is_output ? output(p) : block(p);
    const struct node *unknown = p->unknown;

    if (node && unknown)
        cap_fail(p->err, CAP_INVALID_ARGUMENT, "template line %d: there is no %s %s", unknown->line,
                 unknown->kind == N_TEST ? "test" : "filter", unknown->name);
    return unknown ? NULL : node;
}

static struct node *statement(struct parser *p)
{
    const struct token *token = p->at++;
    struct node *node;

    if (token->kind != T_TEXT)
        return tag(p, token->kind == T_OPEN_OUTPUT);
    node = make(p, N_TEXT);
    if (node)
        node->literal = jinja_str(token->text, token->length);
    return node;
}

/* Statements up to one of `ends` (its word is taken, its tag not closed) or the end of the
 * template. *out_end is NULL after a failure, and "" at the template's end. */
static struct node *statements(struct parser *p, const char *const *ends, const char **out_end)
{
    struct node *first = NULL, **tail = &first;

    *out_end = NULL;
    if (!descend(p))
        return NULL;
    while (p->at->kind != T_END) {
        if (p->at->kind == T_OPEN_BLOCK) {
            const char *end;

            p->at++;
            end = match_end(p, ends);
            if (end) {
                p->at++;
                p->depth--;
                *out_end = end;
                return first;
            }
            p->at--;
        }
        if (!(*tail = statement(p)))
            return NULL;
        tail = &(*tail)->next;
    }
    if (ends)
        return fail(p, "the template ends inside a block; expected ", ends[0]);
    p->depth--;
    *out_end = "";
    return first;
}

struct node *jinja_parse(const struct token *tokens, struct cap_arena *arena, struct cap_err *err)
{
    struct parser parser = {.at = tokens, .arena = arena, .err = err};
    const char *end;

    return statements(&parser, NULL, &end);
}
