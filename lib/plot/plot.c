/* From a picture to a file: the paper is as high as the picture asks for, and says what it shows to
 * who does not see it. */
#include "plot/plot.h"

#include <math.h>
#include <string.h>

enum { DESCRIPTION_BYTES_MAX = 4096 };

struct cap_paper *cap_plot_paper(const struct cap_plot *plot, const struct cap_plot_look *look)
{
    CAP_AUTO_BUF(description, DESCRIPTION_BYTES_MAX);
    struct cap_paper_sheet sheet = {.format = look->format,
                                    .theme = look->theme,
                                    .width = CAP_PLOT_WIDTH,
                                    .height = ceil(plot->ops->height(plot->data)),
                                    .title = plot->title};
    struct cap_paper *paper;

    plot->ops->describe(plot->data, &description);
    sheet.description = description.data;
    paper = cap_paper_new(&sheet);
    cap_plot_title(paper, plot->title);
    plot->ops->draw(plot->data, paper);
    return paper;
}

bool cap_plot_draw(const struct cap_plot *plot, const struct cap_plot_look *look,
                   struct cap_buf *out, struct cap_err *err)
{
    CAP_AUTO(cap_paper) paper = cap_plot_paper(plot, look);

    return cap_paper_finish(paper, out, err);
}

json_t *cap_plot_numbers(const struct cap_plot *plot)
{
    CAP_AUTO_BUF(description, DESCRIPTION_BYTES_MAX);
    json_t *out, *numbers = plot->ops->numbers(plot->data);

    plot->ops->describe(plot->data, &description);
    out = json_pack("{s:s, s:s, s:s}", "picture", plot->ops->kind, "title", plot->title,
                    "description", description.data);
    json_object_update(out, numbers);
    json_decref(numbers);
    return out;
}

/* ---- what pictures share ---- */

/* 1234567 -> 1,234,567 */
static void add_grouped(struct cap_buf *out, double value)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", fabs(value));

    if (value < 0)
        cap_buf_add_char(out, '-');
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            cap_buf_add_char(out, ',');
        cap_buf_add_char(out, digits[i]);
    }
}

void cap_plot_add_number(struct cap_buf *out, double value)
{
    double size = fabs(value);

    if (!isfinite(value))
        cap_buf_add_str(out, "unknown");
    else if (size >= 1e7)
        cap_buf_printf(out,
                       size >= 1e12  ? "%.4g T"
                       : size >= 1e9 ? "%.4g G"
                                     : "%.4g M",
                       value / (size >= 1e12  ? 1e12
                                : size >= 1e9 ? 1e9
                                              : 1e6));
    else if (size >= 1000)
        add_grouped(out, value);
    else
        cap_buf_printf(out, "%.4g", value);
}

json_t *cap_plot_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void cap_plot_title(struct cap_paper *paper, const char *title)
{
    const struct cap_font font = {
        .size = CAP_PLOT_TITLE_SIZE, .bold = true, .color = cap_paper_colors(paper)->ink};

    cap_paper_text_within(paper, (struct cap_point){16, 27}, &font, title,
                          cap_paper_width(paper) - 32);
}
