/* Starts the programs of a suite one by one, waits until each says that it is ready, and ends them with
 * the test. The evaluator's answers are the test's own. */
#include "suite.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "digest/digest.h"
#include "harness.h"
#include "moecap/v1/evaluator.rpc.h"

extern char **environ;

enum {
    ARENA_BYTES = 256 << 20,
    ARGUMENTS_MAX = 32,
    ENVIRONMENT_MAX = 256,
    READY_S = 20,
    END_S = 15
};

void assert_ok(bool ok, const struct cap_err *err)
{
    if (!ok)
        fail_msg("%s: %s", cap_code_name(err->code), err->text);
}

/* ---- the evaluator ---- */

static bool keep(struct cap_rpc_call *call, Moecap__V1__KeepReply *reply, struct cap_err *err)
{
    struct suite_evaluator *e = cap_rpc_self(call);

    (void)err;
    while (evaluator_rpc_keep_next_request(call))
        ;
    reply->definition_sha256 = "a";
    reply->fewshot_sha256 = "b";
    e->kept++;
    return true;
}

static bool render(struct cap_rpc_call *call, const Moecap__V1__RenderRequest *request,
                   Moecap__V1__RenderReply *reply, struct cap_err *err)
{
    struct suite_evaluator *e = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);

    if (e->ends_for_seed && request->spec->seed == e->ends_for_seed)
        _exit(1);
    if (e->render_fails)
        return cap_fail(err, (enum cap_code)e->render_fails, "the template has a hole");
    reply->prompts = cap_arena_array(arena, request->n_docs, sizeof *reply->prompts);
    for (size_t i = 0; i < request->n_docs; i++) {
        Moecap__V1__Prompt *prompt = cap_arena_alloc(arena, sizeof *prompt);

        moecap__v1__prompt__init(prompt);
        prompt->ordinal = request->docs[i]->ordinal;
        prompt->uid = request->docs[i]->uid;
        prompt->text = request->docs[i]->json;
        prompt->max_tokens = 4;
        reply->prompts[reply->n_prompts++] = prompt;
    }
    e->rendered += (int)request->n_docs;
    return true;
}

static bool grade(struct cap_rpc_call *call, const Moecap__V1__GradeRequest *request,
                  Moecap__V1__GradeReply *reply, struct cap_err *err)
{
    struct suite_evaluator *e = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);

    if (e->grade_fails)
        return cap_fail(err, (enum cap_code)e->grade_fails, "the grader has no idea");
    reply->verdicts = cap_arena_array(arena, request->n_items, sizeof *reply->verdicts);
    for (size_t i = 0; i < request->n_items; i++) {
        Moecap__V1__Verdict *verdict = cap_arena_alloc(arena, sizeof *verdict);

        moecap__v1__verdict__init(verdict);
        verdict->ordinal = request->items[i]->doc->ordinal;
        verdict->metric = "exact";
        verdict->version = "1";
        verdict->kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
        reply->verdicts[reply->n_verdicts++] = verdict;
    }
    e->graded += (int)request->n_items;
    return true;
}

static bool measure(struct cap_rpc_call *call, Moecap__V1__MeasureReply *reply, struct cap_err *err)
{
    struct suite_evaluator *e = cap_rpc_self(call);
    struct cap_arena *arena = cap_rpc_arena(call);
    Moecap__V1__Figure *figure = cap_arena_alloc(arena, sizeof *figure);
    Moecap__V1__Evidence *evidence;
    double answers = 0;

    while ((evidence = evaluator_rpc_measure_next_request(call)) != NULL)
        answers += (double)evidence->n_answers;
    e->evidence_answers += (int)answers;
    if (e->measure_fails)
        return cap_fail(err, (enum cap_code)e->measure_fails, "the ruler is broken");
    reply->summary = cap_arena_alloc(arena, sizeof *reply->summary);
    moecap__v1__summary__init(reply->summary);
    moecap__v1__figure__init(figure);
    figure->id = "answers";
    figure->opt_value_case = MOECAP__V1__FIGURE__OPT_VALUE_VALUE;
    figure->value = answers;
    figure->basis = "measured";
    reply->summary->figures = cap_arena_array(arena, 1, sizeof *reply->summary->figures);
    reply->summary->figures[reply->summary->n_figures++] = figure;
    e->measured++;
    return true;
}

void suite_evaluator_start(struct suite *s)
{
    static const struct evaluator_rpc_handlers handlers = {
        .keep = keep, .render = render, .grade = grade, .measure = measure};
    struct cap_rpc_server_options options = {0};
    struct cap_err err = {0};
    char address[64];

    s->evaluator.server = cap_rpc_server_new(&options);
    cap_rpc_server_add(s->evaluator.server, &evaluator_rpc_service, &handlers, &s->evaluator);
    snprintf(address, sizeof address, "127.0.0.1:%d", s->evaluator.port);
    assert_ok(cap_rpc_server_listen(s->evaluator.server, address, &s->evaluator.port, &err), &err);
    cap_rpc_server_start(s->evaluator.server);
}

void suite_evaluator_stop(struct suite *s)
{
    cap_rpc_server_free(s->evaluator.server);
    s->evaluator.server = NULL;
}

/* ---- programs ---- */

static void read_address(struct suite *s, const char *ready, struct suite_program *program)
{
    struct cap_err err = {0};

    for (int i = 0; i < READY_S * 50 && !cap_file_exists(ready); i++)
        cap_sleep_ms(20);
    CAP_AUTO_MEM char *text = cap_file_read(ready, sizeof program->address - 1, NULL, &err);
    if (!text)
        fail_msg("a program did not start; its log is in %s", s->dir);
    snprintf(program->address, sizeof program->address, "%.*s", (int)strcspn(text, "\n"), text);
}

/* `more` and `environment` end with NULL. A program that listened before listens there again. */
static void start(struct suite *s, struct suite_program *program, const char *what,
                  const char *label, const char *const *more, const char *environment)
{
    const char *bin = getenv("MOECAP_BIN_DIR"), *argv[ARGUMENTS_MAX], *env[ENVIRONMENT_MAX];
    char path[600], ready[600], log[600];
    posix_spawn_file_actions_t files;
    int n = 0, k = 0;

    snprintf(path, sizeof path, "%s/moecap-%s", bin ? bin : "build/dev/bin", what);
    snprintf(ready, sizeof ready, "%s/%s.ready", s->dir, label);
    snprintf(log, sizeof log, "%s/%s.log", s->dir, label);
    remove(ready);
    argv[n++] = path;
    argv[n++] = "--die-with-parent";
    argv[n++] = "--ready-file";
    argv[n++] = ready;
    while (*more)
        argv[n++] = *more++;
    argv[n] = NULL;
    for (; environ[k] && k < ENVIRONMENT_MAX - 2; k++)
        env[k] = environ[k];
    if (environment)
        env[k++] = environment;
    env[k] = NULL;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, 2, 1);
    assert_int_equal(
        posix_spawn(&program->pid, argv[0], &files, NULL, (char *const *)argv, (char *const *)env),
        0);
    posix_spawn_file_actions_destroy(&files);
    read_address(s, ready, program);
}

void suite_end(struct suite_program *program, int signal_number)
{
    if (program->pid == 0)
        return;
    kill(program->pid, signal_number);
    for (int i = 0; i < END_S * 50 && waitpid(program->pid, NULL, WNOHANG) == 0; i++)
        cap_sleep_ms(20);
    if (kill(program->pid, 0) == 0) { /* the test that cares measures the time */
        kill(program->pid, SIGKILL);
        waitpid(program->pid, NULL, 0);
    }
    program->pid = 0;
}

static const char *listen_at(const struct suite_program *program)
{
    return *program->address ? program->address : "127.0.0.1:0";
}

void suite_store_start(struct suite *s)
{
    const char *const more[] = {"--listen", listen_at(&s->store), "--postgres", s->db, NULL};

    start(s, &s->store, "store", "store", more, NULL);
}

void suite_scheduler_start(struct suite *s)
{
    char evaluator[64];
    const char *const more[] = {"--listen",
                                listen_at(&s->scheduler),
                                "--store",
                                s->store.address,
                                "--evaluator",
                                evaluator,
                                "--beat-ms",
                                "100",
                                "--lease-ms",
                                "1000",
                                "--silent-ms-max",
                                "800",
                                "--retry-ms",
                                "100",
                                "--tick-ms",
                                "100",
                                "--log",
                                "debug",
                                "--prompt-batch",
                                "16",
                                NULL};

    snprintf(evaluator, sizeof evaluator, "127.0.0.1:%d", s->evaluator.port);
    start(s, &s->scheduler, "scheduler", "scheduler", more, NULL);
}

void suite_real_evaluator_start(struct suite *s)
{
    char listen[64];
    const char *const more[] = {"--listen", listen, NULL};

    snprintf(listen, sizeof listen, "127.0.0.1:%d", s->evaluator.port);
    start(s, &s->real_evaluator, "evaluator", "evaluator", more, NULL);
}

void suite_node_start(struct suite *s, int which, const char *name, const char *environment)
{
    const char *const more[] = {
        "--scheduler", s->scheduler.address, "--name", name, "--probe", "false", NULL};

    s->nodes[which].address[0] = '\0';
    start(s, &s->nodes[which], "inference", name, more, environment);
}

/* ---- life ---- */

static void put_task(struct suite *s)
{
    Moecap__V1__PutTaskChunk chunk = MOECAP__V1__PUT_TASK_CHUNK__INIT;
    Moecap__V1__TaskInfo info = MOECAP__V1__TASK_INFO__INIT;
    char sha256[CAP_SHA256_HEX_BYTES], docs[SUITE_SAMPLES][64], *samples[SUITE_SAMPLES];
    char *metrics[] = {"exact"};
    struct cap_err err = {0};
    struct cap_rpc_call *call = store_rpc_put_task_open(s->to_store, NULL);

    info.name = "mini";
    info.definition = "{}";
    cap_sha256_hex("{}", 2, sha256);
    info.definition_sha256 = sha256;
    info.output_type = "generate_until";
    info.metrics = metrics;
    info.n_metrics = 1;
    chunk.task = &info;
    for (int i = 0; i < SUITE_SAMPLES; i++) {
        snprintf(docs[i], sizeof docs[i], "{\"id\":\"d%d\",\"gold\":%d}", i, i);
        samples[i] = docs[i];
    }
    chunk.samples = samples;
    chunk.n_samples = SUITE_SAMPLES;
    store_rpc_put_task_send_request(call, &chunk);
    cap_rpc_send_done(call);
    assert_non_null(store_rpc_put_task_next_reply(call));
    assert_ok(cap_rpc_close(call, &err), &err);
}

struct suite *suite_new(void)
{
    struct suite *s = calloc(1, sizeof *s);
    struct cap_err err = {0};

    s->db = harness_database_new();
    s->dir = harness_dir_new();
    s->arena = cap_arena_new(ARENA_BYTES);
    suite_evaluator_start(s);
    suite_store_start(s);
    s->to_store = cap_rpc_channel_new(s->store.address, NULL);
    assert_ok(cap_rpc_channel_wait(s->to_store, 10000, &err), &err);
    put_task(s);
    return s;
}

int suite_setup(void **state)
{
    struct suite *s = suite_new();
    struct cap_err err = {0};

    suite_scheduler_start(s);
    s->to_scheduler = cap_rpc_channel_new(s->scheduler.address, NULL);
    assert_ok(cap_rpc_channel_wait(s->to_scheduler, 10000, &err), &err);
    *state = s;
    return 0;
}

void suite_free(struct suite *s)
{
    for (int i = 0; i < SUITE_NODES_MAX; i++)
        suite_end(&s->nodes[i], SIGKILL);
    cap_rpc_channel_free(s->to_scheduler);
    cap_rpc_channel_free(s->to_store);
    suite_end(&s->scheduler, SIGTERM);
    suite_end(&s->store, SIGTERM);
    suite_end(&s->real_evaluator, SIGTERM);
    cap_rpc_server_free(s->evaluator.server);
    harness_database_drop(s->db);
    if (getenv("MOECAP_TEST_KEEP"))
        free(s->dir);
    else
        harness_dir_remove(s->dir);
    cap_arena_free(s->arena);
    free(s);
}

int suite_teardown(void **state)
{
    suite_free(*state);
    return 0;
}

/* ---- asking ---- */

Moecap__V1__EvaluationSpec *suite_spec(struct suite *s)
{
    Moecap__V1__EvaluationSpec *spec = cap_arena_alloc(s->arena, sizeof *spec);
    Moecap__V1__Load *load = cap_arena_alloc(s->arena, sizeof *load);

    moecap__v1__evaluation_spec__init(spec);
    moecap__v1__load__init(load);
    spec->model = "any";
    spec->engine = "null";
    spec->tasks = cap_arena_array(s->arena, 1, sizeof *spec->tasks);
    spec->tasks[spec->n_tasks++] = "mini";
    load->kind_case = MOECAP__V1__LOAD__KIND_CONCURRENCY;
    load->concurrency = 2;
    spec->load = load;
    spec->submitter = "tester";
    return spec;
}

bool suite_submit(struct suite *s, Moecap__V1__EvaluationSpec *spec, bool dry_run,
                  Moecap__V1__SubmitReply **out, struct cap_err *err)
{
    Moecap__V1__SubmitRequest request = MOECAP__V1__SUBMIT_REQUEST__INIT;

    request.spec = spec;
    request.dry_run = dry_run;
    return scheduler_rpc_submit(s->to_scheduler, NULL, &request, s->arena, out, err);
}

Moecap__V1__SubmitReply *must_submit(struct suite *s, Moecap__V1__EvaluationSpec *spec)
{
    Moecap__V1__SubmitReply *reply = NULL;
    struct cap_err err = {0};

    assert_ok(suite_submit(s, spec, false, &reply, &err), &err);
    return reply;
}

static Moecap__V1__RunProgress *copy_progress(struct suite *s, const Moecap__V1__RunProgress *run)
{
    size_t bytes = moecap__v1__run_progress__get_packed_size(run);
    uint8_t *packed = cap_arena_alloc(s->arena, bytes + 1);

    moecap__v1__run_progress__pack(run, packed);
    return moecap__v1__run_progress__unpack(cap_rpc_allocator(s->arena), bytes, packed);
}

/* One Watch until its end; NULL when it broke, as it does when a scheduler dies. */
static Moecap__V1__RunProgress *watch(struct suite *s, const char *id)
{
    const struct cap_rpc_options options = {.timeout_ms = 40000, .wait_for_ready = true};
    Moecap__V1__WatchRequest request = MOECAP__V1__WATCH_REQUEST__INIT;
    Moecap__V1__RunProgress *last = NULL;
    Moecap__V1__Progress *progress;
    struct cap_err err = {0};
    struct cap_rpc_call *call;

    request.id = (char *)id;
    call = scheduler_rpc_watch_open(s->to_scheduler, &options, &request);
    while ((progress = scheduler_rpc_watch_next_reply(call)) != NULL)
        if (progress->ended && progress->n_runs > 0)
            last = copy_progress(s, progress->runs[0]);
    if (!cap_rpc_close(call, &err) && err.code != CAP_UNAVAILABLE)
        fail_msg("watch %s: %s (logs in %s)", id, err.text, s->dir);
    return last;
}

Moecap__V1__RunProgress *must_end(struct suite *s, const char *id, Moecap__V1__RunState state)
{
    Moecap__V1__RunProgress *run = NULL;

    for (int i = 0; i < 50 && !run; i++)
        run = watch(s, id);
    assert_non_null(run);
    if (run->state != state)
        fail_msg("run %s ended in state %d, not %d: %s (logs in %s)", run->run_id, (int)run->state,
                 (int)state, run->reason, s->dir);
    return run;
}

Moecap__V1__GetRunReply *must_get_run(struct suite *s, const char *run_id)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply *reply = NULL;
    struct cap_err err = {0};

    request.run_id = (char *)run_id;
    assert_ok(store_rpc_get_run(s->to_store, NULL, &request, s->arena, &reply, &err), &err);
    return reply;
}

void must_answer(struct suite *s, const char *run_id, uint32_t answers)
{
    MUST_COME(20, must_get_run(s, run_id)->samples_answered >= answers);
}

Moecap__V1__ListQueueReply *must_list_queue(struct suite *s)
{
    Moecap__V1__ListQueueRequest request = MOECAP__V1__LIST_QUEUE_REQUEST__INIT;
    Moecap__V1__ListQueueReply *reply = NULL;
    struct cap_err err = {0};

    assert_ok(scheduler_rpc_list_queue(s->to_scheduler, NULL, &request, s->arena, &reply, &err),
              &err);
    return reply;
}

Moecap__V1__NodeEntry *suite_find_node(struct suite *s, const char *name)
{
    Moecap__V1__ListNodesRequest request = MOECAP__V1__LIST_NODES_REQUEST__INIT;
    Moecap__V1__ListNodesReply *reply = NULL;
    struct cap_err err = {0};

    assert_ok(scheduler_rpc_list_nodes(s->to_scheduler, NULL, &request, s->arena, &reply, &err),
              &err);
    for (size_t i = 0; i < reply->n_nodes; i++)
        if (strcmp(reply->nodes[i]->hello->name, name) == 0)
            return reply->nodes[i];
    return NULL;
}

Moecap__V1__NodeEntry *must_find_node(struct suite *s, const char *name)
{
    MUST_COME(10, suite_find_node(s, name) != NULL);
    return suite_find_node(s, name);
}

long long suite_sql_int(struct suite *s, const char *sql)
{
    char *text = harness_sql(s->db, sql);
    long long value = text ? strtoll(text, NULL, 10) : 0;

    free(text);
    return value;
}
