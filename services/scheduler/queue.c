/* Whose turn it is: the places of runs and idle nodes, and the order among lines.
 *
 * Order. A waiting run's level is its priority plus one for every ageing_ms that it has waited,
 * counted from when it was queued or its submitter was served last, whichever is later: the oldest
 * of somebody's thousand runs must not keep everybody else out for ever. Highest level first; among
 * equals the submitter with fewer runs on nodes, then the one served longest ago, then the run that
 * waits longest. A submitter's being served changes the level of all its runs at once, and keeps
 * their order within each line: that is why lines need no sorting (state.h).
 *
 * Cost, with n runs that wait and l lines of the classes that a node can run: a run that comes,
 * goes or changes its place O(log n); a node that becomes idle O(l log n); a beat nothing at all.
 * unit.sched_cost counts it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "state.h"

enum { SHARES_MAX = 4096, KEY_BYTES_MAX = SCHED_MODEL_BYTES + 4 * SCHED_NAME_BYTES };

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* Room for one more pointer. */
static void *grow(void *list, size_t count, size_t *io_room)
{
    if (count < *io_room)
        return list;
    *io_room = *io_room ? *io_room * 2 : 4;
    return must(realloc(list, *io_room * sizeof(void *)));
}

/* ---- classes and buckets ---- */

static bool is_path(const char *model)
{
    return *model == '/';
}

/* A bucket holds the classes that nodes with this engine and this model may run; models by path
 * share one. */
static const char *bucket_key(const char *engine, const char *model, char out[KEY_BYTES_MAX])
{
    snprintf(out, KEY_BYTES_MAX, "%s\n%s", engine, is_path(model) ? "/" : model);
    return out;
}

static const char *class_key(const struct sched_needs *needs, char out[KEY_BYTES_MAX])
{
    if (needs->model_on_node)
        snprintf(out, KEY_BYTES_MAX, "%s\n%s\n%s\n%s\n%lld", needs->engine, needs->model,
                 needs->precision, needs->device, (long long)needs->device_count);
    else
        snprintf(out, KEY_BYTES_MAX, "%s", needs->engine);
    return out;
}

static struct sched_bucket *bucket_of(struct sched_state *state, const struct sched_needs *needs)
{
    char key[KEY_BYTES_MAX];
    struct sched_bucket *bucket;

    bucket_key(needs->engine, needs->model_on_node ? needs->model : "", key);
    bucket = cap_map_get(state->buckets, key);
    if (bucket)
        return bucket;
    bucket = must(calloc(1, sizeof *bucket));
    bucket->key = must(strdup(key));
    cap_map_put(state->buckets, key, bucket);
    return bucket;
}

struct sched_class *sched_find_class(const struct sched_state *state,
                                     const struct sched_needs *needs)
{
    char key[KEY_BYTES_MAX];

    return cap_map_get(state->classes, class_key(needs, key));
}

static struct sched_class *class_of(struct sched_state *state, const struct sched_needs *needs)
{
    struct sched_class *class = sched_find_class(state, needs);
    struct sched_bucket *bucket;
    char key[KEY_BYTES_MAX];

    if (class)
        return class;
    class = must(calloc(1, sizeof *class));
    class->key = must(strdup(class_key(needs, key)));
    class->needs = *needs;
    class->lines = cap_map_new();
    class->told_version = UINT64_MAX;
    cap_map_put(state->classes, class->key, class);
    bucket = class->bucket = bucket_of(state, needs);
    bucket->classes = grow(bucket->classes, bucket->count, &bucket->room);
    class->at = bucket->count;
    bucket->classes[bucket->count++] = class;
    return class;
}

static void free_class(struct sched_state *state, struct sched_class *class)
{
    struct sched_bucket *bucket = class->bucket;

    for (size_t i = 0; i < state->fresh_count; i++)
        if (state->fresh[i] == class)
            state->fresh[i--] = state->fresh[--state->fresh_count];
    bucket->classes[class->at] = bucket->classes[--bucket->count];
    bucket->classes[class->at]->at = class->at;
    if (bucket->count == 0) {
        cap_map_remove(state->buckets, bucket->key);
        free(bucket->classes);
        free(bucket->key);
        free(bucket);
    }
    cap_map_remove(state->classes, class->key);
    cap_map_free(class->lines);
    free(class->key);
    free(class);
}

/* ---- submitters ---- */

/* Names of submitters are theirs to choose: those with nothing here begin as new ones again. */
static void forget_shares(struct sched_state *state)
{
    for (size_t i = cap_map_count(state->shares); i > 0; i--) {
        struct sched_share *share = cap_map_value_at(state->shares, i - 1);

        if (share->active == 0 && share->lines == 0)
            free(cap_map_remove(state->shares, share->submitter));
    }
    state->shares_swept = cap_map_count(state->shares);
}

static struct sched_share *share_of(struct sched_state *state, const char *submitter)
{
    struct sched_share *share = cap_map_get(state->shares, submitter);

    if (share)
        return share;
    if (cap_map_count(state->shares) > SHARES_MAX + 2 * state->shares_swept)
        forget_shares(state);
    share = must(calloc(1, sizeof *share));
    snprintf(share->submitter, sizeof share->submitter, "%s", submitter);
    share->served_ms = INT64_MIN; /* never */
    cap_map_put(state->shares, submitter, share);
    return share;
}

/* ---- idle nodes ---- */

static void wake(struct sched_state *state, struct sched_node *node)
{
    if (node->woken)
        return;
    node->woken = true;
    state->woken = grow(state->woken, state->woken_count, &state->woken_room);
    state->woken[state->woken_count++] = node;
}

/* The first idle node that can run the class looks at it before the step ends. */
static void wake_one(struct sched_state *state, const struct sched_class *class)
{
    struct sched_node *node = NULL;

    while ((node = cap_sorted_after(state->idle, node)) != NULL) {
        state->looked_at++;
        if (!node->woken && sched_can_run(node, &class->needs)) {
            wake(state, node);
            return;
        }
    }
}

static void wake_for(struct sched_state *state, struct sched_class *class)
{
    wake_one(state, class);
    for (size_t i = 0; i < state->fresh_count; i++)
        if (state->fresh[i] == class)
            return;
    state->fresh = grow(state->fresh, state->fresh_count, &state->fresh_room);
    state->fresh[state->fresh_count++] = class;
}

void sched_queue_wake_all(struct sched_state *state)
{
    struct sched_node *node = NULL;

    while ((node = cap_sorted_after(state->idle, node)) != NULL)
        wake(state, node);
}

struct sched_node *sched_queue_next_woken(struct sched_state *state)
{
    while (state->woken_count > 0) {
        struct sched_node *node = state->woken[0];

        node->woken = false;
        memmove(state->woken, state->woken + 1, --state->woken_count * sizeof *state->woken);
        if (node->idle) /* still */
            return node;
    }
    state->fresh_count = 0;
    return NULL;
}

void sched_queue_pass_on(struct sched_state *state, const struct sched_node *node)
{
    for (size_t i = 0; i < state->fresh_count; i++)
        if (cap_map_count(state->fresh[i]->lines) > 0 &&
            sched_can_run(node, &state->fresh[i]->needs))
            wake_one(state, state->fresh[i]);
}

void sched_queue_place_node(struct sched_state *state, struct sched_node *node)
{
    bool idle = node->ready && !*node->run_id;

    if (idle == node->idle)
        return;
    node->idle = idle;
    if (!idle) {
        cap_sorted_remove(state->idle, node);
        return;
    }
    cap_sorted_put(state->idle, node);
    wake(state, node);
}

void sched_queue_remove_node(struct sched_state *state, struct sched_node *node)
{
    if (node->idle)
        cap_sorted_remove(state->idle, node);
    for (size_t i = 0; i < state->woken_count; i++)
        if (state->woken[i] == node)
            state->woken[i--] = state->woken[--state->woken_count];
}

/* ---- lines ---- */

int sched_compare_queued(const void *left, const void *right)
{
    const struct sched_run *a = left, *b = right;

    if (a->queued_at_ms != b->queued_at_ms)
        return a->queued_at_ms < b->queued_at_ms ? -1 : 1;
    return strcmp(a->id, b->id);
}

int sched_compare_due(const void *left, const void *right)
{
    const struct sched_run *a = left, *b = right;

    if (a->later_ms != b->later_ms)
        return a->later_ms < b->later_ms ? -1 : 1;
    return strcmp(a->id, b->id);
}

int sched_compare_joined(const void *left, const void *right)
{
    const struct sched_node *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

/* The line that the run belongs to, made when there is none. */
static struct sched_line *line_of(struct sched_state *state, const struct sched_run *run)
{
    struct sched_class *class = run->class;
    char key[SCHED_NAME_BYTES + 16];
    struct sched_line *line;

    snprintf(key, sizeof key, "%s\n%d", run->submitter, run->priority);
    line = cap_map_get(class->lines, key);
    if (line)
        return line;
    line = must(calloc(1, sizeof *line));
    *line = (struct sched_line){.class = class,
                                .share = share_of(state, run->submitter),
                                .priority = run->priority,
                                .runs = cap_sorted_new(sched_compare_queued)};
    line->share->lines++;
    if (cap_map_count(class->lines) == 0)
        wake_for(state, class);
    cap_map_put(class->lines, key, line);
    return line;
}

static void leave_line(const struct sched_run *run)
{
    struct sched_line *line = run->line;
    char key[SCHED_NAME_BYTES + 16];

    cap_sorted_remove(line->runs, run);
    if (cap_sorted_count(line->runs) > 0)
        return;
    snprintf(key, sizeof key, "%s\n%d", run->submitter, run->priority);
    cap_map_remove(line->class->lines, key);
    line->share->lines--;
    cap_sorted_free(line->runs);
    free(line);
}

/* ---- places ---- */

static bool is_on_node(const struct sched_run *run)
{
    return run->leasing || run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING;
}

static enum sched_place place_of(const struct sched_run *run, int64_t now_ms)
{
    if (sched_state_ended(run->state))
        return SCHED_PLACE_NONE;
    if (run->state != SCHED_RUN_QUEUED || run->leasing)
        return SCHED_PLACE_BUSY;
    return run->not_before_ms > now_ms ? SCHED_PLACE_LATER : SCHED_PLACE_LINE;
}

static void leave_place(struct sched_state *state, struct sched_run *run)
{
    state->waiting -= run->place == SCHED_PLACE_LINE || run->place == SCHED_PLACE_LATER;
    state->open -= run->place != SCHED_PLACE_NONE;
    if (run->place == SCHED_PLACE_LINE)
        leave_line(run);
    else if (run->place == SCHED_PLACE_LATER)
        cap_sorted_remove(state->later, run);
    else if (run->place == SCHED_PLACE_BUSY)
        cap_sorted_remove(state->busy, run);
    run->place = SCHED_PLACE_NONE;
    run->line = NULL;
}

static void take_place(struct sched_state *state, struct sched_run *run, enum sched_place place)
{
    run->place = place;
    run->later_ms = run->not_before_ms;
    state->waiting += place == SCHED_PLACE_LINE || place == SCHED_PLACE_LATER;
    state->open += place != SCHED_PLACE_NONE;
    if (place == SCHED_PLACE_LINE) {
        run->line = line_of(state, run);
        cap_sorted_put(run->line->runs, run);
    } else if (place == SCHED_PLACE_LATER) {
        cap_sorted_put(state->later, run);
    } else if (place == SCHED_PLACE_BUSY) {
        cap_sorted_put(state->busy, run);
    }
}

static void count_active(struct sched_state *state, struct sched_run *run)
{
    bool on_node = is_on_node(run);

    if (on_node != run->counted)
        share_of(state, run->submitter)->active += on_node ? 1 : -1;
    run->counted = on_node;
}

static void leave_class(struct sched_state *state, struct sched_run *run)
{
    struct sched_class *class = cap_take(run->class);

    if (class && --class->runs == 0)
        free_class(state, class);
}

void sched_queue_place(struct sched_state *state, struct sched_run *run, int64_t now_ms)
{
    enum sched_place place = place_of(run, now_ms);

    count_active(state, run);
    if (place == run->place && (place != SCHED_PLACE_LATER || run->later_ms == run->not_before_ms))
        return;
    leave_place(state, run);
    take_place(state, run, place);
    if (place == SCHED_PLACE_NONE)
        leave_class(state, run);
}

void sched_queue_add(struct sched_state *state, struct sched_run *run, int64_t now_ms)
{
    run->place = SCHED_PLACE_NONE;
    run->class = NULL;
    run->line = NULL;
    run->counted = false;
    if (sched_state_ended(run->state))
        return;
    run->class = class_of(state, &run->needs);
    run->class->runs++;
    sched_queue_place(state, run, now_ms);
}

void sched_queue_wake_due(struct sched_state *state, int64_t now_ms)
{
    struct sched_run *run;

    while ((run = cap_sorted_after(state->later, NULL)) != NULL && run->later_ms <= now_ms) {
        state->looked_at++;
        sched_queue_place(state, run, now_ms);
    }
}

/* ---- order ---- */

struct rank {
    const struct sched_run *run;
    int64_t level, served_ms;
    int active;
};

static struct rank rank_of(const struct sched_state *state, const struct sched_run *run,
                           const struct sched_share *share, int64_t now_ms)
{
    int64_t since = run->queued_at_ms > share->served_ms ? run->queued_at_ms : share->served_ms;
    int64_t aged = now_ms > since ? (now_ms - since) / state->policy.ageing_ms : 0;

    return (struct rank){run, run->priority + aged, share->served_ms, share->active};
}

static int compare_ranks(const struct rank *a, const struct rank *b)
{
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    if (a->active != b->active)
        return a->active < b->active ? -1 : 1;
    if (a->served_ms != b->served_ms)
        return a->served_ms < b->served_ms ? -1 : 1;
    return sched_compare_queued(a->run, b->run);
}

/* The best so far, and the first run of each line of the class. */
static void look_at_class(struct sched_state *state, const struct sched_class *class,
                          const struct sched_node *node, int64_t now_ms, struct rank *io_best)
{
    state->looked_at++;
    if (cap_map_count(class->lines) == 0 || !sched_can_run(node, &class->needs))
        return;
    for (size_t i = 0; i < cap_map_count(class->lines); i++) {
        const struct sched_line *line = cap_map_value_at(class->lines, i);
        struct rank rank = rank_of(state, cap_sorted_after(line->runs, NULL), line->share, now_ms);

        state->looked_at++;
        if (!io_best->run || compare_ranks(&rank, io_best) < 0)
            *io_best = rank;
    }
}

static void look_at_bucket(struct sched_state *state, const char *engine, const char *model,
                           const struct sched_node *node, int64_t now_ms, struct rank *io_best)
{
    char key[KEY_BYTES_MAX];
    const struct sched_bucket *bucket = cap_map_get(state->buckets, bucket_key(engine, model, key));

    for (size_t i = 0; bucket && i < bucket->count; i++)
        look_at_class(state, bucket->classes[i], node, now_ms, io_best);
}

static size_t length_of(const char *const *list)
{
    size_t length = 0;

    while (list && list[length])
        length++;
    return length;
}

struct sched_run *sched_queue_best(struct sched_state *state, const struct sched_node *node,
                                   int64_t now_ms)
{
    size_t engines = length_of(node->engines), models = length_of(node->models);
    size_t classes = cap_map_count(state->classes);
    struct rank best = {0};

    if (classes <= engines * (models + 2)) {
        for (size_t i = 0; i < classes; i++)
            look_at_class(state, cap_map_value_at(state->classes, i), node, now_ms, &best);
        return (struct sched_run *)best.run;
    }
    for (size_t e = 0; e < engines; e++) {
        look_at_bucket(state, node->engines[e], "", node, now_ms, &best);
        look_at_bucket(state, node->engines[e], "/", node, now_ms, &best);
        for (size_t m = 0; m < models; m++)
            if (!is_path(node->models[m]))
                look_at_bucket(state, node->engines[e], node->models[m], node, now_ms, &best);
    }
    return (struct sched_run *)best.run;
}

/* ---- the order as people see it ---- */

/* A line, or the runs that wait for a time, and where we are in it. */
struct cursor {
    struct rank rank;
    const struct sched_line *line; /* NULL: of `later` */
};

static int compare_cursors(const void *left, const void *right)
{
    return compare_ranks(&((const struct cursor *)left)->rank,
                         &((const struct cursor *)right)->rank);
}

/* The first one may have to go down, to keep the heap. */
static void sift_down(struct cursor *heap, size_t count)
{
    size_t at = 0, child;

    while ((child = 2 * at + 1) < count) {
        struct cursor moved = heap[at];

        if (child + 1 < count && compare_cursors(&heap[child + 1], &heap[child]) < 0)
            child++;
        if (compare_cursors(&moved, &heap[child]) <= 0)
            return;
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

static size_t open_cursors(const struct sched_state *state, int64_t now_ms, struct cursor **out)
{
    size_t room = cap_sorted_count(state->later), count = 0;
    const struct sched_run *run = NULL;
    struct cursor *list;

    for (size_t c = 0; c < cap_map_count(state->classes); c++)
        room += cap_map_count(((struct sched_class *)cap_map_value_at(state->classes, c))->lines);
    list = must(calloc(room + 1, sizeof *list));
    for (size_t c = 0; c < cap_map_count(state->classes); c++) {
        const struct sched_class *class = cap_map_value_at(state->classes, c);

        for (size_t i = 0; i < cap_map_count(class->lines); i++) {
            const struct sched_line *line = cap_map_value_at(class->lines, i);

            run = cap_sorted_after(line->runs, NULL);
            list[count++] = (struct cursor){rank_of(state, run, line->share, now_ms), line};
        }
    }
    run = NULL;
    while ((run = cap_sorted_after(state->later, run)) != NULL) {
        const struct sched_share *share = cap_map_get(state->shares, run->submitter);
        const struct sched_share nobody = {.served_ms = INT64_MIN};

        list[count++] = (struct cursor){rank_of(state, run, share ? share : &nobody, now_ms), NULL};
    }
    qsort(list, count, sizeof *list, compare_cursors); /* a sorted list is a heap */
    *out = list;
    return count;
}

size_t sched_order(const struct sched_state *state, int64_t now_ms, const struct sched_run **out,
                   size_t room)
{
    CAP_AUTO_MEM struct cursor *heap = NULL;
    size_t left = open_cursors(state, now_ms, &heap), count = 0;

    while (left > 0 && count < room) {
        const struct sched_line *line = heap[0].line;
        const struct sched_run *next = line ? cap_sorted_after(line->runs, heap[0].rank.run) : NULL;

        out[count++] = heap[0].rank.run;
        heap[0] =
            next ? (struct cursor){rank_of(state, next, line->share, now_ms), line} : heap[--left];
        sift_down(heap, left);
    }
    return count;
}

struct before {
    const struct sched_state *state;
    const struct sched_share *share;
    int64_t now_ms;
    struct rank rank;
};

static bool comes_before(const void *item, const void *arg)
{
    const struct before *b = arg;
    const struct rank rank = rank_of(b->state, item, b->share, b->now_ms);

    return compare_ranks(&rank, &b->rank) < 0;
}

size_t sched_position(const struct sched_state *state, const struct sched_run *run, int64_t now_ms)
{
    const struct sched_share nobody = {.served_ms = INT64_MIN}, *share;
    struct before before = {.state = state, .now_ms = now_ms};
    const struct sched_run *other = NULL;
    size_t position = 1;

    if (run->place != SCHED_PLACE_LINE && run->place != SCHED_PLACE_LATER)
        return 0;
    share = cap_map_get(state->shares, run->submitter);
    before.rank = rank_of(state, run, share ? share : &nobody, now_ms);
    for (size_t c = 0; c < cap_map_count(state->classes); c++) {
        const struct sched_class *class = cap_map_value_at(state->classes, c);

        for (size_t i = 0; i < cap_map_count(class->lines); i++) {
            const struct sched_line *line = cap_map_value_at(class->lines, i);

            before.share = line->share;
            position += cap_sorted_count_while(line->runs, comes_before, &before);
        }
    }
    while ((other = cap_sorted_after(state->later, other)) != NULL) {
        share = cap_map_get(state->shares, other->submitter);
        before.share = share ? share : &nobody;
        position += comes_before(other, &before);
    }
    return position;
}

void sched_queue_free(struct sched_state *state)
{
    for (size_t i = 0; i < cap_map_count(state->runs); i++) {
        struct sched_run *run = cap_map_value_at(state->runs, i);

        leave_place(state, run);
        leave_class(state, run);
    }
    cap_map_free(state->classes);
    cap_map_free(state->buckets);
    cap_sorted_free(state->later);
    cap_sorted_free(state->busy);
    cap_sorted_free(state->idle);
    free(state->woken);
    free(state->fresh);
}
