/* evidence.h — what is kept of a run's answers, verdicts, passes, expert counts and power samples:
 * sums, and lists of durations, bounded by the limits below (past one the figures that it feeds say
 * so).
 *
 * The messages of Measure are read by run.c, evidence.c and evidence_audit.c, and nowhere else. One
 * user at a time.
 *
 *     CAP_AUTO(eval_evidence) evidence = eval_evidence_new(&run);
 *     eval_evidence_add(evidence, message);  // ... until there are no more
 *     ok = eval_measure(evidence, arena, summary);
 */
#ifndef EVAL_EVIDENCE_H
#define EVAL_EVIDENCE_H

#include "activation.h"
#include "audit.h"
#include "base/auto.h"
#include "moecap/v1/evaluator.pb-c.h"
#include "run.h"
#include "sums.h"

enum {
    EVAL_REQUESTS_MAX = 4 * 1000 * 1000, /* twice what the scheduler admits */
    EVAL_METRICS_MAX = 64,
};

/* Of a server's prompt, whose length is found by trying: this share may be missing. */
#define EVAL_INPUT_APART_MAX 0.02

/* ---- what is kept ---- */

/* A request that has times, ended well or not. */
struct eval_request {
    int64_t submitted_us, ended_us;
    int64_t sent_us, started_us; /* handed to the engine, begun by it; below 0: not known */
    double ttft_us, tpot_us;     /* below 0: not known */
    size_t gaps_at, gap_count;   /* its gaps between tokens, in eval_requests */
    uint32_t ordinal;
    uint32_t prompt_tokens, output_tokens; /* 0 where not known: eval_evidence counts these */
    uint32_t cached_tokens;                /* of the prompt, */
    bool cached_known;                     /* if this is true */
    bool completed, warm_up;
};

struct eval_requests {
    struct eval_request *items; /* by submission, once eval_settle was there */
    size_t count, room;
    uint32_t *gaps; /* of all requests, in microseconds */
    size_t gap_count, gap_room;
    bool overflowed;
};

struct eval_right { /* a bit for each ordinal */
    uint8_t *bits;
    size_t bytes;
    bool overflowed;
};

/* How a run came to rest (measure/settle.c). */
struct eval_settling {
    bool settled;
    size_t requests, needed, to_measure, in_flight;
    size_t warm_up;         /* requests left out, the first by submission; 0 unless settled */
    int64_t from_us, to_us; /* rates count what ended after `from` and up to `to`; if settled */
    enum {
        EVAL_DRIFT_NONE,
        EVAL_DRIFT_TIME,
        EVAL_DRIFT_IN_FLIGHT,
        EVAL_DRIFT_NO_STATE, /* hardly a request ended while others came */
    } drifting;
    double change; /* of what drifts, over what was looked at, as a share of its mean */
};

struct eval_phase_sums {
    uint64_t passes, tokens, sequences, duration_ns;
    uint64_t without_duration;               /* passes that say 0 ns: left out, and counted here */
    uint64_t layer_values, distinct_experts; /* over passes and layers */
    uint64_t wrong_layers;    /* passes with another number of layers than the model */
    uint64_t without_experts; /* passes that say nothing of experts */
    /* what the engine counted of its work, and over which passes and time it did */
    uint64_t weight_bytes, kv_bytes, bytes_passes, bytes_ns;
    double flops;
    uint64_t flops_passes, flops_ns;
    /* of the bytes, what a processor's last-level cache cannot have kept from the pass before */
    uint64_t memory_bytes, in_cache_passes;
    struct eval_buckets gb_s, gflop_s; /* of the passes, one by one */
    struct eval_series tokens_by_ns, sequences_by_pass, experts_by_layer, bytes_by_ns, memory_by_ns,
        flops_by_ns, bytes_by_pass;
};

/* Power of all devices together over the time of the run: joules in stretches of one length, which
 * doubles when the run outgrows them (measure/power.c). */
enum { EVAL_POWER_STRETCHES = 512, EVAL_POWER_NAME_BYTES = 48 };
#define EVAL_POWER_US_MAX ((int64_t)1 << 52) /* of a run: more than a hundred years */
struct eval_power {
    struct {
        char name[EVAL_POWER_NAME_BYTES];
        int64_t at_us; /* of its last sample */
    } devices[EVAL_ENERGY_MAX];
    size_t device_count;
    double joules[EVAL_POWER_STRETCHES];
    int64_t stretch_us; /* 0: nothing came yet */
};

struct eval_evidence {
    struct eval_run run;
    uint64_t answers, served, completed, truncated, failed;
    uint64_t without_reason; /* completed answers that do not say why they ended */
    uint64_t strange_reason; /* completed answers that say it in a word that we do not know */
    uint64_t prompt_tokens, output_tokens;
    uint64_t without_prompt_tokens, without_output_tokens; /* completed answers that do not say */
    uint64_t impossible_counts; /* of these, answers whose server said what cannot be */
    uint64_t other_length;      /* completed, not exact_tokens long */
    uint64_t other_input;       /* completed, with a prompt too far from exact_input; */
    uint32_t input_apart_max;   /* the farthest of all */
    uint64_t timed, disordered; /* answers with times; with impossible ones */
    uint64_t decoded;           /* timed, of two tokens or more; of these: */
    uint64_t without_gaps, without_first_count; /* how many tokens came first is not known */
    int64_t first_submitted_us, last_ended_us;
    struct eval_requests requests;
    struct eval_right right;
    struct eval_settling settling;           /* by eval_settle, and so are: */
    struct eval_values ttft, tpot, itl, e2e; /* of completed requests behind the warm-up */
    struct eval_values queue, service_ttft;  /* likewise */
    struct eval_values schedule_delay;       /* of all requests of an open loop */
    uint64_t verdicts[EVAL_METRICS_MAX], correct[EVAL_METRICS_MAX], unanswered;
    uint64_t passes, warm_up_passes;
    struct eval_phase_sums phases[EVAL_PHASE_COUNT];
    struct eval_activation activation[EVAL_PHASE_COUNT];
    struct eval_power power;
    bool counts_overflowed;
    struct eval_audit audit;
};

struct eval_evidence *eval_evidence_new(const struct eval_run *run);
void eval_evidence_free(struct eval_evidence *evidence);
CAP_DEFINE_AUTO(eval_evidence)

void eval_evidence_add_answer(struct eval_evidence *e, const Moecap__V1__SampleAnswer *answer);
void eval_evidence_add_verdict(struct eval_evidence *e, const Moecap__V1__Verdict *verdict);
void eval_evidence_add_pass(struct eval_evidence *e, const Moecap__V1__Pass *pass);
/* Selections of the experts of one layer. */
void eval_evidence_add_counts(struct eval_evidence *e, const Moecap__V1__ExpertCount *counts);
/* All that a message holds. */
void eval_evidence_add(struct eval_evidence *e, const Moecap__V1__Evidence *evidence);

/* ---- requests (requests.c, measure/settle.c) ---- */

void eval_requests_add(struct eval_requests *requests, const struct eval_request *request,
                       const uint32_t *gaps, size_t gap_count);
void eval_requests_done(struct eval_requests *requests);

/* Finds the warm-up and fills the lists of durations without it. After the last evidence, before
 * the families; may be called again. */
void eval_settle(struct eval_evidence *e);

/* What rates are taken over: the steady state of a settled run, all of any other. */
struct eval_window {
    double seconds;
    uint64_t completed, prompt_tokens, output_tokens;
};
struct eval_window eval_window_of(const struct eval_evidence *e);
/* Whether a request completed within it. */
bool eval_in_window(const struct eval_evidence *e, const struct eval_request *r);

/* The requests of the window in the order of their ends, for the interval of a rate: what each
 * brought (`amounts`, for the caller to fill) over the time since the end before it. */
struct eval_ends {
    const struct eval_request **items;
    double *amounts, *times_s;
    size_t count, block;
};
struct eval_ends *eval_ends_new(const struct eval_evidence *e);
void eval_ends_free(struct eval_ends *ends);
CAP_DEFINE_AUTO(eval_ends)
struct cap_interval;
/* False for too few. */
bool eval_ends_interval(const struct eval_ends *ends, struct cap_interval *out);

/* Which samples the task's first metric found right. */
void eval_right_add(struct eval_right *right, uint32_t ordinal);
bool eval_is_right(const struct eval_right *right, uint32_t ordinal);

/* ---- power (measure/power.c) ---- */

/* A sample tells the mean power of a device since its sample before, or since the run began. */
void eval_power_add(struct eval_power *power, const char *device, int64_t at_us, double watts);

/* ---- why there is nothing to measure; NULL: there is (measure/problems.c) ---- */

/* Of times: two attempts have two clocks. */
const char *eval_timing_problem(const struct eval_evidence *e);
/* Of token counts; never NULL. */
const char *eval_counts_problem(const struct eval_evidence *e);
/* Of passes of a phase. Only a rate needs times. */
const char *eval_passes_problem(const struct eval_evidence *e, enum eval_phase phase, bool rate);
/* The same of what passes count of their work; `said`: passes that did. */
const char *eval_work_problem(const struct eval_evidence *e, enum eval_phase phase, uint64_t said,
                              bool rate);

#endif
