/* Which node can run what, and why none can. */
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
            if (strstr(*name, SCHED_AT_URL) || cap_map_put(seen, *name, node) ||
                cap_map_count(seen) > OFFERS_SHOWN_MAX)
                continue;
            cap_buf_printf(out, "%s%s", out->length ? ", " : "", *name);
        }
    }
    if (cap_map_count(seen) > OFFERS_SHOWN_MAX)
        cap_buf_printf(out, " and %zu more", cap_map_count(seen) - OFFERS_SHOWN_MAX);
    if (out->length == 0)
        cap_buf_add_str(out, "none");
}

/* "moe_gen" of "moe-gen" */
static const char *setting_name(const char *engine, char out[SCHED_NAME_BYTES])
{
    snprintf(out, SCHED_NAME_BYTES, "%s", engine);
    for (char *at = out; *at; at++)
        if (*at == '-')
            *at = '_';
    return out;
}

static void say_missing(const struct sched_needs *needs, int check, const char *offers, char *out)
{
    switch (check) {
    case CHECK_ENGINE:
        if (needs->starts_server)
            snprintf(out, SCHED_REASON_BYTES,
                     "no connected node has a command that starts engine \"%s\": set "
                     "external_command_%s of a node, or give the URL of a server that runs",
                     needs->engine, setting_name(needs->engine, (char[SCHED_NAME_BYTES]){0}));
        else
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
                     ? "no connected node that could run it loads the path \"%.200s\" (a node "
                       "started with --any-model-path does); they offer: %.200s"
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

/* ---- what a waiting run waits for ---- */

const struct sched_class *sched_tell_class(struct sched_state *state, struct sched_class *class)
{
    if (class->told_version == state->nodes_version)
        return class;
    class->told_version = state->nodes_version;
    class->able = class->held_up = 0;
    for (size_t i = 0; i < cap_map_count(state->nodes); i++) {
        const struct sched_node *node = cap_map_value_at(state->nodes, i);
        bool able = sched_can_run(node, &class->needs);

        state->looked_at++;
        class->able += able;
        class->held_up += able && node->waits;
    }
    sched_why_none(state, &class->needs, class->why_none);
    return class;
}

void sched_waiting_for(struct sched_state *state, const struct sched_run *run, int64_t now_ms,
                       char out[SCHED_REASON_BYTES])
{
    const struct sched_class *class = run->class ? sched_tell_class(state, run->class) : NULL;

    out[0] = '\0';
    if (!class)
        return; /* it has ended */
    if (*class->why_none)
        snprintf(out, SCHED_REASON_BYTES, "%s", class->why_none);
    else if (run->not_before_ms > now_ms)
        snprintf(out, SCHED_REASON_BYTES, "another try in %lld s, after: %.400s",
                 (long long)(run->not_before_ms - now_ms + 999) / 1000, run->reason);
    else if (*state->store_reason)
        snprintf(out, SCHED_REASON_BYTES, "the store, which gives no lease: %.400s",
                 state->store_reason);
    else if (run->leasing)
        snprintf(out, SCHED_REASON_BYTES, "its assignment to a node");
    else if (class->held_up > 0)
        snprintf(out, SCHED_REASON_BYTES,
                 "a free node (%zu can run it; %zu waits for the store to take its answers)",
                 class->able, class->held_up);
    else
        snprintf(out, SCHED_REASON_BYTES, "a free node (%zu can run it)", class->able);
}
