/* From stored answers to verdicts, a summary, and what people read of it. */
#include "world.h"

#include <math.h>

/* ---- grading ---- */

static void answers_meet_their_documents_by_id(void **state)
{
    struct world *w = *state;
    Moecap__V1__ReadUngradedRequest request = MOECAP__V1__READ_UNGRADED_REQUEST__INIT;
    Moecap__V1__ReadUngradedReply reply = MOECAP__V1__READ_UNGRADED_REPLY__INIT;
    struct cap_err err = {0};

    must_put_task(w, 10);
    request.run_id = must_enqueue(w, 10, 5, 1);
    must_answer_all(w, request.run_id, 10, 5);
    request.limit = 4;
    assert_ok(store_read_ungraded(w->pg, &request, w->arena, &reply, &err), &err);
    assert_int_equal(reply.n_items, 4);
    for (uint32_t i = 0; i < reply.n_items; i++) {
        char doc[128], text[64];
        snprintf(doc, sizeof doc, "{\"id\":\"s%u\",\"question\":\"%u?\",\"answer\":%u}", i, i, i);
        snprintf(text, sizeof text, "answer %u of 0", i);
        assert_string_equal(reply.items[i]->doc->json, doc);
        assert_string_equal(reply.items[i]->doc->uid, reply.items[i]->answer->uid);
        assert_string_equal(reply.items[i]->answer->text, text);
    }
    request.limit = 257;
    assert_refused(store_read_ungraded(w->pg, &request, w->arena, &reply, &err), &err,
                   CAP_INVALID_ARGUMENT, "limit is 257, at most 256");
}

static bool put_one(struct world *w, const char *run, Moecap__V1__Verdict v, uint32_t *out_graded,
                    struct cap_err *err)
{
    Moecap__V1__PutVerdictsRequest request = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply reply = MOECAP__V1__PUT_VERDICTS_REPLY__INIT;
    Moecap__V1__Verdict *list[] = {&v};
    bool ok;

    request.run_id = (char *)run;
    request.verdicts = list;
    request.n_verdicts = 1;
    ok = store_put_verdicts(w->pg, &request, w->arena, &reply, err);
    *out_graded = reply.samples_graded;
    return ok;
}

static Moecap__V1__Verdict correct(void)
{
    Moecap__V1__Verdict v = MOECAP__V1__VERDICT__INIT;

    v.metric = "exact";
    v.version = "1";
    v.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_CORRECT;
    v.extracted = "42";
    v.score = 1;
    return v;
}

static void the_first_verdict_of_a_version_stays_and_versions_add_up(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    uint32_t graded;
    Moecap__V1__Verdict v = correct();

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, run, 2, 2);
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(graded, 1);
    v.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG;
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(graded, 1);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict WHERE kind = 'correct'"), 1);
    v.version = "2";
    v.reason = "bytes \xFF that are no text";
    assert_ok(put_one(w, run, v, &graded, &err), &err);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict"), 2);
    /* Measures use the latest. */
    Moecap__V1__Evidence *evidence = must_read_evidence(w, run);
    assert_int_equal(evidence->n_verdicts, 1);
    assert_string_equal(evidence->verdicts[0]->version, "2");
    assert_int_equal(evidence->verdicts[0]->kind, MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG);
    assert_string_equal(evidence->verdicts[0]->reason, "bytes <0xFF> that are no text");
}

/* Whatever the order, the repeats and the metrics: a sample with a verdict counts once. */
static void a_sample_counts_as_graded_once(void **state)
{
    struct world *w = *state;
    Moecap__V1__PutVerdictsRequest request = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply reply = MOECAP__V1__PUT_VERDICTS_REPLY__INIT;
    Moecap__V1__Verdict v[4] = {correct(), correct(), correct(), correct()};
    Moecap__V1__Verdict *list[] = {&v[0], &v[1], &v[2], &v[3]};
    struct cap_err err = {0};
    uint32_t graded;

    must_put_task(w, 4);
    request.run_id = must_enqueue(w, 4, 4, 1);
    must_answer_all(w, request.run_id, 4, 4);
    assert_ok(put_one(w, request.run_id, v[0], &graded, &err), &err);
    v[0].ordinal = 2;
    v[1].metric = "other"; /* of sample 0, which has a verdict */
    v[2].ordinal = 2;
    v[2].metric = "other";
    v[3].ordinal = 2; /* as the first */
    request.verdicts = list;
    request.n_verdicts = 4;
    for (int i = 0; i < 2; i++) {
        assert_ok(store_put_verdicts(w->pg, &request, w->arena, &reply, &err), &err);
        assert_int_equal(reply.samples_graded, 2);
        assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict"), 4);
    }
    assert_int_equal(sql_int(w, "SELECT count(DISTINCT ordinal) FROM moecap.verdict"), 2);
}

static void verdicts_that_belong_nowhere_are_refused(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    uint32_t graded;
    Moecap__V1__Verdict v = correct();
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
    v = correct();
    v.kind = MOECAP__V1__VERDICT_KIND__VERDICT_KIND_UNSPECIFIED;
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "sample 0 has no kind of verdict");
    cap_err_clear(&err);
    v = correct();
    v.score = 0.0 / 0.0;
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "the score of sample 0 is not a number");
    cap_err_clear(&err);
    v = correct();
    v.metric = "\xFF";
    assert_refused(put_one(w, run, v, &graded, &err), &err, CAP_INVALID_ARGUMENT,
                   "the verdict of sample 0 has a metric or version that is not UTF-8");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.verdict"), 0);
}

/* ---- finishing ---- */

/* With that figure, or without any. */
static bool finish(struct world *w, const char *run, Moecap__V1__Figure *figure,
                   struct cap_err *err)
{
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary summary = MOECAP__V1__SUMMARY__INIT;
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;

    request.run_id = (char *)run;
    request.summary = &summary;
    summary.figures = &figure;
    summary.n_figures = figure != NULL;
    return store_finish_run(w->pg, &request, w->arena, &reply, err);
}

/* A run that grades: nothing is stored of a summary that is refused. */
static void refuse_curve(struct world *w, const char *run, Moecap__V1__Curve *curve,
                         const char *text)
{
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary summary = MOECAP__V1__SUMMARY__INIT;
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;
    struct cap_err err = {0};

    request.run_id = (char *)run;
    request.summary = &summary;
    summary.curves = &curve;
    summary.n_curves = 1;
    assert_refused(store_finish_run(w->pg, &request, w->arena, &reply, &err), &err,
                   CAP_INVALID_ARGUMENT, text);
}

static void a_curve_has_points_that_can_be_drawn(void **state)
{
    static const char lengths[] =
        "curve 0 needs an id, at most 4096 points, and lists of one length";
    struct world *w = *state;
    Moecap__V1__Curve curve = MOECAP__V1__CURVE__INIT;
    double points[] = {1, 2, INFINITY};

    must_put_task(w, 1);
    const char *run = must_enqueue(w, 1, 1, 1);
    must_answer_all(w, run, 1, 1);
    must_grade_all(w, run);
    curve.x = curve.y = curve.reference = points;
    curve.n_x = curve.n_y = 2;
    refuse_curve(w, run, &curve, lengths); /* no id */
    curve.id = "x";
    curve.n_y = 1;
    refuse_curve(w, run, &curve, lengths);
    curve.n_y = 2;
    curve.n_reference = 1;
    refuse_curve(w, run, &curve, lengths);
    curve.n_x = curve.n_y = curve.n_reference = 3;
    refuse_curve(w, run, &curve, "a point of curve \"x\" is not finite");
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.curve"), 0);
}

static void a_run_finishes_once_and_only_when_all_is_graded(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};
    Moecap__V1__Figure none = MOECAP__V1__FIGURE__INIT;
    char text[128];

    must_put_task(w, 3);
    const char *run = must_enqueue(w, 3, 3, 1);
    snprintf(text, sizeof text, "run %s is queued and cannot become finished", run);
    assert_refused(finish(w, run, NULL, &err), &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    must_answer_all(w, run, 3, 3);
    snprintf(text, sizeof text, "run %s has 3 samples without a verdict", run);
    assert_refused(finish(w, run, NULL, &err), &err, CAP_FAILED_PRECONDITION, text);
    cap_err_clear(&err);
    must_grade_all(w, run);
    none.id = "x";
    assert_refused(finish(w, run, &none, &err), &err, CAP_INVALID_ARGUMENT,
                   "figure \"x\" has neither a finite value nor a reason");
    cap_err_clear(&err);
    must_finish(w, run);
    must_finish(w, run); /* the reply was lost, the scheduler asks again */
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.figure"), 2);
    /* It may turn out invalid later, and keeps figures and the time of its end. */
    free(harness_sql(w->db, "UPDATE moecap.run SET ended_at = '2020-01-01'"));
    assert_ok(move_run(w, run, STORE_STATE_FINISHED, STORE_STATE_INVALID, "audit", &err), &err);
    assert_int_equal(sql_int(w, "SELECT extract(year FROM ended_at)::integer FROM moecap.run"),
                     2020);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.figure"), 2);
    assert_int_equal(sql_int(w, "SELECT count(*) FROM moecap.evaluation WHERE ended_at IS NULL"),
                     0);
}

/* ---- the board ---- */

static Moecap__V1__BoardReply *must_board(struct world *w, Moecap__V1__BoardRequest wanted)
{
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;
    Moecap__V1__BoardReply *reply = cap_arena_alloc(w->arena, sizeof *reply);
    char **texts[] = {&wanted.model, &wanted.task,      &wanted.engine,  &wanted.evaluation_id,
                      &wanted.after, &wanted.precision, &wanted.question};
    struct cap_err err = {0};

    wanted.base = request.base;
    for (size_t i = 0; i < CAP_COUNT_OF(texts); i++)
        *texts[i] = *texts[i] ? *texts[i] : "";
    moecap__v1__board_reply__init(reply);
    assert_ok(store_board(w->pg, &wanted, w->arena, reply, &err), &err);
    return reply;
}

/* BOARD(w, .model = "tiny"); what is not named filters nothing. */
#define BOARD(w, ...) must_board(w, (Moecap__V1__BoardRequest){__VA_ARGS__})

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

    Moecap__V1__BoardReply *board = BOARD(w, .limit = 0);
    assert_int_equal(board->n_rows, 2);
    assert_false(board->more);
    assert_string_equal(board->rows[0]->run_id, second); /* the latest first */
    const Moecap__V1__BoardRow *row = board->rows[1];
    assert_string_equal(row->run_id, first);
    assert_string_equal(row->node, "node-a");
    assert_string_equal(row->headline_metric, "exact");
    assert_string_equal(row->spec->model, "tiny");
    assert_string_equal(row->report->engine_version, "null 1");
    assert_int_equal(row->n_figures, 2);
    assert_string_equal(row->figures[0]->id, "accuracy");
    assert_int_equal(row->figures[0]->opt_value_case, MOECAP__V1__FIGURE__OPT_VALUE_VALUE);
    assert_true(row->figures[0]->high == 0.75);
    assert_int_equal(row->figures[1]->opt_value_case, 0);
    assert_string_equal(row->figures[1]->reason, "no decode");

    assert_int_equal(BOARD(w, .with_unfinished = true)->n_rows, 3);
    board = BOARD(w, .with_unfinished = true, .limit = 1);
    assert_int_equal(board->n_rows, 1);
    assert_true(board->more);
    assert_int_equal(BOARD(w, .state = MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED)->n_rows, 1);
    assert_int_equal(
        BOARD(w, .state = MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED)->rows[0]->ended_at_ms, 0);
}

static void the_board_filters_exactly(void **state)
{
    struct world *w = *state;

    must_put_task(w, 2);
    must_enqueue(w, 2, 2, 1);
#define WAITING(...) BOARD(w, .with_unfinished = true, __VA_ARGS__)->n_rows
    assert_int_equal(WAITING(.model = "tiny"), 1);
    assert_int_equal(WAITING(.model = "other"), 0);
    assert_int_equal(WAITING(.engine = "null", .precision = "f32"), 1);
    assert_int_equal(WAITING(.engine = "' OR 1=1; --"), 0);
    assert_int_equal(WAITING(.precision = "bf16"), 0);
    assert_int_equal(WAITING(.task = "mini"), 1);
    assert_int_equal(WAITING(.evaluation_id = "eval-none"), 0);
#undef WAITING
}

static void a_filter_takes_several_values_and_runs_are_counted_beside(void **state)
{
    struct world *w = *state;
    char *both[] = {"other", "tiny"}, *none[] = {"other", "another"};

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    must_enqueue(w, 2, 2, 2);
#define ALL .with_unfinished = true, .with_counts = true
    assert_int_equal(BOARD(w, ALL, .models = both, .n_models = 2)->n_rows, 2);
    assert_int_equal(BOARD(w, ALL, .tasks = none, .n_tasks = 2, .task = "mini")->n_rows, 2);
    Moecap__V1__BoardReply *reply = BOARD(w, ALL, .models = none, .n_models = 2);
    assert_int_equal(reply->n_rows, 0); /* and what there is stands beside it */
    assert_int_equal(reply->n_counts, 1);
    assert_string_equal(reply->counts[0]->model, "tiny");
    assert_string_equal(reply->counts[0]->task, "mini");
    assert_string_equal(reply->counts[0]->engine, "null");
    assert_string_equal(reply->counts[0]->precision, "f32");
    assert_int_equal(reply->counts[0]->runs, 2);
    assert_int_equal(BOARD(w, .with_counts = true)->n_counts, 0); /* none has ended */
    char *question = must_get_run(w, run)->row->question;
    assert_int_equal(BOARD(w, ALL, .question = question)->n_rows, 2);
    assert_int_equal(BOARD(w, ALL, .question = "0123456789abcdef")->n_rows, 0);
#undef ALL
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
static void check_pages(struct world *w, bool with_unfinished, char **expected, size_t count)
{
    Moecap__V1__BoardReply *page;
    char *after = "";
    size_t seen = 0;

    do {
        page = BOARD(w, .with_unfinished = with_unfinished, .limit = 2, .after = after);
        for (size_t i = 0; i < page->n_rows; i++, seen++) {
            assert_true(seen < count);
            assert_string_equal(page->rows[i]->run_id, expected[seen]);
        }
        assert_true(page->n_rows == 2 || !page->more);
        after = page->next_after;
        must_end(w, 100 + (int)seen + 50 * with_unfinished);
    } while (page->more);
    assert_int_equal(seen, count);
}

static void pages_of_the_board_neither_repeat_nor_drop_a_run(void **state)
{
    struct world *w = *state;
    char *by_end[7], *by_queue[9];
    Moecap__V1__BoardReply *board;

    must_put_task(w, 2);
    for (int i = 0; i < 7; i++)
        must_end(w, i);
    /* the same instant for several: the order is still total */
    free(harness_sql(w->db, "UPDATE moecap.run SET ended_at = (SELECT max(ended_at) FROM"
                            " moecap.run) WHERE run_no % 2 = 0"));
    must_enqueue(w, 2, 2, 98); /* waits: not among the ended ones */
    board = BOARD(w, .limit = 0);
    assert_int_equal(board->n_rows, 7);
    for (size_t i = 0; i < 7; i++)
        by_end[i] = board->rows[i]->run_id;
    check_pages(w, false, by_end, 7);

    free(harness_sql(w->db, "UPDATE moecap.run SET state = 'cancelled' WHERE run_no = 2"));
    board = BOARD(w, .with_unfinished = true, .limit = 9);
    assert_true(board->more);
    for (size_t i = 0; i < 9; i++)
        by_queue[i] = board->rows[i]->run_id;
    board = BOARD(w, .with_unfinished = true, .after = by_queue[0], .limit = 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(board->rows[i]->run_id, by_queue[i + 1]);
    assert_int_equal(BOARD(w, .state = MOECAP__V1__RUN_STATE__RUN_STATE_CANCELLED)->n_rows, 1);
    assert_int_equal(BOARD(w, .state = MOECAP__V1__RUN_STATE__RUN_STATE_QUEUED)->n_rows, 1);
}

/* The sentence names the field, and the field is marked. */
static void refuse_board(struct world *w, const Moecap__V1__BoardRequest *request,
                         const char *field, const char *text)
{
    Moecap__V1__BoardReply reply = MOECAP__V1__BOARD_REPLY__INIT;
    struct cap_err err = {0};

    assert_false(store_board(w->pg, request, w->arena, &reply, &err));
    assert_string_equal(cap_code_name(err.code), cap_code_name(CAP_INVALID_ARGUMENT));
    assert_string_equal(err.field, field);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void a_board_that_cannot_be_is_refused_by_field(void **state)
{
    struct world *w = *state;
    static char name[1024], *wanted[STORE_BOARD_FIGURES_MAX + 1];
    Moecap__V1__BoardRequest request = MOECAP__V1__BOARD_REQUEST__INIT;

    must_put_task(w, 2);
    request.after = "run-none";
    refuse_board(w, &request, "after", "that run does not exist");
    request.after = must_enqueue(w, 2, 2, 1);
    refuse_board(w, &request, "after", "that run has not ended");
    request.after = "";
    request.limit = 1001;
    refuse_board(w, &request, "limit", "limit is 1001, at most 1000");
    request.limit = 0;
    request.state = (Moecap__V1__RunState)99;
    refuse_board(w, &request, "state", "99 is not a state of a run");
    request.state = MOECAP__V1__RUN_STATE__RUN_STATE_UNSPECIFIED;
    memset(name, 'x', sizeof name - 1);
    for (size_t i = 0; i < CAP_COUNT_OF(wanted); i++)
        wanted[i] = name;
    request.figures = wanted;
    request.n_figures = STORE_BOARD_FIGURES_MAX;
    refuse_board(w, &request, "figures", "more than 65536 bytes together");
    request.n_figures = STORE_BOARD_FIGURES_MAX + 1;
    refuse_board(w, &request, "figures", "257 figures are named, at most 256");
    wanted[0] = "ttft_ms_p50";
    wanted[1] = "ttft_ms_p51";
    request.n_figures = 2;
    refuse_board(w, &request, "figures",
                 "unknown figure \"ttft_ms_p51\", did you mean \"ttft_ms_p50\"?");
}

static void a_board_holds_the_figures_that_were_asked_for(void **state)
{
    struct world *w = *state;
    char *wanted[] = {"ttft_ms_p50", "accuracy", "exact"}, *other[] = {"tpot_ms_p50"};

    must_put_task(w, 2);
    must_end(w, 1);
    const Moecap__V1__BoardRow *row =
        BOARD(w, .figures = wanted, .n_figures = 3, .without_report = true)->rows[0];
    assert_int_equal(row->n_figures, 1);
    assert_string_equal(row->figures[0]->id, "accuracy");
    assert_null(row->report);
    /* and always the task's headline metric */
    free(harness_sql(w->db, "UPDATE moecap.task SET metrics = '{accuracy}'"));
    row = BOARD(w, .figures = other, .n_figures = 1)->rows[0];
    assert_int_equal(row->n_figures, 2);
    assert_string_equal(row->figures[0]->id, "accuracy");
    assert_string_equal(row->figures[1]->id, "tpot_ms_p50");
}

static void the_board_does_not_touch_samples(void **state)
{
    struct world *w = *state;

    must_put_task(w, 2);
    must_end(w, 1);
    free(harness_sql(w->db, "ALTER TABLE moecap.sample RENAME TO hidden"));
    assert_int_equal(BOARD(w, .limit = 0)->rows[0]->n_figures, 2);
}

/* Marks are few and belong to the figures: every list of figures has them, whichever figures it
 * asks for. */
static void each_row_of_the_board_has_its_own_marks(void **state)
{
    struct world *w = *state;
    char *wanted[] = {"tpot_ms_p50"};

    must_put_task(w, 2);
    must_end(w, 1);
    free(harness_sql(w->db, "UPDATE moecap.mark SET id = 'noisy host', bad = false"));
    must_end(w, 2);
    const Moecap__V1__BoardReply *board = BOARD(w, .figures = wanted, .n_figures = 1);
    assert_int_equal(board->n_rows, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(board->rows[i]->n_marks, 1);
    assert_string_equal(board->rows[0]->marks[0]->id, "unsettled");
    assert_string_equal(board->rows[0]->marks[0]->text, "2 of 34 samples");
    assert_true(board->rows[0]->marks[0]->bad);
    assert_string_equal(board->rows[1]->marks[0]->id, "noisy host");
    assert_false(board->rows[1]->marks[0]->bad);
}

static void a_mark_without_its_sentence_is_refused(void **state)
{
    struct world *w = *state;
    Moecap__V1__FinishRunRequest request = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary summary = MOECAP__V1__SUMMARY__INIT;
    Moecap__V1__Mark mark = MOECAP__V1__MARK__INIT, *marks[] = {&mark, &mark};
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;
    struct cap_err err = {0};

    request.run_id = "run-1";
    request.summary = &summary;
    summary.marks = marks;
    summary.n_marks = 1;
    mark.id = "unsettled";
    assert_refused(store_finish_run(w->pg, &request, w->arena, &reply, &err), &err,
                   CAP_INVALID_ARGUMENT,
                   "mark 0 needs an id of at most 64 bytes and a text of at most 1024");
    cap_err_clear(&err);
    mark.text = "why";
    summary.n_marks = 2;
    assert_refused(store_finish_run(w->pg, &request, w->arena, &reply, &err), &err,
                   CAP_INVALID_ARGUMENT, "mark \"unsettled\" appears twice");
}

/* ---- two runs on the same samples ---- */

static bool pair_verdicts(struct world *w, const char *a, const char *b,
                          Moecap__V1__PairVerdictsReply *reply, struct cap_err *err)
{
    Moecap__V1__PairVerdictsRequest request = MOECAP__V1__PAIR_VERDICTS_REQUEST__INIT;

    cap_err_clear(err);
    request.run_a = (char *)a;
    request.run_b = (char *)b;
    return store_pair_verdicts(w->pg, &request, w->arena, reply, err);
}

/* Verdicts that came in another order, and a later version of one, change no pair. */
static void trap_c28_runs_are_paired_by_the_sample_and_not_by_the_row(void **state)
{
    struct world *w = *state;
    Moecap__V1__PairVerdictsReply reply;
    struct cap_err err = {0};
    char sql[256];

    must_put_task(w, 4);
    const char *a = must_end(w, 1), *b = must_end(w, 2); /* even ordinals are right */
    snprintf(sql, sizeof sql,
             "UPDATE moecap.verdict SET kind = CASE ordinal WHEN 0 THEN 'wrong' ELSE 'correct' END"
             " WHERE run_no = (SELECT run_no FROM moecap.run WHERE run_id = '%s')",
             b);
    free(harness_sql(w->db, sql));
    assert_ok(pair_verdicts(w, a, b, &reply, &err), &err);
    assert_string_equal(reply.task, "mini");
    assert_string_equal(reply.metric, "exact");
    assert_int_equal(reply.n_ordinals, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(reply.ordinals[i], i);
        assert_int_equal(reply.right_a[i], i == 0);
        assert_int_equal(reply.right_b[i], i == 1);
    }
}

static void trap_c27_a_run_that_is_missing_is_no_empty_one(void **state)
{
    struct world *w = *state;
    Moecap__V1__PairVerdictsReply reply;
    struct cap_err err = {0};
    char text[256], sql[256];

    must_put_task(w, 4);
    const char *a = must_end(w, 1), *b = must_end(w, 2), *waits = must_enqueue(w, 2, 2, 3);
    assert_refused(pair_verdicts(w, a, "run-none", &reply, &err), &err, CAP_NOT_FOUND,
                   "run \"run-none\" does not exist");
    snprintf(text, sizeof text, "run %s is queued; only finished runs can be compared", waits);
    assert_refused(pair_verdicts(w, a, waits, &reply, &err), &err, CAP_FAILED_PRECONDITION, text);
    snprintf(text, sizeof text, "both runs are %s; name two", a);
    assert_refused(pair_verdicts(w, a, a, &reply, &err), &err, CAP_INVALID_ARGUMENT, text);
    snprintf(sql, sizeof sql,
             "DELETE FROM moecap.verdict WHERE ordinal = 1 AND"
             " run_no = (SELECT run_no FROM moecap.run WHERE run_id = '%s')",
             b);
    free(harness_sql(w->db, sql));
    snprintf(text, sizeof text,
             "the runs are not on the same samples: sample 1 has a verdict in %s and none in %s; "
             "submit both with the same limit, sampling and seed",
             a, b);
    assert_refused(pair_verdicts(w, a, b, &reply, &err), &err, CAP_FAILED_PRECONDITION, text);
}

static void runs_of_two_versions_of_a_task_are_not_compared(void **state)
{
    struct world *w = *state;
    Moecap__V1__PairVerdictsReply reply;
    struct cap_err err = {0};

    must_put_task(w, 4);
    const char *a = must_end(w, 1);
    must_put_task(w, 5); /* other data under the same name */
    const char *b = must_end(w, 2);
    assert_false(pair_verdicts(w, a, b, &reply, &err));
    assert_int_equal(err.code, CAP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "the runs are not on the same samples: "));
    assert_non_null(strstr(err.text, "is of mini (version 1, definition "));
    assert_non_null(strstr(err.text, "run both on one task"));
}

static void a_run_is_reported_with_attempts_and_histograms(void **state)
{
    struct world *w = *state;
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    Moecap__V1__GetRunReply refused = MOECAP__V1__GET_RUN_REPLY__INIT;
    struct cap_err err = {0};

    must_put_task(w, 2);
    Moecap__V1__GetRunReply *report = must_get_run(w, must_end(w, 1));
    assert_int_equal(report->row->state, STORE_STATE_FINISHED);
    assert_true(report->row->queued_at_ms > 1500000000000 && report->row->ended_at_ms > 0);
    assert_int_equal(report->row->n_figures, 2);
    assert_int_equal(report->n_attempts, 1);
    assert_int_equal(report->attempts[0]->attempt, 1);
    assert_string_equal(report->attempts[0]->outcome, "done");
    assert_int_equal(report->n_histograms, 1);
    assert_int_equal(report->histograms[0]->counts[2], 4);
    assert_true(report->histograms[0]->growth == 1.02);
    assert_int_equal(report->n_curves, 1);
    assert_true(report->curves[0]->y[1] == 3.25);
    assert_int_equal(report->curves[0]->n_reference, 0);
    assert_int_equal(report->samples_total, 2);
    assert_int_equal(report->row->samples_graded, 2);
    assert_string_equal(report->task->name, "mini");
    assert_string_equal(report->task->metrics[0], "exact");
    request.run_id = "run-none";
    assert_refused(store_get_run(w->pg, &request, w->arena, &refused, &err), &err, CAP_NOT_FOUND,
                   "run \"run-none\" does not exist");
}

/* ---- samples ---- */

static void pages_of_samples_join_without_gap_or_overlap(void **state)
{
    enum { SAMPLES = 257 };
    struct world *w = *state;
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *page;
    uint32_t seen = 0;

    must_put_task(w, SAMPLES);
    request.run_id = must_enqueue(w, SAMPLES, SAMPLES, 1);
    must_answer_all(w, request.run_id, SAMPLES, SAMPLES);
    request.limit = 32;
    do {
        page = must_list(w, &request);
        for (size_t i = 0; i < page->n_samples; i++)
            assert_int_equal(page->samples[i]->answer->ordinal, seen++);
        request.opt_after_case = MOECAP__V1__LIST_SAMPLES_REQUEST__OPT_AFTER_AFTER_ORDINAL;
        request.after_ordinal = page->next_after;
    } while (page->opt_next_case);
    assert_int_equal(seen, SAMPLES);
}

static void gold_is_shown_only_when_the_run_has_ended(void **state)
{
    struct world *w = *state;
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    const Moecap__V1__SampleRow *row;

    must_put_task(w, 2);
    request.run_id = must_enqueue(w, 2, 2, 1);
    must_answer_all(w, request.run_id, 2, 2);
    request.with_gold = request.with_texts = true;
    assert_string_equal(must_list(w, &request)->samples[0]->doc_json, "");
    must_grade_all(w, request.run_id);
    assert_string_equal(must_list(w, &request)->samples[0]->doc_json, "");
    must_finish(w, request.run_id);
    row = must_list(w, &request)->samples[0];
    assert_string_equal(row->doc_json, "{\"id\":\"s0\",\"question\":\"0?\",\"answer\":0}");
    assert_string_equal(row->answer->prompt, "prompt");
    assert_int_equal(row->answer->output_ids[2], 151643);
    request.with_texts = false;
    row = must_list(w, &request)->samples[0];
    assert_string_equal(row->answer->prompt, "");
    assert_int_equal(row->answer->n_output_ids, 0);
}

static void samples_are_filtered_by_the_headline_verdict(void **state)
{
    struct world *w = *state;
    Moecap__V1__ListSamplesRequest request = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;
    Moecap__V1__ListSamplesReply *page, refused = MOECAP__V1__LIST_SAMPLES_REPLY__INIT;
    struct cap_err err = {0};

    must_put_task(w, 6);
    request.run_id = must_enqueue(w, 6, 6, 1);
    must_answer_all(w, request.run_id, 6, 6);
    request.verdict = "wrong";
    assert_int_equal(must_list(w, &request)->n_samples, 0);
    must_grade_all(w, request.run_id); /* every second one is wrong */
    page = must_list(w, &request);
    assert_int_equal(page->n_samples, 3);
    for (size_t i = 0; i < page->n_samples; i++) {
        assert_int_equal(page->samples[i]->answer->ordinal, 2 * i + 1);
        assert_int_equal(page->samples[i]->n_verdicts, 1);
        assert_int_equal(page->samples[i]->verdicts[0]->kind,
                         MOECAP__V1__VERDICT_KIND__VERDICT_KIND_WRONG);
    }
    request.verdict = "";
    request.status = "completed";
    page = must_list(w, &request);
    request.status = "failed";
    assert_int_equal(page->n_samples + must_list(w, &request)->n_samples, 6);
    request.status = "";
    request.search = "ANSWER 3 of"; /* whatever the case */
    page = must_list(w, &request);
    assert_int_equal(page->n_samples, 1);
    assert_int_equal(page->samples[0]->answer->ordinal, 3);
    request.search = "%"; /* means itself */
    assert_int_equal(must_list(w, &request)->n_samples, 0);
    request.search = "";
    request.verdict = "right";
    assert_refused(store_list_samples(w->pg, &request, w->arena, &refused, &err), &err,
                   CAP_INVALID_ARGUMENT,
                   "verdict is \"right\", must be correct, wrong, undecided or empty");
    cap_err_clear(&err);
    request.verdict = "";
    request.run_id = "run-none";
    assert_refused(store_list_samples(w->pg, &request, w->arena, &refused, &err), &err,
                   CAP_NOT_FOUND, "run \"run-none\" does not exist");
}

/* ---- evidence ---- */

static void add_passes(struct world *w, struct batch *batch, uint32_t count)
{
    static uint32_t distinct[] = {3, 4};

    batch->rows.passes = cap_arena_array(w->arena, count, sizeof *batch->rows.passes);
    batch->rows.n_passes = count;
    for (uint32_t i = 0; i < count; i++) {
        Moecap__V1__Pass *pass = cap_arena_alloc(w->arena, sizeof *pass);
        moecap__v1__pass__init(pass);
        pass->phase = MOECAP__V1__PHASE__PHASE_DECODE;
        pass->tokens = i;
        pass->duration_ns = 1000;
        pass->started_us = i;
        pass->distinct_experts = distinct;
        pass->n_distinct_experts = 2;
        pass->opt_weight_bytes_case = MOECAP__V1__PASS__OPT_WEIGHT_BYTES_WEIGHT_BYTES;
        pass->weight_bytes = 1 << 20;
        pass->opt_flops_case = MOECAP__V1__PASS__OPT_FLOPS_FLOPS;
        pass->flops = 0.1;
        batch->rows.passes[i] = pass;
    }
}

static void evidence_comes_whole_and_in_pages(void **state)
{
    enum { SAMPLES = 450, PASSES = 2500 };
    struct world *w = *state;
    uint64_t selections[] = {5, 0, 7};
    const Moecap__V1__ExpertCount row = COUNTS(1, 8, selections, 3);
    Moecap__V1__PowerSample watt = MOECAP__V1__POWER_SAMPLE__INIT, *watts[] = {&watt};

    must_put_task(w, SAMPLES);
    const char *run = must_enqueue(w, SAMPLES, SAMPLES, 1);
    Moecap__V1__LeaseReply held = must_lease(w, run, 0, "node-a");
    struct batch *batch = batch_of(w, run, 0, held.fence, 1, 0, SAMPLES, true, 0);
    add_passes(w, batch, PASSES);
    watt.at_us = 12;
    watt.device = "gpu0";
    watt.watts = 301.5;
    batch->rows.power = watts;
    batch->rows.n_power = 1;
    set_counts(w, batch, &row, 1);
    must_append(w, batch);

    Moecap__V1__Evidence *all = must_read_evidence(w, run);
    assert_string_equal(all->header->run_id, run);
    assert_int_equal(all->header->attempted, SAMPLES);
    assert_int_equal(all->header->attempts, 1);
    assert_string_equal(all->header->report->engine_version, "null 1");
    assert_string_equal(all->header->task->name, "mini");
    assert_int_equal(all->n_answers, SAMPLES);
    for (size_t i = 0; i < all->n_answers; i++) {
        assert_int_equal(all->answers[i]->ordinal, i);
        assert_string_equal(all->answers[i]->text, "");
        assert_int_equal(all->answers[i]->timing->n_itl_us, 2);
        assert_int_equal(all->answers[i]->timing->first_token_us, 500);
    }
    assert_int_equal(all->n_passes, PASSES);
    for (size_t i = 0; i < all->n_passes; i++) {
        assert_int_equal(all->passes[i]->tokens, i);
        assert_int_equal(all->passes[i]->distinct_experts[1], 4);
        assert_int_equal(all->passes[i]->weight_bytes, 1 << 20);
        assert_true(all->passes[i]->flops == 0.1);
        assert_int_equal(all->passes[i]->opt_kv_bytes_case, 0);
    }
    assert_int_equal(all->n_power, 1);
    assert_true(all->power[0]->watts == 301.5);
    assert_string_equal(all->power[0]->device, "gpu0");
    assert_int_equal(all->n_expert_counts, 1);
    assert_int_equal(all->expert_counts[0]->counts[2], 7);
    assert_int_equal(all->expert_counts[0]->batch_bucket, 8);
}

static void an_attempt_that_stored_nothing_does_not_count_as_an_interruption(void **state)
{
    struct world *w = *state;
    struct cap_err err = {0};

    must_put_task(w, 2);
    const char *run = must_enqueue(w, 2, 2, 1);
    assert_ok(release(w, run, 0, must_lease(w, run, 0, "node-a").fence, "node lost", &err), &err);
    must_answer_all(w, run, 2, 2);
    assert_int_equal(must_read_evidence(w, run)->header->attempts, 1);

    run = must_enqueue(w, 2, 2, 2);
    Moecap__V1__LeaseReply first = must_lease(w, run, 0, "node-a");
    must_append(w, batch_of(w, run, 0, first.fence, 1, 0, 1, false, 0));
    assert_ok(release(w, run, 0, first.fence, "node lost", &err), &err);
    Moecap__V1__LeaseReply second = must_lease(w, run, 0, "node-b");
    must_append(w, batch_of(w, run, 0, second.fence, second.seq_next, 1, 1, true, 0));
    assert_int_equal(must_read_evidence(w, run)->header->attempts, 2);
}

/* ---- nodes and events ---- */

static Moecap__V1__ListEventsReply *must_events(struct world *w, const char *run, uint64_t after,
                                                uint32_t limit)
{
    Moecap__V1__ListEventsRequest request = MOECAP__V1__LIST_EVENTS_REQUEST__INIT;
    Moecap__V1__ListEventsReply *reply = cap_arena_alloc(w->arena, sizeof *reply);
    struct cap_err err = {0};

    moecap__v1__list_events_reply__init(reply);
    request.run_id = (char *)run;
    request.after_id = after;
    request.limit = limit;
    assert_ok(store_list_events(w->pg, &request, w->arena, reply, &err), &err);
    return reply;
}

static void events_tell_a_run_from_queue_to_end(void **state)
{
    struct world *w = *state;
    Moecap__V1__ListEventsReply *page;
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
    page = must_events(w, run, 0, 0);
    assert_int_equal(page->n_events, CAP_COUNT_OF(told));
    assert_int_equal(page->opt_next_case, 0);
    for (size_t i = 0; i < page->n_events; i++)
        assert_string_equal(page->events[i]->text, told[i]);
    page = must_events(w, run, page->events[4]->id, 1);
    assert_int_equal(page->n_events, 1);
    assert_int_equal(page->next_after, page->events[0]->id);
    assert_string_equal(page->events[0]->text, told[5]);
}

static void a_node_is_an_event_when_it_comes_and_when_it_goes(void **state)
{
    struct world *w = *state;
    Moecap__V1__PutNodeRequest request = MOECAP__V1__PUT_NODE_REQUEST__INIT;
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;
    Moecap__V1__Empty reply = MOECAP__V1__EMPTY__INIT;
    Moecap__V1__ListEventsReply *page;
    struct cap_err err = {0};

    request.node_id = "node-1";
    request.hello = &hello;
    hello.name = "box";
    request.connected = true;
    assert_ok(store_put_node(w->pg, &request, w->arena, &reply, &err), &err);
    assert_ok(store_put_node(w->pg, &request, w->arena, &reply, &err), &err);
    request.hello = NULL;
    request.connected = false;
    assert_ok(store_put_node(w->pg, &request, w->arena, &reply, &err), &err);
    page = must_events(w, "", 0, 0);
    assert_int_equal(page->n_events, 2);
    assert_string_equal(page->events[0]->text, "box (node-1) connected");
    assert_string_equal(page->events[1]->text, "box (node-1) gone");
    assert_int_equal(
        sql_int(w, "SELECT count(*) FROM moecap.node WHERE position('box'::bytea IN hello) > 0"),
        1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(answers_meet_their_documents_by_id),
        WORLD_TEST(the_first_verdict_of_a_version_stays_and_versions_add_up),
        WORLD_TEST(a_sample_counts_as_graded_once),
        WORLD_TEST(verdicts_that_belong_nowhere_are_refused),
        WORLD_TEST(a_run_finishes_once_and_only_when_all_is_graded),
        WORLD_TEST(the_board_shows_figures_and_their_reasons),
        WORLD_TEST(pages_of_the_board_neither_repeat_nor_drop_a_run),
        WORLD_TEST(the_board_filters_exactly),
        WORLD_TEST(a_filter_takes_several_values_and_runs_are_counted_beside),
        WORLD_TEST(a_board_that_cannot_be_is_refused_by_field),
        WORLD_TEST(a_board_holds_the_figures_that_were_asked_for),
        WORLD_TEST(the_board_does_not_touch_samples),
        WORLD_TEST(each_row_of_the_board_has_its_own_marks),
        WORLD_TEST(a_mark_without_its_sentence_is_refused),
        WORLD_TEST(trap_c28_runs_are_paired_by_the_sample_and_not_by_the_row),
        WORLD_TEST(trap_c27_a_run_that_is_missing_is_no_empty_one),
        WORLD_TEST(runs_of_two_versions_of_a_task_are_not_compared),
        WORLD_TEST(a_run_is_reported_with_attempts_and_histograms),
        WORLD_TEST(a_curve_has_points_that_can_be_drawn),
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
