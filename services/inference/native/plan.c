/* What the next pass computes.
 *
 * A request is admitted in order of arrival when there is a place and when the pages it may ever
 * need at once are not promised to others: so an admitted request always finds its pages, and the
 * cache never has to throw a request out. A prefill pass takes prompt tokens, oldest request first,
 * then continuations of prompts that are complete. Continuations of one request run side by side as
 * far as there are pages that are promised to no other request; one at a time always works.
 */
#include "native/inside.h"

#include <assert.h>

void native_list_push(struct native_list *list, struct native_active *active)
{
    if (!list->first)
        list->end = &list->first;
    active->next = NULL;
    *list->end = active;
    list->end = &active->next;
    list->count++;
}

void native_list_remove(struct native_list *list, struct native_active *active)
{
    struct native_active **at = &list->first;
    while (*at != active)
        at = &(*at)->next;
    *at = active->next;
    if (list->end == &active->next)
        list->end = at;
    list->count--;
}

static void admit(struct native_session *s)
{
    while (s->waiting.first && s->running.count < s->concurrency) {
        struct native_active *active = s->waiting.first;
        int pages = native_active_pages(active);
        if (pages > s->pages_unreserved)
            return;
        native_list_remove(&s->waiting, active);
        active->pages_reserved = pages;
        s->pages_unreserved -= pages;
        native_list_push(&s->running, active);
    }
}

void native_plan_close(struct native_session *s, struct native_continuation *c)
{
    if (!c->open)
        return;
    native_kv_drop(s->kv, &c->sequence);
    s->pages_unreserved += c->extra_pages;
    c->extra_pages = 0;
    c->open = false;
}

void native_plan_remove(struct native_session *s, struct native_active *active)
{
    native_list_remove(&s->running, active);
    for (int i = 0; i < active->continuation_count; i++)
        native_plan_close(s, &active->continuations[i]);
    native_kv_drop(s->kv, &active->sequence);
    s->pages_unreserved += active->pages_reserved;
}

/* Adds rows for `count` tokens after the sequence's length. Pages were reserved at admission. */
static void add_rows(struct native_session *s, struct native_item item, const int32_t *ids,
                     int count)
{
    struct native_sequence *sequence = native_item_sequence(&item);
    bool grown = native_kv_grow(s->kv, sequence, sequence->length + count);
    assert(grown);
    item.first_row = s->row_count;
    item.rows = count;
    for (int i = 0; i < count; i++) {
        int row = s->row_count++;
        s->ids[row] = ids[i];
        s->positions[row] = sequence->length + i;
        s->sequence_of[row] = s->item_count;
    }
    s->sequences[s->item_count] = sequence;
    s->items[s->item_count++] = item;
    sequence->length += count;
    if (sequence->rope_length < sequence->length)
        sequence->rope_length = sequence->length;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void plan_prompt(struct native_session *s, struct native_active *active, int room)
{
    int count = smaller(room, active->prompt_count - active->fed);
    add_rows(s, (struct native_item){.active = active}, active->prompt + active->fed, count);
    active->fed += count;
}

static bool any_open(const struct native_active *active)
{
    for (int i = 0; i < active->continuation_count; i++)
        if (active->continuations[i].open)
            return true;
    return false;
}

/* Forks the prompt for a continuation; it stays closed when it has to wait for pages. */
static bool open_continuation(struct native_session *s, struct native_active *active,
                              struct native_continuation *c, struct cap_err *err)
{
    int total = native_kv_pages_for(active->prompt_count + c->count);
    int extra = any_open(active) ? total - active->prompt_count / MOE_PAGE_TOKENS : 0;
    if (extra > s->pages_unreserved)
        return true;
    if (!native_kv_fork(s->kv, &active->sequence, &c->sequence, err))
        return false;
    c->open = true;
    c->extra_pages = extra;
    s->pages_unreserved -= extra;
    if (c->sequence.rope_length < active->prompt_count + c->count)
        c->sequence.rope_length = active->prompt_count + c->count;
    return true;
}

static bool plan_continuations(struct native_session *s, struct native_active *active, int rows_max,
                               struct cap_err *err)
{
    for (int i = 0; i < active->continuation_count && s->row_count < rows_max; i++) {
        struct native_continuation *c = &active->continuations[i];
        int left = c->count - 1 - c->fed; /* the last token is only predicted */
        if (left <= 0)
            continue;
        if (!c->open && !open_continuation(s, active, c, err))
            return false;
        if (!c->open)
            return true;
        int count = smaller(left, rows_max - s->row_count);
        add_rows(s, (struct native_item){.active = active, .continuation = c}, c->ids + c->fed,
                 count);
        c->fed += count;
    }
    return true;
}

static bool plan_prefill(struct native_session *s, struct cap_err *err)
{
    int rows_max = smaller(s->rows_max, NATIVE_PREFILL_TOKENS_MAX);
    for (struct native_active *a = s->running.first; a && s->row_count < rows_max; a = a->next) {
        if (!native_active_prefilled(a))
            plan_prompt(s, a, rows_max - s->row_count);
        else if (native_active_scores(a) && !plan_continuations(s, a, rows_max, err))
            return false;
    }
    return true;
}

static void plan_decode(struct native_session *s)
{
    for (struct native_active *a = s->running.first; a; a = a->next)
        add_rows(s, (struct native_item){.active = a}, &a->last, 1);
}

bool native_plan(struct native_session *s, struct cap_err *err)
{
    admit(s);
    s->item_count = s->row_count = 0;
    s->decode = false;
    if (!plan_prefill(s, err))
        return false;
    if (s->row_count == 0 && s->running.count > 0) {
        s->decode = true;
        plan_decode(s);
    }
    return s->row_count > 0;
}
