/* The value of an expression: names, access, calls, filters and tests. Names are looked up from the
 * innermost scope outwards. What the operators do is in operators.c, statements are in exec.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/inside.h"

bool jinja_fail(struct run *run, const char *fmt, ...)
{
    char text[CAP_ERR_TEXT_BYTES_MAX];
    va_list args;

    if (run->err->code != CAP_OK)
        return false;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return cap_fail(run->err, CAP_INVALID_ARGUMENT, "template line %d: %s", run->line, text);
}

/* ---- the budget ---- */

bool jinja_charge(struct run *run, size_t work)
{
    if (run->err->code != CAP_OK)
        return false;
    if (work > RENDER_WORK_MAX - run->work)
        return jinja_fail(run, "the template takes too many steps");
    run->work += work;
    if (run->stop && run->work >= run->next_stop) {
        run->next_stop = run->work + WORK_BETWEEN_STOPS;
        if (run->stop->asked(run->stop->self))
            return cap_fail(run->err, CAP_CANCELLED, "rendering was stopped");
    }
    return true;
}

bool jinja_descend(struct run *run)
{
    if (++run->depth > DEPTH_MAX)
        return jinja_fail(run, "the template is nested deeper than %d (or a value contains itself)",
                          DEPTH_MAX);
    return jinja_charge(run, sizeof(void *));
}

void jinja_ascend(struct run *run)
{
    run->depth--;
}

/* ---- names ---- */

bool jinja_find_name(struct run *run, const struct scope *scope, const char *name,
                     struct value *out)
{
    for (; scope; scope = scope->parent)
        if (jinja_find(run, scope->names, name, strlen(name), out))
            return true;
    return false;
}

static bool is_function(const struct run *run, const char *name)
{
    static const char *const names[] = {"range", "namespace", "raise_exception", "dict"};

    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return strcmp(name, "strftime_now") == 0 && run->jinja->options.clock;
}

static struct value look_up(struct run *run, const struct scope *scope, const char *name)
{
    struct value v;

    if (jinja_find_name(run, scope, name, &v))
        return v;
    return (struct value){.kind = is_function(run, name) ? V_FUNCTION : V_UNDEFINED, .name = name};
}

bool jinja_set_name(struct run *run, struct scope *scope, const char *name, struct value value)
{
    return jinja_put(run, scope->names, jinja_cstr(name), value);
}

struct scope jinja_open_scope(struct run *run, struct scope *parent)
{
    return (struct scope){parent, jinja_dict(run).dict};
}

/* Strict templates may ask whether a name is defined, but not use one that is not. */
static bool check_defined(struct run *run, const struct value *v)
{
    if (v->kind != V_UNDEFINED || !run->jinja->options.strict)
        return true;
    if (v->name && !v->name[0]) /* `a if b` without else may be used; it has no name */
        return true;
    return jinja_fail(run, "\"%s\" is not defined", v->name ? v->name : "?");
}

bool jinja_eval_defined(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out)
{
    return jinja_eval(run, node, scope, out) && check_defined(run, out);
}
static bool eval_binary(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value a, b;

    return jinja_eval_defined(run, node->a, scope, &a) &&
           jinja_eval_defined(run, node->b, scope, &b) && jinja_apply(run, node->op, &a, &b, out);
}

/* ---- access ---- */

static bool index_list(const struct list *list, int64_t i, struct value *out)
{
    if (i < 0)
        i += (int64_t)list->count;
    if (i < 0 || i >= (int64_t)list->count)
        return false;
    *out = list->items[i];
    return true;
}

static bool index_string(struct run *run, const struct value *s, int64_t i, struct value *out)
{
    int64_t count = (int64_t)jinja_utf8_count(run, *s);
    size_t at;

    if (i < 0)
        i += count;
    if (i < 0 || i >= count)
        return false;
    at = jinja_utf8_offset(s->s.text, s->s.length, (size_t)i);
    *out = jinja_str(s->s.text + at, jinja_utf8_next(s->s.text + at, s->s.length - at));
    return true;
}

bool jinja_get(struct run *run, struct value from, struct value key, struct value *out)
{
    bool found = false;

    if (from.kind == V_UNDEFINED)
        return jinja_fail(run, "\"%s\" is not defined", from.name ? from.name : "?");
    if (key.kind == V_BOOL && from.kind != V_DICT)
        key = jinja_int(key.b); /* ['no', 'yes'][true] is 'yes' */
    if (from.kind == V_DICT && key.kind == V_STR) {
        found = jinja_find(run, from.dict, key.s.text, key.s.length, out);
    } else if (from.kind == V_DICT) {
        for (size_t i = 0; i < from.dict->count && !found; i++) {
            found = jinja_equal(run, &from.dict->pairs[i].key, &key);
            *out = from.dict->pairs[i].value;
        }
    } else if (from.kind == V_LIST && key.kind == V_INT) {
        found = index_list(from.list, key.i, out);
    } else if (from.kind == V_STR && key.kind == V_INT) {
        found = index_string(run, &from, key.i, out);
    }
    if (!found)
        *out = (struct value){.kind = V_UNDEFINED,
                              .name = key.kind == V_STR ? jinja_copy(run, key) : "item"};
    return run->err->code == CAP_OK;
}

static int64_t clamp_bound(int64_t i, int64_t count, int64_t lowest)
{
    if (i < 0)
        i += count;
    return i < lowest ? lowest : i > count ? count : i;
}

static bool slice_bounds(struct run *run, const struct node *node, struct scope *scope,
                         int64_t count, int64_t *out_start, int64_t *out_stop, int64_t *out_step)
{
    struct value start = jinja_none(), stop = jinja_none(), step = jinja_int(1);

    if ((node->b && !jinja_eval(run, node->b, scope, &start)) ||
        (node->c && !jinja_eval(run, node->c, scope, &stop)) ||
        (node->step && !jinja_eval(run, node->step, scope, &step)))
        return false;
    *out_step = step.kind == V_INT ? step.i : 1;
    /* a step past the other end is as good as any longer one, and can be added safely */
    if (*out_step > count + 1)
        *out_step = count + 1;
    if (*out_step < -count - 1)
        *out_step = -count - 1;
    if (*out_step == 0)
        return jinja_fail(run, "a slice cannot step by zero");
    if (*out_step > 0) {
        *out_start = start.kind == V_INT ? clamp_bound(start.i, count, 0) : 0;
        *out_stop = stop.kind == V_INT ? clamp_bound(stop.i, count, 0) : count;
    } else {
        *out_start = start.kind == V_INT ? clamp_bound(start.i, count, -1) : count - 1;
        *out_stop = stop.kind == V_INT ? clamp_bound(stop.i, count, -1) : -1;
        if (*out_start >= count)
            *out_start = count - 1;
    }
    return true;
}

/* The characters start, start + step, ... of a text of `count`. */
static bool slice_text(struct run *run, struct value of, int64_t count, int64_t start, int64_t stop,
                       int64_t step, struct value *out)
{
    const char *text = of.s.text;
    uint32_t *offsets;
    CAP_AUTO_BUF(picked, TEMPLATE_BYTES_MAX);

    if (!jinja_charge(run, of.s.length * 2))
        return false;
    if (step == 1) {
        size_t from = jinja_utf8_offset(text, of.s.length, (size_t)start);

        *out =
            jinja_str(text + from, start < stop ? jinja_utf8_offset(text + from, of.s.length - from,
                                                                    (size_t)(stop - start))
                                                : 0);
        return true;
    }
    offsets = cap_arena_array(run->arena, (size_t)count + 1, sizeof *offsets);
    if (!offsets)
        return jinja_fail(run, "the template needs more memory than it may have");
    for (int64_t i = 0; i < count; i++)
        offsets[i + 1] =
            offsets[i] + (uint32_t)jinja_utf8_next(text + offsets[i], of.s.length - offsets[i]);
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        cap_buf_add(&picked, text + offsets[i], offsets[i + 1] - offsets[i]);
    *out = jinja_take_buf(run, &picked);
    return run->err->code == CAP_OK;
}

static bool eval_slice(struct run *run, const struct node *node, struct scope *scope,
                       struct value *out)
{
    int64_t count, start = 0, stop = 0, step = 1;
    struct value of;

    if (!jinja_eval_defined(run, node->a, scope, &of))
        return false;
    if (of.kind != V_LIST && of.kind != V_STR)
        return jinja_fail(run, "cannot slice a %s", jinja_kind_name(&of));
    count = of.kind == V_LIST ? (int64_t)of.list->count : (int64_t)jinja_utf8_count(run, of);
    if (!slice_bounds(run, node, scope, count, &start, &stop, &step))
        return false;
    if (of.kind == V_STR)
        return slice_text(run, of, count, start, stop, step, out);
    *out = jinja_list(run, 0, of.list->tuple);
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        if (!jinja_append(run, out->list, of.list->items[i]))
            return false;
    return true;
}

/* ---- calls ---- */

bool jinja_eval_arguments(struct run *run, const struct node *list, struct scope *scope,
                          struct arguments *out)
{
    size_t count = 0;

    for (const struct node *n = list; n; n = n->next)
        count++;
    out->positional = cap_arena_array(run->arena, count + 1, sizeof *out->positional);
    out->named = jinja_dict(run).dict;
    out->count = 0;
    if (!out->positional)
        return jinja_fail(run, "the template needs more memory than it may have");
    for (const struct node *n = list; n; n = n->next) {
        struct value v;

        if (!jinja_eval(run, n->a, scope, &v))
            return false;
        if (!n->name)
            out->positional[out->count++] = v;
        else if (!jinja_put(run, out->named, jinja_cstr(n->name), v))
            return false;
    }
    return true;
}

struct value jinja_argument(const struct arguments *args, size_t index, const char *name)
{
    if (index < args->count)
        return args->positional[index];
    for (size_t i = 0; name && i < args->named->count; i++) {
        const struct pair *pair = &args->named->pairs[i];

        if (pair->key.s.length == strlen(name) &&
            memcmp(pair->key.s.text, name, pair->key.s.length) == 0)
            return pair->value;
    }
    return (struct value){.kind = V_UNDEFINED};
}

/* What was given beyond the parameters, as the names `varargs` and `kwargs`. */
static bool bind_rest(struct run *run, size_t taken, const struct node *macro,
                      const struct arguments *args, struct scope *scope)
{
    struct value positional = jinja_list(run, 0, true), named = jinja_dict(run);

    for (size_t i = taken; i < args->count; i++)
        if (!jinja_append(run, positional.list, args->positional[i]))
            return false;
    for (size_t i = 0; i < args->named->count; i++) {
        const struct pair *pair = &args->named->pairs[i];
        const struct node *p = macro->args;

        while (p && strcmp(p->name, pair->key.s.text) != 0 && jinja_charge(run, STEP_WORK))
            p = p->next;
        if (!p && !jinja_put(run, named.dict, pair->key, pair->value))
            return false;
    }
    return jinja_set_name(run, scope, "varargs", positional) &&
           jinja_set_name(run, scope, "kwargs", named);
}

static bool bind_parameters(struct run *run, const struct node *macro, const struct arguments *args,
                            struct scope *scope)
{
    size_t index = 0;

    for (const struct node *p = macro->args; p; p = p->next, index++) {
        struct value v = jinja_argument(args, index, p->name);

        if (!jinja_charge(run, args->named->count * sizeof(void *)))
            return false;
        if (v.kind == V_UNDEFINED && p->a && !jinja_eval(run, p->a, scope, &v))
            return false;
        if (!jinja_set_name(run, scope, p->name, v))
            return false;
    }
    return bind_rest(run, index, macro, args, scope);
}

static bool call_macro(struct run *run, const struct node *macro, const struct arguments *args,
                       struct value *out)
{
    struct scope scope = jinja_open_scope(run, run->globals);
    struct cap_buf *outer = run->out;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    enum flow flow;

    if (!bind_parameters(run, macro, args, &scope))
        return false;
    run->out = &text;
    flow = jinja_exec(run, macro->body, &scope);
    run->out = outer;
    *out = jinja_take_buf(run, &text);
    return flow != FAILED && run->err->code == CAP_OK;
}

static bool eval_call(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    const struct node *callee = node->a;
    struct value target = {.kind = V_UNDEFINED}, self;
    struct arguments args;

    if (!jinja_eval_arguments(run, node->args, scope, &args))
        return false;
    if (callee->kind == N_ATTRIBUTE) {
        if (!jinja_eval_defined(run, callee->a, scope, &self))
            return false;
        if (self.kind == V_DICT)
            jinja_find(run, self.dict, callee->name, strlen(callee->name), &target);
        if (target.kind != V_MACRO)
            return jinja_method(run, self, callee->name, &args, out);
    } else if (!jinja_eval(run, callee, scope, &target)) {
        return false;
    }
    if (target.kind == V_MACRO)
        return call_macro(run, target.macro, &args, out);
    if (target.kind == V_FUNCTION)
        return jinja_function(run, target.name, &args, out);
    return jinja_fail(run, "\"%s\" cannot be called", callee->name ? callee->name : "?");
}

/* ---- expressions ---- */

static bool eval_items(struct run *run, const struct node *node, struct scope *scope,
                       struct value *out)
{
    *out = jinja_list(run, 4, node->kind == N_TUPLE);
    for (const struct node *n = node->args; n; n = n->next) {
        struct value v;

        if (!jinja_eval(run, n, scope, &v) || !jinja_append(run, out->list, v))
            return false;
    }
    return true;
}

static bool eval_dict(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    *out = jinja_dict(run);
    for (const struct node *n = node->args; n; n = n->next) {
        struct value key, value;

        if (!jinja_eval(run, n->a, scope, &key) || !jinja_eval(run, n->b, scope, &value) ||
            !jinja_put(run, out->dict, key, value))
            return false;
    }
    return true;
}

static bool eval_filtered(struct run *run, const struct node *node, struct scope *scope,
                          struct value *out)
{
    struct arguments args;
    struct value in;

    if (!jinja_eval(run, node->a, scope, &in) ||
        !jinja_eval_arguments(run, node->args, scope, &args))
        return false;
    if (strcmp(node->name, "default") != 0 && strcmp(node->name, "d") != 0 &&
        !check_defined(run, &in))
        return false;
    return jinja_filter(run, node->name, in, &args, out);
}

static bool eval_test(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    struct arguments args;
    struct value in;
    bool result;

    if (!jinja_eval(run, node->a, scope, &in) ||
        !jinja_eval_arguments(run, node->args, scope, &args) ||
        !jinja_test(run, node->name, in, &args, &result))
        return false;
    *out = jinja_bool(result != node->negated);
    return true;
}

static bool eval_logic(struct run *run, const struct node *node, struct scope *scope,
                       struct value *out)
{
    if (!jinja_eval_defined(run, node->a, scope, out))
        return false;
    if (jinja_truthy(out) == (node->kind == N_OR))
        return true;
    return jinja_eval_defined(run, node->b, scope, out);
}

static bool eval_ternary(struct run *run, const struct node *node, struct scope *scope,
                         struct value *out)
{
    struct value condition;

    if (!jinja_eval(run, node->a, scope, &condition))
        return false;
    if (jinja_truthy(&condition))
        return jinja_eval(run, node->b, scope, out);
    if (node->c)
        return jinja_eval(run, node->c, scope, out);
    *out = (struct value){.kind = V_UNDEFINED, .name = ""};
    return true;
}

static bool eval_sign(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    struct value zero = jinja_int(0), v;

    return jinja_eval_defined(run, node->a, scope, &v) &&
           jinja_apply(run, node->kind == N_NEGATE ? O_SUBTRACT : O_ADD, &zero, &v, out);
}

static bool eval_access(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value from, key;

    if (!jinja_eval(run, node->a, scope, &from))
        return false;
    if (node->kind == N_ATTRIBUTE)
        key = jinja_cstr(node->name);
    else if (!jinja_eval(run, node->b, scope, &key))
        return false;
    return jinja_get(run, from, key, out);
}

static bool eval_kind(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    switch (node->kind) {
    case N_LITERAL:
        *out = node->literal;
        return true;
    case N_NAME:
        *out = look_up(run, scope, node->name);
        return true;
    case N_LIST:
    case N_TUPLE:
        return eval_items(run, node, scope, out);
    case N_DICT:
        return eval_dict(run, node, scope, out);
    case N_ATTRIBUTE:
    case N_INDEX:
        return eval_access(run, node, scope, out);
    case N_SLICE:
        return eval_slice(run, node, scope, out);
    case N_CALL:
        return eval_call(run, node, scope, out);
    case N_FILTER:
        return eval_filtered(run, node, scope, out);
    case N_TEST:
        return eval_test(run, node, scope, out);
    case N_NOT:
        if (!jinja_eval(run, node->a, scope, out))
            return false;
        *out = jinja_bool(!jinja_truthy(out));
        return true;
    case N_NEGATE:
    case N_PLUS:
        return eval_sign(run, node, scope, out);
    case N_AND:
    case N_OR:
        return eval_logic(run, node, scope, out);
    case N_TERNARY:
        return eval_ternary(run, node, scope, out);
    default:
        return eval_binary(run, node, scope, out);
    }
}

bool jinja_eval(struct run *run, const struct node *node, struct scope *scope, struct value *out)
{
    bool ok;

    *out = (struct value){.kind = V_UNDEFINED};
    run->line = node->line;
    ok = jinja_descend(run) && jinja_charge(run, STEP_WORK) && eval_kind(run, node, scope, out);
    jinja_ascend(run);
    return ok && run->err->code == CAP_OK;
}
