/* After a pass: logits become tokens and scores, and these become events.
 *
 * Logits are needed for the last row of a complete prompt, for every decoded row, and for every row
 * of a continuation (each predicts the next token). They are made for at most logits_max rows at a
 * time. */
#include "native/internal.h"

#include <stdlib.h>

static bool add_event(struct native_session *s, struct native_event event, struct cap_err *err)
{
    if (s->event_count == s->event_capacity) {
        int capacity = s->event_capacity * 2 + 64;
        struct native_event *events = realloc(s->events, (size_t)capacity * sizeof(*events));
        if (!events)
            return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "could not get memory for events");
        s->events = events;
        s->event_capacity = capacity;
    }
    s->events[s->event_count++] = event;
    return true;
}

void native_retire(struct native_session *s, struct native_active *active)
{
    native_plan_remove(s, active);
    active->next = s->retired;
    s->retired = active;
}

/* The request has ended. */
static bool retire(struct native_session *s, struct native_active *active,
                   struct native_event event, struct cap_err *err)
{
    event.id = active->id;
    event.prompt_tokens = active->prompt_count;
    event.output_tokens = active->output_count;
    event.routing = native_route_of(s, active);
    native_retire(s, active);
    return add_event(s, event, err);
}

/* ---- generate ---- */

static bool take_token(struct native_session *s, struct native_active *active, const float *logits,
                       struct cap_err *err)
{
    const struct cap_model *shape = s->model->shape;
    int32_t token =
        native_sample(logits, shape->vocab, &active->sampling, &active->rand, s->candidates);
    bool is_eos = cap_model_is_eos(shape, token);
    active->last = token;
    active->output_count++;
    struct native_event event = {
        .kind = NATIVE_EVENT_TOKEN, .id = active->id, .token = token, .is_eos = is_eos};
    if (!add_event(s, event, err))
        return false;
    struct native_event done = {.kind = NATIVE_EVENT_DONE, .finish = NATIVE_FINISH_EOS};
    if (is_eos && !active->ignore_eos)
        return retire(s, active, done, err);
    done.finish = NATIVE_FINISH_LENGTH;
    return active->output_count < active->output_max || retire(s, active, done, err);
}

/* ---- score ---- */

static void take_score(const struct native_session *s, struct native_active *active, int index,
                       int token, const float *logits)
{
    const struct native_continuation *c = &active->continuations[index];
    int vocab = s->model->shape->vocab;
    struct native_score *score = &active->scores[index];
    int32_t best = native_sample_greedy(logits, vocab);
    struct native_token_score each = {
        .log_likelihood = native_log_likelihood(logits, vocab, c->ids[token]), .best = best};
    each.best_log_likelihood = each.log_likelihood;
    if (best != c->ids[token])
        each.best_log_likelihood += (double)logits[best] - (double)logits[c->ids[token]];
    active->token_scores[score->each - active->token_scores + token] = each;
    score->log_likelihood += each.log_likelihood;
    score->greedy &= best == c->ids[token];
    active->scored += token == c->count - 1;
}

static bool end_scores(struct native_session *s, struct native_active *active, struct cap_err *err)
{
    if (active->scored < active->continuation_count)
        return true;
    struct native_event event = {.kind = NATIVE_EVENT_SCORED,
                                 .scores = active->scores,
                                 .score_count = active->continuation_count};
    return retire(s, active, event, err);
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

static bool take_row(struct native_session *s, struct wanted_row w, const float *logits,
                     struct cap_err *err)
{
    struct native_active *active = w.item->active;
    if (!native_active_scores(active))
        return take_token(s, active, logits, err);
    if (!w.item->continuation) { /* the prompt's last row predicts every first token */
        for (int i = 0; i < active->continuation_count; i++)
            take_score(s, active, i, 0, logits);
        return true;
    }
    struct native_continuation *c = w.item->continuation;
    int token = c->fed - w.item->rows + w.row + 1; /* what this row predicts */
    take_score(s, active, (int)(c - active->continuations), token, logits);
    if (token == c->count - 1)
        native_plan_close(s, c);
    return true;
}

static bool take_rows(struct native_session *s, const struct wanted_row *rows, int count,
                      struct cap_err *err)
{
    for (int i = 0; i < count; i++)
        s->pick[i] = rows[i].item->first_row + rows[i].row;
    if (count == 0 || !native_forward_logits(s->forward, s->pick, count, s->logits, err))
        return count == 0;
    s->logits_tokens += count;
    for (int i = 0; i < count; i++) {
        const float *logits = s->logits + (size_t)i * (size_t)s->model->shape->vocab;
        if (!take_row(s, rows[i], logits, err))
            return false;
    }
    return true;
}

/* Requests that are scored end after all rows: several items of a pass may belong to one. */
static bool end_scored(struct native_session *s, struct cap_err *err)
{
    for (struct native_active *a = s->running.first, *next; a; a = next) {
        next = a->next;
        if (native_active_scores(a) && !end_scores(s, a, err))
            return false;
    }
    return true;
}

bool native_settle(struct native_session *s, struct cap_err *err)
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
    return take_rows(s, rows, count, err) && end_scored(s, err);
}
