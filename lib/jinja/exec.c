/* Statements: they walk the tree and add to run->out; and the library's public face. A loop body, a
 * macro and nothing else opens a scope, so that `set` inside a loop does not outlive it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/inside.h"

const struct cap_jinja_options cap_jinja_chat = {.trim_blocks = true, .lstrip_blocks = true};
const struct cap_jinja_options cap_jinja_task = {.keep_trailing_newline = true, .strict = true};

/* ---- statements ---- */

static bool add_output(struct run *run, const struct value *v)
{
    jinja_print(run, v, run->out);
    if (run->err->code != CAP_OK)
        return false;
    return !run->out->overflowed ||
           jinja_fail(run, "the output has more than %zu bytes", run->out->bytes_max);
}

static bool exec_output(struct run *run, const struct node *node, struct scope *scope)
{
    struct value v;

    if (!jinja_eval_defined(run, node->a, scope, &v))
        return false;
    return add_output(run, &v);
}

/* What a `for` goes through, as a list. */
static bool iterate(struct run *run, const struct value *over, struct value *out)
{
    *out = jinja_list(run, 0, false);
    if (over->kind == V_LIST) {
        *out = *over;
    } else if (over->kind == V_DICT) {
        for (size_t i = 0; i < over->dict->count; i++)
            if (!jinja_append(run, out->list, over->dict->pairs[i].key))
                return false;
    } else if (over->kind == V_STR) {
        for (size_t at = 0; at < over->s.length;) {
            size_t n = jinja_utf8_next(over->s.text + at, over->s.length - at);

            if (!jinja_append(run, out->list, jinja_str(over->s.text + at, n)))
                return false;
            at += n;
        }
    } else if (over->kind != V_UNDEFINED) {
        return jinja_fail(run, "cannot go through a %s", jinja_kind_name(over));
    }
    return true;
}

static bool bind_targets(struct run *run, const struct node *targets, struct value v,
                         struct scope *scope)
{
    size_t i = 0;

    if (!targets->next)
        return jinja_set_name(run, scope, targets->name, v);
    if (v.kind != V_LIST)
        return jinja_fail(run, "cannot take a %s apart", jinja_kind_name(&v));
    for (const struct node *t = targets; t; t = t->next, i++) {
        if (i >= v.list->count)
            return jinja_fail(run, "there are only %zu values to take apart", v.list->count);
        if (!jinja_set_name(run, scope, t->name, v.list->items[i]))
            return false;
    }
    return true;
}

/* Keeps the items for which the `if` of the loop holds. */
static bool select_items(struct run *run, const struct node *node, struct scope *scope,
                         struct value *io_items)
{
    struct value kept = jinja_list(run, 0, false);

    if (!node->b)
        return true;
    for (size_t i = 0; i < io_items->list->count; i++) {
        struct scope inner = jinja_open_scope(run, scope);
        struct value condition;

        if (!bind_targets(run, node->args, io_items->list->items[i], &inner) ||
            !jinja_eval(run, node->b, &inner, &condition))
            return false;
        if (jinja_truthy(&condition) && !jinja_append(run, kept.list, io_items->list->items[i]))
            return false;
    }
    *io_items = kept;
    return true;
}

static bool set_loop(struct run *run, struct scope *scope, const struct list *items, size_t i)
{
    const struct value undefined = {.kind = V_UNDEFINED, .name = "loop item"};
    const struct pair members[] = {
        {jinja_cstr("index"), jinja_int((int64_t)i + 1)},
        {jinja_cstr("index0"), jinja_int((int64_t)i)},
        {jinja_cstr("revindex"), jinja_int((int64_t)(items->count - i))},
        {jinja_cstr("revindex0"), jinja_int((int64_t)(items->count - i) - 1)},
        {jinja_cstr("first"), jinja_bool(i == 0)},
        {jinja_cstr("last"), jinja_bool(i + 1 == items->count)},
        {jinja_cstr("length"), jinja_int((int64_t)items->count)},
        {jinja_cstr("previtem"), i > 0 ? items->items[i - 1] : undefined},
        {jinja_cstr("nextitem"), i + 1 < items->count ? items->items[i + 1] : undefined},
    };
    struct value loop = jinja_dict(run);
    struct pair *copy = cap_arena_alloc(run->arena, sizeof members);

    if (run->err->code != CAP_OK || !jinja_charge(run, sizeof members))
        return false;
    if (!copy)
        return jinja_fail(run, "the template needs more memory than it may have");
    memcpy(copy, members, sizeof members);
    *loop.dict = (struct dict){copy, CAP_COUNT_OF(members), CAP_COUNT_OF(members), false};
    return jinja_set_name(run, scope, "loop", loop);
}

static enum flow exec_for(struct run *run, const struct node *node, struct scope *scope)
{
    struct value over, items;

    if (!jinja_eval_defined(run, node->a, scope, &over) || !iterate(run, &over, &items) ||
        !select_items(run, node, scope, &items))
        return FAILED;
    if (items.list->count == 0)
        return jinja_exec(run, node->orelse, scope);
    for (size_t i = 0; i < items.list->count; i++) {
        struct scope inner = jinja_open_scope(run, scope);
        enum flow flow;

        if (!set_loop(run, &inner, items.list, i) ||
            !bind_targets(run, node->args, items.list->items[i], &inner))
            return FAILED;
        flow = jinja_exec(run, node->body, &inner);
        if (flow == BREAK)
            break;
        if (flow == FAILED)
            return FAILED;
    }
    return GO_ON;
}

static bool assign(struct run *run, const struct node *node, struct scope *scope, struct value v)
{
    struct value space;

    if (!node->name)
        return bind_targets(run, node->args, v, scope);
    if (!jinja_find_name(run, scope, node->args->name, &space) || space.kind != V_DICT ||
        !space.dict->is_namespace)
        return jinja_fail(run, "\"%s\" is not a namespace", node->args->name);
    return jinja_put(run, space.dict, jinja_cstr(node->name), v);
}

/* The text that a body makes. */
static bool capture(struct run *run, const struct node *body, struct scope *scope,
                    struct value *out)
{
    struct cap_buf *outer = run->out;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    enum flow flow;

    run->out = &text;
    flow = jinja_exec(run, body, scope);
    run->out = outer;
    *out = jinja_take_buf(run, &text);
    return flow != FAILED && run->err->code == CAP_OK;
}

/* A chain of filters around a block; the innermost takes the text of the block. */
static bool filter_text(struct run *run, const struct node *chain, struct scope *scope,
                        struct value *io_text)
{
    struct arguments args;

    bool ok = jinja_descend(run) && (!chain->a || filter_text(run, chain->a, scope, io_text)) &&
              jinja_eval_arguments(run, chain->args, scope, &args) &&
              jinja_filter(run, chain->name, *io_text, &args, io_text);

    jinja_ascend(run);
    return ok;
}

static bool exec_filter_block(struct run *run, const struct node *node, struct scope *scope)
{
    struct value text;

    if (!capture(run, node->body, scope, &text) || !filter_text(run, node->a, scope, &text))
        return false;
    return add_output(run, &text);
}

static enum flow exec_if(struct run *run, const struct node *node, struct scope *scope)
{
    for (;;) {
        const struct node *orelse = node->orelse;
        struct value condition;

        if (!jinja_eval_defined(run, node->a, scope, &condition))
            return FAILED;
        if (jinja_truthy(&condition))
            return jinja_exec(run, node->body, scope);
        if (!orelse || orelse->kind != N_IF || orelse->next)
            return jinja_exec(run, orelse, scope);
        node = orelse; /* an elif: a chain of them is not deeper than one */
    }
}

static enum flow exec_with(struct run *run, const struct node *node, struct scope *scope)
{
    struct scope inner = jinja_open_scope(run, scope);

    for (const struct node *n = node->args; n; n = n->next) {
        struct value v;

        if (!jinja_eval(run, n->a, scope, &v) || !jinja_set_name(run, &inner, n->name, v))
            return FAILED;
    }
    return jinja_exec(run, node->body, &inner);
}

static enum flow exec_one(struct run *run, const struct node *node, struct scope *scope)
{
    struct value v;
    bool ok = true;

    switch (node->kind) {
    case N_TEXT:
        ok = add_output(run, &node->literal);
        break;
    case N_OUTPUT:
        ok = exec_output(run, node, scope);
        break;
    case N_IF:
        return exec_if(run, node, scope);
    case N_FOR:
        return exec_for(run, node, scope);
    case N_SET:
        ok = jinja_eval(run, node->a, scope, &v) && assign(run, node, scope, v);
        break;
    case N_SET_BLOCK:
        ok = capture(run, node->body, scope, &v) && assign(run, node, scope, v);
        break;
    case N_MACRO:
        ok = jinja_set_name(run, scope, node->name, (struct value){.kind = V_MACRO, .macro = node});
        break;
    case N_WITH:
        return exec_with(run, node, scope);
    case N_FILTER_BLOCK:
        ok = exec_filter_block(run, node, scope);
        break;
    case N_BREAK:
        return BREAK;
    case N_CONTINUE:
        return CONTINUE;
    default:
        ok = jinja_fail(run, "this statement is not understood");
    }
    return ok ? GO_ON : FAILED;
}

enum flow jinja_exec(struct run *run, const struct node *node, struct scope *scope)
{
    enum flow flow = GO_ON;

    if (!jinja_descend(run))
        return FAILED;
    for (; node && flow == GO_ON; node = node->next) {
        run->line = node->line;
        flow = jinja_charge(run, STEP_WORK) ? exec_one(run, node, scope) : FAILED;
    }
    jinja_ascend(run);
    return run->err->code == CAP_OK ? flow : FAILED;
}

/* ---- the public face ---- */

struct cap_jinja *cap_jinja_compile(const char *text, const struct cap_jinja_options *options,
                                    struct cap_err *err)
{
    CAP_AUTO(cap_jinja) jinja = calloc(1, sizeof *jinja);
    struct token *tokens;

    if (!jinja)
        abort();
    jinja->arena = cap_arena_new(TEMPLATE_ARENA_BYTES);
    jinja->options = *options;
    tokens = jinja_lex(text, options, jinja->arena, err);
    if (!tokens)
        return NULL; /* cppcheck-suppress memleak; the scope frees it */
    jinja->body = jinja_parse(tokens, jinja->arena, err);
    return err->code == CAP_OK ? cap_take(jinja) : NULL;
}

void cap_jinja_free(struct cap_jinja *jinja)
{
    if (!jinja)
        return;
    cap_arena_free(jinja->arena);
    free(jinja);
}

bool cap_jinja_render(const struct cap_jinja *jinja, const json_t *context, struct cap_buf *out,
                      struct cap_err *err)
{
    return cap_jinja_render_until(jinja, context, NULL, out, err);
}

bool cap_jinja_render_until(const struct cap_jinja *jinja, const json_t *context,
                            const struct cap_jinja_stop *stop, struct cap_buf *out,
                            struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(RENDER_ARENA_BYTES);
    struct run run = {.jinja = jinja, .arena = arena, .out = out, .stop = stop, .err = err};
    struct scope globals = {NULL, NULL};
    struct value names;

    if (!jinja_from_json(&run, context, &names))
        return false;
    if (names.kind != V_DICT)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a template's context must be an object");
    globals.names = names.dict;
    run.globals = &globals;
    return jinja_exec(&run, jinja->body, &globals) != FAILED;
}
