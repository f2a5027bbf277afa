/* The metrics: from a filtered answer, or from log-likelihoods, to right or wrong.
 *
 * Of texts: equality after deletions and foldings that are applied to both sides, in the order and
 * with the quirks of the reference, which keeps its texts in numpy's arrays. Of choices: the one
 * taken is the first of the likeliest; acc compares the sums, acc_norm divides each by its choice's
 * length in code points, acc_bytes in bytes (the choice's own text, without the delimiter before
 * it). At the end the table, and how an entry of metric_list is read. */
#include "graders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "keys.h"

/* ---- texts ---- */

enum { PATTERNS_MAX = 32 };

struct exact_match {
    struct eval_regex *ignore[PATTERNS_MAX];
    size_t ignore_count;
    bool ignore_case, ignore_punctuation, ignore_numbers;
};

static void free_exact_match(void *state)
{
    struct exact_match *m = state;

    for (size_t i = 0; i < m->ignore_count; i++)
        eval_regex_free(m->ignore[i]);
    free(m);
}

static bool read_ignored(struct exact_match *m, const json_t *list, struct cap_err *err)
{
    json_t *pattern;
    size_t i;

    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list) || json_array_size(list) > PATTERNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "regexes_to_ignore must be a list of at most %d patterns", PATTERNS_MAX);
    json_array_foreach((json_t *)list, i, pattern)
    {
        if (!json_is_string(pattern))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "regexes_to_ignore: entry %zu is not a text",
                            i + 1);
        if (!(m->ignore[i] = eval_regex_open(eval_json_text(pattern), err)))
            return cap_fail_in(err, "regexes_to_ignore");
        m->ignore_count++;
    }
    return true;
}

static void *open_exact_match(const json_t *options, struct cap_err *err)
{
    struct exact_match *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    if (read_ignored(m, json_object_get(options, "regexes_to_ignore"), err) &&
        eval_key_bool(options, "ignore_case", &m->ignore_case, err) &&
        eval_key_bool(options, "ignore_punctuation", &m->ignore_punctuation, err) &&
        eval_key_bool(options, "ignore_numbers", &m->ignore_numbers, err))
        return m;
    free_exact_match(m);
    return NULL;
}

/* A text in numpy's array of one text: as wide as it was written, and without trailing NULs. */
struct cell {
    struct eval_text text;
    size_t width;
};

static struct cell cell_of(struct eval_text text)
{
    return (struct cell){eval_text_strip_nuls(text), eval_text_count(text)};
}

/* Lower case that has become longer loses its end, as the array does not grow with it. */
static struct eval_text lower_in_cell(struct cap_arena *arena, struct cell cell)
{
    struct eval_text lower = eval_text_lower(arena, cell.text);

    return lower.data ? eval_text_first(lower, cell.width) : lower;
}

/* The order is the reference's. */
static bool normalise(const struct exact_match *m, const struct eval_metric_input *in,
                      struct eval_text *io_text)
{
    struct cell cell = cell_of(*io_text);

    for (size_t i = 0; i < m->ignore_count; i++) {
        if (!eval_regex_remove(m->ignore[i], in->work, in->arena, cell.text, &cell.text))
            return false;
        cell = cell_of(cell.text);
    }
    if (m->ignore_case)
        cell.text = lower_in_cell(in->arena, cell);
    if (m->ignore_punctuation && cell.text.data)
        cell.text = eval_text_drop_ascii_punctuation(in->arena, cell.text);
    if (m->ignore_numbers && cell.text.data)
        cell.text = eval_text_drop_digits(in->arena, cell.text);
    *io_text = cell.text.data ? eval_text_strip_nuls(cell.text) : cell.text;
    return cell.text.data != NULL;
}

static bool grade_exact_match(const void *state, const struct eval_metric_input *in,
                              struct eval_metric_result *out, struct cap_err *err)
{
    struct eval_text answer = in->answer;

    if (!normalise(state, in, &answer))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "a pattern needs too much work on this text");
    for (size_t i = 0; i < in->gold->text_count; i++) {
        struct eval_text gold = in->gold->texts[i];

        if (!normalise(state, in, &gold))
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                            "a pattern needs too much work on the reference answer");
        if (eval_text_equal(answer, gold))
            out->score = 1;
    }
    return true;
}

static const char *const exact_match_keys[] = {"regexes_to_ignore", "ignore_case",
                                               "ignore_punctuation", "ignore_numbers", NULL};

/* 2: remove_whitespace strips both ends, multi_choice_regex tries the longest choice first. */
const struct eval_metric_ops eval_metric_exact_match = {
    "exact_match",    "2", EVAL_NEEDS_TEXT, exact_match_keys, open_exact_match, grade_exact_match,
    free_exact_match,
};

/* ---- choices ---- */

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

/* ---- the table ---- */

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
    CAP_AUTO_BUF(known, 1 << 12);
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
    if (nearest)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "there is no metric \"%.80s\"; did you mean \"%s\"?", name, nearest);
    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "there is no metric \"%.80s\" here: leave it out; there are %s", name,
                    known.data);
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
