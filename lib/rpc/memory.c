/* Large messages take turns: what all calls of a process may take for them together.
 *
 * A message becomes larger in memory than on the wire: few bytes may hold much structure, up to
 * UNPACK_TIMES_MESSAGE times (wire.c). Each call has its limit; without one for their sum, sixteen
 * calls of 8 MiB took two gigabytes. So a server unpacks a message above LARGE_BYTES only after it
 * has taken the most that this may cost. Afterwards it gives back what was not needed, which of an
 * honest message is most of it, and the rest when the message's memory is freed. Who finds too
 * little waits, holding nothing but the bytes that came, and fails after a while with
 * RESOURCE_EXHAUSTED: the caller may try again. One message alone always finds room.
 *
 * There are two limits: BUDGET_BYTES for all, and half of it for one connection, so that a client
 * with many large calls waits for itself and leaves the other half to the rest. Its waiting calls
 * hold workers, too: when they hold half of the server's, one more is refused at once. Among those
 * whose connection has room, who came first goes first; nobody is overtaken for ever.
 *
 * The memory also has to return to the system. glibc keeps what large messages leave behind in the
 * heaps of its threads (cap_rpc_init makes it keep some, for speed), so when the last of them is
 * gone and they took much, it is told to let go.
 *
 * The lock guards all below it, and nothing is called while it is held.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rpc/inside.h"

enum {
    LARGE_BYTES = 64 << 10,
    BUDGET_BYTES = 320 << 20,
    CONNECTION_BYTES = BUDGET_BYTES / 2,
    WAIT_S = 10,
    TRIM_BYTES = 32 << 20, /* worth giving back */
};

/* What one connection has of it; gone when that is nothing. */
struct share {
    struct share *next;
    size_t taken;
    int waiting;
    char connection[];
};

/* Who waits, on its own stack; in the order in which they came. */
struct waiter {
    struct waiter *next;
    const struct share *share;
    size_t wanted;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct share *shares; /* few: of connections with large messages in flight */
static struct waiter *waiters;
static size_t taken; /* by all calls, now */
static size_t freed; /* of large messages, in memory, since it last went back to the system */

/* ---- shares ---- */

static struct share *share_of_locked(const struct cap_rpc_call *call)
{
    const char *connection = rpc_connection_of(call);
    size_t bytes = strlen(connection) + 1;
    struct share *share = shares;

    while (share && strcmp(share->connection, connection) != 0)
        share = share->next;
    if (share)
        return share;
    share = calloc(1, sizeof *share + bytes);
    if (!share)
        abort();
    memcpy(share->connection, connection, bytes);
    share->next = shares;
    shares = share;
    return share;
}

static void drop_if_unused_locked(struct share *share)
{
    struct share **link = &shares;

    if (share->taken > 0 || share->waiting > 0)
        return;
    while (*link != share)
        link = &(*link)->next;
    *link = share->next;
    free(share);
}

/* ---- turns ---- */

static bool share_has_room(const struct waiter *waiter)
{
    return waiter->share->taken == 0 || waiter->share->taken + waiter->wanted <= CONNECTION_BYTES;
}

/* Not before one who came earlier and waits for the others only. */
static bool may_take_locked(const struct waiter *waiter)
{
    if (!share_has_room(waiter) || (taken > 0 && taken + waiter->wanted > BUDGET_BYTES))
        return false;
    for (const struct waiter *earlier = waiters; earlier != waiter; earlier = earlier->next)
        if (share_has_room(earlier))
            return false;
    return true;
}

static void leave_locked(struct waiter *waiter)
{
    struct waiter **link = &waiters;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    pthread_cond_broadcast(&changed); /* the next one's turn */
}

static bool wait_for_turn_locked(struct waiter *waiter)
{
    struct waiter **end = &waiters;
    struct timespec until;
    bool in_time = true;

    while (*end)
        end = &(*end)->next;
    *end = waiter;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    while (in_time && !may_take_locked(waiter))
        in_time = pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until) == 0;
    leave_locked(waiter);
    return in_time;
}

/* ---- taking and giving back ---- */

bool rpc_memory_take(struct cap_rpc_call *call, size_t message_bytes, size_t *out_held,
                     struct cap_err *err)
{
    int waiting_max = call->server->options.workers_max / 2;
    struct waiter waiter = {.wanted = message_bytes * UNPACK_TIMES_MESSAGE};
    struct share *share;
    bool in_time = false, crowded;

    *out_held = 0;
    if (message_bytes <= LARGE_BYTES)
        return true;
    if (waiter.wanted > CONNECTION_BYTES)
        waiter.wanted = CONNECTION_BYTES;
    pthread_mutex_lock(&lock);
    waiter.share = share = share_of_locked(call);
    crowded = share->waiting > 0 && share->waiting >= waiting_max;
    if (!crowded) {
        share->waiting++;
        in_time = wait_for_turn_locked(&waiter);
        share->waiting--;
    }
    if (in_time) {
        share->taken += waiter.wanted;
        taken += waiter.wanted;
        *out_held = waiter.wanted;
    }
    drop_if_unused_locked(share);
    pthread_mutex_unlock(&lock);
    if (crowded)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                        "%d large calls of this connection wait for memory already, the most; "
                        "try again later",
                        waiting_max);
    return in_time || cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                               "the memory for large messages is in use; try again");
}

void rpc_memory_give(struct cap_rpc_call *call, size_t *io_held, size_t still_held)
{
    struct share *share;
    bool trim;

    if (*io_held <= still_held)
        return;
    pthread_mutex_lock(&lock);
    share = share_of_locked(call);
    share->taken -= *io_held - still_held;
    taken -= *io_held - still_held;
    if (still_held == 0) /* the message is gone; before, it gives back what it never used */
        freed += *io_held;
    *io_held = still_held;
    drop_if_unused_locked(share);
    trim = taken == 0 && freed >= TRIM_BYTES;
    if (trim)
        freed = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (trim)
        malloc_trim(0);
}
