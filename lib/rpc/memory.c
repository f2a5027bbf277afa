/* Large messages take turns: what all calls of a process may take for them together.
 *
 * A message becomes larger in memory than on the wire: few bytes may hold much structure, up to
 * UNPACK_TIMES_MESSAGE times (wire.c). Each call has its limit; without one for their sum, sixteen
 * calls of 8 MiB took two gigabytes. So a server unpacks a message above LARGE_BYTES only after it
 * has taken the most that this may cost from one budget. Afterwards it gives back what was not
 * needed, which of an honest message is most of it, and the rest when the message's memory is
 * freed. Who finds too little waits, holding nothing but the bytes that came, and fails after a
 * while with RESOURCE_EXHAUSTED: the caller may try again. One message alone always finds room.
 *
 * The memory also has to return to the system. glibc keeps what large messages leave behind in the
 * heaps of its threads (cap_rpc_init makes it keep some, for speed), so when the last of them is
 * gone and they took much, it is told to let go.
 *
 * The lock guards all below it, and nothing is called while it is held.
 */
#include <malloc.h>
#include <pthread.h>

#include <time.h>

#include "rpc/inside.h"

enum {
    LARGE_BYTES = 64 << 10,
    BUDGET_BYTES = 160 << 20,
    WAIT_S = 10,
    TRIM_BYTES = 32 << 20, /* worth giving back */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t taken; /* by all calls, now */
static size_t freed; /* of large messages, in memory, since it last went back to the system */

bool rpc_memory_take(size_t message_bytes, size_t *out_held, struct cap_err *err)
{
    size_t wanted = message_bytes * UNPACK_TIMES_MESSAGE;
    struct timespec until;
    bool ok = true;

    *out_held = 0;
    if (message_bytes <= LARGE_BYTES)
        return true;
    if (wanted > BUDGET_BYTES)
        wanted = BUDGET_BYTES;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    while (ok && taken > 0 && taken + wanted > BUDGET_BYTES)
        ok = pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until) == 0;
    if (ok)
        taken += wanted;
    pthread_mutex_unlock(&lock);
    if (!ok)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED,
                        "the memory for large messages is in use; try again");
    *out_held = wanted;
    return true;
}

void rpc_memory_give(size_t *io_held, size_t still_held)
{
    bool trim;

    if (*io_held <= still_held)
        return;
    pthread_mutex_lock(&lock);
    taken -= *io_held - still_held;
    if (still_held == 0) /* the message is gone; before, it gives back what it never used */
        freed += *io_held;
    *io_held = still_held;
    trim = taken == 0 && freed >= TRIM_BYTES;
    if (trim)
        freed = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (trim)
        malloc_trim(0);
}
