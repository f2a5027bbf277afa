/* Tasks come in, evaluations are enqueued, a scheduler finds what has not ended. */
#include <pthread.h>

#include "base/file.h"
#include "digest/digest.h"
#include "world.h"

/* ---- tasks ---- */

static Moecap__V1__TaskInfo task_of(const char *name, const char *definition, char sha256[65])
{
    static char *metrics[] = {"exact_match,strict-match", "exact_match,flexible-extract"};
    Moecap__V1__TaskInfo task = MOECAP__V1__TASK_INFO__INIT;

    cap_sha256_hex(definition, strlen(definition), sha256);
    task.name = (char *)name;
    task.version = "3";
    task.output_type = "generate_until";
    task.definition = (char *)definition;
    task.definition_sha256 = sha256;
    task.samples_file = "a.jsonl";
    task.fewshot_file = "b.jsonl";
    task.split = "test";
    task.description = "described";
    task.num_fewshot = 5;
    task.metrics = metrics;
    task.n_metrics = 2;
    return task;
}

static bool put(struct world *w, const Moecap__V1__TaskInfo *task, const char *const *docs,
                size_t count, const char *fewshot, Moecap__V1__PutTaskReply *out,
                struct cap_err *err)
{
    CAP_AUTO(store_task_put) p = store_task_put_open(task, err);

    if (!p)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!store_task_put_add(p, false, docs[i], err))
            return false;
    if (fewshot && !store_task_put_add(p, true, fewshot, err))
        return false;
    moecap__v1__put_task_reply__init(out);
    return store_task_put_end(p, w->pg, w->arena, out, err);
}

static bool read_docs(struct world *w, uint64_t task_id, uint32_t *ordinals, size_t count,
                      Moecap__V1__ReadDocsReply *out, struct cap_err *err)
{
    Moecap__V1__ReadDocsRequest request = MOECAP__V1__READ_DOCS_REQUEST__INIT;

    request.task_id = task_id;
    request.ordinals = ordinals;
    request.n_ordinals = count;
    moecap__v1__read_docs_reply__init(out);
    return store_read_docs(w->pg, &request, w->arena, out, err);
}

static void a_pool_is_read_in_pieces(void **state)
{
    struct world *w = *state;
    char sha256[65], *shot = malloc(900001);
    Moecap__V1__TaskInfo task = task_of("large-pool", "{\"k\":3}", sha256);
    Moecap__V1__PutTaskReply stored;
    Moecap__V1__ReadDocsRequest request = MOECAP__V1__READ_DOCS_REQUEST__INIT;
    Moecap__V1__ReadDocsReply piece;
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply got;
    struct cap_err err = {0};
    CAP_AUTO(store_task_put) p = store_task_put_open(&task, &err);
    size_t pieces = 0, count = 0;

    assert_true(store_task_put_add(p, false, "{\"a\":1}", &err));
    for (int i = 0; i < 10; i++) { /* 9 MB */
        snprintf(shot, 900001, "{\"n\":%d,\"x\":\"%0*d\"}", i, 899000, i);
        assert_ok(store_task_put_add(p, true, shot, &err), &err);
    }
    moecap__v1__put_task_reply__init(&stored);
    assert_ok(store_task_put_end(p, w->pg, w->arena, &stored, &err), &err);
    get.name = "large-pool";
    assert_ok(store_get_task(w->pg, &get, w->arena, &got, &err), &err);
    request.task_id = got.task_id;
    request.opt_pool_case = MOECAP__V1__READ_DOCS_REQUEST__OPT_POOL_POOL_FROM;
    for (;; pieces++) {
        moecap__v1__read_docs_reply__init(&piece);
        request.pool_from = (uint32_t)count;
        assert_ok(store_read_docs(w->pg, &request, w->arena, &piece, &err), &err);
        if (piece.n_docs == 0)
            break;
        assert_int_equal(piece.docs[0]->ordinal, count);
        count += piece.n_docs;
    }
    assert_int_equal(count, 10);
    assert_int_equal(pieces, 3);
    get.with_fewshot = true;
    assert_false(store_get_task(w->pg, &get, w->arena, &got, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    free(shot);
}

static void a_task_comes_back_byte_by_byte(void **state)
{
    /* Order of keys, blanks, escapes and the escape of U+0000 are part of a document. */
    static const char *const docs[] = {
        "{\"z\": 1,  \"a\":\"\\u0000 \\n tab\\t\", \"n\":1.50}",
        "{\"id\":\"x'; DROP TABLE moecap.task; --\",\"q\":\"Grüße \\\\N\"}",
        "{\"id\":17}",
    };
    struct world *w = *state;
    char sha256[65];
    Moecap__V1__TaskInfo task = task_of("ta'sk \"1\"; --", "{\"k\":1}", sha256);
    Moecap__V1__PutTaskReply stored;
    Moecap__V1__GetTaskReply *got;
    Moecap__V1__ReadDocsReply back;
    struct cap_err err = {0};
    uint32_t ordinals[] = {2, 0, 1};

    assert_ok(put(w, &task, docs, 3, "{\"shot\":1}", &stored, &err), &err);
    assert_false(stored.unchanged);
    assert_false(stored.replaced);
    got = must_get_task(w, "ta'sk \"1\"; --", true);
    assert_int_equal(got->task->samples, 3);
    assert_int_equal(got->task->num_fewshot, 5);
    assert_int_equal(got->task->n_metrics, 2);
    assert_string_equal(got->task->metrics[0], "exact_match,strict-match");
    assert_string_equal(got->task->metrics[1], "exact_match,flexible-extract");
    assert_string_equal(got->task->definition, "{\"k\":1}");
    assert_string_equal(stored.task->data_sha256, got->task->data_sha256);
    assert_int_equal(got->n_fewshot, 1);
    assert_string_equal(got->fewshot[0]->json, "{\"shot\":1}");
    assert_ok(read_docs(w, got->task_id, ordinals, 3, &back, &err), &err);
    assert_string_equal(back.docs[0]->uid, "17");
    assert_string_equal(back.docs[1]->json, docs[0]);
    assert_int_equal(strlen(back.docs[1]->uid), 16);
    assert_string_equal(back.docs[2]->json, docs[1]);
    assert_string_equal(back.docs[2]->uid, "x'; DROP TABLE moecap.task; --");
}

static void new_data_replace_a_task_and_the_old_stay_readable(void **state)
{
    static const char *const old_docs[] = {"{\"q\":1}"}, *const new_docs[] = {"{\"q\":2}"};
    struct world *w = *state;
    char sha256[65];
    Moecap__V1__TaskInfo task = task_of("t", "{}", sha256);
    Moecap__V1__PutTaskReply stored;
    Moecap__V1__ReadDocsReply docs;
    struct cap_err err = {0};
    uint64_t before;

    assert_ok(put(w, &task, old_docs, 1, NULL, &stored, &err), &err);
    before = must_get_task(w, "t", false)->task_id;
    assert_ok(put(w, &task, old_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.unchanged);
    assert_ok(put(w, &task, new_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.replaced);
    assert_true(must_get_task(w, "t", false)->task_id != before);
    assert_ok(read_docs(w, before, (uint32_t[]){0}, 1, &docs, &err), &err);
    assert_string_equal(docs.docs[0]->json, "{\"q\":1}");
    /* And back again: the first version becomes current, nothing is stored twice. */
    assert_ok(put(w, &task, old_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.replaced);
    assert_int_equal(must_get_task(w, "t", false)->task_id, before);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.task_sample"), 2);
}

static void equal_documents_get_uids_of_their_own(void **state)
{
    static const char *const docs[] = {"{\"q\":1}", "{\"q\":1}", "{\"q\":1}"};
    struct world *w = *state;
    char sha256[65];
    Moecap__V1__TaskInfo task = task_of("t", "{}", sha256);
    Moecap__V1__PutTaskReply stored;
    struct cap_err err = {0};

    assert_ok(put(w, &task, docs, 3, NULL, &stored, &err), &err);
    assert_int_equal(sql_int(w, "SELECT count(DISTINCT uid) FROM moecap.task_sample"), 3);
}

static void bad_task_data_are_refused_by_place(void **state)
{
    static const struct {
        const char *docs[2];
        const char *text;
    } cases[] = {
        {{"{\"id\":\"a\"}", "{\"id\":\"a\"}"},
         "task \"t\", document 2: it has the id \"a\" of document 1"},
        {{"[1]", NULL}, "task \"t\", document 1: it is not a JSON object"},
        {{"{\"a\":1,\"a\":2}", NULL},
         "task \"t\", document 1: duplicate object key near '\"a\"', line 1 column 10"},
        {{"{\"q\":\"\xff\"}", NULL},
         "task \"t\", document 1: unable to decode byte 0xff near '\"', line 1 column 6"},
    };
    struct world *w = *state;
    char sha256[65];
    Moecap__V1__TaskInfo task = task_of("t", "{}", sha256);
    Moecap__V1__PutTaskReply stored;

    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        struct cap_err err = {0};
        size_t count = cases[i].docs[1] ? 2 : 1;
        assert_refused(put(w, &task, cases[i].docs, count, NULL, &stored, &err), &err,
                       CAP_INVALID_ARGUMENT, cases[i].text);
    }
    struct cap_err err = {0};
    assert_refused(put(w, &task, NULL, 0, NULL, &stored, &err), &err, CAP_INVALID_ARGUMENT,
                   "task \"t\" has no documents");
    cap_err_clear(&err);
    sha256[0] ^= 1;
    assert_refused(put(w, &task, NULL, 0, NULL, &stored, &err), &err, CAP_INVALID_ARGUMENT,
                   "definition_sha256 of task \"t\" is not that of its definition");
    cap_err_clear(&err);
    Moecap__V1__GetTaskRequest get = MOECAP__V1__GET_TASK_REQUEST__INIT;
    Moecap__V1__GetTaskReply got = MOECAP__V1__GET_TASK_REPLY__INIT;
    get.name = "none";
    assert_refused(store_get_task(w->pg, &get, w->arena, &got, &err), &err, CAP_NOT_FOUND,
                   "task \"none\" does not exist");
    cap_err_clear(&err);
    Moecap__V1__ReadDocsReply docs;
    assert_refused(read_docs(w, 77, (uint32_t[]){3}, 1, &docs, &err), &err, CAP_NOT_FOUND,
                   "task 77 has no sample 3");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.task"), 0);
}

/* The 1,319 questions of GSM8K, which this repository does not hold. */
static void a_task_of_1319_samples_makes_the_round_trip(void **state)
{
    struct world *w = *state;
    const char *shared = getenv("MOECAP_SHARED"), *source = getenv("MOECAP_SOURCE_DIR");
    struct cap_err err = {0};
    char path[4096], sha256[65];
    Moecap__V1__TaskInfo task = task_of("gsm8k", "{}", sha256);
    Moecap__V1__PutTaskReply stored = MOECAP__V1__PUT_TASK_REPLY__INIT;
    uint32_t ordinals[STORE_DOCS_READ_MAX];

    if (shared)
        snprintf(path, sizeof path, "%s/data/graders/gsm8k_test.jsonl", shared);
    else
        snprintf(path, sizeof path, "%s/../shared/data/graders/gsm8k_test.jsonl",
                 source ? source : ".");
    CAP_AUTO_MEM char *text = cap_file_read(path, 64 << 20, NULL, &err);
    if (!text) {
        printf("skip: %s not found; set MOECAP_SHARED\n", path);
        skip();
    }
    CAP_AUTO(store_task_put) p = store_task_put_open(&task, &err);
    char *rest = text, *line, **lines = calloc(2000, sizeof *lines);
    size_t count = 0;
    while ((line = strsep(&rest, "\n")) != NULL && *line) {
        lines[count++] = line;
        assert_ok(store_task_put_add(p, false, line, &err), &err);
    }
    assert_int_equal(count, 1319);
    assert_ok(store_task_put_end(p, w->pg, w->arena, &stored, &err), &err);
    uint64_t task_id = must_get_task(w, "gsm8k", false)->task_id;
    for (uint32_t first = 0; first < count; first += STORE_DOCS_READ_MAX) {
        size_t wanted = 0;
        Moecap__V1__ReadDocsReply docs;
        for (uint32_t i = first; i < count && wanted < STORE_DOCS_READ_MAX; i++)
            ordinals[wanted++] = i;
        assert_ok(read_docs(w, task_id, ordinals, wanted, &docs, &err), &err);
        assert_int_equal(docs.n_docs, wanted);
        for (size_t i = 0; i < docs.n_docs; i++)
            assert_string_equal(docs.docs[i]->json, lines[first + i]);
    }
    free(lines);
}

/* ---- enqueue ---- */

static void the_same_configuration_is_one_evaluation_until_it_ends(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 5);
    assert_string_equal(must_enqueue(w, 2, 2, 5), run);
    assert_true(strcmp(must_enqueue(w, 2, 2, 6), run) != 0);
    assert_ok(move_run(w, run, STORE_STATE_QUEUED, STORE_STATE_CANCELLED, "", &err), &err);
    assert_true(strcmp(must_enqueue(w, 2, 2, 5), run) != 0);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation"), 3);
}

struct submitter {
    struct world *w;
    const Moecap__V1__EnqueueRequest *request;
    struct cap_arena *arena;
    Moecap__V1__EnqueueReply made;
    struct cap_err err;
    bool ok;
};

static void *submit(void *arg)
{
    struct submitter *s = arg;

    moecap__v1__enqueue_reply__init(&s->made);
    s->ok = store_enqueue(s->w->pg, s->request, s->arena, &s->made, &s->err);
    return NULL;
}

static void of_submitters_at_the_same_time_one_makes_the_evaluation(void **state)
{
    enum { SUBMITTERS = 8 };
    struct world *w = *state;
    struct submitter s[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    int made = 0;

    must_put_task(w, 1);
    for (int i = 0; i < SUBMITTERS; i++) {
        s[i] = (struct submitter){
            .w = w, .request = &draft(w, 1, 7)->request, .arena = cap_arena_new(1 << 20)};
        pthread_create(&threads[i], NULL, submit, &s[i]);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(s[i].ok, &s[i].err);
        made += !s[i].made.duplicate;
        assert_string_equal(s[i].made.evaluation_id, s[0].made.evaluation_id);
        assert_string_equal(s[i].made.run_ids[0], s[0].made.run_ids[0]);
    }
    assert_int_equal(made, 1);
    for (int i = 0; i < SUBMITTERS; i++)
        cap_arena_free(s[i].arena);
}

static void refuse(struct world *w, const struct draft_evaluation *d, enum cap_code code,
                   const char *text)
{
    Moecap__V1__EnqueueReply made = MOECAP__V1__ENQUEUE_REPLY__INIT;
    struct cap_err err = {0};

    assert_false(store_enqueue(w->pg, &d->request, w->arena, &made, &err));
    if (text)
        assert_string_equal(err.text, text);
    assert_string_equal(cap_code_name(err.code), cap_code_name(code));
}

static void a_run_that_makes_no_sense_is_refused(void **state)
{
    struct world *w = *state;
    uint32_t two_sizes[] = {2, 0};

    must_put_task(w, 2);
    struct draft_evaluation *d = draft(w, 3, 1);
    d->ordinals[2] = 0;
    refuse(w, d, CAP_INVALID_ARGUMENT, "run 0, task \"mini\": it has sample 0 twice");
    d = draft(w, 2, 1);
    d->shard_size[0] = 1;
    refuse(w, d, CAP_INVALID_ARGUMENT,
           "run 0, task \"mini\": its shards have 1 samples, the run has 2");
    d->shard_size[0] = 0;
    refuse(w, d, CAP_INVALID_ARGUMENT, "run 0, task \"mini\": its shard 0 is empty");
    d = draft(w, 2, 1);
    d->run.shard_sizes = two_sizes;
    d->run.n_shard_sizes = 2;
    refuse(w, d, CAP_INVALID_ARGUMENT,
           "run 0, task \"mini\": it has 2 shards, a scheduler takes 1");
    d = draft(w, 0, 1);
    refuse(w, d, CAP_INVALID_ARGUMENT,
           "run 0, task \"mini\": it has 0 samples, must have 1 to 1000000");
    d = draft(w, 2, 1);
    d->ordinals[1] = 9;
    refuse(w, d, CAP_INVALID_ARGUMENT, "task \"mini\" has 2 samples, so none with ordinal 9");
    d = draft(w, 2, 1);
    d->run.task = d->tasks[0] = "other";
    refuse(w, d, CAP_NOT_FOUND, "task \"other\" with task_id 1 does not exist");
    d = draft(w, 2, 1);
    d->run.task_id = UINT64_MAX;
    refuse(w, d, CAP_INVALID_ARGUMENT, NULL);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation"), 0);
}

/* Such a run would wait forever: the scheduler makes what its spec asks for, and nothing else. */
static void a_run_that_its_spec_does_not_ask_for_is_refused(void **state)
{
    struct world *w = *state;
    Moecap__V1__EnqueueRun *twice[2];

    must_put_task(w, 2);
    struct draft_evaluation *d = draft(w, 2, 1);
    d->spec.n_tasks = 0;
    refuse(w, d, CAP_INVALID_ARGUMENT, "run 0, task \"mini\": the spec does not name its task");
    d = draft(w, 2, 1);
    d->run.repeat = 1;
    refuse(w, d, CAP_INVALID_ARGUMENT,
           "run 0, task \"mini\": it is repeat 1, the spec asks for 1 from 0");
    d = draft(w, 2, 1);
    d->spec.limit = 1;
    refuse(w, d, CAP_INVALID_ARGUMENT,
           "run 0, task \"mini\": it has 2 samples, the spec's limit is 1");
    d = draft(w, 2, 1);
    twice[0] = twice[1] = &d->run;
    d->request.runs = twice;
    d->request.n_runs = 2;
    refuse(w, d, CAP_INVALID_ARGUMENT, "repeat 0 of task \"mini\" appears twice");
    d = draft(w, 2, 1);
    d->spec.engine = "";
    refuse(w, d, CAP_INVALID_ARGUMENT, "the spec names no model or no engine");
    d->request.spec = NULL;
    refuse(w, d, CAP_INVALID_ARGUMENT, "the request holds no spec");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation"), 0);
}

/* ---- ListActive ---- */

struct seen {
    const char *first; /* the run of which shard 1 is leased */
    size_t count, leased;
};

static bool look_at(void *arg, const ProtobufCMessage *message, struct cap_err *err)
{
    const Moecap__V1__ActiveEvaluation *e = (const void *)message;
    const Moecap__V1__ActiveRun *run = e->runs[0];
    struct seen *seen = arg;

    (void)err;
    seen->count++;
    assert_int_equal(e->n_runs, 1);
    assert_string_equal(e->spec->model, "tiny");
    assert_string_equal(run->task, "mini");
    assert_int_equal(run->n_shards, 2);
    assert_int_equal(run->samples_total, 4);
    assert_int_equal(run->shards[1]->shard, 1);
    assert_null(run->shards[0]->lease);
    if (!run->shards[1]->lease)
        return true;
    seen->leased++;
    assert_string_equal(run->run_id, seen->first);
    assert_string_equal(run->shards[1]->lease->run_id, seen->first);
    assert_int_equal(run->shards[1]->lease->shard, 1);
    assert_int_equal(run->shards[1]->lease->fence, 1);
    assert_string_equal(run->shards[1]->node, "node-a");
    assert_in_range(run->shards[1]->lease_left_ms, 1, 60000);
    assert_int_equal(run->state, STORE_STATE_LEASED);
    return true;
}

static void a_scheduler_finds_every_open_evaluation_and_its_leases(void **state)
{
    enum { EVALUATIONS = 230 }; /* more than two pages */
    struct world *w = *state;
    struct cap_err err = {0};
    struct seen seen = {0};

    must_put_task(w, 4);
    seen.first = must_enqueue(w, 4, 2, 0);
    for (int i = 1; i < EVALUATIONS; i++)
        must_enqueue(w, 4, 2, i);
    must_lease(w, seen.first, 1, "node-a");
    assert_ok(store_list_active(w->pg, look_at, &seen, &err), &err);
    assert_int_equal(seen.count, EVALUATIONS);
    assert_int_equal(seen.leased, 1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_task_comes_back_byte_by_byte),
        WORLD_TEST(a_pool_is_read_in_pieces),
        WORLD_TEST(new_data_replace_a_task_and_the_old_stay_readable),
        WORLD_TEST(equal_documents_get_uids_of_their_own),
        WORLD_TEST(bad_task_data_are_refused_by_place),
        WORLD_TEST(a_task_of_1319_samples_makes_the_round_trip),
        WORLD_TEST(the_same_configuration_is_one_evaluation_until_it_ends),
        WORLD_TEST(of_submitters_at_the_same_time_one_makes_the_evaluation),
        WORLD_TEST(a_run_that_makes_no_sense_is_refused),
        WORLD_TEST(a_run_that_its_spec_does_not_ask_for_is_refused),
        WORLD_TEST(a_scheduler_finds_every_open_evaluation_and_its_leases),
    };

    return cmocka_run_group_tests_name("store queue", tests, NULL, NULL);
}
