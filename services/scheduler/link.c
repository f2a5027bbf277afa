#include "link.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "log/log.h"
#include "rpc/rpc.h"

struct sched_link {
    char node_id[CAP_ID_BYTES];
    struct cap_rpc_call *call;
    void *hello;
    size_t hello_bytes;
    int64_t since_ms;
    pthread_mutex_t order;     /* guards no field: held while sending */
    pthread_mutex_t beat_lock; /* guards the next two */
    void *beat;
    size_t beat_bytes;
    int users;
    struct cap_log_limit log;
};

struct sched_links {
    pthread_mutex_t lock; /* guards the map and every link's users and log */
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
                                   const void *hello, size_t hello_bytes,
                                   char out_node_id[CAP_ID_BYTES])
{
    struct sched_link *link = calloc(1, sizeof *link);

    if (!link || !(link->hello = malloc(hello_bytes + 1)))
        abort();
    memcpy(link->hello, hello, hello_bytes);
    link->hello_bytes = hello_bytes;
    link->call = call;
    link->since_ms = cap_clock_wall_ms(cap_clock_system());
    pthread_mutex_init(&link->order, NULL);
    pthread_mutex_init(&link->beat_lock, NULL);
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
    pthread_mutex_destroy(&link->order);
    pthread_mutex_destroy(&link->beat_lock);
    free(link->hello);
    free(link->beat);
    free(link);
}

struct sched_link *sched_link_use(struct sched_links *links, const char *node_id)
{
    struct sched_link *link;

    pthread_mutex_lock(&links->lock);
    link = cap_map_get(links->by_node, node_id);
    if (link)
        link->users++;
    pthread_mutex_unlock(&links->lock);
    return link;
}

void sched_link_done(struct sched_links *links, struct sched_link *link)
{
    pthread_mutex_lock(&links->lock);
    link->users--;
    pthread_cond_broadcast(&links->unused);
    pthread_mutex_unlock(&links->lock);
}

struct cap_rpc_call *sched_link_call(const struct sched_link *link)
{
    return link->call;
}

const void *sched_link_hello(const struct sched_link *link, size_t *out_bytes)
{
    *out_bytes = link->hello_bytes;
    return link->hello;
}

void sched_link_note_beat(struct sched_link *link, const void *beat, size_t bytes)
{
    void *copy = malloc(bytes + 1);

    if (!copy)
        abort();
    memcpy(copy, beat, bytes);
    pthread_mutex_lock(&link->beat_lock);
    free(link->beat);
    link->beat = copy;
    link->beat_bytes = bytes;
    pthread_mutex_unlock(&link->beat_lock);
}

const void *sched_link_beat(struct sched_link *link, struct cap_arena *arena, size_t *out_bytes)
{
    void *copy = NULL;

    pthread_mutex_lock(&link->beat_lock);
    if (link->beat && (copy = cap_arena_alloc(arena, link->beat_bytes + 1))) {
        memcpy(copy, link->beat, link->beat_bytes);
        *out_bytes = link->beat_bytes;
    }
    pthread_mutex_unlock(&link->beat_lock);
    return copy;
}

int64_t sched_link_since_ms(const struct sched_link *link)
{
    return link->since_ms;
}

void sched_link_hold_order(struct sched_link *link)
{
    pthread_mutex_lock(&link->order);
}

void sched_link_let_go(struct sched_link *link)
{
    pthread_mutex_unlock(&link->order);
}

bool sched_link_may_log(struct sched_links *links, struct sched_link *link, int *out_untold)
{
    bool may;

    pthread_mutex_lock(&links->lock);
    may = cap_log_may(&link->log, cap_clock_ms(cap_clock_system()), out_untold);
    pthread_mutex_unlock(&links->lock);
    return may;
}

void sched_links_drop(struct sched_links *links, const char *node_id)
{
    struct sched_link *link = sched_link_use(links, node_id);

    if (!link)
        return;
    cap_rpc_cancel(link->call);
    sched_link_done(links, link);
}

void sched_links_cancel(struct sched_links *links)
{
    pthread_mutex_lock(&links->lock);
    for (size_t i = 0; i < cap_map_count(links->by_node); i++)
        cap_rpc_cancel(((struct sched_link *)cap_map_value_at(links->by_node, i))->call);
    pthread_mutex_unlock(&links->lock);
}
