/* server_model.h — a server that exists in arithmetic only, honest or not, and a run on it.
 *
 * It is an engine (engine.h) whose clock is a number: a run of minutes takes a millisecond. What an
 * honest server shows is drawn by a seed: latency, speed, jitter, the effect of a batch, tokens per
 * chunk, caches that it tells of, answers that change a little with their neighbours. A dishonest one
 * is the same with one deceit. The run is the real one: the node's shard with its audit, the rows it
 * packs, the evaluator's measures.
 */
#ifndef SERVER_MODEL_H
#define SERVER_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "moecap/v1/common.pb-c.h"

struct server_model {
    /* what any server has */
    double base_us, prefill_us, pace_us, jitter, per_neighbour;
    int tokens_per_chunk;
    double diverges;     /* the chance that an answer is another one in a batch */
    double blank, fails; /* the chance of each, per request */
    bool tells_routing;
    bool caches_and_tells; /* prompts it has seen */
    /* deceits */
    bool caches;         /* the same, and says nothing */
    bool knows_prompts;  /* the timed ones were asked before */
    double counts_times; /* output tokens that it says, of those it makes */
    double shown;        /* the share of the tokens asked for that it makes, at a fixed length */
    bool starts_early;   /* an empty first piece, at once */
    int held_bursts;     /* tokens come in so many heaps; 0 = as they are made */
    double experts;      /* the share of them that works while it is timed */
    double blank_for_failures;
    int timed_requests; /* it knows when the timed part is over; 0 = it does not care */
    const char *says;   /* what it says it is */
};

struct run_model {
    int samples, concurrency, fixed_tokens;
    double temperature;
    bool grades_others;  /* the verdicts are of other samples */
    int answers_dropped; /* the node does not tell of them */
};

/* An honest server and a run on it, drawn by the seed. */
void draw_honest(uint64_t seed, struct server_model *server, struct run_model *run);

/* The marks of a run. In the arena. */
Moecap__V1__Summary *run_on(const struct server_model *server, const struct run_model *run,
                            uint64_t seed, struct cap_arena *arena);

#endif
