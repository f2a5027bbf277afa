/* From an answer to its verdicts.
 *
 * An answer is cut as the harness cuts it (thoughts, then stop strings), goes through the column's
 * pipeline of filters, and what is left is judged by the column's metric. Nothing here fails the
 * call: an answer that cannot be judged is wrong with a reason, or undecided where a pattern needed
 * too much work. Reasons say what happened to the answer, never what would have been right. */
#include "grade.h"

#include <string.h>

/* ---- what of a text is the answer ---- */

struct eval_text eval_answer_text(const struct eval_task *task, struct eval_text text)
{
    size_t at = eval_text_find_last(text, task->think_end);

    if (task->think_end.length > 0 && at <= text.length) {
        at += task->think_end.length;
        text = eval_text_strip_left((struct eval_text){text.data + at, text.length - at});
    }
    /* Term by term, each on what the one before has left, as the harness does. */
    for (size_t i = 0; i < task->stop_count; i++) {
        at = eval_text_find(text, task->stops[i]);
        if (at <= text.length)
            text.length = at;
    }
    return text;
}

/* A text that ends in one non-word character repeated this often never was an answer: some engines
 * give such texts with every sign of success. */
enum { DEGENERATE_REPEATS = 512 };

static bool is_degenerate(struct eval_text text)
{
    size_t run = 1;
    unsigned char last = text.length ? (unsigned char)text.data[text.length - 1] : 'a';

    if (last >= 0x80 || last == '_' || (last >= '0' && last <= '9') ||
        ((last | 0x20) >= 'a' && (last | 0x20) <= 'z'))
        return false;
    while (run < text.length && (unsigned char)text.data[text.length - 1 - run] == last)
        run++;
    return run >= DEGENERATE_REPEATS;
}

/* ---- verdicts ---- */

static struct eval_text shorten(struct eval_text text)
{
    if (text.length <= EVAL_EXTRACTED_BYTES_MAX)
        return text;
    text.length = EVAL_EXTRACTED_BYTES_MAX;
    while (text.length > 0 && ((unsigned char)text.data[text.length] & 0xC0) == 0x80)
        text.length--;
    return text;
}

static const char *why_wrong(const struct eval_verdict *v, struct eval_text text)
{
    if (v->unanswered && v->truncated)
        return "no answer found before the token limit";
    if (v->unanswered && is_degenerate(text))
        return "no answer found: one character repeated";
    if (v->unanswered)
        return text.length == 0 ? "no answer found: the text is empty" : "no answer found";
    if (v->truncated)
        return "differs from the reference, and ended by the token limit";
    return "differs from the reference";
}

/* An effort limit leaves the answer undecided; everything else that fails here is a wrong one. */
static bool settle(struct eval_verdict *v, struct cap_arena *arena, struct cap_err *failure,
                   struct cap_err *err)
{
    v->kind = failure->code == CAP_RESOURCE_EXHAUSTED ? EVAL_UNDECIDED : EVAL_WRONG;
    v->reason = cap_arena_strdup(arena, failure->text);
    return v->reason || cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the arena is full");
}

static void decide(struct eval_verdict *v, double score, struct eval_text answer_text)
{
    v->score = score;
    v->kind = score >= 1 ? EVAL_CORRECT : EVAL_WRONG;
    v->reason = v->kind == EVAL_CORRECT ? "" : why_wrong(v, answer_text);
}

static bool filter_texts(const struct eval_grade_input *in, const struct eval_pipeline *pipeline,
                         struct eval_response *out, struct cap_err *err)
{
    const struct eval_answer *answer = in->answer;
    struct eval_filtering f = {
        .arena = in->doc->arena,
        .work = in->work,
        .responses = cap_arena_array(in->doc->arena, answer->text_count, sizeof *f.responses),
        .count = answer->text_count,
    };

    if (!f.responses)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the answers need too much memory");
    if (!eval_doc_listed_choices(in->doc, &f.choices, &f.choice_count, err))
        return false;
    for (size_t i = 0; i < f.count; i++)
        f.responses[i].text = answer->texts[i];
    if (!eval_pipeline_run(pipeline, &f, err))
        return false;
    *out = f.responses[0];
    return true;
}

static bool grade_text(const struct eval_grade_input *in, const struct eval_column *column,
                       struct eval_verdict *v, struct cap_err *err)
{
    const struct eval_task *task = in->doc->task;
    const struct eval_metric *metric = &task->metrics[column->metric];
    struct eval_metric_input judged = {.arena = in->doc->arena, .work = in->work, .gold = in->gold};
    struct eval_metric_result result = {0};
    struct eval_response response = {0};

    if (in->answer->text_count == 0)
        return cap_fail(err, CAP_FAILED_PRECONDITION, "the engine returned no text");
    if (!filter_texts(in, task->pipelines[column->pipeline], &response, err))
        return false;
    judged.answer = response.text;
    v->extracted = shorten(response.text);
    v->unanswered = response.missing || eval_text_strip(response.text).length == 0;
    if (!metric->ops->grade(metric->state, &judged, &result, err))
        return false;
    if (result.score >= 1)
        v->unanswered = false; /* the reference itself may be what a filter falls back to */
    decide(v, result.score, in->answer->texts[0]);
    return true;
}

static bool grade_scores(const struct eval_grade_input *in, const struct eval_column *column,
                         struct eval_verdict *v, struct cap_err *err)
{
    const struct eval_metric *metric = &in->doc->task->metrics[column->metric];
    const struct eval_answer *answer = in->answer;
    struct eval_metric_input judged = {
        .arena = in->doc->arena, .work = in->work, .gold = in->gold, .scores = answer->scores};
    struct eval_metric_result result = {0};

    v->unanswered = true;
    if (answer->score_count != in->doc->choice_count)
        return cap_fail(err, CAP_FAILED_PRECONDITION,
                        "the engine returned %zu log-likelihoods for %zu choices",
                        answer->score_count, in->doc->choice_count);
    if (!metric->ops->grade(metric->state, &judged, &result, err))
        return false;
    v->unanswered = false;
    v->extracted = result.extracted;
    decide(v, result.score, eval_text_of(""));
    return true;
}

/* A tool call or a filter ends an answer before its limit. */
enum eval_end eval_end_of(const char *finish_reason)
{
    static const char *const whole[] = {
        "stop",           "eos",        "eos_token",     "end_turn",   "stop_sequence",
        "stop_sequences", "stop_token", "end_of_text",   "tool_calls", "tool_use",
        "tool_call",      "tool",       "function_call", "complete",   "completed",
        "content_filter", "sensitive",  "safety",        "refusal",    "recitation"};
    static const char *const cut[] = {"length",         "max_tokens",        "max_length",
                                      "max_new_tokens", "max_output_tokens", "model_length",
                                      "token_limit",    "context_length"};

    for (size_t i = 0; finish_reason && i < CAP_COUNT_OF(whole); i++)
        if (strcasecmp(finish_reason, whole[i]) == 0)
            return EVAL_END_WHOLE;
    for (size_t i = 0; finish_reason && i < CAP_COUNT_OF(cut); i++)
        if (strcasecmp(finish_reason, cut[i]) == 0)
            return EVAL_END_CUT;
    return EVAL_END_UNKNOWN;
}

bool eval_grade_column(const struct eval_grade_input *in, size_t column,
                       struct eval_verdict *out_verdict, struct cap_err *err)
{
    const struct eval_task *task = in->doc->task;
    const struct eval_answer *answer = in->answer;
    const struct eval_column *c = &task->columns[column];
    struct cap_err failure = {0};
    struct eval_verdict v = {
        .metric = c->id,
        .version = task->metrics[c->metric].ops->version,
        .extracted = eval_text_of(""),
        .truncated = eval_end_of(answer->finish_reason) == EVAL_END_CUT,
    };
    bool ok;

    if (answer->failed)
        ok = cap_fail(&failure, CAP_UNAVAILABLE, "request failed: %s",
                      answer->error && *answer->error ? answer->error : "no reason given");
    else if (task->output == EVAL_MULTIPLE_CHOICE)
        ok = grade_scores(in, c, &v, &failure);
    else
        ok = grade_text(in, c, &v, &failure);
    if (!ok && !settle(&v, in->doc->arena, &failure, err))
        return false;
    *out_verdict = v;
    return true;
}

bool eval_grade(const struct eval_grade_input *in, struct eval_verdict *out_verdicts,
                struct cap_err *err)
{
    for (size_t i = 0; i < in->doc->task->column_count; i++)
        if (!eval_grade_column(in, i, &out_verdicts[i], err))
            return false;
    return true;
}
