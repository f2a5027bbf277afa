/* shim.h — stands between the scheduler and the real store, passes every call on, and makes faults.
 *
 * What the store does is what the store does: nothing is imitated here. A call can be refused
 * before it reaches the store, its reply can be lost after the deed was done, and calls can take
 * longer.
 *
 *     shim_start(&shim, store_address);      serves on shim.address
 *     shim.lose_percent = 10;
 *     shim_stop(&shim); ... shim_start(...)  the store is away for a while, on the same address
 *
 * Fields marked (any time) may be changed while it runs.
 */
#ifndef SCHED_TEST_SHIM_H
#define SCHED_TEST_SHIM_H

#include <stdint.h>

#include "base/rand.h"

struct cap_rpc_channel;
struct cap_rpc_server;

struct shim {
    _Atomic int fail_percent; /* (any time) calls that are refused with UNAVAILABLE ... */
    _Atomic int lose_percent; /* (any time) ... and calls that are done, but whose reply is lost */
    _Atomic int append_ms;    /* (any time) how long an Append takes before the store hears of it */
    _Atomic int calls_failed, leases, repeated, appended; /* batches that the store has */
    _Atomic uint32_t turn;                                /* of the dice */
    char address[64];
    struct cap_rpc_server *server;
    struct cap_rpc_channel *channel;
};

void shim_start(struct shim *shim, const char *store_address);
void shim_stop(struct shim *shim);

#endif
