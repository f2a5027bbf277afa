/* plot.h — a picture: what it shows, and how it is drawn, each once.
 *
 * A picture is plain data and three functions: how high it is, how it is drawn, and the numbers
 * that are drawn. It comes out as SVG, PNG or PDF; the numbers come out as JSON, so that who cannot
 * see the picture, or doubts it, reads the same.
 *
 *     struct cap_radar radar = {...};
 *     struct cap_plot plot = cap_radar_plot(&radar);
 *     cap_plot_draw(&plot, &(struct cap_plot_look){.format = CAP_PLOT_PNG}, &file, err);
 *
 * The data are borrowed. Pure; any thread.
 */
#ifndef CAP_PLOT_H
#define CAP_PLOT_H

#include <jansson.h>

#include "plot/paper.h"

struct cap_plot_ops {
    const char *kind;                   /* "radar" */
    double (*height)(const void *data); /* of a sheet CAP_PLOT_WIDTH wide */
    void (*draw)(const void *data, struct cap_paper *paper);
    json_t *(*numbers)(const void *data);                    /* the caller's reference */
    void (*describe)(const void *data, struct cap_buf *out); /* a sentence or two */
};

struct cap_plot {
    const struct cap_plot_ops *ops;
    const void *data;
    const char *title;
};

struct cap_plot_look {
    enum cap_plot_format format;
    enum cap_plot_theme theme;
};

enum { CAP_PLOT_WIDTH = 640 };

bool cap_plot_draw(const struct cap_plot *plot, const struct cap_plot_look *look,
                   struct cap_buf *out, struct cap_err *err);
/* {"picture", "title", "description", and the numbers}; the caller's reference. */
json_t *cap_plot_numbers(const struct cap_plot *plot);
/* A paper with the picture on it, for who looks at what stands where. The caller's. */
struct cap_paper *cap_plot_paper(const struct cap_plot *plot, const struct cap_plot_look *look);

/* ---- what pictures share ---- */

#define CAP_PLOT_TITLE_SIZE 15.0
#define CAP_PLOT_TEXT_SIZE 12.0
#define CAP_PLOT_SMALL_SIZE 11.0

/* "1,234.5", "0.911", "2.4 M": four digits that say something. */
void cap_plot_add_number(struct cap_buf *out, double value);
/* A number as JSON; what is not finite is null. */
json_t *cap_plot_json_number(double value);
/* The title, at the top left. */
void cap_plot_title(struct cap_paper *paper, const char *title);

#endif
