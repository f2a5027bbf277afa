/* link.h — the stream to a connected node, which others may send on while it lives.
 *
 * Made by the handler that serves the stream; found by node id; sched_link_close waits until nobody
 * uses it any more, so that the handler may return. Any thread.
 *
 * What is sent while the order is held is seen by the node in that order. Whoever assigns asks,
 * with the order held, whether the run is still wanted: so no Stop overtakes its assignment.
 */
#ifndef SCHED_LINK_H
#define SCHED_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rand.h"

struct cap_rpc_call;
struct sched_links;
struct sched_link;

struct sched_links *sched_links_new(void);
void sched_links_free(struct sched_links *links);

/* `hello` (packed, copied) is what the node said of itself. */
struct sched_link *sched_link_open(struct sched_links *links, struct cap_rpc_call *call,
                                   const void *hello, size_t hello_bytes,
                                   char out_node_id[CAP_ID_BYTES]);
void sched_link_close(struct sched_links *links, struct sched_link *link);

/* The node's link, which stays alive until sched_link_done; NULL when it is not connected. */
struct sched_link *sched_link_use(struct sched_links *links, const char *node_id);
void sched_link_done(struct sched_links *links, struct sched_link *link);

struct cap_rpc_call *sched_link_call(const struct sched_link *link);
const void *sched_link_hello(const struct sched_link *link, size_t *out_bytes);
/* The packed NodeBeat that came last, copied; sched_link_beat's copy is in the arena, NULL when
 * none has come or the arena is full. */
void sched_link_note_beat(struct sched_link *link, const void *beat, size_t bytes);
const void *sched_link_beat(struct sched_link *link, struct cap_arena *arena, size_t *out_bytes);
int64_t sched_link_since_ms(const struct sched_link *link); /* Unix time */
void sched_link_hold_order(struct sched_link *link);
void sched_link_let_go(struct sched_link *link);

/* Whether a line about what this node does may be logged now (cap_log_may). */
bool sched_link_may_log(struct sched_links *links, struct sched_link *link, int *out_untold);

/* Cancels the stream of one node, or every stream: the program ends. */
void sched_links_drop(struct sched_links *links, const char *node_id);
void sched_links_cancel(struct sched_links *links);

#endif
