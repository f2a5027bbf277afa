/* After a pass: logits become tokens and scores, and these become events.
 *
 * Logits are needed for the last row of a complete prompt, for every decoded row, and for every row
 * of a continuation (each predicts the next token). They are made for at most logits_max rows at a
 * time. */
#include "native/inside.h"

#include <stdlib.h>

/* There is room: a pass gives a running request one token and one end at most. */
static struct infer_event *add_event(struct native_session *s, enum infer_event_kind kind,
                                     uint64_t id)
{
    struct infer_event *event = &s->events[s->event_count++];
    *event = (struct infer_event){.kind = kind, .id = id};
    return event;
}

void native_retire(struct native_session *s, struct native_active *active)
{
    native_plan_remove(s, active);
    active->next = s->retired;
    s->retired = active;
}

/* The request has ended. */
static struct infer_event *end(struct native_session *s, struct native_active *active,
                               const char *why)
{
    struct infer_event *event = add_event(s, INFER_DONE, active->id);
    event->finish_reason = why;
    event->prompt_tokens = active->prompt_count;
    event->output_tokens = active->output_count;
    event->routing = native_routing_of(active);
    event->started_ns = active->started_ns;
    native_retire(s, active);
    return event;
}

/* ---- generate ---- */

static void take_token(struct native_session *s, struct native_active *active, const float *logits)
{
    const struct cap_model *shape = s->model->shape;
    int32_t token =
        native_sample(logits, shape->vocab, &active->sampling, &active->rand, s->candidates);
    active->last = token;
    active->output_count++;
    s->token_ids[s->event_count] = (uint32_t)token;
    struct infer_event *event = add_event(s, INFER_TOKENS, active->id);
    event->tokens = 1;
    event->token_ids = &s->token_ids[event - s->events];
    event->started_ns = active->started_ns;
    if (cap_model_is_eos(shape, token) && !active->ignore_eos)
        end(s, active, "eos");
    else if (active->output_count >= active->output_max)
        end(s, active, "length");
}

/* ---- score ---- */

static void take_score(const struct native_session *s, struct native_active *active, int index,
                       int token, const float *logits)
{
    const struct native_continuation *c = &active->continuations[index];
    int vocab = s->model->shape->vocab;
    struct infer_score *score = &active->scores[index];
    int32_t best = native_sample_greedy(logits, vocab);
    struct infer_token_score each = {.log_likelihood =
                                         native_log_likelihood(logits, vocab, c->ids[token]),
                                     .id = (uint32_t)c->ids[token],
                                     .best_id = (uint32_t)best};
    each.best_log_likelihood = each.log_likelihood;
    if (best != c->ids[token])
        each.best_log_likelihood += (double)logits[best] - (double)logits[c->ids[token]];
    active->token_scores[c->ids - active->tokens + token] = each;
    score->log_likelihood += each.log_likelihood;
    score->greedy &= best == c->ids[token];
    active->scored += token == c->count - 1;
}

static void end_scores(struct native_session *s, struct native_active *active)
{
    struct infer_event *event = end(s, active, "stop");
    event->scores = active->scores;
    event->score_count = active->continuation_count;
    event->token_scores = active->token_scores + active->prompt_count;
    for (int i = 0; i < active->continuation_count; i++)
        event->token_score_count += active->continuations[i].count;
}

/* ---- rows ---- */

/* Rows of the item whose logits are wanted: from `out_first` of it to its end. */
static int wanted(const struct native_item *item, int *out_first)
{
    *out_first = item->continuation ? 0 : item->rows - 1;
    bool none = !item->continuation && !native_active_prefilled(item->active);
    return none ? 0 : item->rows - *out_first;
}

struct wanted_row {
    struct native_item *item;
    int row; /* of the item */
};

static void take_row(struct native_session *s, struct wanted_row w, const float *logits)
{
    struct native_active *active = w.item->active;
    if (!native_active_scores(active)) {
        take_token(s, active, logits);
        return;
    }
    if (!w.item->continuation) { /* the prompt's last row predicts every first token */
        for (int i = 0; i < active->continuation_count; i++)
            take_score(s, active, i, 0, logits);
        return;
    }
    struct native_continuation *c = w.item->continuation;
    int token = c->fed - w.item->rows + w.row + 1; /* what this row predicts */
    take_score(s, active, (int)(c - active->continuations), token, logits);
    if (token == c->count - 1)
        native_plan_close(s, c);
}

static bool take_rows(struct native_session *s, const struct wanted_row *rows, int count,
                      struct cap_err *err)
{
    for (int i = 0; i < count; i++)
        s->pick[i] = rows[i].item->first_row + rows[i].row;
    if (count == 0 || !native_forward_logits(s->forward, s->pick, count, s->logits, err))
        return count == 0;
    s->logits_tokens += count;
    for (int i = 0; i < count; i++)
        take_row(s, rows[i], s->logits + (size_t)i * (size_t)s->model->shape->vocab);
    return true;
}

/* Requests that are scored end after all rows: several items of a pass may belong to one. */
static void end_scored(struct native_session *s)
{
    for (struct native_active *a = s->running.first, *next; a; a = next) {
        next = a->next;
        if (native_active_scores(a) && a->scored == a->continuation_count)
            end_scores(s, a);
    }
}

bool native_outputs(struct native_session *s, struct cap_err *err)
{
    CAP_AUTO_MEM struct wanted_row *rows = calloc((size_t)s->logits_max, sizeof(*rows));
    if (!rows)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for logits");
    int count = 0;
    s->logits_tokens = 0;
    for (int i = 0; i < s->item_count; i++) {
        int first, n = wanted(&s->items[i], &first);
        for (int row = first; row < first + n; row++) {
            rows[count++] = (struct wanted_row){&s->items[i], row};
            if (count == s->logits_max) {
                if (!take_rows(s, rows, count, err))
                    return false;
                count = 0;
            }
        }
    }
    if (!take_rows(s, rows, count, err))
        return false;
    end_scored(s);
    return true;
}
