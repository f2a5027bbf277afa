/* parse.h — what the two halves of the parser share: the place in the tokens, and small steps.
 *
 * parse_expression.c reads expressions, parse_statement.c reads tags and calls it. A function that
 * returns a node returns NULL after a failure, which the parser's err then tells.
 */
#ifndef CAP_JINJA_PARSE_H
#define CAP_JINJA_PARSE_H

#include <string.h>

#include "jinja/inside.h"

struct parser {
    const struct token *at;
    struct cap_arena *arena;
    int depth;
    /* Jinja2 forgives a filter or test that does not exist where it may never be reached: */
    int soft;                   /* how many if tags are open */
    const struct node *unknown; /* the first one elsewhere; the end of its tag fails with it */
    struct cap_err *err;
};

struct node *jinja_parse_expression(struct parser *p);
struct node *jinja_parse_logic(struct parser *p, bool either); /* an expression but for `a if b` */
struct node *jinja_parse_filter(struct parser *p, struct node *in); /* after its | */

static inline struct node *fail(struct parser *p, const char *what, const char *detail)
{
    if (p->err->code == CAP_OK)
        cap_fail(p->err, CAP_INVALID_ARGUMENT, "template line %d: %s%s", p->at->line, what, detail);
    return NULL;
}

static inline struct node *make(struct parser *p, enum node_kind kind)
{
    struct node *node = cap_arena_alloc(p->arena, sizeof *node);

    if (!node)
        return fail(p, "the template is too large", "");
    node->kind = kind;
    node->line = p->at->line;
    return node;
}

/* Before a part that may hold others of its kind; p->depth-- undoes it. */
static inline bool descend(struct parser *p)
{
    return ++p->depth <= DEPTH_MAX || fail(p, "it is nested too deep", "") != NULL;
}

static inline bool is_symbol(const struct parser *p, const char *text)
{
    return p->at->kind == T_SYMBOL && strcmp(p->at->text, text) == 0;
}

static inline bool is_word(const struct parser *p, const char *text)
{
    return p->at->kind == T_NAME && strcmp(p->at->text, text) == 0;
}

static inline bool take_symbol(struct parser *p, const char *text)
{
    bool taken = is_symbol(p, text);

    p->at += taken;
    return taken;
}

static inline bool take_word(struct parser *p, const char *text)
{
    bool taken = is_word(p, text);

    p->at += taken;
    return taken;
}

static inline bool expect_symbol(struct parser *p, const char *text)
{
    return take_symbol(p, text) || fail(p, "expected ", text);
}

static inline const char *expect_name(struct parser *p)
{
    if (p->at->kind != T_NAME) {
        fail(p, "expected a name", "");
        return NULL;
    }
    return (p->at++)->text;
}

static inline bool expect_close(struct parser *p)
{
    if (p->at->kind != T_CLOSE_BLOCK)
        return fail(p, "unexpected text before the end of the tag", "") != NULL;
    p->at++;
    return true;
}

static inline struct node *literal(struct parser *p, struct value value)
{
    struct node *node = make(p, N_LITERAL);

    if (node)
        node->literal = value;
    return node;
}

#endif
