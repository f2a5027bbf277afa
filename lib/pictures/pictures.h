/* pictures.h — the pictures of finished runs: which there are, and what each puts into lib/plot.
 *
 * The command line and the gateway draw the same ones, from the runs as the store answers them.
 * What a run does not know is no point: a run that has none is named in the picture's note, and a
 * picture without any fails with the sentence why.
 *
 *     const struct cap_picture *picture = cap_picture_find("roofline");
 *     struct cap_picture_ask ask = {.runs = runs, .run_count = 2};
 *     if (cap_picture_make(picture, &ask, arena, &plot, err)) ...
 *
 * What is made lives in the arena, and borrows texts of the runs. Any thread.
 */
#ifndef CAP_PICTURES_H
#define CAP_PICTURES_H

#include "base/arena.h"
#include "moecap/v1/store.pb-c.h"
#include "plot/plot.h"

enum { CAP_PICTURE_RUNS_MAX = 64, CAP_PICTURE_COUNTS_MAX = 1 << 17 };

struct cap_rpc_channel;

struct cap_picture_ask {
    Moecap__V1__GetRunReply *const *runs;
    size_t run_count;
    /* of the one run of a picture that needs them: heatmap */
    Moecap__V1__ExpertCount *const *counts;
    size_t count_count;
    bool prefill;          /* of phases; else decode */
    bool absolute, sorted; /* heatmap */
    bool relative;         /* radar: scales by the runs beside, not fixed */
    const char *metric;    /* ecdf: "ttft", "tpot", "itl", "e2e"; NULL: of one run all, else ttft */
};

struct cap_picture {
    const char *name, *text; /* "roofline", and what it shows */
    size_t runs_max;
    bool needs_counts;
    bool (*make)(const struct cap_picture_ask *ask, struct cap_arena *arena, struct cap_plot *out,
                 struct cap_err *err);
};

const struct cap_picture *cap_pictures(size_t *out_count);
const struct cap_picture *cap_picture_find(const char *name); /* NULL: there is none */
/* Whether it can show so many runs. */
bool cap_picture_check(const struct cap_picture *picture, size_t run_count, struct cap_err *err);

/* Runs of a store, by their whole ids. */
struct cap_picture_source {
    struct cap_rpc_channel *store;
    const char *const *ids;
    size_t count;
};
/* Fills runs and counts of `out`, in the arena; asks the store, and so blocks. */
bool cap_picture_fetch(const struct cap_picture *picture, const struct cap_picture_source *source,
                       struct cap_arena *arena, struct cap_picture_ask *out, struct cap_err *err);

/* Checks how many runs there are, then makes it. */
bool cap_picture_make(const struct cap_picture *picture, const struct cap_picture_ask *ask,
                      struct cap_arena *arena, struct cap_plot *out, struct cap_err *err);

#endif
