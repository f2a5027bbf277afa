/* shard.h — running one shard on an engine: warm-up, load, time stamps, answers in batches.
 *
 * The worker's thread; it returns when the shard is done, stopped, or cannot go on. Order:
 *   1. warm-up, by one rule for every engine: the shard's first prompt is run once, alone, for at
 *      most 8 tokens. It does not count as an answer; its passes are kept and marked, and no
 *      measure uses them.
 *   2. the clock starts; the load (requests.h) says when requests start; every event is stamped by
 *      the engine where the token appeared.
 *   3. an answer becomes a row at once; rows go out (work.h) as numbered batches.
 *   4. the last batch carries the report.
 * A request that fails is a FAILED answer with its reason, and the shard goes on; a warm-up that
 * fails as every request would (no such model, nothing of this kind, the server dead) fails the
 * shard with its reason. An engine that is lost fails the shard; what was answered before is
 * delivered first.
 */
#ifndef INFER_SHARD_H
#define INFER_SHARD_H

#include "base/clock.h"
#include "node/rows.h"
#include "node/work.h"

enum infer_shard_outcome {
    INFER_SHARD_DONE,
    INFER_SHARD_UNWANTED, /* stopped, or the lease is no longer ours */
    INFER_SHARD_FAILED,   /* err says why; the engine may be lost */
};

struct infer_shard_setup {
    struct infer_work *work;
    const struct infer_assignment *assignment;
    struct infer_engine *engine;
    const struct infer_hardware *hardware;
    const char *model_sha256; /* NULL = unknown */
    const struct cap_clock *clock;
    int open_loop_in_flight_max;
    int silence_ms_max; /* an engine that says nothing for this long is lost */
};

enum infer_shard_outcome infer_shard_run(const struct infer_shard_setup *setup,
                                         struct cap_err *err);

#endif
