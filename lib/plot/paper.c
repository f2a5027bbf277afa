/* The paper. A verb writes SVG or calls cairo, whichever the format asks for; both get the same
 * numbers. A measuring surface of cairo exists in either case, because a text's width is needed
 * before it is drawn. Hinting is off: widths are the font's own, not those of a screen. */
#include "plot/paper.h"

#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"

#define FAMILY "DejaVu Sans"

enum { FILE_BYTES_MAX = 64 << 20, TEXT_BYTES_MAX = 4096, PNG_SCALE = 2 };

struct cap_paper {
    struct cap_paper_sheet sheet;
    const struct cap_colors *colors;
    struct cap_buf file;
    cairo_surface_t *surface;
    cairo_t *cairo; /* draws, or only measures */
    bool is_svg, clipped;
    unsigned clips;
    struct cap_box *texts;
    size_t text_count, text_capacity;
};

/* ---- SVG ---- */

/* Two digits after the point, none that say nothing. */
static void add_number(struct cap_buf *out, double value)
{
    char text[64];
    size_t length = (size_t)snprintf(text, sizeof text, "%.2f", value);

    while (length && text[length - 1] == '0')
        length--;
    if (length && text[length - 1] == '.')
        length--;
    text[length] = '\0';
    cap_buf_add_str(out, strcmp(text, "-0") == 0 ? "0" : text);
}

static void add_attribute(struct cap_buf *out, const char *name, double value)
{
    cap_buf_printf(out, " %s=\"", name);
    add_number(out, value);
    cap_buf_add_char(out, '"');
}

/* Names come from others: what is not UTF-8 or acts on a terminal is replaced. */
static void add_escaped(struct cap_buf *out, const char *foreign)
{
    CAP_AUTO_BUF(plain, TEXT_BYTES_MAX);

    cap_plain_add(&plain, foreign);
    for (const char *text = plain.data; *text; text++) {
        if (*text == '&' || *text == '<' || *text == '>' || *text == '"')
            cap_buf_printf(out, "&#%d;", *text);
        else
            cap_buf_add_char(out, *text);
    }
}

static void add_pen(struct cap_buf *out, const struct cap_pen *pen)
{
    if (pen->fill == CAP_PAPER_NONE)
        cap_buf_add_str(out, " fill=\"none\"");
    else
        cap_buf_printf(out, " fill=\"#%06x\"", (unsigned)pen->fill);
    if (pen->fill != CAP_PAPER_NONE && pen->fill_alpha > 0)
        add_attribute(out, "fill-opacity", pen->fill_alpha);
    if (pen->stroke == CAP_PAPER_NONE)
        return;
    cap_buf_printf(out, " stroke=\"#%06x\"", (unsigned)pen->stroke);
    if (pen->width > 0)
        add_attribute(out, "stroke-width", pen->width);
    if (pen->dash > 0)
        add_attribute(out, "stroke-dasharray", pen->dash);
}

static void open_svg(struct cap_paper *paper)
{
    struct cap_buf *out = &paper->file;
    const struct cap_paper_sheet *s = &paper->sheet;

    cap_buf_add_str(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ");
    add_number(out, s->width);
    cap_buf_add_char(out, ' ');
    add_number(out, s->height);
    cap_buf_add_char(out, '"');
    add_attribute(out, "width", s->width);
    add_attribute(out, "height", s->height);
    cap_buf_add_str(out, " font-family=\"'" FAMILY "',Verdana,sans-serif\">\n<title>");
    add_escaped(out, s->title ? s->title : "");
    cap_buf_add_str(out, "</title>\n<desc>");
    add_escaped(out, s->description ? s->description : "");
    cap_buf_add_str(out, "</desc>\n");
}

/* ---- life ---- */

static cairo_status_t collect(void *closure, const unsigned char *data, unsigned length)
{
    struct cap_buf *out = closure;

    cap_buf_add(out, data, length);
    return out->overflowed ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static void open_cairo(struct cap_paper *paper)
{
    const struct cap_paper_sheet *s = &paper->sheet;
    cairo_font_options_t *font = cairo_font_options_create();

    if (paper->is_svg)
        paper->surface = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    else if (s->format == CAP_PLOT_PDF)
        paper->surface = cairo_pdf_surface_create_for_stream(
            collect, &paper->file, s->width * 0.75, s->height * 0.75); /* of 1/96 inch, in points */
    else
        paper->surface = cairo_image_surface_create(
            CAIRO_FORMAT_RGB24, (int)ceil(s->width * PNG_SCALE), (int)ceil(s->height * PNG_SCALE));
    paper->cairo = cairo_create(paper->surface);
    if (!paper->is_svg) {
        double scale = s->format == CAP_PLOT_PDF ? 0.75 : PNG_SCALE;

        cairo_scale(paper->cairo, scale, scale);
    }
    cairo_font_options_set_hint_metrics(font, CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_hint_style(font, CAIRO_HINT_STYLE_NONE);
    cairo_set_font_options(paper->cairo, font);
    cairo_font_options_destroy(font);
    cairo_set_line_join(paper->cairo, CAIRO_LINE_JOIN_ROUND);
}

struct cap_paper *cap_paper_new(const struct cap_paper_sheet *sheet)
{
    struct cap_paper *paper = calloc(1, sizeof *paper);

    if (!paper)
        abort();
    paper->sheet = *sheet;
    paper->colors = cap_colors_of(sheet->theme);
    paper->is_svg = sheet->format == CAP_PLOT_SVG;
    cap_buf_init(&paper->file, FILE_BYTES_MAX);
    open_cairo(paper);
    if (paper->is_svg)
        open_svg(paper);
    cap_paper_boxes(paper, &(struct cap_box){0, 0, sheet->width, sheet->height}, 1,
                    paper->colors->paper);
    return paper;
}

void cap_paper_free(struct cap_paper *paper)
{
    if (!paper)
        return;
    cairo_destroy(paper->cairo);
    cairo_surface_destroy(paper->surface);
    cap_buf_done(&paper->file);
    free(paper->texts);
    free(paper);
}

bool cap_paper_finish(struct cap_paper *paper, struct cap_buf *out, struct cap_err *err)
{
    cairo_status_t status = cairo_status(paper->cairo);

    if (paper->is_svg) {
        cap_buf_add_str(&paper->file, "</svg>\n");
    } else if (status == CAIRO_STATUS_SUCCESS && paper->sheet.format == CAP_PLOT_PNG) {
        status = cairo_surface_write_to_png_stream(paper->surface, collect, &paper->file);
    } else if (status == CAIRO_STATUS_SUCCESS) {
        cairo_surface_finish(paper->surface);
        status = cairo_surface_status(paper->surface);
    }
    if (status != CAIRO_STATUS_SUCCESS)
        return cap_fail(err, CAP_INTERNAL, "could not draw the picture: %s",
                        cairo_status_to_string(status));
    cap_buf_add(out, paper->file.data, paper->file.length);
    if (paper->file.overflowed || out->overflowed)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture has more than %d MiB",
                        FILE_BYTES_MAX >> 20);
    return true;
}

const struct cap_colors *cap_paper_colors(const struct cap_paper *paper)
{
    return paper->colors;
}

double cap_paper_width(const struct cap_paper *paper)
{
    return paper->sheet.width;
}

double cap_paper_height(const struct cap_paper *paper)
{
    return paper->sheet.height;
}

/* ---- shapes ---- */

static void set_color(struct cap_paper *paper, int32_t color, double alpha)
{
    cairo_set_source_rgba(paper->cairo, ((color >> 16) & 255) / 255.0, ((color >> 8) & 255) / 255.0,
                          (color & 255) / 255.0, alpha > 0 ? alpha : 1);
}

/* Fills and strokes cairo's current path. */
static void ink(struct cap_paper *paper, const struct cap_pen *pen)
{
    if (pen->fill != CAP_PAPER_NONE) {
        set_color(paper, pen->fill, pen->fill_alpha);
        cairo_fill_preserve(paper->cairo);
    }
    if (pen->stroke != CAP_PAPER_NONE) {
        set_color(paper, pen->stroke, 1);
        cairo_set_line_width(paper->cairo, pen->width > 0 ? pen->width : 1);
        cairo_set_dash(paper->cairo, &pen->dash, pen->dash > 0, 0);
        cairo_stroke_preserve(paper->cairo);
    }
    cairo_new_path(paper->cairo);
}

void cap_paper_path(struct cap_paper *paper, const struct cap_point *points, size_t count,
                    bool closed, const struct cap_pen *pen)
{
    if (count < 2)
        return;
    if (!paper->is_svg) {
        for (size_t i = 0; i < count; i++)
            cairo_line_to(paper->cairo, points[i].x, points[i].y);
        if (closed)
            cairo_close_path(paper->cairo);
        ink(paper, pen);
        return;
    }
    cap_buf_add_str(&paper->file, "<path d=\"");
    for (size_t i = 0; i < count; i++) {
        cap_buf_add_char(&paper->file, i ? 'L' : 'M');
        add_number(&paper->file, points[i].x);
        cap_buf_add_char(&paper->file, ' ');
        add_number(&paper->file, points[i].y);
    }
    cap_buf_add_str(&paper->file, closed ? "Z\"" : "\"");
    add_pen(&paper->file, pen);
    cap_buf_add_str(&paper->file, " stroke-linejoin=\"round\"/>\n");
}

void cap_paper_line(struct cap_paper *paper, struct cap_point from, struct cap_point to,
                    const struct cap_pen *pen)
{
    struct cap_point points[] = {from, to};

    cap_paper_path(paper, points, 2, false, pen);
}

void cap_paper_boxes(struct cap_paper *paper, const struct cap_box *boxes, size_t count,
                     int32_t fill)
{
    struct cap_pen pen = {.stroke = CAP_PAPER_NONE, .fill = fill};

    if (count == 0)
        return;
    if (!paper->is_svg) {
        cairo_set_antialias(paper->cairo, CAIRO_ANTIALIAS_NONE); /* no seams between neighbours */
        for (size_t i = 0; i < count; i++)
            cairo_rectangle(paper->cairo, boxes[i].x, boxes[i].y, boxes[i].width, boxes[i].height);
        ink(paper, &pen);
        cairo_set_antialias(paper->cairo, CAIRO_ANTIALIAS_DEFAULT);
        return;
    }
    cap_buf_add_str(&paper->file, "<path shape-rendering=\"crispEdges\" d=\"");
    for (size_t i = 0; i < count; i++) {
        const double numbers[] = {boxes[i].x, boxes[i].y, boxes[i].width, boxes[i].height,
                                  -boxes[i].width};
        static const char before[] = {'M', ' ', 'h', 'v', 'h'};

        for (size_t k = 0; k < CAP_COUNT_OF(numbers); k++) {
            cap_buf_add_char(&paper->file, before[k]);
            add_number(&paper->file, numbers[k]);
        }
        cap_buf_add_char(&paper->file, 'z');
    }
    cap_buf_add_char(&paper->file, '"');
    add_pen(&paper->file, &pen);
    cap_buf_add_str(&paper->file, "/>\n");
}

void cap_paper_circle(struct cap_paper *paper, struct cap_point center, double radius,
                      const struct cap_pen *pen)
{
    if (!paper->is_svg) {
        cairo_arc(paper->cairo, center.x, center.y, radius, 0, 2 * M_PI);
        ink(paper, pen);
        return;
    }
    cap_buf_add_str(&paper->file, "<circle");
    add_attribute(&paper->file, "cx", center.x);
    add_attribute(&paper->file, "cy", center.y);
    add_attribute(&paper->file, "r", radius);
    add_pen(&paper->file, pen);
    cap_buf_add_str(&paper->file, "/>\n");
}

void cap_paper_clip(struct cap_paper *paper, struct cap_box box)
{
    paper->clipped = true;
    if (!paper->is_svg) {
        cairo_save(paper->cairo);
        cairo_rectangle(paper->cairo, box.x, box.y, box.width, box.height);
        cairo_clip(paper->cairo);
        return;
    }
    cap_buf_printf(&paper->file, "<clipPath id=\"clip%u\"><rect", ++paper->clips);
    add_attribute(&paper->file, "x", box.x);
    add_attribute(&paper->file, "y", box.y);
    add_attribute(&paper->file, "width", box.width);
    add_attribute(&paper->file, "height", box.height);
    cap_buf_printf(&paper->file, "/></clipPath>\n<g clip-path=\"url(#clip%u)\">\n", paper->clips);
}

void cap_paper_unclip(struct cap_paper *paper)
{
    if (!paper->clipped)
        return;
    paper->clipped = false;
    if (paper->is_svg)
        cap_buf_add_str(&paper->file, "</g>\n");
    else
        cairo_restore(paper->cairo);
}

void cap_paper_sign(struct cap_paper *paper, struct cap_point at, unsigned series, double scale)
{
    static const struct cap_point square[] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}},
                                  diamond[] = {{0, -1.35}, {1.35, 0}, {0, 1.35}, {-1.35, 0}},
                                  up[] = {{0, -1.35}, {1.25, 1}, {-1.25, 1}},
                                  down[] = {{0, 1.35}, {1.25, -1}, {-1.25, -1}};
    static const struct {
        const struct cap_point *points;
        size_t count;
    } shapes[] = {{NULL, 0}, {square, 4}, {up, 3}, {diamond, 4}, {down, 3}};
    const double size = 3.6 * scale;
    struct cap_pen pen = {.stroke = paper->colors->paper,
                          .fill = paper->colors->series[series % CAP_PAPER_SERIES]};
    size_t shape = series % CAP_COUNT_OF(shapes);
    struct cap_point points[4];

    if (shape == 0) {
        cap_paper_circle(paper, at, size * 1.1, &pen);
        return;
    }
    for (size_t i = 0; i < shapes[shape].count; i++)
        points[i] = (struct cap_point){at.x + size * shapes[shape].points[i].x,
                                       at.y + size * shapes[shape].points[i].y};
    cap_paper_path(paper, points, shapes[shape].count, true, &pen);
}

/* ---- texts ---- */

static void select_font(struct cap_paper *paper, const struct cap_font *font)
{
    cairo_select_font_face(paper->cairo, FAMILY, CAIRO_FONT_SLANT_NORMAL,
                           font->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(paper->cairo, font->size);
}

static double width_of(struct cap_paper *paper, const struct cap_font *font, const char *text)
{
    cairo_text_extents_t extents;

    select_font(paper, font);
    cairo_text_extents(paper->cairo, text, &extents);
    return extents.x_advance;
}

double cap_paper_text_width(struct cap_paper *paper, const struct cap_font *font, const char *text)
{
    CAP_AUTO_BUF(plain, TEXT_BYTES_MAX);

    cap_plain_add(&plain, text);
    return width_of(paper, font, plain.data);
}

static double shift_of(enum cap_anchor anchor, double width)
{
    return anchor == CAP_START ? 0 : anchor == CAP_MIDDLE ? -width / 2 : -width;
}

static struct cap_box box_of(struct cap_point at, const struct cap_font *font, double width)
{
    double shift = shift_of(font->anchor, width), up = font->size * 0.78, down = font->size * 0.22;

    if (font->upright)
        return (struct cap_box){at.x - up, at.y - shift - width, up + down, width};
    return (struct cap_box){at.x + shift, at.y - up, width, up + down};
}

struct cap_box cap_paper_text_box(struct cap_paper *paper, struct cap_point at,
                                  const struct cap_font *font, const char *text)
{
    return box_of(at, font, cap_paper_text_width(paper, font, text));
}

static void keep_box(struct cap_paper *paper, struct cap_box box)
{
    if (paper->text_count == paper->text_capacity) {
        paper->text_capacity = paper->text_capacity ? 2 * paper->text_capacity : 64;
        paper->texts = realloc(paper->texts, paper->text_capacity * sizeof *paper->texts);
        if (!paper->texts)
            abort();
    }
    paper->texts[paper->text_count++] = box;
}

static void write_text(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                       const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    struct cap_buf *out = &paper->file;
    double width = width_of(paper, font, text);

    cap_buf_add_str(out, "<text");
    add_attribute(out, "x", at.x);
    add_attribute(out, "y", at.y);
    add_attribute(out, "font-size", font->size);
    add_attribute(out, "textLength", width);
    cap_buf_printf(out, " lengthAdjust=\"spacingAndGlyphs\" fill=\"#%06x\"", (unsigned)font->color);
    if (font->anchor != CAP_START)
        cap_buf_printf(out, " text-anchor=\"%s\"", anchors[font->anchor]);
    if (font->bold)
        cap_buf_add_str(out, " font-weight=\"bold\"");
    if (font->upright) {
        cap_buf_add_str(out, " transform=\"rotate(-90 ");
        add_number(out, at.x);
        cap_buf_add_char(out, ' ');
        add_number(out, at.y);
        cap_buf_add_str(out, ")\"");
    }
    cap_buf_add_char(out, '>');
    add_escaped(out, text);
    cap_buf_add_str(out, "</text>\n");
}

static void draw_text(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                      const char *text)
{
    double width = width_of(paper, font, text);

    cairo_save(paper->cairo);
    cairo_translate(paper->cairo, at.x, at.y);
    if (font->upright)
        cairo_rotate(paper->cairo, -M_PI / 2);
    cairo_move_to(paper->cairo, shift_of(font->anchor, width), 0);
    set_color(paper, font->color, 1);
    cairo_show_text(paper->cairo, text);
    cairo_new_path(paper->cairo);
    cairo_restore(paper->cairo);
}

void cap_paper_text(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                    const char *text)
{
    CAP_AUTO_BUF(plain, TEXT_BYTES_MAX);

    cap_plain_add(&plain, text);
    if (plain.length == 0)
        return;
    keep_box(paper, box_of(at, font, width_of(paper, font, plain.data)));
    if (paper->is_svg)
        write_text(paper, at, font, plain.data);
    else
        draw_text(paper, at, font, plain.data);
}

void cap_paper_textf(struct cap_paper *paper, struct cap_point at, const struct cap_font *font,
                     const char *fmt, ...)
{
    CAP_AUTO_BUF(text, TEXT_BYTES_MAX);
    va_list args;

    va_start(args, fmt);
    cap_buf_vprintf(&text, fmt, args);
    va_end(args);
    cap_paper_text(paper, at, font, text.data);
}

void cap_paper_text_within(struct cap_paper *paper, struct cap_point at,
                           const struct cap_font *font, const char *text, double width)
{
    CAP_AUTO_BUF(plain, TEXT_BYTES_MAX);
    CAP_AUTO_BUF(cut, TEXT_BYTES_MAX + 8);
    size_t length;

    cap_plain_add(&plain, text);
    length = plain.length;
    cap_buf_add_str(&cut, plain.data);
    while (length > 0 && width_of(paper, font, cut.data) > width) {
        do
            length--;
        while (length > 0 && ((unsigned char)plain.data[length] & 0xc0) == 0x80);
        cap_buf_clear(&cut);
        cap_buf_add(&cut, plain.data, length);
        cap_buf_add_str(&cut, "\u2026");
    }
    cap_paper_text(paper, at, font, cut.data);
}

bool cap_paper_is_free(const struct cap_paper *paper, struct cap_box box)
{
    if (box.x < 0 || box.y < 0 || box.x + box.width > paper->sheet.width ||
        box.y + box.height > paper->sheet.height)
        return false;
    for (size_t i = 0; i < paper->text_count; i++) {
        const struct cap_box *t = &paper->texts[i];

        if (box.x < t->x + t->width && t->x < box.x + box.width && box.y < t->y + t->height &&
            t->y < box.y + box.height)
            return false;
    }
    return true;
}

const struct cap_box *cap_paper_texts(const struct cap_paper *paper, size_t *out_count)
{
    *out_count = paper->text_count;
    return paper->texts;
}
