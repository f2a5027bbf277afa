/* node.h — which nodes there have been, and what happened: for people, not for decisions. */
#ifndef STORE_NODE_H
#define STORE_NODE_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

struct store_node {
    const char *node_id, *name;
    struct store_bytes hello; /* packed NodeHello; data NULL keeps the one that is there */
    bool connected;
};

/* Writes an event when the node appears, connects or goes. */
bool store_node_put(struct store_pg *pg, const struct store_node *node, struct cap_err *err);

struct store_event {
    uint64_t id;
    int64_t at_ms;
    const char *run_id, *kind, *text;
};

struct store_event_page {
    struct store_event *events;
    size_t count;
    bool more; /* the next page begins after the last id of this one */
};

/* Events with an id above after_id, the oldest first; of one run unless run_id is empty. */
bool store_event_list(struct store_pg *pg, const char *run_id, uint64_t after_id, uint32_t limit,
                      struct cap_arena *arena, struct store_event_page *out_page,
                      struct cap_err *err);

#endif
