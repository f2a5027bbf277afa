/* measure.h — from a run's evidence to its figures, each with its reason where there is none.
 *
 * The messages of Measure are read by evidence.c and nowhere else: what the families need of them
 * is kept as sums, and as lists of durations, bounded by the limits below (past one the figures
 * that it feeds say so). One user at a time.
 *
 *     CAP_AUTO(eval_evidence) evidence = eval_evidence_new(&run);
 *     eval_evidence_add(evidence, message);  // ... until there are no more
 *     ok = eval_measure(evidence, arena, summary);
 *
 * One row of words/figures.def is one figure, one row of families.def computes some of them from
 * the evidence. Unknown is never 0: a figure that cannot be computed has no value and a reason; one
 * that is beyond what is possible is marked invalid and says why. Formulas and their sources:
 * docs/metrics.md; how to add one: docs/adding-a-figure.md.
 */
#ifndef EVAL_MEASURE_H
#define EVAL_MEASURE_H

#include "audit.h"
#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "cost.h"
#include "moecap/v1/evaluator.pb-c.h"

/* ================ evidence: what is kept of a run (evidence.c) ================ */

enum {
    EVAL_VALUES_MAX = 64 * 1000 * 1000,  /* of one duration */
    EVAL_REQUESTS_MAX = 4 * 1000 * 1000, /* twice what the scheduler admits */
    EVAL_METRICS_MAX = 64,
    EVAL_LAYERS_MAX = 1024,
    EVAL_EXPERTS_MAX = 4096,
    EVAL_ENERGY_MAX = 64, /* devices */
};

/* ---- what its devices drew: NAN = unknown ---- */

enum eval_energy_kind { EVAL_ENERGY_GPU, EVAL_ENERGY_CPU, EVAL_ENERGY_DRAM, EVAL_ENERGY_KINDS };

struct eval_energy {
    const char *device; /* "" = nothing tells this kind */
    const char *source; /* "nvml"; "" = nothing */
    enum eval_energy_kind kind;
    bool valid;
    const char *reason; /* where it is not valid */
    double joules, integrated, seconds, watts_min, watts_max, limit_watts, idle_watts;
    const char *idle_unknown;
};

/* ---- what is known of the run ---- */

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
    const char
        *counts_unknown; /* why the node left out token counts; NULL or "" = it does not say */
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

/* Of a run; both may be NULL. Texts are copied. False when the arena is full. */
bool eval_hardware_read(const Moecap__V1__EvaluationSpec *spec,
                        const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_hardware *out);
/* The machine of a run and what is said of its cost; report may be NULL (cost_rpc.c). False when
 * the arena is full. */
bool eval_cost_run_read(const Moecap__V1__EvaluationSpec *spec,
                        const Moecap__V1__ShardReport *report, struct cap_arena *arena,
                        struct eval_cost_run *out);
/* From the header; texts are copied into the arena. */
bool eval_run_read(const Moecap__V1__EvidenceHeader *header, struct cap_arena *arena,
                   struct eval_run *out, struct cap_err *err);

/* ---- what is kept ---- */

/* A mixed pass reads prompts and writes answers: it is in the figures of neither. */
enum eval_phase { EVAL_PREFILL, EVAL_DECODE, EVAL_MIXED, EVAL_PHASE_COUNT };
/* Of a server's prompt, whose length is found by trying: this share may be missing. */
#define EVAL_INPUT_APART_MAX 0.02
enum { EVAL_PURE_PHASES = EVAL_MIXED };

struct eval_values { /* of one duration, in microseconds */
    double *items;
    size_t count, room;
    bool overflowed;
};

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

/* Pairs in the order of time, such as the tokens and the duration of passes: so many that only
 * sums over neighbours are kept. For the interval of sum(over) / sum(under). */
enum { EVAL_SERIES_MAX = 1024 };
struct eval_series {
    double over[EVAL_SERIES_MAX], under[EVAL_SERIES_MAX];
    size_t count;     /* sums */
    uint64_t each;    /* pairs in a sum; 0: none came yet */
    uint64_t in_last; /* pairs in the last sum */
    uint64_t pairs;
};

/* Counts of a histogram whose buckets are 10 % wide, the first from `lowest` on. */
enum { EVAL_HISTOGRAM_BUCKETS_MAX = 288 };
#define EVAL_HISTOGRAM_GROWTH 1.1
/* Of rates of passes, in GB/s and GFLOP/s. */
#define EVAL_RATE_LOWEST 1e-3

struct eval_buckets {
    uint64_t counts[EVAL_HISTOGRAM_BUCKETS_MAX];
    size_t used; /* up to the last that holds something */
};

void eval_buckets_add(struct eval_buckets *buckets, double lowest, double value);

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

struct eval_layer_counts {
    uint64_t *counts; /* by expert */
    size_t experts;
};

/* Passes of about one size: sums over them. */
struct eval_activation_point {
    uint64_t passes, tokens;
    double distinct; /* experts of a layer, a mean over layers */
    double uniform;  /* what a uniform router would use */
};

enum { EVAL_ACTIVATION_POINTS = 160 };

struct eval_activation { /* of one phase, without warm-up */
    struct eval_activation_point points[EVAL_ACTIVATION_POINTS];
    uint64_t rows;                      /* tokens of all passes */
    uint64_t impossible_passes;         /* see measure/activation.c */
    uint64_t by_layer[EVAL_LAYERS_MAX]; /* distinct experts, over passes; MoE layers only */
    uint64_t layer_passes;              /* that said them */
    size_t layer_count;                 /* the most that one said */
    struct eval_layer_counts layers[EVAL_LAYERS_MAX];
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

void eval_values_add(struct eval_values *values, double value);
void eval_series_add(struct eval_series *series, double over, double under);
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

/* ================ figures (figure.c), families (measure.c) ================ */

enum eval_figure_id {
#define FIGURE(id, unit, basis, formula, source) EVAL_FIGURE_##id,
#include "words/figures.def"
#undef FIGURE
    EVAL_FIGURE_COUNT
};

enum { EVAL_MARKS_MAX = 32, EVAL_HISTOGRAMS_MAX = 8 };

/* Fills the summary: a figure for each of the task's metrics, then the table's rows in order. Texts
 * live in the arena or with the evidence. False when the arena is full. */
bool eval_measure(struct eval_evidence *evidence, struct cap_arena *arena,
                  Moecap__V1__Summary *out);

/* ---- for the files of this folder ---- */

struct eval_figures {
    Moecap__V1__Figure rows[EVAL_FIGURE_COUNT];
    Moecap__V1__Mark marks[EVAL_MARKS_MAX];
    size_t mark_count;
    struct cap_arena *arena;
};

/* A row for each figure, none of them set yet. In the arena; NULL when it is full. */
struct eval_figures *eval_figures_new(struct cap_arena *arena);
/* Setting, or saying why there is none, forgets what was said of the figure before. */
void eval_figure_set(struct eval_figures *f, enum eval_figure_id id, double value);
void eval_figure_none(struct eval_figures *f, enum eval_figure_id id, const char *reason);
/* Takes over the figures of a measured run whose ids are in the table. */
void eval_figures_take(struct eval_figures *f, Moecap__V1__Figure *const *figures, size_t count);
/* A value that rests on what the submitter declared. */
void eval_figure_declared(struct eval_figures *f, enum eval_figure_id id);
/* Keeps the value, if there is one. */
void eval_figure_invalid(struct eval_figures *f, enum eval_figure_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What a reader must know beside the figures: a short word, and the sentence why. A bad one says
 * that figures are not to be trusted as they stand. The first mark of a word stays. */
void eval_mark(struct eval_figures *f, const char *id, bool bad, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* False when there is none. */
bool eval_figure_interval(const struct eval_figures *f, enum eval_figure_id id, double *out_low,
                          double *out_high);
/* The interval of a value that is set, at 95 %. */
void eval_figure_between(struct eval_figures *f, enum eval_figure_id id, double low, double high);
/* The interval of scale * sum(over) / sum(under), by a bootstrap of blocks. */
void eval_figure_between_series(struct eval_figures *f, enum eval_figure_id id,
                                const struct eval_series *series, double scale);
/* What the true percentile is at most, with 99 % confidence. */
void eval_figure_certified(struct eval_figures *f, enum eval_figure_id id, double bound);
/* No value, but where it must lie, by what was declared; the reason says why there is no more. */
void eval_figure_range(struct eval_figures *f, enum eval_figure_id id, double low, double high,
                       const char *reason);
bool eval_figure_has(const struct eval_figures *f, enum eval_figure_id id);
double eval_figure_value(const struct eval_figures *f, enum eval_figure_id id);

/* What a declared config.json says that weights are kept in; "" when it does not say it. */
const char *eval_stored_precision(const char *config);

#define FAMILY(name, reads)                                                                        \
    void eval_measure_##name(struct eval_evidence *e, struct eval_figures *f);
#include "measure/families.def"
#undef FAMILY

/* The accuracy by one of the run's metrics, under that metric's id. */
void eval_measure_metric(const struct eval_evidence *e, size_t metric, Moecap__V1__Figure *out);

/* The four figures of a duration, the first of which is `first`; `nothing` is why there may be no
 * value at all. Values are in microseconds, figures in milliseconds. */
void eval_measure_duration(const struct eval_evidence *e, struct eval_values *values,
                           unsigned first, const char *nothing, struct eval_figures *f);
/* Why times of this run do not measure anything; NULL: they do. */
const char *eval_timing_problem(const struct eval_evidence *e);

/* Why there is no figure of these passes; NULL: there can be one. Only a rate needs times. */
const char *eval_passes_problem(const struct eval_evidence *e, enum eval_phase phase, bool rate);
/* The same of what passes count of their work; `said`: passes that did. */
const char *eval_work_problem(const struct eval_evidence *e, enum eval_phase phase, uint64_t said,
                              bool rate);
/* What a server's experts are kept in, by its declared config.json: that of a quantised checkpoint
 * wins over what the submitter says. NULL when nobody declared one that is understood. bounds.c */
const char *eval_server_precision(const struct eval_run *run, struct eval_figures *f);
/* Why token counts are not known. */
const char *eval_counts_problem(const struct eval_evidence *e);

/* ---- activation of experts (measure/activation.c) ---- */

void eval_activation_add_pass(struct eval_activation *a, const struct eval_run *run,
                              uint32_t tokens, const uint32_t *distinct, size_t layers);
/* Selections of a layer by expert; false past a limit, then nothing is added. */
bool eval_activation_add_counts(struct eval_activation *a, uint32_t layer, const uint64_t *counts,
                                size_t experts);
void eval_activation_done(struct eval_activation *a);

/* Distinct experts of a layer if each of `tokens` chose top_k of them uniformly. */
double eval_uniform_experts(double experts, double top_k, double tokens);

struct eval_balance {
    double max_ratio;  /* the busiest expert's selections / the mean; 1 = even */
    double gini;       /* 0 = even */
    double jain;       /* (sum)^2 / (experts * sum of squares); 1 = even */
    double entropy;    /* of the shares, / ln(experts); 1 = even */
    double selections; /* in all */
};
/* False when nothing was chosen, or there is one expert: then there is no balance. */
bool eval_balance_of(const struct eval_layer_counts *layer, struct eval_balance *out);

/* ---- curves (measure/curves.c) ---- */

enum { EVAL_CURVES_MAX = 16, EVAL_POINTS_MAX = EVAL_LAYERS_MAX };

struct eval_curve {
    const char *id, *x_unit, *y_unit;
    double *x, *y, *reference; /* reference NULL: nothing to compare with */
    size_t count;
};
struct eval_curves {
    struct eval_curve rows[EVAL_CURVES_MAX];
    size_t count;
    struct cap_arena *arena;
};
/* A sample tells the mean power of a device since its sample before, or since the run began. */
void eval_power_add(struct eval_power *power, const char *device, int64_t at_us, double watts);
/* For x, y and reference of a curve: seconds, watts, and idle power where it is known; how many
 * points. Only what every device was measured over. */
size_t eval_power_points(const struct eval_evidence *e, double *out_s, double *out_watts);
/* Idle power of the devices that were measured; NAN when it is not known of one. */
double eval_power_idle(const struct eval_evidence *e);

/* Every curve that has a point. False when the arena is full. */
bool eval_curves_of(const struct eval_evidence *e, struct eval_curves *out);

/* measure/cost.c: the rows from machine_price to cost_per_correct, from other rows. */
void eval_cost_figures(const struct eval_cost_run *run, struct eval_figures *f);
/* Its inputs, with what was measured of the machine's power. */
void eval_cost_terms_of(const struct eval_cost_run *run, const struct eval_figures *f,
                        struct eval_cost_term out[EVAL_COST_INPUTS]);
/* How input and output share the cost of a run with these figures. */
const char *eval_cost_sharing(const struct eval_figures *f);
/* What those figures rest on; NULL when the arena is full (cost_rpc.c). */
Moecap__V1__CostBasis *eval_cost_basis(const struct eval_cost_run *run,
                                       const struct eval_figures *f);

/* The table of figures as Markdown; eval_measure_markdown: and that of families. */
void eval_figures_markdown(struct cap_buf *out);
void eval_measure_markdown(struct cap_buf *out);

#endif
