#include <string.h>

#include "grade.h"
#include "handlers_rpc.h"

struct batch {
    struct cap_rpc_call *call;
    const struct eval_task *task;
    struct eval_regex_work *work;
    Moecap__V1__GradeReply *reply;
};

/* ---- from the wire ---- */

static bool scores_from_wire(const Moecap__V1__SampleAnswer *wire, struct cap_arena *arena,
                             struct eval_answer *out)
{
    struct eval_score *scores = cap_arena_array(arena, wire->n_scores + 1, sizeof *scores);

    if (!scores)
        return false;
    for (size_t i = 0; i < wire->n_scores; i++)
        scores[i] = (struct eval_score){wire->scores[i]->log_likelihood, wire->scores[i]->greedy};
    out->scores = scores;
    out->score_count = wire->n_scores;
    return true;
}

static bool answer_from_wire(const Moecap__V1__SampleAnswer *wire, const struct eval_task *task,
                             struct cap_arena *arena, struct eval_answer *out)
{
    struct eval_text *text = cap_arena_alloc(arena, sizeof *text), error;

    if (!text)
        return false;
    *text = eval_text_valid(arena, wire->text, strlen(wire->text));
    if (!text->data)
        return false;
    *text = eval_answer_text(task, *text);
    error = eval_text_valid(arena, wire->error, strlen(wire->error));
    *out = (struct eval_answer){
        .failed = wire->status != MOECAP__V1__SAMPLE_STATUS__SAMPLE_STATUS_COMPLETED,
        .error = eval_text_c(arena, error),
        .texts = text,
        .text_count = 1,
        .finish_reason = wire->finish_reason,
    };
    return scores_from_wire(wire, arena, out);
}

/* ---- to the wire ---- */

static void count_verdict(const struct eval_verdict *v)
{
    if (v->kind == EVAL_CORRECT)
        eval_count(EVAL_COUNTER_verdicts_correct_total, 1);
    if (v->kind == EVAL_UNDECIDED)
        eval_count(EVAL_COUNTER_verdicts_undecided_total, 1);
}

static Moecap__V1__Verdict *verdict_to_wire(const struct batch *b, uint32_t ordinal,
                                            const struct eval_verdict *v)
{
    struct cap_arena *arena = cap_rpc_arena(b->call);
    Moecap__V1__Verdict *wire = EVAL_WIRE(b->call, Moecap__V1__Verdict);

    if (!wire)
        return NULL;
    moecap__v1__verdict__init(wire);
    wire->ordinal = ordinal;
    wire->metric = cap_arena_strdup(arena, v->metric); /* the task ends with the handler */
    wire->version = (char *)v->version;
    wire->kind = (Moecap__V1__VerdictKind)v->kind;
    wire->extracted = (char *)eval_text_c(arena, v->extracted);
    wire->reason = (char *)v->reason;
    wire->score = v->score;
    wire->unanswered = v->unanswered;
    wire->truncated = v->truncated;
    count_verdict(v);
    return wire->metric && wire->extracted ? wire : NULL;
}

/* ---- Grade ---- */

/* Answers belong to documents by id, never by place in a list. */
static bool check_pair(const Moecap__V1__GradeItem *item, struct cap_err *err)
{
    if (!item->doc || !item->answer)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "an item lacks its %s",
                        item->doc ? "answer" : "document");
    if (item->doc->ordinal != item->answer->ordinal ||
        strcmp(item->doc->uid, item->answer->uid) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "the answer to %u (\"%.60s\") came with document %u (\"%.60s\")",
                        item->answer->ordinal, item->answer->uid, item->doc->ordinal,
                        item->doc->uid);
    return true;
}

static bool grade_doc(struct batch *b, struct eval_doc *doc, const Moecap__V1__GradeItem *item,
                      struct cap_err *err)
{
    struct eval_verdict verdicts[EVAL_COLUMNS_MAX];
    struct eval_answer answer;
    struct eval_gold gold;

    if (!eval_doc_gold(doc, &gold, err))
        return false;
    if (!answer_from_wire(item->answer, b->task, cap_rpc_arena(b->call), &answer))
        return eval_fail_full(err);
    if (!eval_grade(doc, &gold, &answer, b->work, verdicts, err))
        return false;
    for (size_t i = 0; i < b->task->column_count; i++)
        if (!(b->reply->verdicts[b->reply->n_verdicts++] =
                  verdict_to_wire(b, item->doc->ordinal, &verdicts[i])))
            return eval_fail_full(err);
    return true;
}

static bool grade_item(struct batch *b, const Moecap__V1__GradeItem *item, struct cap_err *err)
{
    struct eval_doc doc;
    bool ok;

    if (!check_pair(item, err))
        return false;
    ok = eval_doc_open(&doc, b->task, item->doc->json, strlen(item->doc->json),
                       cap_rpc_arena(b->call), err);
    if (ok) {
        ok = grade_doc(b, &doc, item, err);
        eval_doc_done(&doc);
    }
    return ok || cap_fail_in(err, "document %u (\"%s\")", item->doc->ordinal, item->doc->uid);
}

bool eval_handle_grade(struct cap_rpc_call *call, const Moecap__V1__GradeRequest *request,
                       Moecap__V1__GradeReply *reply, struct cap_err *err)
{
    CAP_AUTO(eval_task) task = NULL;
    CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
    struct batch b = {call, NULL, work, reply};

    if (!eval_check_batch(call, request->n_items, err) ||
        !(b.task = task = eval_task_open(request->definition, NULL, err)))
        return false;
    reply->verdicts =
        EVAL_WIRE_LIST(call, Moecap__V1__Verdict, request->n_items * task->column_count);
    if (!reply->verdicts)
        return eval_fail_full(err);
    for (size_t i = 0; i < request->n_items; i++)
        if (!grade_item(&b, request->items[i], err))
            return false;
    eval_count(EVAL_COUNTER_answers_graded_total, (int64_t)request->n_items);
    return true;
}
