/* heatmap.h — which experts of which layers work: layer x expert, a cell for each.
 *
 * Normalised, a cell is its count in shares of what it would be if its layer's choices were even:
 * 1 is even, and the scale diverges from there in powers of two. Absolute, it is the count. Sorted,
 * each layer's experts stand by their load, so that the column is a rank and the shape of imbalance
 * shows. An expert that was never chosen has a colour of its own in either.
 */
#ifndef CAP_HEATMAP_H
#define CAP_HEATMAP_H

#include "plot/plot.h"

enum {
    CAP_HEATMAP_LAYERS_MAX = 1024,
    CAP_HEATMAP_EXPERTS_MAX = 4096,
    CAP_HEATMAP_CELLS_MAX = 1 << 19
};

struct cap_heatmap {
    const char *title;
    size_t layer_count, expert_count;
    const double *layers; /* their numbers, as the file has them */
    const double *counts; /* [layer_count][expert_count]; selections */
    bool absolute, sorted;
};

/* What the picture says in a line. */
struct cap_heatmap_summary {
    double total;                         /* selections */
    size_t never;                         /* cells that are 0 */
    size_t hottest_layer, hottest_expert; /* index of the layer; the expert */
    double hottest;                       /* in even shares; NAN: nothing was chosen */
};
void cap_heatmap_summary(const struct cap_heatmap *map, struct cap_heatmap_summary *out);

/* Times the even share of its layer; NAN where the layer chose nothing. */
double cap_heatmap_share(const struct cap_heatmap *map, size_t layer, size_t expert);

struct cap_plot cap_heatmap_plot(const struct cap_heatmap *map);

#endif
