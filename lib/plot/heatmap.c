/* The heat map. Cells of one shade are one path, and neighbours of one shade one box, so that a map
 * of 94 layers and 128 experts is a small file; 65 shades are more than an eye tells apart. The
 * longer of the two dimensions lies along x. */
#include "plot/heatmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot/axis.h"

enum {
    LEFT = 62,
    RIGHT = 92,
    TOP = 66,
    BOTTOM = 52,
    SHADES = 65,
    NEVER = SHADES, /* a shade of its own */
    BAR_WIDTH = 14,
    POWER_MAX = 5,
};

/* ---- numbers ---- */

static double count_of(const struct cap_heatmap *map, size_t layer, size_t expert)
{
    return map->counts[layer * map->expert_count + expert];
}

static double layer_total(const struct cap_heatmap *map, size_t layer)
{
    double total = 0;

    for (size_t e = 0; e < map->expert_count; e++)
        total += count_of(map, layer, e);
    return total;
}

double cap_heatmap_share(const struct cap_heatmap *map, size_t layer, size_t expert)
{
    double total = layer_total(map, layer);

    return total > 0 ? count_of(map, layer, expert) * (double)map->expert_count / total : NAN;
}

void cap_heatmap_summary(const struct cap_heatmap *map, struct cap_heatmap_summary *out)
{
    *out = (struct cap_heatmap_summary){.hottest = NAN};
    for (size_t layer = 0; layer < map->layer_count; layer++) {
        double total = layer_total(map, layer);

        out->total += total;
        for (size_t e = 0; e < map->expert_count; e++) {
            double count = count_of(map, layer, e);
            double share = total > 0 ? count * (double)map->expert_count / total : NAN;

            out->never += count == 0;
            if (isfinite(share) && !(share <= out->hottest)) {
                out->hottest = share;
                out->hottest_layer = layer;
                out->hottest_expert = e;
            }
        }
    }
}

static int compare_down(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

/* ---- shades ---- */

struct shades {
    double *cells; /* what is drawn, [layers][experts]: shares or counts; NAN: nothing chosen */
    double power;  /* normalised: the scale runs from 2^-power to 2^power */
    double most;   /* absolute: the highest count */
};

static void fill_cells(const struct cap_heatmap *map, struct shades *out)
{
    out->cells = calloc(map->layer_count * map->expert_count + 1, sizeof *out->cells);
    if (!out->cells)
        abort();
    for (size_t layer = 0; layer < map->layer_count; layer++) {
        double *row = &out->cells[layer * map->expert_count], total = layer_total(map, layer);

        for (size_t e = 0; e < map->expert_count; e++) {
            row[e] = count_of(map, layer, e);
            out->most = fmax(out->most, row[e]);
            if (!map->absolute)
                row[e] = total > 0 ? row[e] * (double)map->expert_count / total : NAN;
        }
        if (map->sorted && total > 0)
            qsort(row, map->expert_count, sizeof *row, compare_down);
    }
}

static void make_shades(const struct cap_heatmap *map, struct shades *out)
{
    struct cap_heatmap_summary summary;

    cap_heatmap_summary(map, &summary);
    *out = (struct shades){.power = 1};
    if (isfinite(summary.hottest))
        out->power = fmin(POWER_MAX, fmax(1, ceil(log2(summary.hottest) - 1e-9)));
    fill_cells(map, out);
}

/* -1 to 1: below and above the even share; absolute: 0 to 1. */
static double place_of(const struct cap_heatmap *map, const struct shades *shades, double cell)
{
    if (map->absolute)
        return shades->most > 0 ? cell / shades->most : 0;
    return fmin(1, fmax(-1, log2(cell) / shades->power));
}

static int shade_of(const struct cap_heatmap *map, const struct shades *shades, double cell)
{
    double place;

    if (!(cell > 0))
        return NEVER;
    place = place_of(map, shades, cell);
    return (int)lround((map->absolute ? place : (place + 1) / 2) * (SHADES - 1));
}

/* From the middle to an end, through the colours between. */
static int32_t ramp(int32_t middle, const int32_t ends[3], double at)
{
    const int32_t stops[] = {middle, ends[2], ends[1], ends[0]};
    int segment = (int)fmin(2, floor(at * 3));

    return cap_color_mix(stops[segment], stops[segment + 1], at * 3 - segment);
}

static int32_t color_of(const struct cap_heatmap *map, const struct cap_colors *colors, int shade)
{
    double at = (double)shade / (SHADES - 1);

    if (shade == NEVER)
        return cap_color_mix(colors->muted, colors->paper, 0.25);
    if (map->absolute)
        return ramp(colors->middle, colors->high, at);
    return at < 0.5 ? ramp(colors->middle, colors->low, 1 - 2 * at)
                    : ramp(colors->middle, colors->high, 2 * at - 1);
}

/* ---- drawing ---- */

struct frame {
    struct cap_box box;
    size_t columns, rows;
    bool turned; /* layers along x */
};

static struct frame frame_of(const struct cap_heatmap *map)
{
    struct frame frame = {.turned = map->layer_count > map->expert_count};
    double width = CAP_PLOT_WIDTH - LEFT - RIGHT, side;

    frame.columns = frame.turned ? map->layer_count : map->expert_count;
    frame.rows = frame.turned ? map->expert_count : map->layer_count;
    side = width / (double)frame.columns; /* cells are square while that is neither low nor high */
    frame.box = (struct cap_box){LEFT, TOP, width, fmin(440, fmax(150, side * (double)frame.rows))};
    return frame;
}

static double cell_at(const struct cap_heatmap *map, const struct shades *shades,
                      const struct frame *frame, size_t row, size_t column)
{
    size_t layer = frame->turned ? column : row, expert = frame->turned ? row : column;

    return shades->cells[layer * map->expert_count + expert];
}

static struct cap_box run_box(const struct frame *frame, size_t row, size_t from, size_t to)
{
    double w = frame->box.width / (double)frame->columns,
           h = frame->box.height / (double)frame->rows;

    return (struct cap_box){frame->box.x + w * (double)from, frame->box.y + h * (double)row,
                            w * (double)(to - from), h};
}

static void draw_cells(const struct cap_heatmap *map, const struct shades *shades,
                       struct cap_paper *paper)
{
    const struct frame frame = frame_of(map);
    size_t cells = frame.rows * frame.columns, count;
    unsigned char *shade = calloc(cells + 1, 1);
    struct cap_box *boxes = calloc(cells + 1, sizeof *boxes);

    if (!shade || !boxes)
        abort();
    for (size_t i = 0; i < cells; i++)
        shade[i] = (unsigned char)shade_of(
            map, shades, cell_at(map, shades, &frame, i / frame.columns, i % frame.columns));
    for (int wanted = 0; wanted <= NEVER; wanted++) {
        count = 0;
        for (size_t row = 0; row < frame.rows; row++)
            for (size_t from = 0, to; from < frame.columns; from = to) {
                const unsigned char *line = &shade[row * frame.columns];

                for (to = from + 1; to < frame.columns && line[to] == line[from];)
                    to++;
                if (line[from] == wanted)
                    boxes[count++] = run_box(&frame, row, from, to);
            }
        cap_paper_boxes(paper, boxes, count, color_of(map, cap_paper_colors(paper), wanted));
    }
    free(shade);
    free(boxes);
}

/* Numbers along one side, at the middle of their cells; without `ids` they count from 0, ranks from
 * 1. */
static void draw_side(struct cap_paper *paper, const struct frame *frame, bool below,
                      const double *ids, bool ranks)
{
    const struct cap_colors *colors = cap_paper_colors(paper);
    const struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE,
                                  .color = colors->muted,
                                  .anchor = below ? CAP_MIDDLE : CAP_END};
    size_t count = below ? frame->columns : frame->rows, stride = 1;
    double side = (below ? frame->box.width : frame->box.height) / (double)count;
    static const size_t factors[] = {2, 5, 10};

    for (size_t power = 1, i = 0; side * (double)stride < (below ? 34 : 15); i++) {
        stride = power * factors[i % 3];
        if (i % 3 == 2)
            power *= 10;
    }
    for (size_t i = 0; i < count; i++) {
        double middle = side * ((double)i + 0.5);
        struct cap_point at =
            below ? (struct cap_point){frame->box.x + middle, frame->box.y + frame->box.height + 15}
                  : (struct cap_point){frame->box.x - 6, frame->box.y + middle + 4};

        if (ranks && stride > 1 ? (i + 1) % stride != 0 : i % stride != 0)
            continue;
        cap_paper_textf(paper, at, &font, "%.6g", ids ? ids[i] : (double)i + (ranks ? 1 : 0));
    }
}

static void draw_sides(const struct cap_heatmap *map, struct cap_paper *paper)
{
    const struct frame frame = frame_of(map);
    const struct cap_colors *colors = cap_paper_colors(paper);
    struct cap_font font = {.size = CAP_PLOT_TEXT_SIZE, .color = colors->ink, .anchor = CAP_MIDDLE};
    const char *experts = map->sorted ? "expert, by its layer's load" : "expert", *layers = "layer";

    draw_side(paper, &frame, true, frame.turned ? map->layers : NULL, map->sorted && !frame.turned);
    draw_side(paper, &frame, false, frame.turned ? NULL : map->layers, map->sorted && frame.turned);
    cap_paper_text(
        paper,
        (struct cap_point){frame.box.x + frame.box.width / 2, frame.box.y + frame.box.height + 36},
        &font, frame.turned ? layers : experts);
    font.upright = true;
    cap_paper_text(paper, (struct cap_point){18, frame.box.y + frame.box.height / 2}, &font,
                   frame.turned ? experts : layers);
}

static void draw_tick(struct cap_paper *paper, double x, double y, const char *text)
{
    const struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE,
                                  .color = cap_paper_colors(paper)->muted};

    cap_paper_text(paper, (struct cap_point){x + BAR_WIDTH + 6, y + 4}, &font, text);
}

static void label_bar(const struct cap_heatmap *map, const struct shades *shades,
                      struct cap_paper *paper, const struct cap_box *bar)
{
    struct cap_axis axis = {.low = 0,
                            .high = shades->most > 0 ? shades->most : 1,
                            .from = bar->y + bar->height,
                            .to = bar->y};
    struct cap_axis_ticks ticks;

    if (map->absolute) {
        cap_axis_ticks(&axis, 5, &ticks);
        for (size_t i = 0; i < ticks.count; i++) {
            CAP_AUTO_BUF(text, 64);

            cap_plot_add_number(&text, ticks.values[i]);
            draw_tick(paper, bar->x, cap_axis_place(&axis, ticks.values[i]), text.data);
        }
        return;
    }
    for (int power = -(int)shades->power; power <= (int)shades->power; power++) {
        CAP_AUTO_BUF(text, 64);

        if (power == 0)
            cap_buf_add_str(&text, "1\u00d7 even");
        else
            cap_buf_printf(&text, power > 0 ? "%d\u00d7" : "1/%d", 1 << abs(power));
        draw_tick(paper, bar->x, bar->y + bar->height / 2 * (1 - (double)power / shades->power),
                  text.data);
    }
}

static void draw_bar(const struct cap_heatmap *map, const struct shades *shades,
                     struct cap_paper *paper)
{
    const struct frame frame = frame_of(map);
    const struct cap_colors *colors = cap_paper_colors(paper);
    double x = frame.box.x + frame.box.width + 16, below = frame.box.y + frame.box.height;
    struct cap_box bar = {x, frame.box.y + 6, BAR_WIDTH, frame.box.height - 40};
    struct cap_box never = {x, below - 14, BAR_WIDTH, 14};

    for (int i = 0; i < SHADES; i++) {
        struct cap_box part = {bar.x, bar.y + bar.height * (SHADES - 1 - i) / SHADES, bar.width,
                               bar.height / SHADES + 0.3};

        cap_paper_boxes(paper, &part, 1, color_of(map, colors, i));
    }
    label_bar(map, shades, paper, &bar);
    cap_paper_boxes(paper, &never, 1, color_of(map, colors, NEVER));
    draw_tick(paper, x, below - 7, "never");
}

static void add_summary(const struct cap_heatmap *map, struct cap_buf *out)
{
    struct cap_heatmap_summary summary;

    cap_heatmap_summary(map, &summary);
    cap_buf_add_str(out, map->absolute ? "Selections" : "Times the even share of the layer");
    if (!isfinite(summary.hottest)) {
        cap_buf_add_str(out, "; nothing was chosen");
        return;
    }
    cap_buf_printf(out, "; highest %.3g\u00d7 (layer %.6g, expert %zu); never chosen: %zu of %zu",
                   summary.hottest, map->layers[summary.hottest_layer], summary.hottest_expert,
                   summary.never, map->layer_count * map->expert_count);
}

static double heatmap_height(const void *data)
{
    return TOP + frame_of(data).box.height + BOTTOM;
}

static void draw_heatmap(const void *data, struct cap_paper *paper)
{
    const struct cap_heatmap *map = data;
    const struct cap_font font = {.size = CAP_PLOT_SMALL_SIZE,
                                  .color = cap_paper_colors(paper)->muted};
    struct shades shades;
    CAP_AUTO_BUF(summary, 512);

    add_summary(map, &summary);
    cap_paper_text_within(paper, (struct cap_point){16, 47}, &font, summary.data,
                          CAP_PLOT_WIDTH - 32);
    make_shades(map, &shades);
    draw_cells(map, &shades, paper);
    draw_sides(map, paper);
    draw_bar(map, &shades, paper);
    free(shades.cells);
}

/* ---- numbers ---- */

static json_t *heatmap_numbers(const void *data)
{
    const struct cap_heatmap *map = data;
    struct cap_heatmap_summary summary;
    struct shades shades;
    json_t *layers = json_array(), *cells = json_array();

    cap_heatmap_summary(map, &summary);
    make_shades(map, &shades);
    for (size_t layer = 0; layer < map->layer_count; layer++) {
        json_t *row = json_array();

        for (size_t e = 0; e < map->expert_count; e++)
            json_array_append_new(
                row, cap_plot_json_number(shades.cells[layer * map->expert_count + e]));
        json_array_append_new(cells, row);
        json_array_append_new(layers, json_real(map->layers[layer]));
    }
    free(shades.cells);
    return json_pack("{s:b, s:b, s:f, s:o, s:o, s:o, s:I}", "absolute", map->absolute, "sorted",
                     map->sorted, "selections", summary.total, "highest_share",
                     cap_plot_json_number(summary.hottest), "layers", layers, "cells", cells,
                     "never_chosen", (json_int_t)summary.never);
}

static void describe_heatmap(const void *data, struct cap_buf *out)
{
    const struct cap_heatmap *map = data;

    cap_buf_printf(out, "Heat map of %zu layers and %zu experts. ", map->layer_count,
                   map->expert_count);
    add_summary(map, out);
    cap_buf_add_char(out, '.');
}

static const struct cap_plot_ops heatmap_ops = {.kind = "heatmap",
                                                .height = heatmap_height,
                                                .draw = draw_heatmap,
                                                .numbers = heatmap_numbers,
                                                .describe = describe_heatmap};

struct cap_plot cap_heatmap_plot(const struct cap_heatmap *map)
{
    return (struct cap_plot){.ops = &heatmap_ops, .data = map, .title = map->title};
}
