/* radar.h — the CAP radar: what systems cost, how exact and how fast they are, on one picture.
 *
 * Each axis runs from `baseline` (the worst) to 100 (the best). How a value becomes a place between
 * them is the axis's scale. The first three are those of the Open MoE LLM Leaderboard: two of them
 * depend on the systems beside, so that the worst always lies on the baseline even when it is 1 %
 * worse, and a new system moves the others. The fixed ones do not.
 */
#ifndef CAP_RADAR_H
#define CAP_RADAR_H

#include "plot/plot.h"

enum cap_radar_scale {
    CAP_RADAR_LOWEST,  /* lower is better: from the highest to the lowest of the systems */
    CAP_RADAR_CEILING, /* lower is better: from `high`, and whatever is above, to 0 */
    CAP_RADAR_TO_ONE,  /* higher is better: from the lowest of the systems to 1 */
    CAP_RADAR_FIXED,   /* from `low` to `high`, linear; `lower_is_better` */
    CAP_RADAR_FIXED_LOG,
};

enum { CAP_RADAR_AXES_MAX = 6, CAP_RADAR_SYSTEMS_MAX = CAP_PAPER_SERIES, CAP_RADAR_TEXT = 200 };

struct cap_radar_axis {
    const char *key, *label;
    enum cap_radar_scale scale;
    double low, high;
    bool lower_is_better; /* of the fixed ones */
};

struct cap_radar_system {
    const char *name;
    double raw[CAP_RADAR_AXES_MAX]; /* NAN: not known */
};

struct cap_radar {
    const char *title;
    double baseline;
    size_t axis_count, system_count;
    struct cap_radar_axis axes[CAP_RADAR_AXES_MAX];
    struct cap_radar_system systems[CAP_RADAR_SYSTEMS_MAX];
};

struct cap_radar_place {
    double value;              /* baseline to 100; NAN: there is none, */
    char note[CAP_RADAR_TEXT]; /* because; or what is particular to it */
};

/* Where the system lies on the axis. */
void cap_radar_place(const struct cap_radar *radar, size_t system, size_t axis,
                     struct cap_radar_place *out);
/* The value that the axis has at its best end and at the baseline; NAN: none. */
void cap_radar_ends(const struct cap_radar *radar, size_t axis, double *out_worst,
                    double *out_best);

struct cap_plot cap_radar_plot(const struct cap_radar *radar);

#endif
