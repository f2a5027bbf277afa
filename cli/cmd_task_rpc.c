/* task list, show, add. Adding: the evaluator reads the YAML (and says which files it includes),
 * renders every sample once as a check, and the store keeps task and data. */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/python_json.h"
#include "cmd.h"
#include "moecap/v1/evaluator.rpc.h"
#include "moecap/v1/store.rpc.h"
#include "out.h"
#include "suite.h"

enum {
    YAML_BYTES_MAX = 1 << 20,
    DATA_BYTES_MAX = 1 << 30,
    FILES_MAX = 32,
    CHUNK_LINES = 128,
    CHUNK_BYTES = 1 << 20,
    CHECK_MS = 600000,
    CHECK_ARENA_BYTES = 256 << 20,
};

struct cli_task_options cli_task_options;

/* ---- list and show ---- */

static void print_tasks(const Moecap__V1__ListTasksReply *reply)
{
    static const char *const head[] = {"task", "version",  "samples",
                                       "kind", "few-shot", "headline metric"};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), 1u << 2 | 1u << 4);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < reply->n_tasks; i++) {
        const Moecap__V1__TaskInfo *t = reply->tasks[i];

        cli_table_add(&table, t->name);
        cli_table_add(&table, t->version);
        cli_table_addf(&table, "%u", t->samples);
        cli_table_add(&table, t->output_type);
        cli_table_addf(&table, "%u", t->num_fewshot);
        cli_table_add(&table, t->n_metrics ? t->metrics[0] : "-");
    }
    cli_table_print(&table, &out);
    printf("%s", out.data);
    cli_table_done(&table);
}

static Moecap__V1__ListTasksReply *append_tasks(Moecap__V1__ListTasksReply *all,
                                                Moecap__V1__ListTasksReply *page,
                                                struct cap_arena *arena)
{
    size_t count = all ? all->n_tasks : 0;
    Moecap__V1__TaskInfo **tasks = cap_arena_array(arena, count + page->n_tasks + 1, sizeof *tasks);

    if (!all || !tasks)
        return tasks ? page : NULL;
    memcpy(tasks, all->tasks, count * sizeof *tasks);
    memcpy(tasks + count, page->tasks, page->n_tasks * sizeof *tasks);
    page->tasks = tasks;
    page->n_tasks += count;
    return page;
}

/* All of them, however many replies that takes. */
static Moecap__V1__ListTasksReply *list_tasks(struct cli_suite *suite, bool with_definition,
                                              struct cap_err *err)
{
    Moecap__V1__ListTasksRequest request = MOECAP__V1__LIST_TASKS_REQUEST__INIT;
    Moecap__V1__ListTasksReply *all = NULL, *page;

    request.without_definition = !with_definition;
    do {
        if (!store_rpc_list_tasks(suite->store, NULL, &request, suite->arena, &page, err))
            return NULL;
        if (!(all = append_tasks(all, page, suite->arena))) {
            cap_fail(err, CAP_RESOURCE_EXHAUSTED, "there are too many tasks to list");
            return NULL;
        }
        request.after = page->next_after;
    } while (page->opt_next_case == MOECAP__V1__LIST_TASKS_REPLY__OPT_NEXT_NEXT_AFTER);
    return all;
}

int cli_cmd_task_list(struct cli_context *context, const struct cli_words *words,
                      struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__ListTasksReply *reply;

    (void)words;
    if (!suite || !(reply = list_tasks(suite, context->globals.json, err)))
        return cli_exit_of(err->code);
    if (context->globals.json)
        cli_print_json(cap_wire_to_json(&reply->base));
    else
        print_tasks(reply);
    return CLI_OK;
}

int cli_cmd_task_show(struct cli_context *context, const struct cli_words *words,
                      struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    Moecap__V1__GetTaskRequest request = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply *reply;
    const Moecap__V1__TaskInfo *t;
    CAP_AUTO_BUF(metrics, 1 << 16);

    request.name = (char *)words->items[0];
    if (!suite || !store_rpc_get_task(suite->store, NULL, &request, suite->arena, &reply, err))
        return cli_exit_of(err->code);
    if (context->globals.json) {
        cli_print_json(cap_wire_to_json(&reply->base));
        return CLI_OK;
    }
    t = reply->task;
    cli_say("task         %s, version %s", t->name, t->version);
    cli_say("description  %s", t->description);
    cli_say("kind         %s, %u samples of split %s, %u-shot", t->output_type, t->samples,
            t->split, t->num_fewshot);
    for (size_t i = 0; i < t->n_metrics; i++)
        cap_buf_printf(&metrics, "%s%s", i ? "; " : "", t->metrics[i]);
    cli_say("metrics      %s", metrics.data);
    cli_say("data         sha256 %s", t->data_sha256);
    cli_say("definition   sha256 %s", t->definition_sha256);
    return CLI_OK;
}

/* ---- add ---- */

struct lines {
    char *text;             /* the file, cut at newlines */
    char **items;           /* lines that are not blank ... */
    size_t *numbers;        /* ... and where they stand, from 1 */
    struct cap_arena *made; /* of lines that are not the file's own; NULL: there are none */
    size_t count, capacity;
};

enum { MADE_BYTES_MAX = 1 << 30 };

static void lines_done(struct lines *lines)
{
    free(lines->text);
    free(lines->items);
    free(lines->numbers);
    cap_arena_free(lines->made);
}

static void add_line(struct lines *lines, char *text, size_t number)
{
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity ? lines->capacity * 2 : 1024;
        lines->items = realloc(lines->items, lines->capacity * sizeof *lines->items);
        lines->numbers = realloc(lines->numbers, lines->capacity * sizeof *lines->numbers);
        if (!lines->items || !lines->numbers)
            abort();
    }
    lines->items[lines->count] = text;
    lines->numbers[lines->count++] = number;
}

static bool read_lines(const char *path, struct lines *out, struct cap_err *err)
{
    size_t number = 0;

    *out = (struct lines){.text = cap_file_read_regular(path, DATA_BYTES_MAX, NULL, err)};
    if (!out->text)
        return false;
    /* a byte order mark is not part of the first line */
    for (char *line = out->text + (strncmp(out->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), *next; line;
         line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        if (line[strspn(line, " \t\r")] != '\0')
            add_line(out, line, number);
    }
    return true;
}

static char *dir_of(struct cap_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? cap_arena_strndup(arena, path, (size_t)(slash - path))
                 : cap_arena_strdup(arena, ".");
}

static bool add_file(struct cap_arena *arena, Moecap__V1__ReadTaskRequest *request, const char *dir,
                     const char *name, struct cap_err *err)
{
    Moecap__V1__TaskFile *file = cap_arena_alloc(arena, sizeof *file);
    size_t length;
    CAP_AUTO_MEM char *text = cap_file_read_regular(cap_arena_printf(arena, "%s/%s", dir, name),
                                                    YAML_BYTES_MAX, &length, err);

    if (!text)
        return false;
    if (request->n_files == FILES_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the task includes more than %d files",
                        FILES_MAX);
    moecap__v1__task_file__init(file);
    file->name = cap_arena_strdup(arena, name);
    file->text.len = length;
    file->text.data = (uint8_t *)cap_arena_strndup(arena, text, length);
    request->files[request->n_files++] = file;
    return true;
}

/* Sends the YAML, then what it includes, until the evaluator has everything. */
static bool read_task(struct cli_suite *suite, const char *dir, const char *main_name,
                      Moecap__V1__ReadTaskReply **out_task, struct cap_err *err)
{
    Moecap__V1__ReadTaskRequest request = MOECAP__V1__READ_TASK_REQUEST__INIT;
    Moecap__V1__ReadTaskReply *reply;

    request.main = (char *)main_name;
    request.files = cap_arena_array(suite->arena, FILES_MAX, sizeof *request.files);
    if (!add_file(suite->arena, &request, dir, main_name, err))
        return false;
    for (;;) {
        if (!evaluator_rpc_read_task(suite->evaluator, NULL, &request, suite->arena, &reply, err))
            return false;
        if (reply->n_missing_files == 0)
            break;
        for (size_t i = 0; i < reply->n_missing_files; i++)
            if (!add_file(suite->arena, &request, dir, reply->missing_files[i], err))
                return cap_fail_in(err, "%s includes it", main_name);
    }
    *out_task = reply;
    return reply->task || cap_fail(err, CAP_INTERNAL, "the evaluator returned no task");
}

/* Few enough lines and bytes for one message. */
static size_t chunk_length(const struct lines *lines, size_t at)
{
    size_t bytes = 0, count = 0;

    while (at + count < lines->count && count < CHUNK_LINES) {
        bytes += strlen(lines->items[at + count]);
        if (count > 0 && bytes > CHUNK_BYTES)
            break;
        count++;
    }
    return count;
}

/* The evaluator names a sample by its uid when it complains: here, the line it stands in. */
static size_t make_docs(struct cap_arena *arena, const struct lines *lines, size_t at,
                        Moecap__V1__TaskDoc *out[CHUNK_LINES])
{
    size_t count = chunk_length(lines, at);

    for (size_t i = 0; i < count; i++) {
        if (!(out[i] = cap_arena_alloc(arena, sizeof *out[i])))
            abort();
        moecap__v1__task_doc__init(out[i]);
        out[i]->ordinal = (uint32_t)(at + i);
        out[i]->uid = cap_arena_printf(arena, "line %zu", lines->numbers[at + i]);
        out[i]->json = lines->items[at + i];
    }
    return count;
}

/* A line that Python reads though it is not JSON becomes the JSON that it means. */
static json_t *load_python_line(struct lines *lines, size_t i)
{
    size_t length;
    CAP_AUTO_MEM char *strict = cap_python_json(lines->items[i], strlen(lines->items[i]), &length);
    json_t *json = json_loads(strict, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

    if (!json)
        return NULL;
    if (!lines->made)
        lines->made = cap_arena_new(MADE_BYTES_MAX);
    if (!(lines->items[i] = cap_arena_strndup(lines->made, strict, length)))
        abort();
    return json;
}

static bool check_json(struct lines *lines, const char *path, struct cap_err *err)
{
    for (size_t i = 0; i < lines->count; i++) {
        json_error_t error;
        json_t *json = json_loads(lines->items[i], JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        bool is_json, is_object;

        if (!json)
            json = load_python_line(lines, i);
        is_json = json != NULL;
        is_object = json_is_object(json);
        json_decref(json);
        if (!is_object)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "%s:%zu is not a JSON object: %s", path,
                            lines->numbers[i], is_json ? "it is something else" : error.text);
    }
    return true;
}

/* The evaluator compiles the task once and keeps it with its few-shot pool; afterwards both are
 * named by their digests. */
static bool keep_task(struct cli_suite *suite, const Moecap__V1__TaskInfo *task,
                      const struct lines *fewshot, Moecap__V1__RenderRequest *out_names,
                      struct cap_err *err)
{
    const struct cap_rpc_options options = {.timeout_ms = CHECK_MS};
    struct cap_rpc_call *call = evaluator_rpc_keep_open(suite->evaluator, &options);
    Moecap__V1__KeepRequest request = MOECAP__V1__KEEP_REQUEST__INIT;
    Moecap__V1__KeepReply *reply;
    size_t at = 0;
    bool ok;

    request.definition = task->definition;
    request.check = true; /* an example may fail that no sample of this check is shown */
    do {
        CAP_AUTO(cap_arena) arena = cap_arena_new(CHECK_ARENA_BYTES);
        Moecap__V1__TaskDoc *docs[CHUNK_LINES];

        request.n_fewshot = make_docs(arena, fewshot, at, docs);
        request.fewshot = docs;
        at += request.n_fewshot;
        ok = evaluator_rpc_keep_send_request(call, &request);
        request.definition = "";
    } while (ok && at < fewshot->count);
    cap_rpc_send_done(call);
    reply = evaluator_rpc_keep_next_reply(call);
    if (reply) { /* it lives until the call is closed */
        out_names->definition_sha256 = cap_arena_strdup(suite->arena, reply->definition_sha256);
        out_names->fewshot_sha256 = cap_arena_strdup(suite->arena, reply->fewshot_sha256);
    }
    return cap_rpc_close(call, err) &&
           (reply || cap_fail(err, CAP_INTERNAL, "the evaluator kept no task"));
}

/* A task that is on its way to the store. */
struct added_task {
    Moecap__V1__TaskInfo *task;
    const char *samples_path;
    struct lines samples, fewshot;
};

static void added_task_done(struct added_task *added)
{
    lines_done(&added->samples);
    lines_done(&added->fewshot);
}

/* One message of samples; an evaluator that has forgotten the task gets it once more. */
static size_t check_chunk(struct cli_suite *suite, const struct added_task *added, size_t at,
                          Moecap__V1__RenderRequest *request, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CHECK_ARENA_BYTES);
    Moecap__V1__TaskDoc **docs = cap_arena_array(arena, CHUNK_LINES, sizeof *docs);
    Moecap__V1__RenderReply *reply = NULL;
    size_t count;
    bool ok;

    if (!docs)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "no room for a message of samples");
    request->docs = docs;
    request->n_docs = count = make_docs(arena, &added->samples, at, docs);
    ok = evaluator_rpc_render(suite->evaluator, NULL, request, arena, &reply, err);
    if (!ok && err->code == CAP_NOT_FOUND) {
        cap_err_clear(err);
        ok = keep_task(suite, added->task, &added->fewshot, request, err) &&
             evaluator_rpc_render(suite->evaluator, NULL, request, arena, &reply, err);
    }
    request->docs = NULL; /* they die with the arena */
    request->n_docs = 0;
    return ok ? count : 0;
}

/* Every sample is rendered once, so that what cannot be asked is found now and not in the middle of
 * a run. */
static bool check_samples(struct cli_suite *suite, const struct added_task *added,
                          struct cap_err *err)
{
    Moecap__V1__EvaluationSpec spec = MOECAP__V1__EVALUATION_SPEC__INIT;
    Moecap__V1__RenderRequest request = MOECAP__V1__RENDER_REQUEST__INIT;

    request.spec = &spec;
    if (!keep_task(suite, added->task, &added->fewshot, &request, err))
        return false;
    for (size_t at = 0, count; at < added->samples.count; at += count)
        if (!(count = check_chunk(suite, added, at, &request, err)))
            return cap_fail_in(err, "%s", added->samples_path);
    return true;
}

static bool store_task(struct cli_suite *suite, const struct added_task *added,
                       Moecap__V1__PutTaskReply **out, struct cap_err *err)
{
    const struct lines *samples = &added->samples, *fewshot = &added->fewshot;
    const struct cap_rpc_options options = {.timeout_ms = 600000};
    struct cap_rpc_call *call = store_rpc_put_task_open(suite->store, &options);
    Moecap__V1__PutTaskChunk chunk = MOECAP__V1__PUT_TASK_CHUNK__INIT;
    Moecap__V1__PutTaskReply *reply;
    size_t s = 0, f = 0;
    bool ok = true;

    chunk.task = added->task;
    do {
        chunk.n_samples = chunk_length(samples, s);
        chunk.samples = samples->items + s;
        s += chunk.n_samples;
        chunk.n_fewshot = s == samples->count ? chunk_length(fewshot, f) : 0;
        chunk.fewshot = fewshot->items + f;
        f += chunk.n_fewshot;
        ok = store_rpc_put_task_send_request(call, &chunk);
        chunk.task = NULL;
    } while (ok && (s < samples->count || f < fewshot->count));
    cap_rpc_send_done(call);
    reply = store_rpc_put_task_next_reply(call);
    if (reply) /* it lives until the call is closed */
        reply = (Moecap__V1__PutTaskReply *)cap_rpc_copy(&reply->base, suite->arena);
    if (!cap_rpc_close(call, err))
        return false;
    if (!reply)
        return cap_fail(err, CAP_INTERNAL, "the store's answer was empty or too large");
    *out = reply;
    return true;
}

static bool add_task(struct cli_suite *suite, const char *path, const char *data,
                     const char *fewshot_data, Moecap__V1__PutTaskReply **out, struct cap_err *err)
{
    const char *slash = strrchr(path, '/'), *dir = dir_of(suite->arena, path);
    __attribute__((cleanup(added_task_done))) struct added_task added = {.task = NULL};
    Moecap__V1__ReadTaskReply *read = NULL;
    Moecap__V1__TaskInfo *task;
    const char *fewshot_path;

    if (!read_task(suite, dir, slash ? slash + 1 : path, &read, err))
        return false;
    added.task = task = read->task;
    added.samples_path =
        data ? data : cap_arena_printf(suite->arena, "%s/%s", dir, task->samples_file);
    if (!fewshot_data && *task->fewshot_file && strcmp(task->fewshot_file, task->samples_file) == 0)
        fewshot_data = data; /* the samples are their own pool */
    fewshot_path = fewshot_data ? fewshot_data
                                : cap_arena_printf(suite->arena, "%s/%s", dir, task->fewshot_file);
    if (!read_lines(added.samples_path, &added.samples, err)) {
        if (!data && err->code == CAP_NOT_FOUND)
            return cap_fail_in(err, "the data of task \"%s\" are not beside it; give --data FILE",
                               task->name);
        return false;
    }
    if (!check_json(&added.samples, added.samples_path, err))
        return false;
    if ((fewshot_data || *task->fewshot_file) &&
        (cap_file_exists(fewshot_path) || fewshot_data || !data) &&
        (!read_lines(fewshot_path, &added.fewshot, err) ||
         !check_json(&added.fewshot, fewshot_path, err)))
        return false;
    if (added.fewshot.count == 0)
        for (size_t i = 0; i < read->n_fewshot; i++)
            add_line(&added.fewshot, read->fewshot[i], i + 1); /* the YAML's own */
    return check_samples(suite, &added, err) && store_task(suite, &added, out, err);
}

/* "gsm8k" alone is the shipped YAML of that name. */
static const char *find_yaml(const struct cli_context *context, struct cap_arena *arena,
                             const char *word)
{
    char shipped[CLI_PATH_BYTES];

    if (strchr(word, '/') || strchr(word, '.') || !cli_find_shipped(context, "tasks", shipped))
        return word;
    return cap_arena_printf(arena, "%s/%s.yaml", shipped, word);
}

int cli_cmd_task_add(struct cli_context *context, const struct cli_words *words,
                     struct cap_err *err)
{
    const struct cli_task_options *o = &cli_task_options;
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);

    if (!suite)
        return cli_exit_of(err->code);
    for (int i = 0; i < words->count; i++) {
        const char *path = find_yaml(context, suite->arena, words->items[i]);
        Moecap__V1__PutTaskReply *reply;

        if (!add_task(suite, path, o->data, o->fewshot, &reply, err)) {
            cap_fail_in(err, "task add %s", words->items[i]);
            return cli_exit_of(err->code);
        }
        if (context->globals.json)
            cli_print_json(cap_wire_to_json(&reply->base));
        else
            cli_say("task %s: %u samples, %s", reply->task->name, reply->task->samples,
                    reply->unchanged  ? "unchanged"
                    : reply->replaced ? "replaced; runs of the older version keep it"
                                      : "added");
    }
    return CLI_OK;
}

/* A shipped YAML without its data (gsm8k) is skipped. */
static bool add_shipped(struct cli_suite *suite, const char *dir, const char *name,
                        struct cap_err *err)
{
    const char *path = cap_arena_printf(suite->arena, "%s/%s", dir, name);
    Moecap__V1__PutTaskReply *reply;
    struct cap_err failure = {0};

    if (add_task(suite, path, NULL, NULL, &reply, &failure))
        return true;
    if (failure.code == CAP_NOT_FOUND)
        return true;
    return cap_fail(err, failure.code, "shipped task %s: %s", name, failure.text);
}

bool cli_add_shipped_tasks(struct cli_context *context, const char *dir, struct cap_err *err)
{
    CAP_AUTO(cli_suite) suite = cli_suite_open_all(context, err);
    struct dirent **entries;
    int count;
    bool ok = true;

    if (!suite)
        return false;
    count = scandir(dir, &entries, NULL, alphasort);
    if (count < 0)
        return cap_fail(err, CAP_NOT_FOUND, "could not read the folder of tasks \"%s\"", dir);
    for (int i = 0; i < count; i++) {
        const char *dot = strrchr(entries[i]->d_name, '.');

        if (ok && dot && strcmp(dot, ".yaml") == 0)
            ok = add_shipped(suite, dir, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return ok;
}
