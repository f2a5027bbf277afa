/* inside.h — inside lib/pictures only: what a run knows, as plain numbers and short names. */
#ifndef CAP_PICTURES_INSIDE_H
#define CAP_PICTURES_INSIDE_H

#include "pictures/pictures.h"
#include "plot/chart.h"

#define PICTURE(name)                                                                              \
    bool cap_picture_##name(const struct cap_picture_ask *ask, struct cap_arena *arena,            \
                            struct cap_plot *out, struct cap_err *err)
PICTURE(radar);
PICTURE(heatmap);
PICTURE(roofline);
PICTURE(pareto);
PICTURE(sweep);
PICTURE(activation);
PICTURE(ecdf);
#undef PICTURE

/* NAN when it is not known or is invalid. */
double cap_run_figure(const Moecap__V1__GetRunReply *run, const char *id);
const Moecap__V1__Curve *cap_run_curve(const Moecap__V1__GetRunReply *run, const char *id);
/* "moecap-tiny, native int8, batch 4"; with the end of its id where another run has the same. */
const char *cap_run_name(const struct cap_picture_ask *ask, size_t run, struct cap_arena *arena);
/* A chart with room for `series` of them, each of at most `points`: x and y are there to be filled.
 * NULL past the arena's limit. */
struct cap_chart *cap_chart_make(struct cap_arena *arena, size_t series, size_t points,
                                 struct cap_chart_series **out_series);
void cap_series_add(struct cap_chart_series *series, double x, double y);
/* "without WHAT: RUN, RUN" of the runs that are not `shown`; NULL when all are. */
const char *cap_left_out(const struct cap_picture_ask *ask, const bool *shown, const char *what,
                         struct cap_arena *arena);

#endif
