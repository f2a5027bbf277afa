/* link.h — the stream to a connected node, which others may send on while it lives.
 *
 * Made by the handler that serves the stream; found by node id; sched_link_close waits until nobody
 * sends any more, so that the handler may return. Any thread.
 */
#ifndef SCHED_LINK_H
#define SCHED_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct cap_rpc_call;
struct sched_links;
struct sched_link;

struct sched_links *sched_links_new(void);
void sched_links_free(struct sched_links *links);

struct sched_link *sched_link_open(struct sched_links *links, struct cap_rpc_call *call,
                                   char out_node_id[CAP_ID_BYTES]);
void sched_link_close(struct sched_links *links, struct sched_link *link);

/* The node's call, which stays alive until sched_link_done; NULL when it is not connected. */
struct cap_rpc_call *sched_link_use(struct sched_links *links, const char *node_id,
                                    struct sched_link **out_link);
void sched_link_done(struct sched_links *links, struct sched_link *link);
/* Cancels every stream: the program ends. */
void sched_links_cancel(struct sched_links *links);

#endif
