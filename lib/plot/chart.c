/* The chart. Ends of the axes first, then the grid, lines inside of a clip, signs, and last the
 * names of points, each at the first of eight places where it covers no other text; a name that has
 * none is left out, and stands in the numbers. */
#include "plot/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot/axis.h"

enum {
    LEFT = 76,
    RIGHT = 24,
    TOP = 50,
    NOTE = 16, /* more, when there is a note */
    BOX_HEIGHT = 320,
    BOTTOM = 56,
    LEGEND_ROW = 19,
    LEGEND_COLUMNS = 2,
    TICKS_X = 9,
    TICKS_Y = 8,
};

struct frame {
    struct cap_box box;
    struct cap_axis x, y;
};

static bool is_drawn(const struct cap_chart *chart, double x, double y)
{
    return isfinite(x) && isfinite(y) && (!chart->x.log || x > 0) && (!chart->y.log || y > 0);
}

/* ---- axes ---- */

static void stretch(struct cap_axis *axis, double value)
{
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

static bool has_interval(const struct cap_chart *chart, const struct cap_chart_series *series,
                         size_t i)
{
    return series->y_low && series->y_high && is_drawn(chart, series->x[i], series->y_low[i]) &&
           is_drawn(chart, series->x[i], series->y_high[i]);
}

static void stretch_interval(const struct cap_chart *chart, const struct cap_chart_series *series,
                             size_t i, struct cap_axis *axis)
{
    if (!has_interval(chart, series, i))
        return;
    stretch(axis, series->y_low[i]);
    stretch(axis, series->y_high[i]);
}

static void finish_axis(const struct cap_chart_side *side, struct cap_axis *axis, size_t ticks)
{
    axis->log = side->log;
    if (side->low < side->high) {
        axis->low = side->low;
        axis->high = side->high;
        return;
    }
    if (!(axis->low <= axis->high)) {
        axis->low = axis->log ? 1 : 0;
        axis->high = axis->log ? 10 : 1;
    }
    if (axis->log) {
        axis->low /= 1.25;
        axis->high *= 1.25;
    }
    cap_axis_round(axis, ticks);
}

static struct frame frame_of(const struct cap_chart *chart)
{
    double top = TOP + (chart->note ? NOTE : 0);
    struct frame frame = {.box = {LEFT, top, CAP_PLOT_WIDTH - LEFT - RIGHT, BOX_HEIGHT},
                          .x = {.low = INFINITY, .high = -INFINITY},
                          .y = {.low = INFINITY, .high = -INFINITY}};

    for (size_t s = 0; s < chart->series_count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++)
            if (is_drawn(chart, chart->series[s].x[i], chart->series[s].y[i])) {
                stretch(&frame.x, chart->series[s].x[i]);
                stretch(&frame.y, chart->series[s].y[i]);
                stretch_interval(chart, &chart->series[s], i, &frame.y);
            }
    finish_axis(&chart->x, &frame.x, TICKS_X);
    finish_axis(&chart->y, &frame.y, TICKS_Y);
    frame.x.from = frame.box.x;
    frame.x.to = frame.box.x + frame.box.width;
    frame.y.from = frame.box.y + frame.box.height;
    frame.y.to = frame.box.y;
    return frame;
}

static void number_text(double value, struct cap_buf *out)
{
    if (value != 0 && fabs(value) < 1e-3)
        cap_buf_printf(out, "%.2g", value);
    else
        cap_plot_add_number(out, value);
}

/* As many ticks as stand beside each other without touching. */
static void fitting_ticks(struct cap_paper *paper, const struct frame *frame,
                          const struct cap_font *font, struct cap_axis_ticks *out)
{
    for (size_t most = TICKS_X; most >= 2; most--) {
        double end = -INFINITY;
        bool fits = true;

        cap_axis_ticks(&frame->x, most, out);
        for (size_t i = 0; i < out->count && fits; i++) {
            CAP_AUTO_BUF(text, 64);
            double middle = cap_axis_place(&frame->x, out->values[i]), half;

            number_text(out->values[i], &text);
            half = cap_paper_text_width(paper, font, text.data) / 2;
            fits = middle - half > end + 8;
            end = middle + half;
        }
        if (fits)
            return;
    }
}

static void draw_x(const struct cap_chart *chart, const struct frame *frame,
                   struct cap_paper *paper)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    struct cap_font font = {
        .size = CAP_PLOT_SMALL_SIZE, .color = colors->muted, .anchor = CAP_MIDDLE};
    const struct cap_pen grid = {.stroke = colors->grid, .fill = CAP_PAPER_NONE};
    double bottom = frame->box.y + frame->box.height;
    struct cap_axis_ticks ticks;

    fitting_ticks(paper, frame, &font, &ticks);
    for (size_t i = 0; i < ticks.count; i++) {
        double x = cap_axis_place(&frame->x, ticks.values[i]);
        CAP_AUTO_BUF(text, 64);

        number_text(ticks.values[i], &text);
        cap_paper_line(paper, (struct cap_point){x, frame->box.y}, (struct cap_point){x, bottom},
                       &grid);
        cap_paper_text(paper, (struct cap_point){x, bottom + 16}, &font, text.data);
    }
    font.size = CAP_PLOT_TEXT_SIZE;
    font.color = colors->ink;
    cap_paper_text_within(paper,
                          (struct cap_point){frame->box.x + frame->box.width / 2, bottom + 38},
                          &font, chart->x.title, frame->box.width);
}

static void draw_y(const struct cap_chart *chart, const struct frame *frame,
                   struct cap_paper *paper)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE, .color = colors->muted, .anchor = CAP_END};
    const struct cap_pen grid = {.stroke = colors->grid, .fill = CAP_PAPER_NONE};
    struct cap_axis_ticks ticks;

    cap_axis_ticks(&frame->y, TICKS_Y, &ticks);
    for (size_t i = 0; i < ticks.count; i++) {
        double y = cap_axis_place(&frame->y, ticks.values[i]);
        CAP_AUTO_BUF(text, 64);

        number_text(ticks.values[i], &text);
        cap_paper_line(paper, (struct cap_point){frame->box.x, y},
                       (struct cap_point){frame->box.x + frame->box.width, y}, &grid);
        cap_paper_text(paper, (struct cap_point){frame->box.x - 7, y + 4}, &font, text.data);
    }
    font = (struct cap_font){
        .size = CAP_PLOT_TEXT_SIZE, .color = colors->ink, .anchor = CAP_MIDDLE, .upright = true};
    cap_paper_text_within(paper, (struct cap_point){20, frame->box.y + frame->box.height / 2},
                          &font, chart->y.title, frame->box.height);
}

/* ---- series ---- */

static struct cap_point place(const struct frame *frame, double x, double y)
{
    return (struct cap_point){cap_axis_place(&frame->x, x), cap_axis_place(&frame->y, y)};
}

static void draw_line(const struct cap_chart *chart, const struct cap_chart_series *series,
                      const struct frame *frame, struct cap_paper *paper)
{
    const struct cap_pen pen = {
        .stroke = cap_paper_colors(paper)->series[series->color % CAP_PAPER_SERIES],
        .fill = CAP_PAPER_NONE,
        .width = 2,
        .dash = series->dashed ? 5 : 0};
    struct cap_point *points = calloc(2 * series->count + 1, sizeof *points);
    size_t count = 0;

    if (!points)
        abort();
    for (size_t i = 0; i < series->count; i++) {
        struct cap_point at;

        if (!is_drawn(chart, series->x[i], series->y[i]))
            continue;
        at = place(frame, series->x[i], series->y[i]);
        if (series->kind == CAP_CHART_STEPS && count > 0) {
            points[count] = (struct cap_point){at.x, points[count - 1].y};
            count++;
        }
        points[count++] = at;
    }
    cap_paper_path(paper, points, count, false, &pen);
    free(points);
}

static bool has_signs(const struct cap_chart_series *series)
{
    return series->kind == CAP_CHART_POINTS || series->signs;
}

static bool is_inside(const struct frame *frame, struct cap_point at)
{
    return at.x >= frame->box.x - 1 && at.x <= frame->box.x + frame->box.width + 1 &&
           at.y >= frame->box.y - 1 && at.y <= frame->box.y + frame->box.height + 1;
}

static void draw_intervals(const struct cap_chart *chart, const struct cap_chart_series *series,
                           const struct frame *frame, struct cap_paper *paper)
{
    const struct cap_pen pen = {
        .stroke = cap_paper_colors(paper)->series[series->color % CAP_PAPER_SERIES],
        .fill = CAP_PAPER_NONE,
        .width = 1.5};

    for (size_t i = 0; i < series->count; i++)
        if (has_interval(chart, series, i) && is_drawn(chart, series->x[i], series->y[i]))
            cap_paper_line(paper, place(frame, series->x[i], series->y_low[i]),
                           place(frame, series->x[i], series->y_high[i]), &pen);
}

static void draw_signs(const struct cap_chart *chart, const struct cap_chart_series *series,
                       const struct frame *frame, struct cap_paper *paper)
{
    for (size_t i = 0; has_signs(series) && i < series->count; i++) {
        if (!is_drawn(chart, series->x[i], series->y[i]))
            continue;
        if (is_inside(frame, place(frame, series->x[i], series->y[i])))
            cap_paper_sign(paper, place(frame, series->x[i], series->y[i]), series->color, 1);
    }
}

static void draw_name(struct cap_paper *paper, struct cap_point at, const char *name)
{
    static const struct {
        double x, y;
        enum cap_anchor anchor;
    } places[] = {{8, 4, CAP_START},  {-8, 4, CAP_END},   {0, -9, CAP_MIDDLE}, {0, 17, CAP_MIDDLE},
                  {7, -6, CAP_START}, {7, 14, CAP_START}, {-7, -6, CAP_END},   {-7, 14, CAP_END}};
    struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE, .color = cap_paper_colors(paper)->ink};

    for (size_t i = 0; i < CAP_COUNT_OF(places); i++) {
        struct cap_point to = {at.x + places[i].x, at.y + places[i].y};

        font.anchor = places[i].anchor;
        if (!cap_paper_is_free(paper, cap_paper_text_box(paper, to, &font, name)))
            continue;
        cap_paper_text(paper, to, &font, name);
        return;
    }
}

static void draw_names(const struct cap_chart *chart, const struct cap_chart_series *series,
                       const struct frame *frame, struct cap_paper *paper)
{
    for (size_t i = 0; series->labels && i < series->count; i++) {
        struct cap_point at;

        if (!series->labels[i] || !is_drawn(chart, series->x[i], series->y[i]))
            continue;
        at = place(frame, series->x[i], series->y[i]);
        if (is_inside(frame, at))
            draw_name(paper, at, series->labels[i]);
    }
}

/* ---- legend ---- */

static size_t legend_count(const struct cap_chart *chart)
{
    size_t count = 0;

    for (size_t i = 0; i < chart->series_count; i++)
        count += chart->series[i].name != NULL;
    return count;
}

static void draw_legend(const struct cap_chart *chart, const struct frame *frame,
                        struct cap_paper *paper)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    const struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE, .color = colors->ink};
    double width = (CAP_PLOT_WIDTH - 32.0) / LEGEND_COLUMNS;
    double top = frame->box.y + frame->box.height + BOTTOM + 6;
    size_t at = 0;

    for (size_t i = 0; i < chart->series_count; i++) {
        const struct cap_chart_series *series = &chart->series[i];
        struct cap_pen pen = {.stroke = colors->series[series->color % CAP_PAPER_SERIES],
                              .fill = CAP_PAPER_NONE,
                              .width = 2,
                              .dash = series->dashed ? 5 : 0};
        double x = 16 + width * (double)(at % LEGEND_COLUMNS);
        size_t row = at / LEGEND_COLUMNS;
        double y = top + LEGEND_ROW * (double)row;

        if (!series->name)
            continue;
        if (series->kind != CAP_CHART_POINTS)
            cap_paper_line(paper, (struct cap_point){x, y - 4}, (struct cap_point){x + 24, y - 4},
                           &pen);
        if (has_signs(series))
            cap_paper_sign(paper, (struct cap_point){x + 12, y - 4}, series->color, 1);
        cap_paper_text_within(paper, (struct cap_point){x + 31, y}, &font, series->name,
                              width - 42);
        at++;
    }
}

static double chart_height(const void *data)
{
    const struct cap_chart *chart = data;
    size_t rows = (legend_count(chart) + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;

    return TOP + (chart->note ? NOTE : 0) + BOX_HEIGHT + BOTTOM + LEGEND_ROW * (double)rows;
}

static void draw_chart(const void *data, struct cap_paper *paper)
{
    const struct cap_chart *chart = data;
    const struct frame frame = frame_of(chart);
    const struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE,
                                  .color = cap_paper_colors(paper)->muted};

    if (chart->note)
        cap_paper_text_within(paper, (struct cap_point){16, 47}, &font, chart->note,
                              CAP_PLOT_WIDTH - 32);
    draw_x(chart, &frame, paper);
    draw_y(chart, &frame, paper);
    cap_paper_clip(paper, frame.box);
    for (size_t i = 0; i < chart->series_count; i++)
        if (chart->series[i].kind != CAP_CHART_POINTS)
            draw_line(chart, &chart->series[i], &frame, paper);
    for (size_t i = 0; i < chart->series_count; i++)
        draw_intervals(chart, &chart->series[i], &frame, paper);
    cap_paper_unclip(paper);
    for (size_t i = 0; i < chart->series_count; i++)
        draw_signs(chart, &chart->series[i], &frame, paper);
    draw_legend(chart, &frame, paper);
    for (size_t i = 0; i < chart->series_count; i++)
        draw_names(chart, &chart->series[i], &frame, paper);
}

/* ---- numbers ---- */

static json_t *series_json(const struct cap_chart_series *series)
{
    static const char *const kinds[] = {"line", "steps", "points"};
    json_t *points = json_array();

    for (size_t i = 0; i < series->count; i++) {
        json_t *point = json_pack("{s:o, s:o}", "x", cap_plot_json_number(series->x[i]), "y",
                                  cap_plot_json_number(series->y[i]));

        if (series->y_low && series->y_high) {
            json_object_set_new(point, "y_low", cap_plot_json_number(series->y_low[i]));
            json_object_set_new(point, "y_high", cap_plot_json_number(series->y_high[i]));
        }
        if (series->labels && series->labels[i])
            json_object_set_new(point, "name", json_string(series->labels[i]));
        json_array_append_new(points, point);
    }
    return json_pack("{s:s?, s:s, s:o}", "name", series->name, "kind", kinds[series->kind],
                     "points", points);
}

static json_t *chart_numbers(const void *data)
{
    const struct cap_chart *chart = data;
    json_t *series = json_array();

    for (size_t i = 0; i < chart->series_count; i++)
        json_array_append_new(series, series_json(&chart->series[i]));
    return json_pack("{s:s, s:s?, s:s, s:s, s:o}", "picture", chart->kind, "note", chart->note, "x",
                     chart->x.title, "y", chart->y.title, "series", series);
}

static void describe_chart(const void *data, struct cap_buf *out)
{
    const struct cap_chart *chart = data;

    cap_buf_printf(out, "%s against %s.", chart->y.title, chart->x.title);
    for (size_t i = 0, said = 0; i < chart->series_count && said < 12; i++)
        if (chart->series[i].name) {
            cap_buf_printf(out, "%s %s: %zu points", said++ ? ";" : "", chart->series[i].name,
                           chart->series[i].count);
        }
    if (chart->note)
        cap_buf_printf(out, ". %s", chart->note);
}

static const struct cap_plot_ops chart_ops = {.kind = "chart",
                                              .height = chart_height,
                                              .draw = draw_chart,
                                              .numbers = chart_numbers,
                                              .describe = describe_chart};

struct cap_plot cap_chart_plot(const struct cap_chart *chart)
{
    return (struct cap_plot){.ops = &chart_ops, .data = chart, .title = chart->title};
}
