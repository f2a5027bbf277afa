/* Walks the tree. Expressions give values, statements add to run->out. Names are looked up from the
 * innermost scope outwards; a loop body, a macro and nothing else opens a scope, so that `set`
 * inside a loop does not outlive it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/internal.h"

enum flow { GO_ON, BREAK, CONTINUE, FAILED };

static bool eval(struct run *run, const struct node *node, struct scope *scope, struct value *out);
static enum flow exec(struct run *run, const struct node *node, struct scope *scope);

const struct cap_jinja_options cap_jinja_chat = {.trim_blocks = true, .lstrip_blocks = true};
const struct cap_jinja_options cap_jinja_task = {.keep_trailing_newline = true, .strict = true};

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

/* ---- names ---- */

static bool find_name(const struct scope *scope, const char *name, struct value *out)
{
    for (; scope; scope = scope->parent)
        if (jinja_find(scope->names, name, strlen(name), out))
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

static struct value look_up(const struct run *run, const struct scope *scope, const char *name)
{
    struct value v;

    if (find_name(scope, name, &v))
        return v;
    return (struct value){.kind = is_function(run, name) ? V_FUNCTION : V_UNDEFINED, .name = name};
}

static bool set_name(struct run *run, struct scope *scope, const char *name, struct value value)
{
    return jinja_put(run, scope->names, jinja_cstr(name), value);
}

static struct scope open_scope(struct run *run, struct scope *parent)
{
    return (struct scope){parent, jinja_dict(run).dict};
}

/* Strict templates may ask whether a name is defined, but not use one that is not. */
static bool check_defined(struct run *run, const struct value *v)
{
    if (v->kind != V_UNDEFINED || !run->jinja->options.strict)
        return true;
    return jinja_fail(run, "\"%s\" is not defined", v->name ? v->name : "?");
}

static bool eval_defined(struct run *run, const struct node *node, struct scope *scope,
                         struct value *out)
{
    return eval(run, node, scope, out) && check_defined(run, out);
}

/* ---- operators ---- */

static bool number_of(const struct value *v, double *out)
{
    if (v->kind != V_INT && v->kind != V_FLOAT && v->kind != V_BOOL)
        return false;
    *out = v->kind == V_FLOAT ? v->f : v->kind == V_INT ? (double)v->i : v->b;
    return true;
}

static struct value real(double f)
{
    return (struct value){.kind = V_FLOAT, .f = f};
}

static bool integer_arithmetic(struct run *run, enum operator operator, int64_t a, int64_t b,
                               struct value *out)
{
    int64_t result = 0;
    bool overflow = false;

    if (b == 0 && (operator== O_FLOOR_DIVIDE || operator== O_MODULO))
        return jinja_fail(run, "division by zero");
    if (operator== O_ADD)
        overflow = __builtin_add_overflow(a, b, &result);
    else if (operator== O_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &result);
    else if (operator== O_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &result);
    else if (b == -1)
        overflow = operator== O_FLOOR_DIVIDE && __builtin_sub_overflow(0, a, &result);
    else if (operator== O_FLOOR_DIVIDE)
        result = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
    else
        result = a % b + ((a % b != 0) && ((a < 0) != (b < 0)) ? b : 0);
    *out = jinja_int(result);
    return !overflow || jinja_fail(run, "an integer is too large");
}

static bool power(struct run *run, const struct value *a, const struct value *b, double x, double y,
                  struct value *out)
{
    double result = pow(x, y);

    if (a->kind == V_INT && b->kind == V_INT && b->i >= 0) {
        if (fabs(result) > 9e15)
            return jinja_fail(run, "an integer is too large");
        *out = jinja_int((int64_t)result);
        return true;
    }
    *out = real(result);
    return true;
}

static bool arithmetic(struct run *run, enum operator operator, const struct value * a,
                       const struct value *b, struct value *out)
{
    double x, y;

    if (!number_of(a, &x) || !number_of(b, &y))
        return jinja_fail(run, "cannot calculate with %s and %s", jinja_kind_name(a),
                          jinja_kind_name(b));
    if (operator== O_POWER)
        return power(run, a, b, x, y, out);
    if (a->kind != V_FLOAT && b->kind != V_FLOAT && operator!= O_DIVIDE)
        return integer_arithmetic(run, operator,(int64_t) x, (int64_t)y, out);
    if (y == 0 && operator!= O_ADD && operator!= O_SUBTRACT && operator!= O_MULTIPLY)
        return jinja_fail(run, "division by zero");
    *out = real(operator== O_ADD      ? x + y :
                operator== O_SUBTRACT ? x - y
                :
                operator== O_MULTIPLY ? x * y
                :
                operator== O_DIVIDE ? x / y
                :
                operator== O_FLOOR_DIVIDE ? floor(x / y)
                                          : x - y * floor(x / y));
    return true;
}

static bool repeat(struct run *run, const struct value *s, int64_t times, struct value *out)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    for (int64_t i = 0; i < times && !text.overflowed; i++)
        cap_buf_add(&text, s->s.text, s->s.length);
    *out = jinja_take_buf(run, &text);
    return run->err->code == CAP_OK;
}

static bool join_two(struct run *run, const struct value *a, const struct value *b,
                     struct value *out)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    jinja_print(a, &text);
    jinja_print(b, &text);
    *out = jinja_take_buf(run, &text);
    return run->err->code == CAP_OK;
}

static bool add_lists(struct run *run, const struct list *a, const struct list *b,
                      struct value *out)
{
    *out = jinja_list(run, a->count + b->count, a->tuple);
    for (size_t i = 0; i < a->count + b->count; i++)
        if (!jinja_append(run, out->list, i < a->count ? a->items[i] : b->items[i - a->count]))
            return false;
    return true;
}

static bool contains(struct run *run, const struct value *in, const struct value *item, bool *out)
{
    struct value unused;

    *out = false;
    if (in->kind == V_STR && item->kind == V_STR) {
        *out = memmem(in->s.text, in->s.length, item->s.text, item->s.length) != NULL;
    } else if (in->kind == V_LIST) {
        for (size_t i = 0; i < in->list->count && !*out; i++)
            *out = jinja_equal(&in->list->items[i], item);
    } else if (in->kind == V_DICT) {
        *out = item->kind == V_STR && jinja_find(in->dict, item->s.text, item->s.length, &unused);
    } else if (in->kind != V_UNDEFINED) {
        return jinja_fail(run, "cannot look inside a %s", jinja_kind_name(in));
    }
    return true;
}

static bool relation(struct run *run, enum operator operator, const struct value * a,
                     const struct value *b, struct value *out)
{
    int order;

    if (operator== O_EQUAL || operator== O_NOT_EQUAL) {
        *out = jinja_bool(jinja_equal(a, b) == (operator== O_EQUAL));
        return true;
    }
    if (!jinja_compare(a, b, &order))
        return jinja_fail(run, "cannot order %s and %s", jinja_kind_name(a), jinja_kind_name(b));
    *out = jinja_bool(operator== O_LESS       ? order < 0 :
                      operator== O_LESS_EQUAL ? order <= 0
                      :
                      operator== O_GREATER ? order > 0
                                           : order >= 0);
    return true;
}

static bool apply(struct run *run, enum operator operator, const struct value * a,
                  const struct value *b, struct value *out)
{
    bool found;

    if (operator== O_IN || operator== O_NOT_IN) {
        if (!contains(run, b, a, &found))
            return false;
        *out = jinja_bool(found == (operator== O_IN));
        return true;
    }
    if (operator>= O_EQUAL)
        return relation(run, operator, a, b, out);
    if (operator== O_CONCAT ||(operator== O_ADD && a->kind == V_STR && b->kind == V_STR))
        return join_two(run, a, b, out);
    if (operator== O_ADD && a->kind == V_LIST && b->kind == V_LIST)
        return add_lists(run, a->list, b->list, out);
    if (operator== O_MULTIPLY && a->kind == V_STR && b->kind == V_INT)
        return repeat(run, a, b->i, out);
    return arithmetic(run, operator, a, b, out);
}

static bool eval_binary(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value a, b;

    return eval_defined(run, node->a, scope, &a) && eval_defined(run, node->b, scope, &b) &&
           apply(run, node->operator, & a, &b, out);
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

static bool index_string(const struct value *s, int64_t i, struct value *out)
{
    int64_t count = (int64_t)jinja_utf8_count(s->s.text, s->s.length);
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
    if (from.kind == V_DICT && key.kind == V_STR) {
        found = jinja_find(from.dict, key.s.text, key.s.length, out);
    } else if (from.kind == V_DICT) {
        for (size_t i = 0; i < from.dict->count && !found; i++) {
            found = jinja_equal(&from.dict->pairs[i].key, &key);
            *out = from.dict->pairs[i].value;
        }
    } else if (from.kind == V_LIST && key.kind == V_INT) {
        found = index_list(from.list, key.i, out);
    } else if (from.kind == V_STR && key.kind == V_INT) {
        found = index_string(&from, key.i, out);
    }
    if (!found) {
        const char *name =
            key.kind == V_STR ? cap_arena_strndup(run->arena, key.s.text, key.s.length) : "item";

        *out = (struct value){.kind = V_UNDEFINED, .name = name};
    }
    return true;
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

    if ((node->b && !eval(run, node->b, scope, &start)) ||
        (node->c && !eval(run, node->c, scope, &stop)) ||
        (node->step && !eval(run, node->step, scope, &step)))
        return false;
    *out_step = step.kind == V_INT ? step.i : 1;
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

static bool eval_slice(struct run *run, const struct node *node, struct scope *scope,
                       struct value *out)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    int64_t count, start, stop, step;
    struct value of;

    if (!eval_defined(run, node->a, scope, &of))
        return false;
    if (of.kind != V_LIST && of.kind != V_STR)
        return jinja_fail(run, "cannot slice a %s", jinja_kind_name(&of));
    count = of.kind == V_LIST ? (int64_t)of.list->count
                              : (int64_t)jinja_utf8_count(of.s.text, of.s.length);
    if (!slice_bounds(run, node, scope, count, &start, &stop, &step))
        return false;
    *out = jinja_list(run, 0, of.kind == V_LIST && of.list->tuple);
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
        struct value item = {0};

        if (of.kind == V_STR && index_string(&of, i, &item))
            cap_buf_add(&text, item.s.text, item.s.length);
        else if (of.kind == V_LIST && !jinja_append(run, out->list, of.list->items[i]))
            return false;
    }
    if (of.kind == V_STR)
        *out = jinja_take_buf(run, &text);
    return run->err->code == CAP_OK;
}

/* ---- calls ---- */

static bool eval_arguments(struct run *run, const struct node *list, struct scope *scope,
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

        if (!eval(run, n->a, scope, &v))
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
    struct value v = {.kind = V_UNDEFINED};

    if (index < args->count)
        return args->positional[index];
    if (name)
        jinja_find(args->named, name, strlen(name), &v);
    return v;
}

static bool bind_parameters(struct run *run, const struct node *macro, const struct arguments *args,
                            struct scope *scope)
{
    size_t index = 0;

    for (const struct node *p = macro->args; p; p = p->next, index++) {
        struct value v = jinja_argument(args, index, p->name);

        if (v.kind == V_UNDEFINED && p->a && !eval(run, p->a, scope, &v))
            return false;
        if (!set_name(run, scope, p->name, v))
            return false;
    }
    return true;
}

static bool call_macro(struct run *run, const struct node *macro, const struct arguments *args,
                       struct value *out)
{
    struct scope scope = open_scope(run, run->globals);
    struct cap_buf *outer = run->out;
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);
    enum flow flow;

    if (!bind_parameters(run, macro, args, &scope))
        return false;
    run->out = &text;
    flow = exec(run, macro->body, &scope);
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

    if (!eval_arguments(run, node->args, scope, &args))
        return false;
    if (callee->kind == N_ATTRIBUTE) {
        if (!eval_defined(run, callee->a, scope, &self))
            return false;
        if (self.kind == V_DICT)
            jinja_find(self.dict, callee->name, strlen(callee->name), &target);
        if (target.kind != V_MACRO)
            return jinja_method(run, self, callee->name, &args, out);
    } else if (!eval(run, callee, scope, &target)) {
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

        if (!eval(run, n, scope, &v) || !jinja_append(run, out->list, v))
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

        if (!eval(run, n->a, scope, &key) || !eval(run, n->b, scope, &value) ||
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

    if (!eval(run, node->a, scope, &in) || !eval_arguments(run, node->args, scope, &args))
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

    if (!eval(run, node->a, scope, &in) || !eval_arguments(run, node->args, scope, &args) ||
        !jinja_test(run, node->name, in, &args, &result))
        return false;
    *out = jinja_bool(result != node->negated);
    return true;
}

static bool eval_logic(struct run *run, const struct node *node, struct scope *scope,
                       struct value *out)
{
    if (!eval_defined(run, node->a, scope, out))
        return false;
    if (jinja_truthy(out) == (node->kind == N_OR))
        return true;
    return eval_defined(run, node->b, scope, out);
}

static bool eval_ternary(struct run *run, const struct node *node, struct scope *scope,
                         struct value *out)
{
    struct value condition;

    if (!eval(run, node->a, scope, &condition))
        return false;
    if (jinja_truthy(&condition))
        return eval(run, node->b, scope, out);
    if (node->c)
        return eval(run, node->c, scope, out);
    *out = jinja_cstr("");
    return true;
}

static bool eval_sign(struct run *run, const struct node *node, struct scope *scope,
                      struct value *out)
{
    struct value zero = jinja_int(0), v;

    return eval_defined(run, node->a, scope, &v) &&
           arithmetic(run, node->kind == N_NEGATE ? O_SUBTRACT : O_ADD, &zero, &v, out);
}

static bool eval_access(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out)
{
    struct value from, key;

    if (!eval(run, node->a, scope, &from))
        return false;
    if (node->kind == N_ATTRIBUTE)
        key = jinja_cstr(node->name);
    else if (!eval(run, node->b, scope, &key))
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
        if (!eval(run, node->a, scope, out))
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

static bool take_step(struct run *run)
{
    return ++run->steps <= RENDER_STEPS_MAX ||
           jinja_fail(run, "the template takes more than %d steps", RENDER_STEPS_MAX);
}

static bool eval(struct run *run, const struct node *node, struct scope *scope, struct value *out)
{
    bool ok;

    run->line = node->line;
    if (!take_step(run))
        return false;
    if (++run->depth > DEPTH_MAX)
        return jinja_fail(run, "the template is nested deeper than %d", DEPTH_MAX);
    ok = eval_kind(run, node, scope, out);
    run->depth--;
    return ok;
}

/* ---- statements ---- */

static bool exec_output(struct run *run, const struct node *node, struct scope *scope)
{
    struct value v;

    if (!eval_defined(run, node->a, scope, &v))
        return false;
    jinja_print(&v, run->out);
    return !run->out->overflowed ||
           jinja_fail(run, "the output has more than %zu bytes", run->out->bytes_max);
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
        return set_name(run, scope, targets->name, v);
    if (v.kind != V_LIST)
        return jinja_fail(run, "cannot take a %s apart", jinja_kind_name(&v));
    for (const struct node *t = targets; t; t = t->next, i++) {
        if (i >= v.list->count)
            return jinja_fail(run, "there are only %zu values to take apart", v.list->count);
        if (!set_name(run, scope, t->name, v.list->items[i]))
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
        struct scope inner = open_scope(run, scope);
        struct value condition;

        if (!bind_targets(run, node->args, io_items->list->items[i], &inner) ||
            !eval(run, node->b, &inner, &condition))
            return false;
        if (jinja_truthy(&condition) && !jinja_append(run, kept.list, io_items->list->items[i]))
            return false;
    }
    *io_items = kept;
    return true;
}

static bool set_loop(struct run *run, struct scope *scope, const struct list *items, size_t i)
{
    struct value loop = jinja_dict(run), undefined = {.kind = V_UNDEFINED, .name = "loop item"};
    const struct {
        const char *name;
        struct value value;
    } members[] = {
        {"index", jinja_int((int64_t)i + 1)},
        {"index0", jinja_int((int64_t)i)},
        {"revindex", jinja_int((int64_t)(items->count - i))},
        {"revindex0", jinja_int((int64_t)(items->count - i) - 1)},
        {"first", jinja_bool(i == 0)},
        {"last", jinja_bool(i + 1 == items->count)},
        {"length", jinja_int((int64_t)items->count)},
        {"previtem", i > 0 ? items->items[i - 1] : undefined},
        {"nextitem", i + 1 < items->count ? items->items[i + 1] : undefined},
    };

    for (size_t k = 0; k < CAP_COUNT_OF(members); k++)
        if (!jinja_put(run, loop.dict, jinja_cstr(members[k].name), members[k].value))
            return false;
    return set_name(run, scope, "loop", loop);
}

static enum flow exec_for(struct run *run, const struct node *node, struct scope *scope)
{
    struct value over, items;

    if (!eval_defined(run, node->a, scope, &over) || !iterate(run, &over, &items) ||
        !select_items(run, node, scope, &items))
        return FAILED;
    if (items.list->count == 0)
        return exec(run, node->orelse, scope);
    for (size_t i = 0; i < items.list->count; i++) {
        struct scope inner = open_scope(run, scope);
        enum flow flow;

        if (!take_step(run) || !set_loop(run, &inner, items.list, i) ||
            !bind_targets(run, node->args, items.list->items[i], &inner))
            return FAILED;
        flow = exec(run, node->body, &inner);
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
    if (!find_name(scope, node->args->name, &space) || space.kind != V_DICT ||
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
    flow = exec(run, body, scope);
    run->out = outer;
    *out = jinja_take_buf(run, &text);
    return flow != FAILED && run->err->code == CAP_OK;
}

/* A chain of filters around a block; the innermost has no operand of its own. */
static bool filter_text(struct run *run, const struct node *chain, struct scope *scope,
                        struct value *io_text)
{
    struct arguments args;

    return (!chain->a || filter_text(run, chain->a, scope, io_text)) &&
           eval_arguments(run, chain->args, scope, &args) &&
           jinja_filter(run, chain->name, *io_text, &args, io_text);
}

static bool exec_filter_block(struct run *run, const struct node *node, struct scope *scope)
{
    struct value text;

    if (!capture(run, node->body, scope, &text) || !filter_text(run, node->a, scope, &text))
        return false;
    jinja_print(&text, run->out);
    return true;
}

static enum flow exec_if(struct run *run, const struct node *node, struct scope *scope)
{
    struct value condition;

    if (!eval_defined(run, node->a, scope, &condition))
        return FAILED;
    return exec(run, jinja_truthy(&condition) ? node->body : node->orelse, scope);
}

static enum flow exec_one(struct run *run, const struct node *node, struct scope *scope)
{
    struct value v;
    bool ok = true;

    switch (node->kind) {
    case N_TEXT:
        jinja_print(&node->literal, run->out);
        break;
    case N_OUTPUT:
        ok = exec_output(run, node, scope);
        break;
    case N_IF:
        return exec_if(run, node, scope);
    case N_FOR:
        return exec_for(run, node, scope);
    case N_SET:
        ok = eval(run, node->a, scope, &v) && assign(run, node, scope, v);
        break;
    case N_SET_BLOCK:
        ok = capture(run, node->body, scope, &v) && assign(run, node, scope, v);
        break;
    case N_MACRO:
        ok = set_name(run, scope, node->name, (struct value){.kind = V_MACRO, .macro = node});
        break;
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

static enum flow exec(struct run *run, const struct node *node, struct scope *scope)
{
    enum flow flow = GO_ON;

    if (++run->depth > DEPTH_MAX) {
        jinja_fail(run, "the template is nested deeper than %d", DEPTH_MAX);
        return FAILED;
    }
    for (; node && flow == GO_ON; node = node->next) {
        run->line = node->line;
        flow = take_step(run) ? exec_one(run, node, scope) : FAILED;
    }
    run->depth--;
    return flow;
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
        return NULL;
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
    CAP_AUTO(cap_arena) arena = cap_arena_new(RENDER_ARENA_BYTES);
    struct run run = {.jinja = jinja, .arena = arena, .out = out, .err = err};
    struct scope globals = {NULL, NULL};
    struct value names;

    if (!jinja_from_json(&run, context, &names))
        return false;
    if (names.kind != V_DICT)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a template's context must be an object");
    globals.names = names.dict;
    run.globals = &globals;
    return exec(&run, jinja->body, &globals) != FAILED;
}
