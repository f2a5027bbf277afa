/* A state folder of an earlier program: its schema is made by the migrations that it knew, its rows
 * lie beside this file, and then this program takes over. */
#include "base/file.h"
#include "store/migrate.h"
#include "world.h"

enum { KNOWN = 3 }; /* migrations of the earlier program */

/* A world on that state, upgraded. */
static int state_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *source = getenv("MOECAP_SOURCE_DIR");
    struct cap_err err = {0};
    char path[4096];
    int applied;

    w->db = harness_database_new_empty();
    w->pg = harness_store_open(w->db);
    w->arena = cap_arena_new(64 << 20);
    assert_ok(store_migrate_to(w->pg, store_migrations, KNOWN, &applied, &err), &err);
    snprintf(path, sizeof path, "%s/tests/integration/store/state_0003.sql", source ? source : ".");
    CAP_AUTO_MEM char *rows = cap_file_read(path, 1 << 20, NULL, &err);
    assert_ok(rows != NULL, &err);
    free(harness_sql(w->db, rows));
    assert_ok(store_migrate(w->pg, &applied, &err), &err);
    assert_int_equal(applied, store_migration_count - KNOWN);
    *state = w;
    return 0;
}

/* The file has rows of every table that the earlier program had: a table that it forgot would be no
 * test of its upgrade. */
static void the_state_has_rows_in_every_table(void **state)
{
    static const char *const tables[] = {"task",    "task_sample", "evaluation",   "run",
                                         "shard",   "attempt",     "batch_ledger", "sample",
                                         "verdict", "pass",        "expert_count", "power",
                                         "figure",  "histogram",   "node",         "event"};
    struct world *w = *state;

    for (size_t i = 0; i < CAP_COUNT_OF(tables); i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM moecap.%s", tables[i]);
        if (sql_int(w, sql) <= 0)
            fail_msg("no rows in %s", tables[i]);
    }
}

static void the_board_of_before_is_shown_with_all_its_figures(void **state)
{
    struct world *w = *state;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply reply = MOECAP__V1__BOARD_REPLY__INIT;
    struct cap_err err = {0};
    size_t figures = 0, histograms = 0;

    assert_ok(store_board(w->pg, &request, w->arena, &reply, &err), &err);
    assert_int_equal(reply.n_rows,
                     sql_int(w, "SELECT count(*) FROM moecap.run WHERE state = 'finished'"));
    for (size_t i = 0; i < reply.n_rows; i++) {
        figures += reply.rows[i]->n_figures;
        histograms += must_get_run(w, reply.rows[i]->run_id)->n_histograms;
        assert_string_equal(reply.rows[i]->report->engine_version, "0.1.0");
        assert_int_equal(strlen(reply.rows[i]->question), 16); /* computed by the upgrade */
        assert_int_equal(reply.rows[i]->samples_answered, reply.rows[i]->samples_total);
    }
    assert_int_equal(figures, sql_int(w, "SELECT count(*) FROM moecap.figure"));
    assert_int_equal(histograms, sql_int(w, "SELECT count(*) FROM moecap.histogram"));
}

static void the_evidence_of_before_is_read_whole(void **state)
{
    struct world *w = *state;
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply runs = MOECAP__V1__BOARD_REPLY__INIT;
    struct cap_err err = {0};
    size_t samples = 0, verdicts = 0, passes = 0, counts = 0, power = 0;

    request.with_unfinished = true;
    assert_ok(store_board(w->pg, &request, w->arena, &runs, &err), &err);
    for (size_t i = 0; i < runs.n_rows; i++) {
        const Moecap__V1__Evidence *e = must_read_evidence(w, runs.rows[i]->run_id);
        const Moecap__V1__ListSamplesReply *page = must_list_all(w, runs.rows[i]->run_id);
        assert_int_equal(page->n_samples, e->n_answers);
        samples += e->n_answers;
        verdicts += e->n_verdicts;
        passes += e->n_passes;
        counts += e->n_expert_counts;
        power += e->n_power;
        for (size_t k = 0; k < e->n_answers; k++) /* what the earlier program did not know */
            assert_int_equal(e->answers[k]->opt_first_chunk_tokens_case, 0);
    }
    assert_int_equal(samples, sql_int(w, "SELECT count(*) FROM moecap.sample"));
    assert_int_equal(verdicts, sql_int(w, "SELECT count(*) FROM moecap.verdict"));
    assert_int_equal(passes, sql_int(w, "SELECT count(*) FROM moecap.pass"));
    assert_int_equal(counts, sql_int(w, "SELECT count(*) FROM moecap.expert_count"));
    assert_int_equal(power, sql_int(w, "SELECT count(*) FROM moecap.power"));
}

static bool keep_last(void *arg, const ProtobufCMessage *message, struct cap_err *err)
{
    const Moecap__V1__ActiveEvaluation *e = (const void *)message;
    char *out = arg;

    (void)err;
    assert_int_equal(e->n_runs, 1);
    assert_int_equal(e->runs[0]->state, STORE_STATE_RUNNING);
    assert_int_equal(e->runs[0]->samples_answered, 1);
    assert_string_equal(e->runs[0]->shards[0]->node, "node-1");
    snprintf(out, 64, "%s", e->runs[0]->run_id);
    return true;
}

/* The node that held the lease goes on behind the last batch that was stored, under its old fence.
 */
static void a_run_that_was_under_way_goes_on(void **state)
{
    struct world *w = *state;
    Moecap__V1__AppendReply appended;
    struct cap_err err = {0};
    char run[64] = "";
    uint64_t fence =
        (uint64_t)sql_int(w, "SELECT fence FROM moecap.shard WHERE node_id = 'node-x'");

    assert_ok(store_list_active(w->pg, keep_last, run, &err), &err);
    struct batch *rest = batch_of(w, run, 0, fence, 2, 1, 2, true, 0);
    rest->node_id = "node-x";
    for (uint32_t i = 0; i < 2; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "SELECT uid FROM moecap.task_sample JOIN moecap.run USING (task_id)"
                 " WHERE run_id = '%s' AND NOT fewshot AND ordinal = %u",
                 run, rest->answers[i].ordinal);
        rest->answers[i].uid = harness_sql(w->db, sql);
        assert_non_null(rest->answers[i].uid);
    }
    assert_ok(append(w, rest, &appended, &err), &err);
    assert_true(appended.run_done);
    assert_int_equal(appended.samples_answered, 3);
    for (uint32_t i = 0; i < 2; i++)
        free(rest->answers[i].uid);
}

int main(void)
{
#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, state_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        STATE_TEST(the_state_has_rows_in_every_table),
        STATE_TEST(the_board_of_before_is_shown_with_all_its_figures),
        STATE_TEST(the_evidence_of_before_is_read_whole),
        STATE_TEST(a_run_that_was_under_way_goes_on),
    };

    return cmocka_run_group_tests_name("store upgrade", tests, NULL, NULL);
}
