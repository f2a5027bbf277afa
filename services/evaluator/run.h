/* run.h — what is known of a run before its answers come: what was asked for, the machine, what the
 * node reports of itself. Read from the header of the evidence; texts are copied into an arena.
 */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit.h"
#include "base/arena.h"
#include "base/err.h"
#include "cost.h"
#include "moecap/v1/evaluator.pb-c.h"

enum { EVAL_ENERGY_MAX = 64 /* devices */ };

/* ---- what its devices drew: NAN = unknown ---- */

enum eval_energy_kind { EVAL_ENERGY_GPU, EVAL_ENERGY_CPU, EVAL_ENERGY_DRAM, EVAL_ENERGY_KINDS };

struct eval_energy {
    const char *device; /* "" = nothing measures this kind */
    const char *source; /* "nvml"; "" = nothing */
    enum eval_energy_kind kind;
    bool valid;
    const char *reason; /* where it is not valid */
    double joules, integrated, seconds, watts_min, watts_max, limit_watts, idle_watts;
    const char *idle_unknown;
};

/* ---- its machine ---- */

enum { EVAL_RATES_MAX = 8 };

/* What the run's machine can do, as it was declared, found and measured. Texts "" or NULL and
 * numbers 0: not known. */
struct eval_hardware {
    bool server;                    /* a machine of others: nobody measured it */
    const char *declared;           /* its text; of a server */
    const char *found;              /* the node's card, or its processor */
    unsigned found_count;           /* of them */
    unsigned cores;                 /* of a processor, that the node may use */
    unsigned parallel;              /* devices that the server's parallelism needs */
    bool card;                      /* it computes on a card, not on the processor */
    double card_gb;                 /* its memory; 0 = not known */
    const char *precision;          /* that the run computes in */
    double peak_gb_s, peak_gflop_s; /* declared, of the whole machine */
    double read_gb_s;               /* measured by the node, as are: */
    struct {
        const char *precision;
        double gflop_s;
    } rates[EVAL_RATES_MAX];
    size_t rate_count;
    uint64_t cache_bytes; /* last level, together */
    bool cache_unknown;   /* it has some, and the node does not know how much */
};

/* ---- the run ---- */

struct eval_run {
    uint32_t attempted;         /* samples of the run */
    uint32_t attempts;          /* leases that stored something */
    bool scoring;               /* log-likelihoods: there is no decode */
    const char *const *metrics; /* ids, the first is the headline; borrowed */
    size_t metric_count;
    uint32_t exact_tokens; /* every answer was to have this many; 0: no */
    uint32_t exact_input;  /* and every prompt, of random text, this many; 0: the task has texts */
    bool reported;         /* a shard's report is there: */
    uint32_t moe_layers, experts, top_k;
    const char *routing_source; /* "" or NULL: there is no routing, or nobody says */
    bool shape_declared;        /* experts and top_k are what the submitter said */
    bool in_engine;             /* times were taken in the engine, not at an HTTP client */
    uint32_t concurrency;       /* requests in flight of a closed loop; 0: an open one */
    struct eval_slo {
        double ttft_ms, tpot_ms, e2e_ms; /* of a request, at most; 0: no limit */
    } slo;
    bool is_open;        /* requests had times at which they were due */
    struct eval_client { /* the load generator of itself; negative or 0 = it does not say */
        double cpu_share, busy_share, host_load;
        uint32_t host_cores, held_arrivals;
    } client;
    const char *counts_unknown; /* why the node has no token counts; NULL or "" = it has */
    struct eval_audit_run audit;
    const char *model_config;       /* of a server, as declared; NULL or "" = it was not */
    const char *activation_profile; /* of a server, as given (model/profile.h); NULL or "" = none */
    unsigned replicas;              /* data parallelism; 0 = 1 */
    struct eval_cost_run cost;
    struct eval_hardware hardware;
    struct eval_energy energy[EVAL_ENERGY_MAX];
    size_t energy_count; /* 0: the node did not measure it */
    uint32_t threads;    /* of our engine; 0: not known */
};

/* The machine of a run and what is said of its cost; report may be NULL. False when
 * the arena is full. */
bool eval_cost_run_read(const Moecap__V1__EvaluationSpec *spec,
                        const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_cost_run *out);
/* From the header; texts are copied into the arena. */
bool eval_run_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                   struct eval_run *out, struct cap_err *err);

#endif
