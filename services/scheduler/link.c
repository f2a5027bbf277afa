#include "link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "rpc/rpc.h"

struct sched_link {
    char node_id[CAP_ID_BYTES];
    struct cap_rpc_call *call;
    int users;
};

struct sched_links {
    pthread_mutex_t lock; /* guards the map and every link's users */
    pthread_cond_t unused;
    struct cap_map *by_node;
};

struct sched_links *sched_links_new(void)
{
    struct sched_links *links = calloc(1, sizeof *links);

    if (!links)
        abort();
    pthread_mutex_init(&links->lock, NULL);
    pthread_cond_init(&links->unused, NULL);
    links->by_node = cap_map_new();
    return links;
}

void sched_links_free(struct sched_links *links)
{
    if (!links)
        return;
    cap_map_free(links->by_node);
    pthread_mutex_destroy(&links->lock);
    pthread_cond_destroy(&links->unused);
    free(links);
}

struct sched_link *sched_link_open(struct sched_links *links, struct cap_rpc_call *call,
                                   char out_node_id[CAP_ID_BYTES])
{
    struct sched_link *link = calloc(1, sizeof *link);

    if (!link)
        abort();
    link->call = call;
    cap_rand_id("node", link->node_id);
    memcpy(out_node_id, link->node_id, CAP_ID_BYTES);
    pthread_mutex_lock(&links->lock);
    cap_map_put(links->by_node, link->node_id, link);
    pthread_mutex_unlock(&links->lock);
    return link;
}

void sched_link_close(struct sched_links *links, struct sched_link *link)
{
    pthread_mutex_lock(&links->lock);
    cap_map_remove(links->by_node, link->node_id);
    while (link->users > 0)
        pthread_cond_wait(&links->unused, &links->lock);
    pthread_mutex_unlock(&links->lock);
    free(link);
}

struct cap_rpc_call *sched_link_use(struct sched_links *links, const char *node_id,
                                    struct sched_link **out_link)
{
    struct sched_link *link;

    pthread_mutex_lock(&links->lock);
    link = cap_map_get(links->by_node, node_id);
    if (link)
        link->users++;
    pthread_mutex_unlock(&links->lock);
    *out_link = link;
    return link ? link->call : NULL;
}

void sched_link_done(struct sched_links *links, struct sched_link *link)
{
    pthread_mutex_lock(&links->lock);
    link->users--;
    pthread_cond_broadcast(&links->unused);
    pthread_mutex_unlock(&links->lock);
}

void sched_links_cancel(struct sched_links *links)
{
    pthread_mutex_lock(&links->lock);
    for (size_t i = 0; i < cap_map_count(links->by_node); i++)
        cap_rpc_cancel(((struct sched_link *)cap_map_value_at(links->by_node, i))->call);
    pthread_mutex_unlock(&links->lock);
}
