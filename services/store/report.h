/* report.h — what people look at: the board, a run, its samples, events.
 *
 * The board reads figures, never samples. Every list has a limit; samples and events come in pages
 * by key, so that page 1,000 costs what page 1 does.
 */
#ifndef STORE_REPORT_H
#define STORE_REPORT_H

#include "base/arena.h"
#include "base/err.h"
#include "types.h"

struct store_pg;

enum {
    STORE_BOARD_ROWS_MAX = 1000,
    STORE_BOARD_FIGURES_MAX = 256, /* named in a filter, */
    STORE_BOARD_FIGURES_BYTES_MAX = 64 << 10,
    STORE_BOARD_BYTES_MAX = 6 << 20, /* of a reply, roughly; a message holds 8 MiB */
    STORE_SAMPLES_DEFAULT = 100,
    STORE_SAMPLES_MAX = 500,
    STORE_SAMPLES_BYTES_MAX = 4 << 20,
    STORE_COUNTS_MAX = 20000,         /* (phase, layer, batch bucket) of a run */
    STORE_COUNTS_BYTES_MAX = 4 << 20, /* of a page, roughly */
    STORE_SEARCH_BYTES_MAX = 256,
    STORE_EVENTS_DEFAULT = 100,
    STORE_EVENTS_MAX = 1000,
};

/* ---- the board ---- */

struct store_board_filter { /* empty texts filter nothing */
    const char *model, *task, *engine, *precision, *evaluation_id;
    bool with_unfinished, without_report;
    enum store_state state; /* NONE = any */
    const char *after;      /* the page begins behind this run; "" = the first page */
    const char *const *figures;
    size_t figure_count; /* 0 = all figures; the headline metric is among them always */
    uint32_t limit;      /* 0 = the most */
};

struct store_board_row {
    int64_t run_no;
    const char *run_id, *evaluation_id, *task, *reason, *node, *config_hash, *headline_metric;
    struct store_bytes spec, report; /* packed; report.data NULL when there is none */
    uint32_t repeat;
    enum store_state state;
    int64_t queued_at_ms, ended_at_ms;
    uint32_t samples_total, samples_answered, samples_graded;
    struct store_figures figures;
};

/* In the order of the end, or with unfinished runs (or by state) in that of queueing, the latest
 * first: neither changes, so that pages neither repeat nor drop a run. */
struct store_board {
    struct store_board_row *rows;
    size_t count;
    bool more; /* the next page begins after the last run of this one */
};

bool store_report_board(struct store_pg *pg, const struct store_board_filter *filter,
                        struct cap_arena *arena, struct store_board *out_board,
                        struct cap_err *err);

/* ---- one run ---- */

struct store_attempt {
    uint32_t shard;
    uint64_t fence;
    const char *node, *outcome;
    int64_t started_at_ms, ended_at_ms; /* 0: still going */
};

struct store_run_report {
    struct store_board_row row;
    struct store_task task;
    struct store_attempt *attempts; /* in the order of their start */
    size_t attempt_count;
    struct store_histograms histograms;
};

bool store_report_run(struct store_pg *pg, const char *run_id, struct cap_arena *arena,
                      struct store_run_report *out_report, struct cap_err *err);

struct store_counts_page {
    struct store_expert_counts counts; /* by phase, layer, batch bucket */
    bool more;                         /* the next page begins after the last of this one */
};

/* The router's selections, summed over the run, behind `after` ("phase.layer.bucket", "" = from the
 * first); limit 0 = the most. */
bool store_report_counts(struct store_pg *pg, const char *run_id, const char *after, uint32_t limit,
                         struct cap_arena *arena, struct store_counts_page *out_page,
                         struct cap_err *err);

/* ---- its samples ---- */

struct store_sample_filter {
    const char *run_id;
    int64_t after_ordinal; /* -1: from the first */
    uint32_t limit;        /* 0 = the default */
    const char *verdict;   /* "" or a kind, of the headline metric */
    const char *status;    /* "", "completed" or "failed" */
    const char *search;    /* "" or what a text of the sample holds, whatever the case */
    bool with_texts, with_gold, with_routing;
};

struct store_sample_row {
    struct store_answer answer;
    struct store_verdicts verdicts;
    const char *doc_json; /* NULL unless asked for and the run has ended */
};

struct store_sample_page {
    struct store_sample_row *rows;
    size_t count;
    bool more; /* the next page begins after the last ordinal of this one */
};

bool store_report_samples(struct store_pg *pg, const struct store_sample_filter *filter,
                          struct cap_arena *arena, struct store_sample_page *out_page,
                          struct cap_err *err);

#endif
