/* What the operators of an expression do to two values, and the tests behind `is`, a row each. */
#include <math.h>
#include <string.h>

#include "jinja/inside.h"

static bool number_of(const struct value *v, double *out)
{
    if (v->kind != V_INT && v->kind != V_FLOAT && v->kind != V_BOOL)
        return false;
    *out = v->kind == V_FLOAT ? v->f : v->kind == V_INT ? (double)v->i : v->b;
    return true;
}

static int64_t integer_of(const struct value *v)
{
    return v->kind == V_INT ? v->i : v->b;
}

static struct value real(double f)
{
    return (struct value){.kind = V_FLOAT, .f = f};
}

static bool integer_arithmetic(struct run *run, enum binary_op op, int64_t a, int64_t b,
                               struct value *out)
{
    int64_t result = 0;
    bool overflow = false;

    if (b == 0 && (op == O_FLOOR_DIVIDE || op == O_MODULO))
        return jinja_fail(run, "division by zero");
    if (op == O_ADD)
        overflow = __builtin_add_overflow(a, b, &result);
    else if (op == O_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &result);
    else if (op == O_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &result);
    else if (b == -1)
        overflow = op == O_FLOOR_DIVIDE && __builtin_sub_overflow(0, a, &result);
    else if (op == O_FLOOR_DIVIDE)
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

static bool arithmetic(struct run *run, enum binary_op op, const struct value *a,
                       const struct value *b, struct value *out)
{
    double x, y;

    if (!number_of(a, &x) || !number_of(b, &y))
        return jinja_fail(run, "cannot calculate with %s and %s", jinja_kind_name(a),
                          jinja_kind_name(b));
    if (op == O_POWER)
        return power(run, a, b, x, y, out);
    if (a->kind != V_FLOAT && b->kind != V_FLOAT && op != O_DIVIDE)
        return integer_arithmetic(run, op, integer_of(a), integer_of(b), out);
    if (y == 0 && op != O_ADD && op != O_SUBTRACT && op != O_MULTIPLY)
        return jinja_fail(run, "division by zero");
    *out = real(op == O_ADD            ? x + y
                : op == O_SUBTRACT     ? x - y
                : op == O_MULTIPLY     ? x * y
                : op == O_DIVIDE       ? x / y
                : op == O_FLOOR_DIVIDE ? floor(x / y)
                                       : x - y * floor(x / y));
    return true;
}

static bool repeat(struct run *run, const struct value *s, int64_t times, struct value *out)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    for (int64_t i = 0; i < times && s->s.length > 0 && !text.overflowed; i++) {
        if (!jinja_charge(run, s->s.length))
            return false;
        cap_buf_add(&text, s->s.text, s->s.length);
    }
    *out = jinja_take_buf(run, &text);
    return run->err->code == CAP_OK;
}

static bool repeat_list(struct run *run, const struct list *list, int64_t times, struct value *out)
{
    *out = jinja_list(run, 8, list->tuple);
    for (int64_t i = 0; i < times && list->count > 0; i++)
        for (size_t k = 0; k < list->count; k++)
            if (!jinja_append(run, out->list, list->items[k]))
                return false;
    return true;
}

/* text % (a, b), text % a, text % {...} */
static bool format_with(struct run *run, const struct value *text, const struct value *with,
                        struct value *out)
{
    struct value single = *with;
    bool many = with->kind == V_LIST && with->list->tuple;
    struct dict none = {0};
    struct arguments args = {many ? with->list->items : &single, many ? with->list->count : 1,
                             with->kind == V_DICT ? with->dict : &none};

    return jinja_format_percent(run, *text, &args, out);
}

static bool join_two(struct run *run, const struct value *a, const struct value *b,
                     struct value *out)
{
    CAP_AUTO_BUF(text, TEMPLATE_BYTES_MAX);

    jinja_print(run, a, &text);
    jinja_print(run, b, &text);
    *out = jinja_take_buf(run, &text);
    return run->err->code == CAP_OK;
}

static bool add_lists(struct run *run, const struct list *a, const struct list *b,
                      struct value *out)
{
    if (!jinja_charge(run, (a->count + b->count) * sizeof(struct value)))
        return false;
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
        *out = jinja_charge(run, in->s.length + item->s.length) &&
               memmem(in->s.text, in->s.length, item->s.text, item->s.length) != NULL;
    } else if (in->kind == V_LIST) {
        for (size_t i = 0; i < in->list->count && !*out; i++)
            *out = jinja_equal(run, &in->list->items[i], item);
    } else if (in->kind == V_DICT) {
        *out =
            item->kind == V_STR && jinja_find(run, in->dict, item->s.text, item->s.length, &unused);
    } else if (in->kind != V_UNDEFINED) {
        return jinja_fail(run, "cannot look inside a %s", jinja_kind_name(in));
    }
    return run->err->code == CAP_OK;
}

static bool relation(struct run *run, enum binary_op op, const struct value *a,
                     const struct value *b, struct value *out)
{
    int order;

    if (op == O_EQUAL || op == O_NOT_EQUAL) {
        *out = jinja_bool(jinja_equal(run, a, b) == (op == O_EQUAL));
        return run->err->code == CAP_OK;
    }
    if (!jinja_compare(run, a, b, &order))
        return jinja_fail(run, "cannot order %s and %s", jinja_kind_name(a), jinja_kind_name(b));
    *out = jinja_bool(op == O_LESS         ? order < 0
                      : op == O_LESS_EQUAL ? order <= 0
                      : op == O_GREATER    ? order > 0
                                           : order >= 0);
    return true;
}

bool jinja_apply(struct run *run, enum binary_op op, const struct value *a, const struct value *b,
                 struct value *out)
{
    bool found;

    if (op == O_IN || op == O_NOT_IN) {
        if (!contains(run, b, a, &found))
            return false;
        *out = jinja_bool(found == (op == O_IN));
        return true;
    }
    if (op >= O_EQUAL)
        return relation(run, op, a, b, out);
    if (op == O_CONCAT || (op == O_ADD && a->kind == V_STR && b->kind == V_STR))
        return join_two(run, a, b, out);
    if (op == O_ADD && a->kind == V_LIST && b->kind == V_LIST)
        return add_lists(run, a->list, b->list, out);
    if (op == O_MULTIPLY && a->kind == V_STR && b->kind == V_INT)
        return repeat(run, a, b->i, out);
    if (op == O_MULTIPLY && a->kind == V_LIST && b->kind == V_INT)
        return repeat_list(run, a->list, b->i, out);
    if (op == O_MODULO && a->kind == V_STR)
        return format_with(run, a, b, out);
    return arithmetic(run, op, a, b, out);
}

/* ---- tests ---- */

typedef bool test_function(struct run *run, const struct value *in, const struct value *arg);

static bool is_defined(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind != V_UNDEFINED;
}

static bool is_undefined(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_UNDEFINED;
}

static bool is_none(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_NONE;
}

static bool is_string(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_STR;
}

static bool is_number(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_INT || in->kind == V_FLOAT || in->kind == V_BOOL;
}

static bool is_integer(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_INT;
}

static bool is_float(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_FLOAT;
}

static bool is_boolean(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_BOOL;
}

static bool is_true(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_BOOL && in->b;
}

static bool is_false(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_BOOL && !in->b;
}

static bool is_mapping(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_DICT;
}

static bool is_iterable(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_LIST || in->kind == V_DICT || in->kind == V_STR;
}

static bool is_callable(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_MACRO || in->kind == V_FUNCTION;
}

static bool is_odd(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_INT && in->i % 2 != 0;
}

static bool is_even(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_INT && in->i % 2 == 0;
}

static bool is_divisible(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    return in->kind == V_INT && arg->kind == V_INT && arg->i != 0 &&
           (arg->i == -1 || in->i % arg->i == 0);
}

static bool is_equal(struct run *run, const struct value *in, const struct value *arg)
{
    return jinja_equal(run, in, arg);
}

static bool is_not_equal(struct run *run, const struct value *in, const struct value *arg)
{
    return !jinja_equal(run, in, arg);
}

static bool is_less(struct run *run, const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(run, in, arg, &order) && order < 0;
}

static bool is_greater(struct run *run, const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(run, in, arg, &order) && order > 0;
}

static bool is_at_most(struct run *run, const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(run, in, arg, &order) && order <= 0;
}

static bool is_at_least(struct run *run, const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(run, in, arg, &order) && order >= 0;
}

/* The same object in Python; for texts and numbers we ask whether they are equal and of a kind. */
static bool is_same(struct run *run, const struct value *in, const struct value *arg)
{
    return in->kind == arg->kind && jinja_equal(run, in, arg);
}

static bool is_lower(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_STR && jinja_only_case(run, *in, false);
}

static bool is_upper(struct run *run, const struct value *in, const struct value *arg)
{
    (void)run;
    (void)arg;
    return in->kind == V_STR && jinja_only_case(run, *in, true);
}

static bool is_in(struct run *run, const struct value *in, const struct value *arg)
{
    struct value unused;

    if (arg->kind == V_STR && in->kind == V_STR)
        return jinja_charge(run, arg->s.length + in->s.length) &&
               memmem(arg->s.text, arg->s.length, in->s.text, in->s.length) != NULL;
    if (arg->kind == V_DICT)
        return in->kind == V_STR && jinja_find(run, arg->dict, in->s.text, in->s.length, &unused);
    for (size_t i = 0; arg->kind == V_LIST && i < arg->list->count; i++)
        if (jinja_equal(run, &arg->list->items[i], in))
            return true;
    return false;
}

static const struct {
    const char *name;
    test_function *function;
} tests[] = {
    {"boolean", is_boolean},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"even", is_even},
    {"false", is_false},
    {"float", is_float},
    {"ge", is_at_least},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", is_in},
    {"integer", is_integer},
    {"iterable", is_iterable},
    {"le", is_at_most},
    {"lessthan", is_less},
    {"lower", is_lower},
    {"lt", is_less},
    {"mapping", is_mapping},
    {"ne", is_not_equal},
    {"none", is_none},
    {"number", is_number},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_iterable},
    {"string", is_string},
    {"true", is_true},
    {"undefined", is_undefined},
    {"upper", is_upper},
};

static test_function *find_test(const char *name)
{
    for (size_t i = 0; i < CAP_COUNT_OF(tests); i++)
        if (strcmp(tests[i].name, name) == 0)
            return tests[i].function;
    return NULL;
}

bool jinja_has_test(const char *name)
{
    return find_test(name) != NULL;
}

bool jinja_test(struct run *run, const char *name, struct value in, const struct arguments *args,
                bool *out)
{
    test_function *function = find_test(name);
    struct value arg = jinja_argument(args, 0, NULL);

    if (!function)
        return jinja_fail(run, "there is no test %s", name);
    *out =
        jinja_charge(run, CALL_WORK + args->named->count * STEP_WORK) && function(run, &in, &arg);
    return run->err->code == CAP_OK;
}
