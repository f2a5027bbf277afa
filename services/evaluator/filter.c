/* Pipelines of filters: the table of steps, and the steps that need no pattern.
 *
 * A step changes the list of responses to one document, in place. It has a name, its own options
 * (unknown ones are refused by name), and state that is opened once and then only read. What it
 * does with a text is what the harness's filter of that name does (docs/graders.md). */
#include "graders.h"

#include <stdlib.h>
#include <string.h>

#include "keys.h"

bool eval_filter_fail_effort(struct cap_err *err)
{
    return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "a pattern needs too much work on this text");
}

static const char *const no_keys[] = {NULL};

/* ---- take_first, take_first_k ---- */

static bool take_first(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    (void)state;
    (void)err;
    f->count = 1;
    return true;
}

static void *open_take_first_k(const json_t *options, struct cap_err *err)
{
    long k = 0;
    long *state;

    if (!eval_key_int(options, "k", 1, EVAL_RESPONSES_MAX, &k, err))
        return NULL;
    if (k == 0) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "k is missing");
        return NULL;
    }
    if (!(state = malloc(sizeof *state)))
        abort();
    *state = k;
    return state;
}

static bool take_first_k(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    size_t k = (size_t) * (const long *)state;

    if (f->count < k)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "take_first_k wants %zu responses, there %s %zu", k,
                        f->count == 1 ? "is" : "are", f->count);
    f->count = k;
    return true;
}

/* ---- remove_whitespace, lowercase, uppercase ---- */

static bool remove_whitespace(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    (void)state;
    (void)err;
    for (size_t i = 0; i < f->count; i++)
        f->responses[i].text = eval_text_strip(f->responses[i].text);
    return true;
}

static bool map_texts(struct eval_filtering *f,
                      struct eval_text (*change)(struct cap_arena *, struct eval_text),
                      struct cap_err *err)
{
    for (size_t i = 0; i < f->count; i++) {
        f->responses[i].text = change(f->arena, f->responses[i].text);
        if (!f->responses[i].text.data)
            return eval_filter_fail_effort(err);
    }
    return true;
}

static bool lowercase(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    (void)state;
    return map_texts(f, eval_text_lower, err);
}

static bool uppercase(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    (void)state;
    return map_texts(f, eval_text_upper, err);
}

/* ---- map ---- */

/* Numbers are compared as Python writes them, since the reference answer is compared as a text. */
static json_t *as_text(const json_t *value)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 12);
    struct eval_text text;

    if (json_is_string(value))
        return json_incref((json_t *)value);
    if (!json_is_number(value) && !json_is_boolean(value))
        return NULL;
    text = eval_json_str(arena, value);
    return json_stringn(text.data, text.length);
}

/* Replaces what `key` holds by its text; false where it has none. */
static bool make_text(json_t *object, const char *key, const json_t *value)
{
    json_t *text = as_text(value);

    return text && json_object_set_new(object, key, text) == 0;
}

/* The state is a copy of the step's own options, all values texts. */
static void *open_map(const json_t *options, struct cap_err *err)
{
    json_t *state = json_deep_copy(options), *dict = json_object_get(state, "mapping_dict"),
           *fallback = json_object_get(state, "default_value"), *value;
    const char *key;
    bool ok = json_is_object(dict) ||
              cap_fail(err, CAP_INVALID_ARGUMENT, "mapping_dict must map texts to texts");

    json_object_foreach(dict, key, value)
    {
        if (ok && !make_text(dict, key, value))
            ok = cap_fail(err, CAP_INVALID_ARGUMENT,
                          "mapping_dict gives \"%.80s\" neither a text nor a number", key);
    }
    if (ok && fallback && !json_is_null(fallback) && !make_text(state, "default_value", fallback))
        ok = cap_fail(err, CAP_INVALID_ARGUMENT, "default_value must be a text or a number");
    if (ok)
        return state;
    json_decref(state);
    return NULL;
}

static bool map_responses(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    const json_t *dict = json_object_get(state, "mapping_dict");
    const json_t *fallback = json_object_get(state, "default_value");

    (void)err;
    for (size_t i = 0; i < f->count; i++) {
        struct eval_response *r = &f->responses[i];
        const json_t *value = json_object_getn(dict, r->text.data, r->text.length);

        if (!value) {
            r->missing = true;
            value = json_is_string(fallback) ? fallback : NULL;
        }
        r->text = value ? eval_json_text(value) : eval_text_of("");
    }
    return true;
}

static void free_map(void *state)
{
    json_decref(state);
}

/* ---- majority_vote ---- */

/* The most frequent response; of equally frequent ones the one seen first. */
static bool majority_vote(const void *state, struct eval_filtering *f, struct cap_err *err)
{
    size_t best = 0, best_votes = 0;

    (void)state;
    (void)err;
    for (size_t i = 0; i < f->count; i++) {
        size_t votes = 0;

        for (size_t j = i; j < f->count; j++)
            votes += eval_text_equal(f->responses[i].text, f->responses[j].text);
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    f->responses[0] = f->responses[best];
    f->count = 1;
    return true;
}

/* ---- the table ---- */

static const char *const take_first_k_keys[] = {"k", NULL};
static const char *const map_keys[] = {"mapping_dict", "default_value", NULL};

static const struct eval_filter_ops simple_filters[] = {
    {"take_first", no_keys, NULL, take_first, NULL},
    {"take_first_k", take_first_k_keys, open_take_first_k, take_first_k, free},
    {"remove_whitespace", no_keys, NULL, remove_whitespace, NULL},
    {"lowercase", no_keys, NULL, lowercase, NULL},
    {"uppercase", no_keys, NULL, uppercase, NULL},
    {"map", map_keys, open_map, map_responses, free_map},
    {"majority_vote", no_keys, NULL, majority_vote, NULL},
};

static const struct eval_filter_ops *const filters[] = {
    &simple_filters[0],
    &simple_filters[1],
    &simple_filters[2],
    &simple_filters[3],
    &simple_filters[4],
    &simple_filters[5],
    &simple_filters[6],
    &eval_filter_regex,
    &eval_filter_first_match,
    &eval_filter_remove,
    &eval_filter_multi_choice_regex,
    &eval_filter_moecap_number,
};

static const struct eval_filter_ops *find_ops(const char *name, struct cap_err *err)
{
    const char *names[CAP_COUNT_OF(filters) + 1] = {NULL}, *nearest;

    for (size_t i = 0; i < CAP_COUNT_OF(filters); i++) {
        names[i] = filters[i]->name;
        if (strcmp(name, filters[i]->name) == 0)
            return filters[i];
    }
    nearest = eval_key_nearest(names, name);
    cap_fail(err, CAP_INVALID_ARGUMENT, "there is no filter \"%.80s\"%s%s%s", name,
             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return NULL;
}

/* ---- pipelines ---- */

struct step {
    const struct eval_filter_ops *ops;
    void *state;
};

struct eval_pipeline {
    char *name;
    struct step steps[EVAL_FILTER_STEPS_MAX];
    size_t count;
};

static bool check_keys(const struct eval_filter_ops *ops, const json_t *options,
                       struct cap_err *err)
{
    const char *names[16] = {"function"};

    for (size_t i = 0; ops->keys[i]; i++)
        names[i + 1] = ops->keys[i];
    return eval_keys_known(options, names, err);
}

static bool open_step(struct eval_pipeline *pipeline, const json_t *options, struct cap_err *err)
{
    struct step *step = &pipeline->steps[pipeline->count];
    const char *name = json_string_value(json_object_get(options, "function"));

    if (pipeline->count == EVAL_FILTER_STEPS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "a filter has at most %d steps",
                        EVAL_FILTER_STEPS_MAX);
    if (!name)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "step %zu names no function",
                        pipeline->count + 1);
    if (!(step->ops = find_ops(name, err)))
        return false;
    if (!check_keys(step->ops, options, err) ||
        (step->ops->open && !(step->state = step->ops->open(options, err))))
        return cap_fail_in(err, "%s", name);
    pipeline->count++;
    return true;
}

static bool open_steps(struct eval_pipeline *pipeline, const json_t *list, struct cap_err *err)
{
    json_t *options;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "filter must be a list of steps");
    json_array_foreach((json_t *)list, i, options)
    {
        if (!open_step(pipeline, options, err))
            return false;
    }
    return true;
}

static bool fill_pipeline(struct eval_pipeline *pipeline, const json_t *options,
                          struct cap_err *err)
{
    static const char *const keys[] = {"name", "filter", NULL};

    return (eval_keys_known(options, keys, err) &&
            open_steps(pipeline, json_object_get(options, "filter"), err)) ||
           cap_fail_in(err, "filter \"%s\"", pipeline->name);
}

struct eval_pipeline *eval_pipeline_open(const json_t *options, struct cap_err *err)
{
    struct eval_pipeline *pipeline;
    const char *name = options ? json_string_value(json_object_get(options, "name")) : "none";

    if (!name || !*name || strchr(name, ',')) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "a filter needs a name without comma");
        return NULL;
    }
    if (!(pipeline = calloc(1, sizeof *pipeline)) || !(pipeline->name = strdup(name)))
        abort();
    if (!options || fill_pipeline(pipeline, options, err))
        return pipeline;
    eval_pipeline_free(pipeline);
    return NULL;
}

void eval_pipeline_free(struct eval_pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (size_t i = 0; i < pipeline->count; i++)
        if (pipeline->steps[i].ops->free)
            pipeline->steps[i].ops->free(pipeline->steps[i].state);
    free(pipeline->name);
    free(pipeline);
}

const char *eval_pipeline_name(const struct eval_pipeline *pipeline)
{
    return pipeline->name;
}

bool eval_pipeline_run(const struct eval_pipeline *pipeline, struct eval_filtering *f,
                       struct cap_err *err)
{
    for (size_t i = 0; i < pipeline->count; i++)
        if (!pipeline->steps[i].ops->apply(pipeline->steps[i].state, f, err))
            return false;
    return true;
}
