/* From stored answers to verdicts, a summary, and what people read of it. */
#include "store/evidence.h"
#include "store/node.h"
#include "world.h"

/* ---- grading ---- */

static void answers_meet_their_documents_by_id(void **state)
{
    struct world *w = *state;
    struct store_ungraded items;
    struct cap_err err = {0};

    must_put_task(w, 10);
    const char *run = must_enqueue(w, 10, 5, 1);
    must_answer_all(w, run, 10, 5);
    assert_ok(store_grade_ungraded(w->pg, run, 4, w->arena, &items, &err), &err);
    assert_int_equal(items.count, 4);
    for (uint32_t i = 0; i < items.count; i++) {
        char doc[128], text[64];
        snprintf(doc, sizeof doc, "{\"id\":\"s%u\",\"question\":\"%u?\",\"answer\":%u}", i, i, i);
        snprintf(text, sizeof text, "answer %u of 0", i);
        assert_string_equal(items.docs[i].json, doc);
        assert_string_equal(items.docs[i].uid, items.answers[i].uid);
        assert_string_equal((const char *)items.answers[i].text.data, text);
    }
    assert_refused(store_grade_ungraded(w->pg, run, 257, w->arena, &items, &err), &err,
                   CAP_INVALID_ARGUMENT, "limit is 257, at most 256");
}

static bool put_one(struct world *w, const char *run, struct store_verdict v, uint32_t *out_graded,
                    struct cap_err *err)
{
    return store_grade_put(w->pg, run, (struct store_verdicts){&v, 1}, out_graded, err);
}

static const struct store_verdict correct = {.ordinal = 0,
                                             .metric = "exact",
                                             .version = "1",
                                             .kind = STORE_VERDICT_CORRECT,
                                             .extracted = "42",
                                             .reason = "",
                                             .score = 1};

static void the_first_verdict_of_a_version_stays_and_versions_add_up(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    uint32_t graded;
    struct store_verdict v = correct;
    struct store_evidence_place place = {0};
    struct store_verdicts page;

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, run, 2, 2);
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(graded, 1);
    v.kind = STORE_VERDICT_WRONG;
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(graded, 1);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict WHERE kind = 'correct'"), 1);
    v.version = "2";
    v.reason = "bytes \xFF that are no text";
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict"), 2);
    /* Measures use the latest. */
    assert_ok(store_evidence_verdicts(w->pg, run, &place, w->arena, &page, &err), &err);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.items[0].version, "2");
    assert_int_equal(page.items[0].kind, STORE_VERDICT_WRONG);
    assert_string_equal(page.items[0].reason, "bytes <0xFF> that are no text");
}

static void verdicts_that_belong_nowhere_are_refused(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    uint32_t graded;
    struct store_verdict v = correct;
    char text[160];

    must_put_task(w, 4);
    const char *run = must_enqueue(w, 2, 2, 1);
    snprintf(text, sizeof text,
             "run %s is queued; verdicts are taken while it is grading or after it finished", run);
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    must_answer_all(w, run, 2, 2);
    v.ordinal = 3;
    snprintf(text, sizeof text, "sample 3 of run %s has no answer to grade", run);
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT, text);
    cap_err_clear(&err);
    v = correct;
    v.kind = STORE_VERDICT_NONE;
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "sample 0 has no kind of verdict");
    cap_err_clear(&err);
    v = correct;
    v.score = 0.0 / 0.0;
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "the score of sample 0 is not a number");
    cap_err_clear(&err);
    v = correct;
    v.metric = "\xFF";
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "the verdict of sample 0 has a metric or version that is not UTF-8");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict"), 0);
}

/* ---- finishing ---- */

static void a_run_finishes_once_and_only_when_all_is_graded(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    struct store_figure none[] = {{.id = "x", .reason = "", .unit = "", .basis = ""}};
    char text[128];

    must_put_task(w, 3);
    const char *run = must_enqueue(w, 3, 3, 1);
    snprintf(text, sizeof text, "run %s is queued and cannot become finished", run);
    assert_refused(store_grade_finish(w->pg, run, (struct store_figures){0},
                                      (struct store_histograms){0}, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    must_answer_all(w, run, 3, 3);
    snprintf(text, sizeof text, "run %s has 3 samples without a verdict", run);
    assert_refused(store_grade_finish(w->pg, run, (struct store_figures){0},
                                      (struct store_histograms){0}, &err),
                   &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    must_grade_all(w, run);
    assert_refused(store_grade_finish(w->pg, run, (struct store_figures){none, 1},
                                      (struct store_histograms){0}, &err),
                   &err, CAP_INVALID_ARGUMENT,
                   "figure \"x\" has neither a finite value nor a reason");
    cap_err_clear(&err);
    must_finish(w, run);
    must_finish(w, run); /* the reply was lost, the scheduler asks again */
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.figure"), 2);
    /* It may turn out invalid later, and keeps figures and the time of its end. */
    free(harness_sql(w->db, "UPDATE moecap.run SET ended_at = '2020-01-01'"));
    assert_ok(store_run_move(w->pg, run, STORE_STATE_FINISHED, STORE_STATE_INVALID, "audit", &err),
              &err);
    assert_int_equal(sql_int(w, "SELECT extract(year FROM ended_at)::integer FROM moecap.run"),
                     2020);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.figure"), 2);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation WHERE ended_at IS NULL"),
                     0);
}

/* ---- the board ---- */

static struct store_board must_board(struct world *w, struct store_board_filter filter)
{
    struct store_board board;
    struct cap_err err = {0};

    filter.model = filter.model ? filter.model : "";
    filter.task = filter.task ? filter.task : "";
    filter.engine = filter.engine ? filter.engine : "";
    filter.precision = filter.precision ? filter.precision : "";
    filter.after = filter.after ? filter.after : "";
    filter.evaluation_id = filter.evaluation_id ? filter.evaluation_id : "";
    assert_ok(store_report_board(w->pg, &filter, w->arena, &board, &err), &err);
    return board;
}

static void the_board_shows_figures_and_their_reasons(void **state)
{
    struct world *w = *state;

    must_put_task(w, 2);
    const char *first = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, first, 2, 2);
    must_grade_all(w, first);
    must_finish(w, first);
    const char *second = must_enqueue(w, 2, 2, 2);
    must_answer_all(w, second, 2, 2);
    must_grade_all(w, second);
    must_finish(w, second);
    must_enqueue(w, 2, 2, 3);

    struct store_board board = must_board(w, (struct store_board_filter){0});
    assert_int_equal(board.count, 2);
    assert_false(board.more);
    assert_string_equal(board.rows[0].run_id, second); /* the latest first */
    assert_string_equal(board.rows[1].run_id, first);
    assert_string_equal(board.rows[1].node, "node-a");
    assert_string_equal(board.rows[1].headline_metric, "exact");
    assert_int_equal(board.rows[1].spec.length, 4);
    assert_int_equal(board.rows[1].report.length, 6);
    assert_int_equal(board.rows[1].figures.count, 2);
    assert_string_equal(board.rows[1].figures.items[0].id, "accuracy");
    assert_true(board.rows[1].figures.items[0].value.known);
    assert_true(board.rows[1].figures.items[0].high.value == 0.75);
    assert_false(board.rows[1].figures.items[1].value.known);
    assert_string_equal(board.rows[1].figures.items[1].reason, "no decode");

    board = must_board(w, (struct store_board_filter){.with_unfinished = true});
    assert_int_equal(board.count, 3);
    board = must_board(w, (struct store_board_filter){.with_unfinished = true, .limit = 1});
    assert_int_equal(board.count, 1);
    assert_true(board.more);
    assert_int_equal(must_board(w, (struct store_board_filter){.model = "tiny"}).count, 2);
    assert_int_equal(must_board(w, (struct store_board_filter){.model = "other"}).count, 0);
    assert_int_equal(must_board(w, (struct store_board_filter){.engine = "' OR 1=1; --"}).count, 0);
    assert_int_equal(must_board(w, (struct store_board_filter){.task = "mini"}).count, 2);
}

/* A run that has ended. */
static const char *must_end(struct world *w, int tag)
{
    const char *run = must_enqueue(w, 2, 2, tag);

    must_answer_all(w, run, 2, 2);
    must_grade_all(w, run);
    must_finish(w, run);
    return run;
}

/* Follows the pages, and lets a run end, or come, after each: those that were there at the start
 * are seen once each, in the order of the start. */
static void check_pages(struct world *w, struct store_board_filter filter, const char **expected,
                        size_t count)
{
    struct store_board page;
    size_t seen = 0;

    filter.limit = 2;
    do {
        page = must_board(w, filter);
        for (size_t i = 0; i < page.count; i++, seen++) {
            assert_true(seen < count);
            assert_string_equal(page.rows[i].run_id, expected[seen]);
        }
        assert_true(page.count == 2 || !page.more);
        filter.after = page.count ? page.rows[page.count - 1].run_id : "";
        must_end(w, 100 + (int)seen + 50 * filter.with_unfinished);
    } while (page.more);
    assert_int_equal(seen, count);
}

static void pages_of_the_board_neither_repeat_nor_drop_a_run(void **state)
{
    struct world *w = *state;
    const char *by_end[7], *by_queue[9];
    struct store_board board;
    size_t count;

    must_put_task(w, 2);
    for (int i = 0; i < 7; i++)
        by_end[6 - i] = must_end(w, i);
    /* the same instant for several: the order is still total */
    free(harness_sql(w->db, "UPDATE moecap.run SET ended_at = (SELECT max(ended_at) FROM"
                            " moecap.run) WHERE run_no % 2 = 0"));
    must_enqueue(w, 2, 2, 98); /* waits: not among the ended ones */
    board = must_board(w, (struct store_board_filter){0});
    assert_int_equal(board.count, 7);
    for (size_t i = 0; i < 7; i++)
        by_end[i] = board.rows[i].run_id;
    check_pages(w, (struct store_board_filter){0}, by_end, 7);

    free(harness_sql(w->db, "UPDATE moecap.run SET state = 'cancelled' WHERE run_no = 2"));
    board = must_board(w, (struct store_board_filter){.with_unfinished = true, .limit = 9});
    assert_true(board.more);
    for (count = 0; count < 9; count++)
        by_queue[count] = board.rows[count].run_id;
    board = must_board(
        w, (struct store_board_filter){.with_unfinished = true, .after = by_queue[0], .limit = 8});
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(board.rows[i].run_id, by_queue[i + 1]);
    board = must_board(w, (struct store_board_filter){.state = STORE_STATE_CANCELLED});
    assert_int_equal(board.count, 1);
    board = must_board(w, (struct store_board_filter){.state = STORE_STATE_QUEUED});
    assert_int_equal(board.count, 1);
}

static void a_place_that_is_none_is_refused(void **state)
{
    struct world *w = *state;
    struct store_board_filter filter = {"", "", "", "", "", .after = "run-none"};
    struct store_board board;
    struct cap_err err = {0};

    must_put_task(w, 2);
    const char *waiting = must_enqueue(w, 2, 2, 1);
    assert_false(store_report_board(w->pg, &filter, w->arena, &board, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.field, "after");
    assert_non_null(strstr(err.text, "there is no such run"));
    cap_err_clear(&err);
    filter.after = waiting;
    assert_false(store_report_board(w->pg, &filter, w->arena, &board, &err));
    assert_non_null(strstr(err.text, "that run has not ended"));
}

static void a_board_holds_the_figures_that_were_asked_for(void **state)
{
    struct world *w = *state;
    static const char *const wanted[] = {"no_such_figure", "accuracy"}, *const none[] = {"none"};
    struct store_board board;

    must_put_task(w, 2);
    must_end(w, 1);
    board = must_board(w, (struct store_board_filter){
                              .figures = wanted, .figure_count = 2, .without_report = true});
    assert_int_equal(board.rows[0].figures.count, 1);
    assert_string_equal(board.rows[0].figures.items[0].id, "accuracy");
    assert_null(board.rows[0].report.data);
    /* and always the task's headline metric */
    free(harness_sql(w->db, "UPDATE moecap.task SET metrics = '{accuracy}'"));
    board = must_board(w, (struct store_board_filter){.figures = none, .figure_count = 1});
    assert_int_equal(board.rows[0].figures.count, 1);
    assert_string_equal(board.rows[0].figures.items[0].id, "accuracy");
}

/* Cutting the list would leave figures out without a word. */
static void a_list_of_figures_without_end_is_refused(void **state)
{
    struct world *w = *state;
    static char name[1024];
    static const char *wanted[STORE_BOARD_FIGURES_MAX];
    struct store_board_filter filter = {"", "", "", "", "", .after = ""};
    struct store_board board;
    struct cap_err err = {0};

    memset(name, 'x', sizeof name - 1);
    for (int i = 0; i < STORE_BOARD_FIGURES_MAX; i++)
        wanted[i] = name;
    filter.figures = wanted;
    filter.figure_count = STORE_BOARD_FIGURES_MAX;
    assert_false(store_report_board(w->pg, &filter, w->arena, &board, &err));
    assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
    assert_string_equal(err.field, "figures");
    assert_non_null(strstr(err.text, "more than 65536 bytes together"));
}

static void the_board_does_not_touch_samples(void **state)
{
    struct world *w = *state;

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, run, 2, 2);
    must_grade_all(w, run);
    must_finish(w, run);
    free(harness_sql(w->db, "ALTER TABLE moecap.sample RENAME TO hidden"));
    assert_int_equal(must_board(w, (struct store_board_filter){0}).rows[0].figures.count, 2);
}

static void a_run_is_reported_with_attempts_and_histograms(void **state)
{
    struct world *w = *state;
    struct store_run_report report;
    struct cap_err err = {0};

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, run, 2, 2);
    must_grade_all(w, run);
    must_finish(w, run);
    assert_ok(store_report_run(w->pg, run, w->arena, &report, &err), &err);
    assert_int_equal(report.row.state, STORE_STATE_FINISHED);
    assert_true(report.row.queued_at_ms > 1500000000000 && report.row.ended_at_ms > 0);
    assert_int_equal(report.attempt_count, 1);
    assert_string_equal(report.attempts[0].outcome, "done");
    assert_int_equal(report.histograms.count, 1);
    assert_int_equal(report.histograms.items[0].counts.items[2], 4);
    assert_true(report.histograms.items[0].growth == 1.02);
    assert_int_equal(report.row.samples_graded, 2);
    assert_string_equal(report.task.name, "mini");
    assert_refused(store_report_run(w->pg, "run-none", w->arena, &report, &err), &err,
                   CAP_NOT_FOUND, "run \"run-none\" does not exist");
}

/* ---- samples ---- */

static struct store_sample_page must_list(struct world *w, struct store_sample_filter filter)
{
    struct store_sample_page page;
    struct cap_err err = {0};

    filter.verdict = filter.verdict ? filter.verdict : "";
    filter.status = filter.status ? filter.status : "";
    filter.search = filter.search ? filter.search : "";
    assert_ok(store_report_samples(w->pg, &filter, w->arena, &page, &err), &err);
    return page;
}

static void pages_of_samples_join_without_gap_or_overlap(void **state)
{
    enum { SAMPLES = 257 };
    struct world *w = *state;
    struct store_sample_page page;
    int64_t after = -1;
    uint32_t seen = 0;

    must_put_task(w, SAMPLES);
    const char *run = must_enqueue(w, SAMPLES, SAMPLES, 1);
    must_answer_all(w, run, SAMPLES, SAMPLES);
    do {
        page = must_list(
            w, (struct store_sample_filter){.run_id = run, .after_ordinal = after, .limit = 32});
        for (size_t i = 0; i < page.count; i++)
            assert_int_equal(page.rows[i].answer.ordinal, seen++);
        after = page.count ? page.rows[page.count - 1].answer.ordinal : after;
    } while (page.more);
    assert_int_equal(seen, SAMPLES);
}

static void gold_is_shown_only_when_the_run_has_ended(void **state)
{
    struct world *w = *state;
    struct store_sample_page page;

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, run, 2, 2);
    struct store_sample_filter filter = {
        .run_id = run, .after_ordinal = -1, .with_gold = true, .with_texts = true};
    page = must_list(w, filter);
    assert_null(page.rows[0].doc_json);
    must_grade_all(w, run);
    assert_null(must_list(w, filter).rows[0].doc_json);
    must_finish(w, run);
    page = must_list(w, filter);
    assert_string_equal(page.rows[0].doc_json, "{\"id\":\"s0\",\"question\":\"0?\",\"answer\":0}");
    assert_string_equal((const char *)page.rows[0].answer.prompt.data, "prompt");
    assert_int_equal(page.rows[0].answer.output_ids.items[2], 151643);
    filter.with_texts = false;
    page = must_list(w, filter);
    assert_string_equal((const char *)page.rows[0].answer.prompt.data, "");
    assert_int_equal(page.rows[0].answer.output_ids.count, 0);
}

static void samples_are_filtered_by_the_headline_verdict(void **state)
{
    struct world *w = *state;
    struct store_sample_page page;
    struct store_sample_filter filter = {
        .after_ordinal = -1, .verdict = "wrong", .status = "", .search = ""};
    struct cap_err err = {0};

    must_put_task(w, 6);
    filter.run_id = must_enqueue(w, 6, 6, 1);
    must_answer_all(w, filter.run_id, 6, 6);
    assert_int_equal(must_list(w, filter).count, 0);
    must_grade_all(w, filter.run_id); /* every second one is wrong */
    page = must_list(w, filter);
    assert_int_equal(page.count, 3);
    for (size_t i = 0; i < page.count; i++) {
        assert_int_equal(page.rows[i].answer.ordinal, 2 * i + 1);
        assert_int_equal(page.rows[i].verdicts.count, 1);
        assert_int_equal(page.rows[i].verdicts.items[0].kind, STORE_VERDICT_WRONG);
    }
    filter.verdict = "";
    filter.status = "completed";
    page = must_list(w, filter);
    filter.status = "failed";
    assert_int_equal(page.count + must_list(w, filter).count, 6);
    filter.status = "";
    filter.search = "ANSWER 3 of"; /* whatever the case */
    page = must_list(w, filter);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.rows[0].answer.ordinal, 3);
    filter.search = "%"; /* means itself */
    assert_int_equal(must_list(w, filter).count, 0);
    filter.search = "";
    filter.verdict = "right";
    assert_refused(store_report_samples(w->pg, &filter, w->arena, &page, &err), &err,
                   CAP_INVALID_ARGUMENT,
                   "verdict is \"right\", must be correct, wrong, undecided or empty");
    cap_err_clear(&err);
    filter.verdict = "";
    filter.run_id = "run-none";
    assert_refused(store_report_samples(w->pg, &filter, w->arena, &page, &err), &err, CAP_NOT_FOUND,
                   "run \"run-none\" does not exist");
}

/* ---- evidence ---- */

static void evidence_comes_whole_and_in_pages(void **state)
{
    enum { SAMPLES = 450, PASSES = 2500 };
    struct world *w = *state;
    struct cap_err err = {0};
    struct store_evidence_header header;
    struct store_evidence_place place = {0};
    struct store_answers answers;
    struct store_passes passes;
    struct store_powers power;
    struct store_expert_counts counts;
    size_t seen = 0;
    uint32_t distinct[] = {3, 4};
    uint64_t selections[] = {5, 0, 7};
    struct store_expert_count row = {1, 0, 8, {selections, 3}};
    struct store_power watt = {12, "gpu0", 301.5};

    must_put_task(w, SAMPLES);
    const char *run = must_enqueue(w, SAMPLES, SAMPLES, 1);
    struct store_lease lease = must_lease(w, run, 0, "node-a");
    struct store_batch *batch = batch_of(w, run, 0, lease.fence, 1, 0, SAMPLES, true, 0);
    batch->passes =
        (struct store_passes){cap_arena_array(w->arena, PASSES, sizeof(struct store_pass)), PASSES};
    for (uint32_t i = 0; i < PASSES; i++)
        batch->passes.items[i] = (struct store_pass){.phase = 2,
                                                     .tokens = i,
                                                     .duration_ns = 1000,
                                                     .started_us = i,
                                                     .distinct_experts = {distinct, 2},
                                                     .weight_bytes = {true, 1 << 20},
                                                     .flops = {true, 0.1}};
    batch->power = (struct store_powers){&watt, 1};
    batch->expert_counts = (struct store_expert_counts){&row, 1};
    must_append(w, batch);

    assert_ok(store_evidence_header(w->pg, run, w->arena, &header, &err), &err);
    assert_int_equal(header.attempted, SAMPLES);
    assert_int_equal(header.attempts, 1);
    assert_int_equal(header.report.length, 6);
    do {
        assert_ok(store_evidence_answers(w->pg, run, &place, w->arena, &answers, &err), &err);
        for (size_t i = 0; i < answers.count; i++, seen++) {
            assert_int_equal(answers.items[i].ordinal, seen);
            assert_int_equal(answers.items[i].text.length, 0);
            assert_int_equal(answers.items[i].itl_us.count, 2);
            assert_int_equal(answers.items[i].first_token_us.value, 500);
        }
    } while (answers.count > 0);
    assert_int_equal(seen, SAMPLES);
    place = (struct store_evidence_place){0};
    seen = 0;
    do {
        assert_ok(store_evidence_passes(w->pg, run, &place, w->arena, &passes, &err), &err);
        for (size_t i = 0; i < passes.count; i++, seen++) {
            assert_int_equal(passes.items[i].tokens, seen);
            assert_int_equal(passes.items[i].distinct_experts.items[1], 4);
            assert_true(passes.items[i].flops.value == 0.1);
            assert_false(passes.items[i].kv_bytes.known);
        }
    } while (passes.count > 0);
    assert_int_equal(seen, PASSES);
    place = (struct store_evidence_place){0};
    assert_ok(store_evidence_power(w->pg, run, &place, w->arena, &power, &err), &err);
    assert_int_equal(power.count, 1);
    assert_true(power.items[0].watts == 301.5);
    place = (struct store_evidence_place){0};
    assert_ok(store_evidence_counts(w->pg, run, &place, w->arena, &counts, &err), &err);
    assert_int_equal(counts.count, 1);
    assert_int_equal(counts.items[0].counts.items[2], 7);
    assert_int_equal(counts.items[0].batch_bucket, 8);
}

static void an_attempt_that_stored_nothing_does_not_count_as_an_interruption(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    struct store_evidence_header header;

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    struct store_lease_ref lost = {run, 0, must_lease(w, run, 0, "node-a").fence};
    assert_ok(store_lease_release(w->pg, &lost, "node lost", &err), &err);
    must_answer_all(w, run, 2, 2);
    assert_ok(store_evidence_header(w->pg, run, w->arena, &header, &err), &err);
    assert_int_equal(header.attempts, 1);

    run = must_enqueue(w, 2, 2, 2);
    struct store_lease first = must_lease(w, run, 0, "node-a");
    must_append(w, batch_of(w, run, 0, first.fence, 1, 0, 1, false, 0));
    lost = (struct store_lease_ref){run, 0, first.fence};
    assert_ok(store_lease_release(w->pg, &lost, "node lost", &err), &err);
    struct store_lease second = must_lease(w, run, 0, "node-b");
    must_append(w, batch_of(w, run, 0, second.fence, second.seq_next, 1, 1, true, 0));
    assert_ok(store_evidence_header(w->pg, run, w->arena, &header, &err), &err);
    assert_int_equal(header.attempts, 2);
}

/* ---- nodes and events ---- */

static void events_tell_a_run_from_queue_to_end(void **state)
{
    struct world *w = *state;
    struct store_event_page page;
    struct cap_err err = {0};
    static const char *const told[] = {
        "queued",
        "shard 0 to node node-a, attempt 1, 1 of 1 samples left",
        "queued -> leased",
        "leased -> running",
        "shard 0 of node node-a, attempt 1: done",
        "running -> grading",
        "grading -> finished",
    };

    must_put_task(w, 1);
    const char *run = must_enqueue(w, 1, 1, 1);
    must_answer_all(w, run, 1, 1);
    must_grade_all(w, run);
    must_finish(w, run);
    assert_ok(store_event_list(w->pg, run, 0, 0, w->arena, &page, &err), &err);
    assert_int_equal(page.count, CAP_COUNT_OF(told));
    assert_false(page.more);
    for (size_t i = 0; i < page.count; i++)
        assert_string_equal(page.events[i].text, told[i]);
    assert_ok(store_event_list(w->pg, run, page.events[4].id, 1, w->arena, &page, &err), &err);
    assert_int_equal(page.count, 1);
    assert_true(page.more);
    assert_string_equal(page.events[0].text, told[5]);
}

static void a_node_is_an_event_when_it_comes_and_when_it_goes(void **state)
{
    struct world *w = *state;
    struct store_node node = {"node-1", "box", {(const uint8_t *)"hello", 5}, true};
    struct store_event_page page;
    struct cap_err err = {0};

    assert_ok(store_node_put(w->pg, &node, &err), &err);
    assert_ok(store_node_put(w->pg, &node, &err), &err);
    node = (struct store_node){"node-1", "", {0}, false};
    assert_ok(store_node_put(w->pg, &node, &err), &err);
    assert_ok(store_event_list(w->pg, "", 0, 0, w->arena, &page, &err), &err);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.events[0].text, "box (node-1) connected");
    assert_string_equal(page.events[1].text, "box (node-1) gone");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.node WHERE hello = 'hello'"), 1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(answers_meet_their_documents_by_id),
        WORLD_TEST(the_first_verdict_of_a_version_stays_and_versions_add_up),
        WORLD_TEST(verdicts_that_belong_nowhere_are_refused),
        WORLD_TEST(a_run_finishes_once_and_only_when_all_is_graded),
        WORLD_TEST(the_board_shows_figures_and_their_reasons),
        WORLD_TEST(pages_of_the_board_neither_repeat_nor_drop_a_run),
        WORLD_TEST(a_place_that_is_none_is_refused),
        WORLD_TEST(a_board_holds_the_figures_that_were_asked_for),
        WORLD_TEST(a_list_of_figures_without_end_is_refused),
        WORLD_TEST(the_board_does_not_touch_samples),
        WORLD_TEST(a_run_is_reported_with_attempts_and_histograms),
        WORLD_TEST(pages_of_samples_join_without_gap_or_overlap),
        WORLD_TEST(gold_is_shown_only_when_the_run_has_ended),
        WORLD_TEST(samples_are_filtered_by_the_headline_verdict),
        WORLD_TEST(evidence_comes_whole_and_in_pages),
        WORLD_TEST(an_attempt_that_stored_nothing_does_not_count_as_an_interruption),
        WORLD_TEST(events_tell_a_run_from_queue_to_end),
        WORLD_TEST(a_node_is_an_event_when_it_comes_and_when_it_goes),
    };

    return cmocka_run_group_tests_name("store report", tests, NULL, NULL);
}
