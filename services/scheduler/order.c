/* Which run comes next, and which node can run it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "state.h"

/* ---- capability ---- */

static bool has(const char *const *list, const char *name)
{
    for (; list && *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static bool has_engine(const struct sched_node *node, const struct sched_needs *needs)
{
    return has(node->engines, needs->engine);
}

static bool has_precision(const struct sched_node *node, const struct sched_needs *needs)
{
    return !needs->model_on_node || !*needs->precision || has(node->precisions, needs->precision);
}

static bool has_device(const struct sched_node *node, const struct sched_needs *needs)
{
    if (!needs->model_on_node || strcmp(needs->device, "cuda") != 0)
        return true;
    return node->device_count > 0 && node->device_count >= needs->device_count;
}

static bool has_model(const struct sched_node *node, const struct sched_needs *needs)
{
    if (!needs->model_on_node || has(node->models, needs->model))
        return true;
    return *needs->model == '/' && node->any_model_path;
}

enum { CHECK_ENGINE, CHECK_PRECISION, CHECK_DEVICE, CHECK_MODEL, CHECK_COUNT };

static bool (*const checks[CHECK_COUNT])(const struct sched_node *, const struct sched_needs *) = {
    has_engine, has_precision, has_device, has_model};

/* How many of the checks, in their order, the node passes. */
static int passed(const struct sched_node *node, const struct sched_needs *needs)
{
    int count = 0;

    while (count < CHECK_COUNT && checks[count](node, needs))
        count++;
    return count;
}

bool sched_can_run(const struct sched_node *node, const struct sched_needs *needs)
{
    return passed(node, needs) == CHECK_COUNT;
}

/* ---- why not ---- */

static const char *const *list_of(const struct sched_node *node, int check)
{
    return check == CHECK_ENGINE      ? node->engines
           : check == CHECK_PRECISION ? node->precisions
           : check == CHECK_MODEL     ? node->models
                                      : NULL;
}

/* What the nodes that got as far as this check offer instead, each once. */
static void list_offers(const struct sched_state *state, const struct sched_needs *needs, int check,
                        struct cap_buf *out)
{
    enum { OFFERS_SHOWN_MAX = 12 };
    CAP_AUTO(cap_map) seen = cap_map_new();

    for (size_t i = 0; i < cap_map_count(state->nodes); i++) {
        struct sched_node *node = cap_map_value_at(state->nodes, i);
        const char *const *name = list_of(node, check);

        for (; passed(node, needs) == check && name && *name; name++) {
            if (cap_map_put(seen, *name, node) || cap_map_count(seen) > OFFERS_SHOWN_MAX)
                continue;
            cap_buf_printf(out, "%s%s", out->length ? ", " : "", *name);
        }
    }
    if (cap_map_count(seen) > OFFERS_SHOWN_MAX)
        cap_buf_printf(out, " and %zu more", cap_map_count(seen) - OFFERS_SHOWN_MAX);
    if (out->length == 0)
        cap_buf_add_str(out, "none");
}

static void say_missing(const struct sched_needs *needs, int check, const char *offers, char *out)
{
    switch (check) {
    case CHECK_ENGINE:
        snprintf(out, SCHED_REASON_BYTES, "no connected node has engine \"%s\" (connected: %s)",
                 needs->engine, offers);
        break;
    case CHECK_PRECISION:
        snprintf(out, SCHED_REASON_BYTES,
                 "no connected node with engine \"%s\" has precision \"%s\" (they have: %s)",
                 needs->engine, needs->precision, offers);
        break;
    case CHECK_DEVICE:
        snprintf(out, SCHED_REASON_BYTES,
                 "no connected node with engine \"%s\" and precision \"%s\" has %lld CUDA device%s",
                 needs->engine, needs->precision,
                 (long long)(needs->device_count > 1 ? needs->device_count : 1),
                 needs->device_count > 1 ? "s" : "");
        break;
    default:
        snprintf(out, SCHED_REASON_BYTES,
                 *needs->model == '/'
                     ? "no connected node that could run it loads the path \"%.200s\"; they offer: "
                       "%.200s"
                     : "no connected node that could run it has model \"%.200s\"; they offer: "
                       "%.200s",
                 needs->model, offers);
        break;
    }
}

/* The reason is the first requirement at which the last nodes fall out. */
void sched_why_none(const struct sched_state *state, const struct sched_needs *needs,
                    char out[SCHED_REASON_BYTES])
{
    size_t total = cap_map_count(state->nodes);
    int furthest = 0;
    CAP_AUTO_BUF(offers, SCHED_REASON_BYTES);

    out[0] = '\0';
    if (total == 0) {
        snprintf(out, SCHED_REASON_BYTES, "no node is connected");
        return;
    }
    for (size_t i = 0; i < total; i++) {
        int count = passed(cap_map_value_at(state->nodes, i), needs);

        furthest = count > furthest ? count : furthest;
    }
    if (furthest == CHECK_COUNT)
        return;
    list_offers(state, needs, furthest, &offers);
    say_missing(needs, furthest, offers.data, out);
}

static size_t count_able(const struct sched_state *state, const struct sched_needs *needs)
{
    size_t able = 0;

    for (size_t i = 0; i < cap_map_count(state->nodes); i++)
        able += sched_can_run(cap_map_value_at(state->nodes, i), needs);
    return able;
}

/* Able nodes whose answers the store does not take now. */
static size_t count_held_up(const struct sched_state *state, const struct sched_needs *needs)
{
    size_t held_up = 0;

    for (size_t i = 0; i < cap_map_count(state->nodes); i++) {
        const struct sched_node *node = cap_map_value_at(state->nodes, i);
        held_up += node->waits && sched_can_run(node, needs);
    }
    return held_up;
}

void sched_waiting_for(const struct sched_state *state, const struct sched_run *run, int64_t now_ms,
                       char out[SCHED_REASON_BYTES])
{
    size_t able = count_able(state, &run->needs), held_up = count_held_up(state, &run->needs);

    sched_why_none(state, &run->needs, out);
    if (*out)
        return;
    if (run->not_before_ms > now_ms)
        snprintf(out, SCHED_REASON_BYTES, "another try in %lld s, after: %.400s",
                 (long long)(run->not_before_ms - now_ms + 999) / 1000, run->reason);
    else if (*state->store_reason)
        snprintf(out, SCHED_REASON_BYTES, "the store, which gives no lease: %.400s",
                 state->store_reason);
    else if (run->leasing)
        snprintf(out, SCHED_REASON_BYTES, "the store, which was asked for a lease");
    else if (held_up > 0)
        snprintf(out, SCHED_REASON_BYTES,
                 "a free node (%zu can run it; %zu waits for the store to take its answers)", able,
                 held_up);
    else
        snprintf(out, SCHED_REASON_BYTES, "a free node (%zu can run it)", able);
}

/* ---- order ---- */

enum { SHARES_MAX = 4096 };

/* Waiting counts from when the run was queued or its submitter was served last, whichever is later:
 * the oldest of somebody's thousand runs must not keep everybody else out for ever. */
static int64_t level(const struct sched_state *state, const struct sched_run *run,
                     const struct sched_share *share, int64_t now_ms)
{
    int64_t since = run->queued_at_ms > share->served_ms ? run->queued_at_ms : share->served_ms;

    return run->priority + (now_ms > since ? (now_ms - since) / state->policy.ageing_ms : 0);
}

/* Names of submitters are theirs to choose: those with nothing on a node start anew. */
static void forget_shares(struct cap_map *shares)
{
    for (size_t i = cap_map_count(shares); i > 0; i--)
        if (((struct sched_share *)cap_map_value_at(shares, i - 1))->active == 0)
            free(cap_map_remove(shares, cap_map_key_at(shares, i - 1)));
}

/* Runs on nodes, by submitter. */
static void count_active(const struct sched_state *state)
{
    for (size_t i = 0; i < cap_map_count(state->shares); i++)
        ((struct sched_share *)cap_map_value_at(state->shares, i))->active = 0;
    for (size_t i = 0; i < cap_map_count(state->runs); i++) {
        const struct sched_run *run = cap_map_value_at(state->runs, i);

        if (run->leasing || run->state == SCHED_RUN_LEASED || run->state == SCHED_RUN_RUNNING)
            sched_share_of(state->shares, run->submitter)->active++;
    }
    if (cap_map_count(state->shares) > SHARES_MAX)
        forget_shares(state->shares);
}

struct rank {
    const struct sched_run *run;
    int64_t level, served_ms;
    int active;
};

static int compare_ranks(const void *left, const void *right)
{
    const struct rank *a = left, *b = right;

    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    if (a->active != b->active)
        return a->active < b->active ? -1 : 1;
    if (a->served_ms != b->served_ms)
        return a->served_ms < b->served_ms ? -1 : 1;
    if (a->run->queued_at_ms != b->run->queued_at_ms)
        return a->run->queued_at_ms < b->run->queued_at_ms ? -1 : 1;
    return strcmp(a->run->id, b->run->id);
}

size_t sched_order(const struct sched_state *state, int64_t now_ms, const struct sched_run **out,
                   size_t room)
{
    size_t total = cap_map_count(state->runs), count = 0;
    CAP_AUTO_MEM struct rank *ranks = calloc(total + 1, sizeof *ranks);

    if (!ranks)
        abort();
    count_active(state);
    for (size_t i = 0; i < total; i++) {
        const struct sched_run *run = cap_map_value_at(state->runs, i);
        const struct sched_share *share = sched_share_of(state->shares, run->submitter);

        if (run->state == SCHED_RUN_QUEUED && !run->leasing)
            ranks[count++] = (struct rank){run, level(state, run, share, now_ms), share->served_ms,
                                           share->active};
    }
    qsort(ranks, count, sizeof *ranks, compare_ranks);
    for (size_t i = 0; i < count && i < room; i++)
        out[i] = ranks[i].run;
    return count < room ? count : room;
}
