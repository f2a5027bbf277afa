/* The radar. Scales first, which are all that can be wrong about it; then the drawing: rings, axes
 * with the values at both ends, a polygon for each system, and under it a table with the values as
 * they were given, which is the legend, too. A value that is not known leaves its corner out. */
#include "plot/radar.h"

#include <math.h>
#include <string.h>

enum { ROW = 20, TABLE_GAP = 26, PLOT_HEIGHT = 388, CENTER_Y = 262, RADIUS = 176, RING_STEP = 20 };

/* ---- scales ---- */

static bool is_better_low(const struct cap_radar_axis *axis)
{
    return axis->scale == CAP_RADAR_LOWEST || axis->scale == CAP_RADAR_CEILING ||
           (axis->scale != CAP_RADAR_TO_ONE && axis->lower_is_better);
}

static void range_of(const struct cap_radar *radar, size_t axis, double *out_low, double *out_high)
{
    *out_low = INFINITY;
    *out_high = -INFINITY;
    for (size_t i = 0; i < radar->system_count; i++) {
        double value = radar->systems[i].raw[axis];

        if (isfinite(value)) {
            *out_low = fmin(*out_low, value);
            *out_high = fmax(*out_high, value);
        }
    }
}

void cap_radar_ends(const struct cap_radar *radar, size_t index, double *out_worst,
                    double *out_best)
{
    const struct cap_radar_axis *axis = &radar->axes[index];
    double low, high;

    range_of(radar, index, &low, &high);
    *out_worst = axis->lower_is_better ? axis->high : axis->low;
    *out_best = axis->lower_is_better ? axis->low : axis->high;
    if (axis->scale == CAP_RADAR_LOWEST) {
        *out_worst = high;
        *out_best = low;
    } else if (axis->scale == CAP_RADAR_CEILING) {
        *out_worst = axis->high;
        *out_best = 0;
    } else if (axis->scale == CAP_RADAR_TO_ONE) {
        *out_worst = low;
        *out_best = 1;
    }
    if (!isfinite(*out_worst) || !isfinite(*out_best))
        *out_worst = *out_best = NAN;
}

__attribute__((format(printf, 2, 3))) static void note(struct cap_radar_place *out, const char *fmt,
                                                       ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(out->note, sizeof out->note, fmt, args);
    va_end(args);
}

/* Both ends are the same: no formula says where it lies. */
static void place_without_range(const struct cap_radar *radar, const struct cap_radar_axis *axis,
                                size_t index, struct cap_radar_place *out)
{
    if (axis->scale == CAP_RADAR_CEILING) {
        note(out, "the ceiling of %s is 0, so there is no scale", axis->label);
        return;
    }
    out->value = 100;
    if (radar->system_count == 1)
        note(out, "there is no other system to compare with");
    else
        note(out, "all systems have the same %s", radar->axes[index].label);
}

static double share_of(const struct cap_radar_axis *axis, double value, double worst, double best)
{
    if (axis->scale == CAP_RADAR_FIXED_LOG)
        return log(value / worst) / log(best / worst);
    return (value - worst) / (best - worst);
}

void cap_radar_place(const struct cap_radar *radar, size_t system, size_t index,
                     struct cap_radar_place *out)
{
    const struct cap_radar_axis *axis = &radar->axes[index];
    double value = radar->systems[system].raw[index], worst, best, share;

    memset(out, 0, sizeof *out);
    out->value = NAN;
    cap_radar_ends(radar, index, &worst, &best);
    if (!isfinite(value)) {
        note(out, "%s is not known", axis->label);
        return;
    }
    if (axis->scale == CAP_RADAR_FIXED_LOG && !(value > 0 && worst > 0 && best > 0)) {
        note(out, "%s is not above 0, which a logarithmic scale needs", axis->label);
        return;
    }
    if (!(fabs(best - worst) > 0) || (axis->scale == CAP_RADAR_CEILING && axis->high < 0)) {
        place_without_range(radar, axis, index, out);
        return;
    }
    share = share_of(axis, value, worst, best);
    if (share < 0)
        note(out, "worse than the scale ends");
    else if (share > 1)
        note(out, "better than the scale ends");
    out->value = radar->baseline + fmin(1, fmax(0, share)) * (100 - radar->baseline);
}

/* ---- drawing ---- */

static double angle_of(const struct cap_radar *radar, size_t axis)
{
    return -M_PI / 2 + 2 * M_PI * (double)axis / (double)radar->axis_count; /* clockwise */
}

static struct cap_point point_at(const struct cap_radar *radar, size_t axis, double value)
{
    double radius = value / 100 * RADIUS, angle = angle_of(radar, axis);

    return (struct cap_point){CAP_PLOT_WIDTH / 2.0 + radius * cos(angle),
                              CENTER_Y + radius * sin(angle)};
}

static void draw_rings(const struct cap_radar *radar, struct cap_paper *paper)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    struct cap_pen pen = {.stroke = colors->grid, .fill = CAP_PAPER_NONE};
    struct cap_point ring[CAP_RADAR_AXES_MAX];

    for (int value = RING_STEP; value <= 100; value += RING_STEP) {
        for (size_t i = 0; i < radar->axis_count; i++)
            ring[i] = point_at(radar, i, value);
        pen.width = value == 100 ? 1.5 : 1;
        cap_paper_path(paper, ring, radar->axis_count, true, &pen);
    }
    pen.dash = 3;
    pen.stroke = colors->muted;
    pen.width = 1;
    for (size_t i = 0; i < radar->axis_count; i++)
        ring[i] = point_at(radar, i, radar->baseline);
    cap_paper_path(paper, ring, radar->axis_count, true, &pen);
    pen.dash = 0;
    for (size_t i = 0; i < radar->axis_count; i++)
        cap_paper_line(paper, point_at(radar, i, 0), point_at(radar, i, 100), &pen);
}

/* Below a corner its label stands in the middle; beside one it begins or ends there. */
static enum cap_anchor anchor_of(double cosine, double sine)
{
    if (sine > 0.3 || fabs(cosine) < 0.3)
        return CAP_MIDDLE;
    return cosine > 0 ? CAP_START : CAP_END;
}

/* What is left of the sheet for a text there. */
static double room_at(struct cap_point at, enum cap_anchor anchor)
{
    double left = at.x - 8, right = CAP_PLOT_WIDTH - 8 - at.x;

    return anchor == CAP_START ? right : anchor == CAP_END ? left : 2 * fmin(left, right);
}

/* Two lines outside of each corner: what it is, and which way is better and from where to where. */
static void draw_label(const struct cap_radar *radar, size_t index, struct cap_paper *paper)
{
    const struct cap_radar_axis *axis = &radar->axes[index];
    const struct cap_colors *colors = cap_paper_colors(paper);
    double angle = angle_of(radar, index), cosine = cos(angle), worst, best;
    struct cap_point at = point_at(radar, index, 100);
    struct cap_font font = {
        .size = 13, .bold = true, .color = colors->ink, .anchor = anchor_of(cosine, sin(angle))};
    CAP_AUTO_BUF(text, 512);

    at.x += font.anchor == CAP_MIDDLE ? 0 : 10 * cosine;
    at.y += sin(angle) < -0.5 ? -28 : sin(angle) > 0.3 ? 22 : 4;
    cap_paper_text_within(paper, at, &font, axis->label, room_at(at, font.anchor));
    font = (struct cap_font){
        .size = CAP_PLOT_SMALL_SIZE, .color = colors->muted, .anchor = font.anchor};
    at.y += 15;
    cap_buf_add_str(&text,
                    is_better_low(axis) ? "\u2193 lower is better" : "\u2191 higher is better");
    cap_radar_ends(radar, index, &worst, &best);
    if (isfinite(worst) && fabs(best - worst) > 0) {
        cap_buf_add_str(&text, ": ");
        cap_plot_add_number(&text, worst);
        cap_buf_add_str(&text, " \u2192 ");
        cap_plot_add_number(&text, best);
    }
    cap_paper_text_within(paper, at, &font, text.data, room_at(at, font.anchor));
}

static void draw_system(const struct cap_radar *radar, size_t system, struct cap_paper *paper)
{
    int32_t color = cap_paper_colors(paper)->series[system];
    struct cap_pen pen = {.stroke = color,
                          .fill = color,
                          .fill_alpha = 0.26 / (double)(radar->system_count + 1),
                          .width = 2};
    struct cap_point points[CAP_RADAR_AXES_MAX];
    size_t count = 0;

    for (size_t axis = 0; axis < radar->axis_count; axis++) {
        struct cap_radar_place place;

        cap_radar_place(radar, system, axis, &place);
        if (isfinite(place.value))
            points[count++] = point_at(radar, axis, place.value);
    }
    if (count < radar->axis_count) { /* an outline that is not whole encloses nothing */
        pen.fill = CAP_PAPER_NONE;
        pen.dash = 5;
    }
    cap_paper_path(paper, points, count, count == radar->axis_count, &pen);
    for (size_t i = 0; i < count; i++)
        /* the first ones are larger, so that they show where all meet */
        cap_paper_sign(paper, points[i], (unsigned)system,
                       fmin(2, 1 + 0.4 * (double)(radar->system_count - 1 - system)));
}

static double column_x(const struct cap_radar *radar, size_t axis)
{
    double width = (CAP_PLOT_WIDTH - 216.0) / (double)radar->axis_count;

    return 200 + width * (double)(axis + 1);
}

static void draw_table(const struct cap_radar *radar, struct cap_paper *paper)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    double y = PLOT_HEIGHT + TABLE_GAP,
           width = (CAP_PLOT_WIDTH - 216.0) / (double)radar->axis_count;
    struct cap_font head = {.size = CAP_PLOT_SMALL_SIZE, .color = colors->muted, .anchor = CAP_END};
    struct cap_font cell = {.size = CAP_PLOT_TEXT_SIZE, .color = colors->ink};
    struct cap_pen line = {.stroke = colors->grid, .fill = CAP_PAPER_NONE};

    for (size_t axis = 0; axis < radar->axis_count; axis++)
        cap_paper_text_within(paper, (struct cap_point){column_x(radar, axis), y}, &head,
                              radar->axes[axis].label, width - 8);
    cap_paper_line(paper, (struct cap_point){16, y + 7},
                   (struct cap_point){CAP_PLOT_WIDTH - 16, y + 7}, &line);
    for (size_t i = 0; i < radar->system_count; i++) {
        y += ROW + (i == 0 ? 4 : 0);
        cap_paper_sign(paper, (struct cap_point){24, y - 4}, (unsigned)i, 1.1);
        cell.anchor = CAP_START;
        cap_paper_text_within(paper, (struct cap_point){36, y}, &cell, radar->systems[i].name,
                              column_x(radar, 0) - width - 12 + 30);
        cell.anchor = CAP_END;
        for (size_t axis = 0; axis < radar->axis_count; axis++) {
            CAP_AUTO_BUF(text, 64);

            cap_plot_add_number(&text, radar->systems[i].raw[axis]);
            cap_paper_text_within(paper, (struct cap_point){column_x(radar, axis), y}, &cell,
                                  text.data, width - 40);
        }
    }
}

static double radar_height(const void *data)
{
    const struct cap_radar *radar = data;

    return PLOT_HEIGHT + TABLE_GAP + ROW * (double)radar->system_count + 20;
}

static void draw_radar(const void *data, struct cap_paper *paper)
{
    const struct cap_radar *radar = data;

    draw_rings(radar, paper);
    for (size_t i = 0; i < radar->system_count; i++)
        draw_system(radar, i, paper);
    for (size_t i = 0; i < radar->axis_count; i++)
        draw_label(radar, i, paper);
    draw_table(radar, paper);
}

/* ---- numbers ---- */

static json_t *axis_json(const struct cap_radar *radar, size_t index)
{
    static const char *const scales[] = {"lowest of the systems", "ceiling", "lowest to 1", "fixed",
                                         "fixed, logarithmic"};
    const struct cap_radar_axis *axis = &radar->axes[index];
    double worst, best;

    cap_radar_ends(radar, index, &worst, &best);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "key", axis->key, "label", axis->label,
                     "better", is_better_low(axis) ? "lower" : "higher", "scale",
                     scales[axis->scale], "at_baseline", cap_plot_json_number(worst), "at_100",
                     cap_plot_json_number(best));
}

static json_t *system_json(const struct cap_radar *radar, size_t system)
{
    json_t *values = json_object();

    for (size_t axis = 0; axis < radar->axis_count; axis++) {
        struct cap_radar_place place;
        json_t *value;

        cap_radar_place(radar, system, axis, &place);
        value =
            json_pack("{s:o, s:o}", "raw", cap_plot_json_number(radar->systems[system].raw[axis]),
                      "place", cap_plot_json_number(place.value));
        if (*place.note)
            json_object_set_new(value, isfinite(place.value) ? "note" : "reason",
                                json_string(place.note));
        json_object_set_new(values, radar->axes[axis].key, value);
    }
    return json_pack("{s:s, s:o}", "name", radar->systems[system].name, "values", values);
}

static json_t *radar_numbers(const void *data)
{
    const struct cap_radar *radar = data;
    json_t *axes = json_array(), *systems = json_array();

    for (size_t i = 0; i < radar->axis_count; i++)
        json_array_append_new(axes, axis_json(radar, i));
    for (size_t i = 0; i < radar->system_count; i++)
        json_array_append_new(systems, system_json(radar, i));
    return json_pack("{s:f, s:o, s:o}", "baseline", radar->baseline, "axes", axes, "systems",
                     systems);
}

static void describe_radar(const void *data, struct cap_buf *out)
{
    const struct cap_radar *radar = data;

    cap_buf_add_str(out, "Radar.");
    for (size_t i = 0; i < radar->system_count; i++) {
        cap_buf_printf(out, " %s:", radar->systems[i].name);
        for (size_t axis = 0; axis < radar->axis_count; axis++) {
            cap_buf_printf(out, "%s %s ", axis ? "," : "", radar->axes[axis].label);
            cap_plot_add_number(out, radar->systems[i].raw[axis]);
        }
        cap_buf_add_char(out, '.');
    }
}

static const struct cap_plot_ops radar_ops = {.kind = "radar",
                                              .height = radar_height,
                                              .draw = draw_radar,
                                              .numbers = radar_numbers,
                                              .describe = describe_radar};

struct cap_plot cap_radar_plot(const struct cap_radar *radar)
{
    return (struct cap_plot){.ops = &radar_ops, .data = radar, .title = radar->title};
}
