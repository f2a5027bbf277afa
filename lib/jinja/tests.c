/* The tests behind `is`, a row each. */
#include <string.h>

#include "jinja/internal.h"

typedef bool test_function(const struct value *in, const struct value *arg);

static bool is_defined(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind != V_UNDEFINED;
}

static bool is_undefined(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_UNDEFINED;
}

static bool is_none(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_NONE;
}

static bool is_string(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_STR;
}

static bool is_number(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_INT || in->kind == V_FLOAT || in->kind == V_BOOL;
}

static bool is_integer(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_INT;
}

static bool is_float(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_FLOAT;
}

static bool is_boolean(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_BOOL;
}

static bool is_true(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_BOOL && in->b;
}

static bool is_false(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_BOOL && !in->b;
}

static bool is_mapping(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_DICT;
}

static bool is_iterable(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_LIST || in->kind == V_DICT || in->kind == V_STR;
}

static bool is_callable(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_MACRO || in->kind == V_FUNCTION;
}

static bool is_odd(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_INT && in->i % 2 != 0;
}

static bool is_even(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_INT && in->i % 2 == 0;
}

static bool is_divisible(const struct value *in, const struct value *arg)
{
    return in->kind == V_INT && arg->kind == V_INT && arg->i != 0 &&
           (arg->i == -1 || in->i % arg->i == 0);
}

static bool is_equal(const struct value *in, const struct value *arg)
{
    return jinja_equal(in, arg);
}

static bool is_not_equal(const struct value *in, const struct value *arg)
{
    return !jinja_equal(in, arg);
}

static bool is_less(const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(in, arg, &order) && order < 0;
}

static bool is_greater(const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(in, arg, &order) && order > 0;
}

static bool is_at_most(const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(in, arg, &order) && order <= 0;
}

static bool is_at_least(const struct value *in, const struct value *arg)
{
    int order;

    return jinja_compare(in, arg, &order) && order >= 0;
}

/* The same object in Python; for texts and numbers we ask whether they are equal and of a kind. */
static bool is_same(const struct value *in, const struct value *arg)
{
    return in->kind == arg->kind && jinja_equal(in, arg);
}

static bool is_lower(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_STR && jinja_only_case(*in, false);
}

static bool is_upper(const struct value *in, const struct value *arg)
{
    (void)arg;
    return in->kind == V_STR && jinja_only_case(*in, true);
}

static bool is_in(const struct value *in, const struct value *arg)
{
    struct value unused;

    if (arg->kind == V_STR && in->kind == V_STR)
        return memmem(arg->s.text, arg->s.length, in->s.text, in->s.length) != NULL;
    if (arg->kind == V_DICT)
        return in->kind == V_STR && jinja_find(arg->dict, in->s.text, in->s.length, &unused);
    for (size_t i = 0; arg->kind == V_LIST && i < arg->list->count; i++)
        if (jinja_equal(&arg->list->items[i], in))
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
    *out = function(&in, &arg);
    return true;
}
