/* paper.h — what a picture is drawn on: paths, circles, texts; they come out as SVG, PNG or PDF.
 *
 * SVG is written here, so that its texts stay texts (they can be selected, searched and read aloud)
 * and the same picture has the same bytes everywhere; PNG and PDF are cairo's. Texts are measured
 * by cairo with the same font for all of them, and an SVG says the width that was measured:
 * whatever font a viewer has, no text grows into another. Every text's box is kept, for tests.
 *
 * Units are those of SVG: 1/96 inch, y downwards. One thread.
 */
#ifndef CAP_PAPER_H
#define CAP_PAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"

enum cap_plot_format { CAP_PLOT_SVG, CAP_PLOT_PNG, CAP_PLOT_PDF, CAP_PLOT_FORMAT_COUNT };
enum cap_plot_theme { CAP_PLOT_LIGHT, CAP_PLOT_DARK, CAP_PLOT_CONTRAST, CAP_PLOT_THEME_COUNT };

/* "svg", "light"; the COUNT when there is none. */
const char *cap_plot_format_word(enum cap_plot_format format);
enum cap_plot_format cap_plot_format_find(const char *word);
const char *cap_plot_theme_word(enum cap_plot_theme theme);
enum cap_plot_theme cap_plot_theme_find(const char *word);

/* ---- colours: 0xRRGGBB ---- */

enum { CAP_PAPER_NONE = -1, CAP_PAPER_SERIES = 8 };

struct cap_colors {
    int32_t paper, ink, muted, grid;
    int32_t series[CAP_PAPER_SERIES]; /* told apart by the colour-blind, too */
    int32_t low[3], middle, high[3];  /* a diverging scale: from the far ends to the middle */
};

const struct cap_colors *cap_colors_of(enum cap_plot_theme theme);
/* A place between two colours, 0 to 1. */
int32_t cap_color_mix(int32_t from, int32_t to, double at);

/* ---- the paper ---- */

struct cap_paper;

struct cap_paper_sheet {
    enum cap_plot_format format;
    enum cap_plot_theme theme;
    double width, height;
    const char *title, *description; /* for who does not see it */
};

struct cap_paper *cap_paper_new(const struct cap_paper_sheet *sheet);
void cap_paper_free(struct cap_paper *paper);
CAP_DEFINE_AUTO(cap_paper)
/* The whole file, once. */
bool cap_paper_finish(struct cap_paper *paper, struct cap_buf *out, struct cap_err *err);

const struct cap_colors *cap_paper_colors(const struct cap_paper *paper);
double cap_paper_width(const struct cap_paper *paper);
double cap_paper_height(const struct cap_paper *paper);

struct cap_pen {
    int32_t stroke, fill; /* CAP_PAPER_NONE */
    double width;         /* of the line; 0: 1 */
    double fill_alpha;    /* 0: opaque */
    double dash;          /* 0: a whole line */
};

struct cap_point {
    double x, y;
};
struct cap_box {
    double x, y, width, height;
};

void cap_paper_path(struct cap_paper *paper, const struct cap_point *points, size_t count,
                    bool closed, const struct cap_pen *pen);
void cap_paper_line(struct cap_paper *paper, struct cap_point from, struct cap_point to,
                    const struct cap_pen *pen);
/* Boxes of one colour, without borders. */
void cap_paper_boxes(struct cap_paper *paper, const struct cap_box *boxes, size_t count,
                     int32_t fill);
void cap_paper_circle(struct cap_paper *paper, struct cap_point center, double radius,
                      const struct cap_pen *pen);
/* What is drawn until _unclip shows inside the box alone. Not nested. */
void cap_paper_clip(struct cap_paper *paper, struct cap_box box);
void cap_paper_unclip(struct cap_paper *paper);
/* The sign of a series, different by shape as by colour; `scale` times the usual size. */
void cap_paper_sign(struct cap_paper *paper, struct cap_point center, unsigned series,
                    double scale);

enum cap_anchor { CAP_START, CAP_MIDDLE, CAP_END };

struct cap_font {
    double size;
    bool bold;
    bool upright; /* reads upwards, as the title of a y axis */
    enum cap_anchor anchor;
    int32_t color;
};

/* `at` is on the base line. What is not UTF-8 or acts on a terminal is replaced. */
void cap_paper_text(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                    const char *text);
void cap_paper_textf(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Cut with an ellipsis where it is wider. */
void cap_paper_text_within(struct cap_paper *paper, struct cap_point at,
                           const struct cap_font *font, const char *text, double width);
double cap_paper_text_width(struct cap_paper *paper, const struct cap_font *font, const char *text);
/* Where that text would stand. */
struct cap_box cap_paper_text_box(struct cap_paper *paper, struct cap_point at,
                                  const struct cap_font *font, const char *text);
/* Whether the box would cover a text that stands already, or the paper's edge. */
bool cap_paper_is_free(const struct cap_paper *paper, struct cap_box box);

/* Boxes of the texts so far. */
const struct cap_box *cap_paper_texts(const struct cap_paper *paper, size_t *out_count);

#endif
