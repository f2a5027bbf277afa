/* Multiple choice by log-likelihood. The choice taken is the first of the likeliest; acc compares
 * the sums, acc_norm divides each by its choice's length in code points, acc_bytes in bytes (the
 * choice's own text, without the delimiter before it). */
#include <math.h>

#include "metric.h"

static const char *const no_keys[] = {NULL};

static bool is_gold(const struct eval_gold *gold, size_t choice)
{
    for (size_t i = 0; i < gold->index_count; i++)
        if (gold->indices[i] == choice)
            return true;
    return false;
}

static double by_one(struct eval_text choice)
{
    (void)choice;
    return 1;
}

static double by_code_points(struct eval_text choice)
{
    return (double)eval_text_count(choice);
}

static double by_bytes(struct eval_text choice)
{
    return (double)choice.length;
}

static bool check_scores(const struct eval_metric_input *in, struct cap_err *err)
{
    for (size_t i = 0; i < in->gold->choice_count; i++)
        if (isnan(in->scores[i].log_likelihood))
            return cap_fail(err, CAP_FAILED_PRECONDITION, "the score of choice %zu is not a number",
                            i + 1);
    return true;
}

static bool take_likeliest(const struct eval_metric_input *in, double (*divisor)(struct eval_text),
                           struct eval_metric_result *out, struct cap_err *err)
{
    size_t best = 0;
    double best_value = -INFINITY;
    const char *shown;

    if (!check_scores(in, err))
        return false;
    for (size_t i = 0; i < in->gold->choice_count; i++) {
        double value = in->scores[i].log_likelihood / divisor(in->gold->choices[i]);

        if (value > best_value) {
            best = i;
            best_value = value;
        }
    }
    shown = best < 26 ? cap_arena_printf(in->arena, "%c", (char)('A' + best))
                      : cap_arena_printf(in->arena, "%zu", best);
    out->extracted = shown ? eval_text_of(shown) : EVAL_TEXT_NONE;
    out->score = is_gold(in->gold, best);
    return true;
}

static bool grade_acc(const void *state, const struct eval_metric_input *in,
                      struct eval_metric_result *out, struct cap_err *err)
{
    (void)state;
    return take_likeliest(in, by_one, out, err);
}

static bool grade_acc_norm(const void *state, const struct eval_metric_input *in,
                           struct eval_metric_result *out, struct cap_err *err)
{
    (void)state;
    return take_likeliest(in, by_code_points, out, err);
}

static bool grade_acc_bytes(const void *state, const struct eval_metric_input *in,
                            struct eval_metric_result *out, struct cap_err *err)
{
    (void)state;
    return take_likeliest(in, by_bytes, out, err);
}

/* exact_match of multiple choice: every token of the right choice was the likeliest. */
static bool grade_greedy(const void *state, const struct eval_metric_input *in,
                         struct eval_metric_result *out, struct cap_err *err)
{
    (void)state;
    (void)err;
    for (size_t i = 0; i < in->gold->choice_count; i++)
        if (in->scores[i].greedy && is_gold(in->gold, i))
            out->score = 1;
    out->extracted = eval_text_of("");
    return true;
}

#define CHOICE_METRIC(name, grade)                                                                 \
    {                                                                                              \
        name, "1", EVAL_NEEDS_SCORES, no_keys, NULL, grade, NULL                                   \
    }

const struct eval_metric_ops eval_metric_acc = CHOICE_METRIC("acc", grade_acc);
const struct eval_metric_ops eval_metric_acc_norm = CHOICE_METRIC("acc_norm", grade_acc_norm);
const struct eval_metric_ops eval_metric_acc_bytes = CHOICE_METRIC("acc_bytes", grade_acc_bytes);
const struct eval_metric_ops eval_metric_greedy_match = CHOICE_METRIC("exact_match", grade_greedy);
