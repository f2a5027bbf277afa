#include "metric.h"

#include <string.h>

#include "keys.h"

static const struct eval_metric_ops *const metrics[] = {
    &eval_metric_exact_match, &eval_metric_acc,          &eval_metric_acc_norm,
    &eval_metric_acc_bytes,   &eval_metric_greedy_match,
};

/* Keys of metric_list that are not the metric's own. The mean is the only aggregation there is: a
 * figure with its interval (measure/accuracy.c). weight_by_size is about means over the tasks of a
 * group, and has no effect in a task. */
static const char *const shared_keys[] = {"metric",         "aggregation", "higher_is_better",
                                          "weight_by_size", "hf_evaluate", NULL};

static bool refuse_name(const char *name, enum eval_needs needs, struct cap_err *err)
{
    const char *names[CAP_COUNT_OF(metrics) + 1] = {NULL}, *nearest;
    bool elsewhere = false;
    size_t count = 0;

    for (size_t i = 0; i < CAP_COUNT_OF(metrics); i++) {
        if (metrics[i]->needs == needs)
            names[count++] = metrics[i]->name;
        else
            elsewhere |= strcmp(metrics[i]->name, name) == 0;
    }
    if (elsewhere)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "metric \"%s\" needs %s", name,
                        needs == EVAL_NEEDS_TEXT ? "output_type multiple_choice"
                                                 : "output_type generate_until");
    nearest = eval_key_nearest(names, name);
    return cap_fail(err, CAP_INVALID_ARGUMENT, "there is no metric \"%.80s\"%s%s%s", name,
                    nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                    nearest ? "\"?" : "");
}

static bool check_keys(const struct eval_metric_ops *ops, const json_t *options,
                       struct cap_err *err)
{
    const char *names[16] = {NULL};
    size_t count = 0;

    for (size_t i = 0; shared_keys[i]; i++)
        names[count++] = shared_keys[i];
    for (size_t i = 0; ops->keys[i]; i++)
        names[count++] = ops->keys[i];
    return eval_keys_known(options, names, err);
}

static bool check_aggregation(const json_t *options, struct cap_err *err)
{
    struct eval_text aggregation = eval_text_of("mean");
    bool higher = true, ignored, of_others = false;

    if (!eval_key_bool(options, "weight_by_size", &ignored, err) ||
        !eval_key_bool(options, "hf_evaluate", &of_others, err))
        return false;
    if (of_others)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "hf_evaluate: metrics of other libraries are not run; leave it out");
    if (!eval_key_text(options, "aggregation", &aggregation, err) ||
        !eval_key_bool(options, "higher_is_better", &higher, err))
        return false;
    if (!eval_text_equal(aggregation, eval_text_of("mean")))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "aggregation \"%.40s\" is not known; it is mean",
                        aggregation.data);
    if (!higher)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "higher_is_better cannot be false here");
    return true;
}

bool eval_metric_open(const json_t *options, enum eval_needs needs, struct eval_metric *out,
                      struct cap_err *err)
{
    const char *name = json_string_value(json_object_get(options, "metric"));
    const struct eval_metric_ops *ops = NULL;
    void *state = NULL;

    if (!name)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "an entry names no metric");
    for (size_t i = 0; i < CAP_COUNT_OF(metrics); i++)
        if (strcmp(metrics[i]->name, name) == 0 && metrics[i]->needs == needs)
            ops = metrics[i];
    if (!ops)
        return refuse_name(name, needs, err);
    if (!check_keys(ops, options, err) || !check_aggregation(options, err) ||
        (ops->open && !(state = ops->open(options, err))))
        return cap_fail_in(err, "metric \"%s\"", name);
    *out = (struct eval_metric){ops, state};
    return true;
}

void eval_metric_done(struct eval_metric *metric)
{
    if (metric->ops && metric->ops->free)
        metric->ops->free(metric->state);
}
