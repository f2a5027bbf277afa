/* axis.h — which numbers stand along an axis: round ones, as many as fit. Pure; any thread. */
#ifndef CAP_AXIS_H
#define CAP_AXIS_H

#include "plot/paper.h"

enum { CAP_AXIS_TICKS_MAX = 24 };

struct cap_axis {
    double low, high; /* values at its ends */
    double from, to;  /* their places on the paper */
    bool log;         /* both ends above 0 */
};

struct cap_axis_ticks {
    double values[CAP_AXIS_TICKS_MAX];
    size_t count;
};

double cap_axis_place(const struct cap_axis *axis, double value);
/* Widens the ends to round numbers; equal ends are moved apart. */
void cap_axis_round(struct cap_axis *axis, size_t ticks);
/* At most `most` of them. */
void cap_axis_ticks(const struct cap_axis *axis, size_t most, struct cap_axis_ticks *out);

#endif
