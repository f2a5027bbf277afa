/* From a definition to a task that can be used. Each top-level key has a reader; eval_task_open
 * runs them in order and says which key was at fault, so that task_read.c can name the line. */
#include "task.h"

#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "keys.h"

/* ---- keys that we know but do not take ---- */

/* Why a key of lm-evaluation-harness is refused here. */
static const struct {
    const char *key, *why;
} refused[] = {
    {"process_docs", "code in a task is not run; write the fields into the JSONL instead"},
    {"process_results", "code in a task is not run; use filter_list and metric_list"},
    {"custom_dataset", "code in a task is not run; give the data as JSONL"},
    {"class", "code in a task is not run; describe the task with the other keys"},
    {"group", "groups of tasks are not read; name the tasks when submitting"},
    {"group_alias", "groups of tasks are not read; name the tasks when submitting"},
    {"aggregate_metric_list", "groups of tasks are not read; name the tasks when submitting"},
    {"task_list",
     "a file with several tasks is not read; write one file for each, which includes it"},
    {"recipe", "code in a task is not run; describe the task with the other keys"},
    {"use_prompt", "prompt collections are not supported; write doc_to_text"},
    {"doc_to_image", "only texts are supported"},
    {"doc_to_audio", "only texts are supported"},
};

const char *const eval_task_keys[] = {
    /* used */
    "task", "samples_file", "fewshot_file", "dataset_kwargs", "test_split", "validation_split",
    "fewshot_split", "doc_to_text", "doc_to_target", "doc_to_choice", "description",
    "target_delimiter", "fewshot_delimiter", "num_fewshot", "fewshot_config", "output_type",
    "generation_kwargs", "repeats", "filter_list", "metric_list", "metadata", "think_end_token",
    "gen_prefix",
    /* kept for the reader, without effect */
    "task_alias", "tag", "unsafe_code", "dataset_path", "dataset_name", "training_split",
    "should_decontaminate", "doc_to_decontamination_query",
    /* refused with a reason */
    "process_docs", "process_results", "custom_dataset", "class", "group", "group_alias",
    "aggregate_metric_list", "task_list", "recipe", "use_prompt", "doc_to_image", "doc_to_audio",
    "include", NULL};

static bool read_unwanted(struct eval_task *task, const char **out_key, struct cap_err *err)
{
    for (size_t i = 0; i < CAP_COUNT_OF(refused); i++)
        if (json_object_get(task->definition, refused[i].key)) {
            *out_key = refused[i].key;
            return cap_fail(err, CAP_INVALID_ARGUMENT, "%s", refused[i].why);
        }
    return true;
}

/* ---- names and files ---- */

static const char *text_of(const struct eval_task *task, const char *key)
{
    return json_string_value(json_object_get(task->definition, key));
}

static bool is_task_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= 128 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
               length;
}

static bool read_task(struct eval_task *task, struct cap_err *err)
{
    task->name = text_of(task, "task");
    if (!task->name)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task has no name");
    if (!is_task_name(task->name))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"%.80s\" is not a name: 1 to 128 letters, digits, \"_\", \"-\" and \".\"",
                        task->name);
    return true;
}

static bool read_metadata(struct eval_task *task, struct cap_err *err)
{
    const json_t *metadata = json_object_get(task->definition, "metadata");
    const json_t *version = json_object_get(metadata, "version");
    struct eval_text text = eval_text_of("0");
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 12);

    if (metadata && !json_is_object(metadata))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it must have keys, such as version");
    if (version && !json_is_string(version) && !json_is_number(version))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "version must be a number or a text");
    if (version)
        text = eval_json_str(arena, version);
    task->version = strndup(text.data, text.length);
    if (!task->version)
        abort();
    return true;
}

static const char *safe_file(const char *name, const char *what, struct cap_err *err)
{
    if (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 ||
        strstr(name, "/../")) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "%s \"%.200s\" must lie in the task's folder", what,
                 name);
        return NULL;
    }
    return name;
}

/* The JSONL of a split: ours ("samples_file"), or as the json loader of HF datasets is told it
 * (dataset_kwargs: {data_files: {test: FILE}}). */
static const char *data_file(const struct eval_task *task, const char *key, const char *split)
{
    const json_t *files =
        json_object_get(json_object_get(task->definition, "dataset_kwargs"), "data_files");
    const char *own = text_of(task, key);

    if (own)
        return own;
    if (json_is_string(files))
        return strcmp(split, "train") == 0 ? NULL : json_string_value(files);
    return json_string_value(json_object_get(files, split));
}

static bool check_texts(const struct eval_task *task, struct cap_err *err)
{
    static const char *const keys[] = {"samples_file",  "fewshot_file",   "test_split",
                                       "fewshot_split", "training_split", "validation_split"};
    struct eval_text ignored;

    for (size_t i = 0; i < CAP_COUNT_OF(keys); i++)
        if (!eval_key_text(task->definition, keys[i], &ignored, err))
            return false;
    return true;
}

/* The value of `key` in fewshot_config, which stands for the task's own `outer` there. */
static const json_t *shots_key(const struct eval_task *task, const char *key, const char *outer)
{
    const json_t *own = json_object_get(json_object_get(task->definition, "fewshot_config"), key);

    return own || !outer ? own : json_object_get(task->definition, outer);
}

/* The split that the examples are taken from, by the harness's order: what is named, the examples
 * in the definition (then NULL), and what there is. */
static const char *pool_split(struct eval_task *task)
{
    static const char *const others[] = {"training_split", "validation_split", "test_split"};
    const char *named = json_string_value(shots_key(task, "split", "fewshot_split"));
    const json_t *samples = shots_key(task, "samples", NULL);

    if (named)
        return named;
    if (json_is_array(samples)) {
        task->shots.samples = samples;
        return NULL;
    }
    for (size_t i = 0; i < CAP_COUNT_OF(others); i++)
        if (text_of(task, others[i]))
            return text_of(task, others[i]);
    return "train";
}

/* The harness leaves a document out of its own examples where the pool's split, as written, is the
 * test split, as written: both may be unwritten. Ours holds wherever the pool is what is evaluated.
 */
static void compare_splits(struct eval_task *task, const char *pool)
{
    const char *named = json_string_value(shots_key(task, "split", "fewshot_split"));
    const char *test = text_of(task, "test_split");
    bool written =
        test || named || text_of(task, "validation_split") || text_of(task, "training_split");

    task->shots.draws_one_more =
        written && (named && test ? strcmp(named, test) == 0 : !named && !test);
    task->shots.same_documents =
        pool && (strcmp(pool, task->split) == 0 ||
                 (*task->fewshot_file && strcmp(task->fewshot_file, task->samples_file) == 0));
}

static bool read_files(struct eval_task *task, struct cap_err *err)
{
    const char *split = text_of(task, "test_split"), *pool;

    if (!check_texts(task, err))
        return false;
    if (!split)
        split = text_of(task, "validation_split");
    task->split = split ? split : "test";
    pool = pool_split(task);
    task->samples_file = data_file(task, "samples_file", task->split);
    task->fewshot_file = pool ? data_file(task, "fewshot_file", pool) : NULL;
    if (!task->samples_file)
        task->samples_file = "";
    if (!task->fewshot_file)
        task->fewshot_file = pool && strcmp(pool, task->split) == 0 ? task->samples_file : "";
    compare_splits(task, pool);
    return safe_file(task->samples_file, "samples_file", err) &&
           safe_file(task->fewshot_file, "fewshot_file", err);
}

/* ---- what a document becomes ---- */

static bool read_output_type(struct eval_task *task, struct cap_err *err)
{
    const char *type = text_of(task, "output_type");

    if (!type || strcmp(type, "generate_until") == 0)
        task->output = EVAL_GENERATE_UNTIL;
    else if (strcmp(type, "multiple_choice") == 0)
        task->output = EVAL_MULTIPLE_CHOICE;
    else
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "\"%.60s\" is not supported; it is generate_until or multiple_choice",
                        type);
    return true;
}

/* A dict of choices means its values, in their order. */
static struct eval_expr *open_choices(const json_t *written, struct cap_err *err)
{
    struct eval_expr *expr;
    const char *key;
    json_t *values, *value;

    if (!json_is_object(written))
        return eval_expr_open(written, err);
    values = json_array();
    json_object_foreach((json_t *)written, key, value) json_array_append(values, value);
    expr = eval_expr_open(values, err);
    json_decref(values);
    return expr;
}

/* A key of the form; `shown` in the few-shot examples, where fewshot_config may say otherwise. */
static bool open_part(const struct eval_task *task, const char *key, bool shown,
                      struct eval_expr **out, struct cap_err *err)
{
    const json_t *written = shown ? shots_key(task, key, NULL) : NULL;

    if (!written || json_is_null(written))
        written = json_object_get(task->definition, key);
    if (!written)
        return true;
    *out = strcmp(key, "doc_to_choice") == 0 ? open_choices(written, err)
                                             : eval_expr_open(written, err);
    return *out != NULL;
}

static bool read_text(struct eval_task *task, struct cap_err *err)
{
    if (!open_part(task, "doc_to_text", false, &task->form.text, err) ||
        !open_part(task, "doc_to_text", true, &task->shots.form.text, err))
        return false;
    return task->form.text || cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_text is missing");
}

static bool read_target(struct eval_task *task, struct cap_err *err)
{
    if (!open_part(task, "doc_to_target", false, &task->form.target, err) ||
        !open_part(task, "doc_to_target", true, &task->shots.form.target, err))
        return false;
    return task->form.target || cap_fail(err, CAP_INVALID_ARGUMENT, "doc_to_target is missing");
}

static bool read_choice(struct eval_task *task, struct cap_err *err)
{
    if (!open_part(task, "doc_to_choice", false, &task->form.choice, err) ||
        !open_part(task, "doc_to_choice", true, &task->shots.form.choice, err))
        return false;
    return task->form.choice || task->output != EVAL_MULTIPLE_CHOICE ||
           cap_fail(err, CAP_INVALID_ARGUMENT, "multiple_choice needs doc_to_choice");
}

static bool read_gen_prefix(struct eval_task *task, struct cap_err *err)
{
    return open_part(task, "gen_prefix", false, &task->form.gen_prefix, err) &&
           open_part(task, "gen_prefix", true, &task->shots.form.gen_prefix, err);
}

static bool read_description(struct eval_task *task, struct cap_err *err)
{
    return open_part(task, "description", false, &task->description, err);
}

static bool read_delimiters(struct eval_task *task, struct cap_err *err)
{
    const json_t *shots = json_object_get(task->definition, "fewshot_config");

    task->form.target_delimiter = eval_text_of(" ");
    task->fewshot_delimiter = eval_text_of("\n\n");
    if (!eval_key_text(task->definition, "target_delimiter", &task->form.target_delimiter, err) ||
        !eval_key_text(task->definition, "fewshot_delimiter", &task->fewshot_delimiter, err))
        return false;
    task->shots.form.target_delimiter = task->form.target_delimiter;
    task->shots.delimiter = task->fewshot_delimiter;
    return eval_key_text(shots, "target_delimiter", &task->shots.form.target_delimiter, err) &&
           eval_key_text(shots, "fewshot_delimiter", &task->shots.delimiter, err);
}

static bool read_think_end(struct eval_task *task, struct cap_err *err)
{
    task->think_end = eval_text_of("");
    return eval_key_text(task->definition, "think_end_token", &task->think_end, err);
}

/* ---- few-shot examples ---- */

static bool read_num_fewshot(struct eval_task *task, struct cap_err *err)
{
    return eval_key_int(task->definition, "num_fewshot", 0, EVAL_FEWSHOT_MAX, &task->shots.count,
                        err);
}

static bool check_samples(const json_t *samples, struct cap_err *err)
{
    if (!samples || json_is_null(samples))
        return true;
    if (!json_is_array(samples) || json_array_size(samples) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "samples must be a list of documents");
    for (size_t i = 0; i < json_array_size(samples); i++)
        if (!json_is_object(json_array_get(samples, i)))
            return cap_fail(err, CAP_INVALID_ARGUMENT, "samples: entry %zu has no keys", i + 1);
    return true;
}

/* Keys of fewshot_config that the harness has and that are refused here. */
static bool check_shots_keys(const json_t *config, struct cap_err *err)
{
    static const char *const keys[] = {
        "sampler",          "split",         "samples",         "doc_to_text",
        "doc_to_target",    "doc_to_choice", "gen_prefix",      "fewshot_delimiter",
        "target_delimiter", "process_docs",  "fewshot_indices", NULL};

    if (!eval_keys_known(config, keys, err))
        return false;
    if (json_is_string(json_object_get(config, "process_docs")))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "process_docs: code in a task is not run; write the examples into samples");
    if (json_is_array(json_object_get(config, "fewshot_indices")))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "fewshot_indices has no effect in the harness either; write the examples "
                        "into samples");
    return true;
}

static bool read_fewshot_config(struct eval_task *task, struct cap_err *err)
{
    const json_t *config = json_object_get(task->definition, "fewshot_config");
    struct eval_text sampler = eval_text_of("default");

    if (!config)
        return true;
    if (!json_is_object(config))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it must have keys, such as sampler");
    if (!check_shots_keys(config, err) || !check_samples(json_object_get(config, "samples"), err) ||
        !eval_key_text(config, "sampler", &sampler, err))
        return false;
    task->shots.first = eval_text_equal(sampler, eval_text_of("first_n"));
    if (!task->shots.first && !eval_text_equal(sampler, eval_text_of("default")))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "sampler \"%.60s\" is not known; it is default "
                        "or first_n",
                        sampler.data);
    return true;
}

/* ---- generation ---- */

static bool add_stop(struct eval_task *task, const json_t *stop, struct cap_err *err)
{
    if (!json_is_string(stop))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "until must be a text or a list of texts");
    if (json_string_length(stop) == 0)
        return true; /* the harness skips empty ones */
    if (task->stop_count == EVAL_STOPS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "until has more than %d texts", EVAL_STOPS_MAX);
    task->stops[task->stop_count++] = eval_json_text(stop);
    return true;
}

static bool read_until(struct eval_task *task, const json_t *until, struct cap_err *err)
{
    json_t *stop;
    size_t i;

    if (!until) {
        if (task->fewshot_delimiter.length > 0)
            task->stops[task->stop_count++] = task->fewshot_delimiter;
        return true;
    }
    if (!json_is_array(until))
        return add_stop(task, until, err);
    json_array_foreach((json_t *)until, i, stop)
    {
        if (!add_stop(task, stop, err))
            return false;
    }
    return true;
}

static bool read_max_tokens(struct eval_task *task, const json_t *generation, struct cap_err *err)
{
    static const char *const aliases[] = {"max_gen_toks", "max_new_tokens", "max_tokens",
                                          "max_completion_tokens"};

    task->max_tokens = EVAL_MAX_TOKENS_DEFAULT;
    for (size_t i = 0; i < CAP_COUNT_OF(aliases); i++)
        if (!eval_key_int(generation, aliases[i], 1, EVAL_MAX_TOKENS_MAX, &task->max_tokens, err))
            return false;
    return true;
}

static bool read_generation_kwargs(struct eval_task *task, struct cap_err *err)
{
    static const char *const keys[] = {
        "until",       "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens",
        "temperature", "do_sample",    "top_p",          "num_beams",  NULL};
    const json_t *generation = json_object_get(task->definition, "generation_kwargs");
    bool sample = true;
    long beams = 1;

    if (generation && !json_is_object(generation))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it must have keys, such as until");
    if (!eval_keys_known(generation, keys, err) ||
        !read_until(task, json_object_get(generation, "until"), err) ||
        !read_max_tokens(task, generation, err) ||
        !eval_key_real(generation, "temperature", 0, 100, &task->temperature, err) ||
        !eval_key_real(generation, "top_p", 0, 1, &task->top_p, err) ||
        !eval_key_bool(generation, "do_sample", &sample, err) ||
        !eval_key_int(generation, "num_beams", 1, 1000, &beams, err))
        return false;
    if (beams > 1)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "num_beams: a search with several beams is not supported; leave it out");
    if (!sample)
        task->temperature = 0;
    return true;
}

static bool read_repeats(struct eval_task *task, struct cap_err *err)
{
    long repeats = 1;

    if (!eval_key_int(task->definition, "repeats", 1, 1000000, &repeats, err))
        return false;
    if (repeats > 1)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "several answers to one prompt are not supported; submit with repeats");
    return true;
}

/* ---- filters and metrics ---- */

static bool read_filter_list(struct eval_task *task, struct cap_err *err)
{
    const json_t *list = json_object_get(task->definition, "filter_list");
    size_t count = list ? json_array_size(list) : 1;

    if (list && (!json_is_array(list) || count == 0))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it must be a list of filters");
    if (list && task->output == EVAL_MULTIPLE_CHOICE)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "multiple_choice compares log-likelihoods: there is no text to filter");
    if (!(task->pipelines = calloc(count, sizeof(struct eval_pipeline *))))
        abort();
    for (size_t i = 0; i < count; i++) {
        task->pipelines[i] = eval_pipeline_open(json_array_get(list, i), err);
        if (!task->pipelines[i])
            return false;
        task->pipeline_count++;
    }
    return true;
}

/* As the harness has them by output type. */
static json_t *default_metrics(enum eval_output output)
{
    return output == EVAL_MULTIPLE_CHOICE
               ? json_pack("[{s:s},{s:s}]", "metric", "acc", "metric", "acc_norm")
               : json_pack("[{s:s}]", "metric", "exact_match");
}

static bool open_metrics(struct eval_task *task, const json_t *list, struct cap_err *err)
{
    enum eval_needs needs =
        task->output == EVAL_MULTIPLE_CHOICE ? EVAL_NEEDS_SCORES : EVAL_NEEDS_TEXT;
    json_t *options;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it must be a list of metrics");
    if (!(task->metrics = calloc(json_array_size(list), sizeof *task->metrics)))
        abort();
    json_array_foreach((json_t *)list, i, options)
    {
        if (!eval_metric_open(options, needs, &task->metrics[i], err))
            return false;
        task->metric_count++;
    }
    return true;
}

static bool add_column(struct eval_task *task, size_t pipeline, size_t metric, struct cap_err *err)
{
    struct eval_column *column = &task->columns[task->column_count];
    const char *filter = eval_pipeline_name(task->pipelines[pipeline]);
    const char *name = task->metrics[metric].ops->name;
    int written;

    if (task->column_count == EVAL_COLUMNS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "more than %d pairs of filter and metric",
                        EVAL_COLUMNS_MAX);
    written = strcmp(filter, "none") == 0 ? asprintf(&column->id, "%s", name)
                                          : asprintf(&column->id, "%s,%s", name, filter);
    if (written < 0)
        abort();
    column->pipeline = pipeline;
    column->metric = metric;
    for (size_t i = 0; i < task->column_count; i++)
        if (strcmp(task->columns[i].id, column->id) == 0) {
            cap_fail(err, CAP_INVALID_ARGUMENT, "\"%s\" would be there twice", column->id);
            free(column->id);
            return false;
        }
    task->column_count++;
    return true;
}

static bool read_metric_list(struct eval_task *task, struct cap_err *err)
{
    json_t *list = json_object_get(task->definition, "metric_list");
    bool ok;

    list = list ? json_incref(list) : default_metrics(task->output);
    ok = open_metrics(task, list, err);
    json_decref(list);
    for (size_t p = 0; ok && p < task->pipeline_count; p++)
        for (size_t m = 0; ok && m < task->metric_count; m++)
            ok = add_column(task, p, m, err);
    return ok;
}

/* ---- opening ---- */

static const struct {
    const char *key;
    bool (*read)(struct eval_task *task, struct cap_err *err);
} readers[] = {
    {"task", read_task},
    {"metadata", read_metadata},
    {"samples_file", read_files},
    {"output_type", read_output_type},
    {"doc_to_text", read_text},
    {"doc_to_target", read_target},
    {"doc_to_choice", read_choice},
    {"gen_prefix", read_gen_prefix},
    {"description", read_description},
    {"target_delimiter", read_delimiters},
    {"think_end_token", read_think_end},
    {"num_fewshot", read_num_fewshot},
    {"fewshot_config", read_fewshot_config},
    {"generation_kwargs", read_generation_kwargs},
    {"repeats", read_repeats},
    {"filter_list", read_filter_list},
    {"metric_list", read_metric_list},
};

static bool fill_task(struct eval_task *task, const char **out_key, struct cap_err *err)
{
    if (!read_unwanted(task, out_key, err))
        return cap_fail_in(err, "%s", *out_key);
    for (size_t i = 0; i < CAP_COUNT_OF(readers); i++)
        if (!readers[i].read(task, err)) {
            *out_key = readers[i].key;
            return cap_fail_in(err, "%s", readers[i].key);
        }
    return true;
}

struct eval_task *eval_task_open_json(const json_t *definition, const char **out_key,
                                      struct cap_err *err)
{
    struct eval_task *task;
    const char *ignored;

    if (!out_key)
        out_key = &ignored;
    *out_key = NULL;
    if (!json_is_object(definition)) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "a task's definition is a JSON object");
        return NULL;
    }
    if (!eval_keys_known(definition, eval_task_keys, err))
        return NULL;
    if (!(task = calloc(1, sizeof *task)))
        abort();
    task->definition = json_deep_copy(definition);
    if (fill_task(task, out_key, err))
        return task;
    eval_task_free(task);
    return NULL;
}

struct eval_task *eval_task_open(const char *definition, const char **out_key, struct cap_err *err)
{
    json_error_t where;
    struct eval_task *task;
    json_t *json;

    if (strlen(definition) > EVAL_DEFINITION_BYTES_MAX) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "a definition has at most %d bytes",
                 EVAL_DEFINITION_BYTES_MAX);
        return NULL;
    }
    json = json_loads(definition, JSON_REJECT_DUPLICATES, &where);
    if (!json) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "the definition is not JSON: %.200s", where.text);
        return NULL;
    }
    task = eval_task_open_json(json, out_key, err);
    json_decref(json);
    return task;
}

static void free_form(struct eval_form *form)
{
    eval_expr_free(form->text);
    eval_expr_free(form->target);
    eval_expr_free(form->choice);
    eval_expr_free(form->gen_prefix);
}

void eval_task_free(struct eval_task *task)
{
    if (!task)
        return;
    for (size_t i = 0; i < task->column_count; i++)
        free(task->columns[i].id);
    for (size_t i = 0; i < task->metric_count; i++)
        eval_metric_done(&task->metrics[i]);
    for (size_t i = 0; i < task->pipeline_count; i++)
        eval_pipeline_free(task->pipelines[i]);
    free(task->metrics);
    free(task->pipelines);
    free_form(&task->form);
    free_form(&task->shots.form);
    eval_expr_free(task->description);
    free(task->version);
    json_decref(task->definition);
    free(task);
}

int eval_task_column(const struct eval_task *task, const char *name)
{
    for (size_t i = 0; i < task->column_count; i++)
        if (strcmp(task->columns[i].id, name) == 0 ||
            strcmp(eval_pipeline_name(task->pipelines[task->columns[i].pipeline]), name) == 0)
            return (int)i;
    return -1;
}

const char *eval_output_name(enum eval_output output)
{
    return output == EVAL_MULTIPLE_CHOICE ? "multiple_choice" : "generate_until";
}
