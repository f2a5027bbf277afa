/* The tests behind `is`, a row each. */
#include <string.h>

#include "jinja/internal.h"

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
