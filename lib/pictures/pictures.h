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
 * What is made lives in the arena, and borrows texts of the runs. Pure; any thread.
 */
#ifndef CAP_PICTURES_H
#define CAP_PICTURES_H

#include "base/arena.h"
#include "moecap/v1/store.pb-c.h"
#include "plot/plot.h"

enum { CAP_PICTURE_RUNS_MAX = 64 };

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
/* Checks how many runs there are, then makes it. */
bool cap_picture_make(const struct cap_picture *picture, const struct cap_picture_ask *ask,
                      struct cap_arena *arena, struct cap_plot *out, struct cap_err *err);

#endif
