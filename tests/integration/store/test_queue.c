/* Tasks come in, evaluations are enqueued, a scheduler finds what has not ended. */
#include <pthread.h>

#include "base/file.h"
#include "digest/digest.h"
#include "world.h"

/* ---- tasks ---- */

struct draft {
    char sha256[CAP_SHA256_HEX_BYTES];
    const char *metrics[2];
    struct store_task task;
};

static void draft_task(struct draft *draft, const char *name, const char *definition)
{
    cap_sha256_hex(definition, strlen(definition), draft->sha256);
    draft->metrics[0] = "exact_match,strict-match";
    draft->metrics[1] = "exact_match,flexible-extract";
    draft->task = (struct store_task){
        .name = name,
        .version = "3",
        .output_type = "generate_until",
        .definition = definition,
        .definition_sha256 = draft->sha256,
        .samples_file = "a.jsonl",
        .fewshot_file = "b.jsonl",
        .split = "test",
        .description = "described",
        .num_fewshot = 5,
        .metrics = draft->metrics,
        .metric_count = 2,
    };
}

static bool put(struct world *w, const struct store_task *task, const char *const *docs,
                size_t count, const char *fewshot, struct store_task_stored *out,
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
    return store_task_put_end(p, w->pg, out, err);
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
    struct draft draft;
    struct store_task_stored stored;
    struct store_task task;
    struct store_docs fewshot, back;
    struct cap_err err = {0};
    uint32_t ordinals[] = {2, 0, 1};

    draft_task(&draft, "ta'sk \"1\"; --", "{\"k\":1}");
    assert_ok(put(w, &draft.task, docs, 3, "{\"shot\":1}", &stored, &err), &err);
    assert_false(stored.unchanged);
    assert_false(stored.replaced);
    assert_ok(store_task_get(w->pg, "ta'sk \"1\"; --", w->arena, &task, &fewshot, &err), &err);
    assert_int_equal(task.samples, 3);
    assert_int_equal(task.num_fewshot, 5);
    assert_int_equal(task.metric_count, 2);
    assert_string_equal(task.metrics[0], "exact_match,strict-match");
    assert_string_equal(task.metrics[1], "exact_match,flexible-extract");
    assert_string_equal(task.definition, "{\"k\":1}");
    assert_int_equal(fewshot.count, 1);
    assert_string_equal(fewshot.items[0].json, "{\"shot\":1}");
    assert_ok(store_task_docs(w->pg, task.task_id, (struct store_u32s){ordinals, 3}, w->arena,
                              &back, &err),
              &err);
    assert_string_equal(back.items[0].uid, "17");
    assert_string_equal(back.items[1].json, docs[0]);
    assert_int_equal(strlen(back.items[1].uid), 16);
    assert_string_equal(back.items[2].json, docs[1]);
    assert_string_equal(back.items[2].uid, "x'; DROP TABLE moecap.task; --");
}

static void new_data_replace_a_task_and_the_old_stay_readable(void **state)
{
    static const char *const old_docs[] = {"{\"q\":1}"}, *const new_docs[] = {"{\"q\":2}"};
    struct world *w = *state;
    struct draft draft;
    struct store_task_stored stored;
    struct store_task before, after;
    struct store_docs docs;
    struct cap_err err = {0};

    draft_task(&draft, "t", "{}");
    assert_ok(put(w, &draft.task, old_docs, 1, NULL, &stored, &err), &err);
    assert_ok(store_task_get(w->pg, "t", w->arena, &before, NULL, &err), &err);
    assert_ok(put(w, &draft.task, old_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.unchanged);
    assert_ok(put(w, &draft.task, new_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.replaced);
    assert_ok(store_task_get(w->pg, "t", w->arena, &after, NULL, &err), &err);
    assert_true(after.task_id != before.task_id);
    assert_ok(store_task_docs(w->pg, before.task_id, (struct store_u32s){(uint32_t[]){0}, 1},
                              w->arena, &docs, &err),
              &err);
    assert_string_equal(docs.items[0].json, "{\"q\":1}");
    /* And back again: the first version becomes current, nothing is stored twice. */
    assert_ok(put(w, &draft.task, old_docs, 1, NULL, &stored, &err), &err);
    assert_true(stored.replaced);
    assert_ok(store_task_get(w->pg, "t", w->arena, &after, NULL, &err), &err);
    assert_int_equal(after.task_id, before.task_id);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.task_sample"), 2);
}

static void equal_documents_get_uids_of_their_own(void **state)
{
    static const char *const docs[] = {"{\"q\":1}", "{\"q\":1}", "{\"q\":1}"};
    struct world *w = *state;
    struct draft draft;
    struct store_task_stored stored;
    struct cap_err err = {0};

    draft_task(&draft, "t", "{}");
    assert_ok(put(w, &draft.task, docs, 3, NULL, &stored, &err), &err);
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
    struct draft draft;
    struct store_task_stored stored;

    draft_task(&draft, "t", "{}");
    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        struct cap_err err = {0};
        size_t count = cases[i].docs[1] ? 2 : 1;
        assert_refused(put(w, &draft.task, cases[i].docs, count, NULL, &stored, &err), &err,
                       CAP_INVALID_ARGUMENT, cases[i].text);
    }
    struct cap_err err = {0};
    assert_refused(put(w, &draft.task, NULL, 0, NULL, &stored, &err), &err, CAP_INVALID_ARGUMENT,
                   "task \"t\" has no documents");
    cap_err_clear(&err);
    draft.sha256[0] ^= 1;
    assert_refused(put(w, &draft.task, NULL, 0, NULL, &stored, &err), &err, CAP_INVALID_ARGUMENT,
                   "definition_sha256 of task \"t\" is not that of its definition");
    cap_err_clear(&err);
    struct store_task task;
    assert_refused(store_task_get(w->pg, "none", w->arena, &task, NULL, &err), &err, CAP_NOT_FOUND,
                   "task \"none\" does not exist");
    cap_err_clear(&err);
    struct store_docs docs;
    assert_refused(
        store_task_docs(w->pg, 77, (struct store_u32s){(uint32_t[]){3}, 1}, w->arena, &docs, &err),
        &err, CAP_NOT_FOUND, "task 77 has no sample 3");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.task"), 0);
}

/* The 1,319 questions of GSM8K, which this repository does not hold. */
static void a_task_of_1319_samples_makes_the_round_trip(void **state)
{
    struct world *w = *state;
    const char *shared = getenv("MOECAP_SHARED"), *source = getenv("MOECAP_SOURCE_DIR");
    struct cap_err err = {0};
    char path[4096];
    struct draft draft;
    struct store_task_stored stored;
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
    draft_task(&draft, "gsm8k", "{}");
    CAP_AUTO(store_task_put) p = store_task_put_open(&draft.task, &err);
    char *rest = text, *line, **lines = calloc(2000, sizeof *lines);
    size_t count = 0;
    while ((line = strsep(&rest, "\n")) != NULL && *line) {
        lines[count++] = line;
        assert_ok(store_task_put_add(p, false, line, &err), &err);
    }
    assert_int_equal(count, 1319);
    assert_ok(store_task_put_end(p, w->pg, &stored, &err), &err);
    struct store_task task;
    assert_ok(store_task_get(w->pg, "gsm8k", w->arena, &task, NULL, &err), &err);
    for (uint32_t first = 0; first < count; first += STORE_DOCS_READ_MAX) {
        struct store_u32s want = {ordinals, 0};
        struct store_docs docs;
        for (uint32_t i = first; i < count && want.count < STORE_DOCS_READ_MAX; i++)
            ordinals[want.count++] = i;
        assert_ok(store_task_docs(w->pg, task.task_id, want, w->arena, &docs, &err), &err);
        for (size_t i = 0; i < docs.count; i++)
            assert_string_equal(docs.items[i].json, lines[first + i]);
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
    assert_ok(store_run_move(w->pg, run, STORE_STATE_QUEUED, STORE_STATE_CANCELLED, "", &err),
              &err);
    assert_true(strcmp(must_enqueue(w, 2, 2, 5), run) != 0);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation"), 3);
}

struct submitter {
    struct world *w;
    struct cap_arena *arena;
    struct store_enqueued made;
    struct cap_err err;
    bool ok;
};

static void *submit(void *arg)
{
    struct submitter *s = arg;
    uint32_t ordinals[] = {0}, sizes[] = {1};
    struct store_enqueue_run run = {"mini", s->w->task_id, 0, {ordinals, 1}, {sizes, 1}};
    struct store_enqueue request = {
        .spec = {(const uint8_t *)"spec", 4},
        .spec_json = "{}",
        .config_hash = "abababababababababababababababababababababababababababababababab",
        .model = "tiny",
        .engine = "null",
        .precision = "f32",
        .submitter = "me",
        .runs = &run,
        .run_count = 1,
    };

    s->ok = store_queue_enqueue(s->w->pg, &request, s->arena, &s->made, &s->err);
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
        s[i] = (struct submitter){.w = w, .arena = cap_arena_new(1 << 20)};
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

static void a_run_that_makes_no_sense_is_refused(void **state)
{
    struct world *w = *state;
    uint32_t twice[] = {0, 1, 0}, far[] = {0, 9}, two[] = {0, 1}, sizes3[] = {3}, sizes2[] = {2},
             sizes1[] = {1}, sizes0[] = {2, 0};
    must_put_task(w, 2);
    const struct {
        struct store_enqueue_run run;
        enum cap_code code;
        const char *text;
    } cases[] = {
        {{"mini", w->task_id, 0, {twice, 3}, {sizes3, 1}},
         CAP_INVALID_ARGUMENT,
         "run 0, task \"mini\": it has sample 0 twice"},
        {{"mini", w->task_id, 0, {two, 2}, {sizes1, 1}},
         CAP_INVALID_ARGUMENT,
         "run 0, task \"mini\": its shards have 1 samples, the run has 2"},
        {{"mini", w->task_id, 0, {two, 2}, {sizes0, 2}},
         CAP_INVALID_ARGUMENT,
         "run 0, task \"mini\": its shard 1 is empty"},
        {{"mini", w->task_id, 0, {two, 0}, {sizes0, 0}},
         CAP_INVALID_ARGUMENT,
         "run 0, task \"mini\": it has 0 samples, must have 1 to 1000000"},
        {{"mini", w->task_id, 0, {far, 2}, {sizes2, 1}},
         CAP_INVALID_ARGUMENT,
         "task \"mini\" has 2 samples, so none with ordinal 9"},
        {{"other", w->task_id, 0, {two, 2}, {sizes2, 1}},
         CAP_NOT_FOUND,
         "task \"other\" with task_id 1 does not exist"},
        {{"mini", UINT64_MAX, 0, {two, 2}, {sizes2, 1}}, CAP_INVALID_ARGUMENT, NULL},
    };

    for (size_t i = 0; i < CAP_COUNT_OF(cases); i++) {
        struct store_enqueued made;
        struct cap_err err = {0};
        struct store_enqueue request = {
            .spec = {(const uint8_t *)"spec", 4},
            .spec_json = "{}",
            .config_hash = "abababababababababababababababababababababababababababababababab",
            .model = "m",
            .engine = "e",
            .precision = "p",
            .submitter = "s",
            .runs = &cases[i].run,
            .run_count = 1,
        };
        assert_false(store_queue_enqueue(w->pg, &request, w->arena, &made, &err));
        assert_int_equal(err.code, cases[i].code);
        if (cases[i].text)
            assert_string_equal(err.text, cases[i].text);
    }
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation"), 0);
}

/* ---- ListActive ---- */

static void a_scheduler_finds_every_open_evaluation_and_its_leases(void **state)
{
    enum { EVALUATIONS = 230 }; /* more than two pages */
    struct world *w = *state;
    struct cap_err err = {0};
    struct store_active *items;
    size_t count, seen = 0, leased = 0;
    int64_t after = 0;

    must_put_task(w, 4);
    const char *first = must_enqueue(w, 4, 2, 0);
    for (int i = 1; i < EVALUATIONS; i++)
        must_enqueue(w, 4, 2, i);
    must_lease(w, first, 1, "node-a");
    do {
        assert_ok(store_queue_active(w->pg, after, w->arena, &items, &count, &err), &err);
        for (size_t i = 0; i < count; i++, seen++) {
            assert_true(items[i].evaluation_no > after);
            after = items[i].evaluation_no;
            assert_int_equal(items[i].run_count, 1);
            assert_int_equal(items[i].spec.length, 4);
            assert_int_equal(items[i].runs[0].shard_count, 2);
            assert_int_equal(items[i].runs[0].samples_total, 4);
            assert_int_equal(items[i].runs[0].shards[1].shard, 1);
            leased += items[i].runs[0].shards[1].leased;
            if (items[i].runs[0].shards[1].leased) {
                assert_string_equal(items[i].runs[0].run_id, first);
                assert_int_equal(items[i].runs[0].shards[1].fence, 1);
                assert_in_range(items[i].runs[0].shards[1].lease_left_ms, 1, 60000);
                assert_int_equal(items[i].runs[0].state, STORE_STATE_LEASED);
            }
        }
    } while (count > 0);
    assert_int_equal(seen, EVALUATIONS);
    assert_int_equal(leased, 1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_task_comes_back_byte_by_byte),
        WORLD_TEST(new_data_replace_a_task_and_the_old_stay_readable),
        WORLD_TEST(equal_documents_get_uids_of_their_own),
        WORLD_TEST(bad_task_data_are_refused_by_place),
        WORLD_TEST(a_task_of_1319_samples_makes_the_round_trip),
        WORLD_TEST(the_same_configuration_is_one_evaluation_until_it_ends),
        WORLD_TEST(of_submitters_at_the_same_time_one_makes_the_evaluation),
        WORLD_TEST(a_run_that_makes_no_sense_is_refused),
        WORLD_TEST(a_scheduler_finds_every_open_evaluation_and_its_leases),
    };

    return cmocka_run_group_tests_name("store queue", tests, NULL, NULL);
}
