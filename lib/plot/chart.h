/* chart.h — values along two axes: lines, steps and points, with a legend and names of points.
 *
 * What scatter, roofline, Pareto, sweep, ECDF and activation curves have in common; they differ in
 * what they put in (lib/pictures). Both axes may be logarithmic; a point that is not finite, or has
 * no logarithm, is left out.
 */
#ifndef CAP_CHART_H
#define CAP_CHART_H

#include "plot/plot.h"

enum cap_chart_kind { CAP_CHART_LINE, CAP_CHART_STEPS, CAP_CHART_POINTS };

enum { CAP_CHART_SERIES_MAX = 64 };

struct cap_chart_series {
    const char *name; /* in the legend; NULL: not there */
    enum cap_chart_kind kind;
    unsigned color; /* of the theme's series: colour and sign */
    bool dashed;
    bool signs; /* at the points of a line */
    size_t count;
    const double *x, *y;
    const double *y_low, *y_high; /* an interval of each y; NULL: none; NAN: none of that one */
    const char *const *labels;    /* beside points; NULL, or one NULL: none */
};

struct cap_chart_side {
    const char *title;
    bool log;
    double low, high; /* both 0: as the points are */
};

struct cap_chart {
    const char *kind; /* "roofline" */
    const char *title;
    const char *note; /* a line below the title; NULL: none */
    struct cap_chart_side x, y;
    const struct cap_chart_series *series;
    size_t series_count;
};

struct cap_plot cap_chart_plot(const struct cap_chart *chart);

#endif
