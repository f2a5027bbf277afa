/* exact_match: equality of texts after deletions and foldings, applied to both sides. */
#include <stdlib.h>

#include "keys.h"
#include "metric.h"

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
            return cap_fail(err, CAP_INVALID_ARGUMENT, "regexes_to_ignore: entry %zu is no text",
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

const struct eval_metric_ops eval_metric_exact_match = {
    "exact_match",    "1", EVAL_NEEDS_TEXT, exact_match_keys, open_exact_match, grade_exact_match,
    free_exact_match,
};
