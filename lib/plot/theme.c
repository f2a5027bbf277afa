/* Colours. Series: Okabe and Ito's set, without its yellow on light paper, which nobody sees there;
 * lightened for dark paper. The diverging scale runs from blue to orange-red, which all kinds of
 * colour blindness tell apart, and by lightness alone from its middle to both ends. */
#include <math.h>
#include <string.h>

#include "plot/paper.h"

static const struct cap_colors themes[CAP_PLOT_THEME_COUNT] = {
    [CAP_PLOT_LIGHT] = {.paper = 0xffffff,
                        .ink = 0x1a1f26,
                        .muted = 0x566070,
                        .grid = 0xd5dae1,
                        .series = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xb8860b, 0x56b4e9,
                                   0x6a51a3, 0x4d4d4d},
                        .low = {0x08306b, 0x2b7bba, 0x9ecae1},
                        .middle = 0xf7f6f3,
                        .high = {0x7f2704, 0xe6550d, 0xfdbe85}},
    [CAP_PLOT_DARK] = {.paper = 0x12161c,
                       .ink = 0xe8ecf1,
                       .muted = 0xa3adba,
                       .grid = 0x333b46,
                       .series = {0x56b4e9, 0xff9a52, 0x3ddc97, 0xe9a3ce, 0xf0d048, 0xa8d8ff,
                                  0xb9a3f0, 0xc8ced6},
                       .low = {0xc6e3ff, 0x4da3e0, 0x1f4e79},
                       .middle = 0x23282f,
                       .high = {0xffe0c2, 0xff8c42, 0x7a3a12}},
    [CAP_PLOT_CONTRAST] = {.paper = 0x000000,
                           .ink = 0xffffff,
                           .muted = 0xffffff,
                           .grid = 0x6b6b6b,
                           .series = {0x66ccff, 0xffb000, 0x00ff99, 0xff9de2, 0xffff66, 0xffffff,
                                      0xc3a6ff, 0xff8a80},
                           .low = {0xd6ecff, 0x3fa9ff, 0x0d4f8b},
                           .middle = 0x000000,
                           .high = {0xffe8cc, 0xff9d00, 0x8a4b00}},
};

static const char *const theme_words[CAP_PLOT_THEME_COUNT] = {"light", "dark", "contrast"};
static const char *const format_words[CAP_PLOT_FORMAT_COUNT] = {"svg", "png", "pdf"};

static int find_word(const char *const *words, int count, const char *word)
{
    int i = 0;

    while (i < count && strcmp(words[i], word) != 0)
        i++;
    return i;
}

const char *cap_plot_format_word(enum cap_plot_format format)
{
    return format_words[format];
}

enum cap_plot_format cap_plot_format_find(const char *word)
{
    return (enum cap_plot_format)find_word(format_words, CAP_PLOT_FORMAT_COUNT, word);
}

const char *cap_plot_theme_word(enum cap_plot_theme theme)
{
    return theme_words[theme];
}

enum cap_plot_theme cap_plot_theme_find(const char *word)
{
    return (enum cap_plot_theme)find_word(theme_words, CAP_PLOT_THEME_COUNT, word);
}

const struct cap_colors *cap_colors_of(enum cap_plot_theme theme)
{
    return &themes[theme];
}

int32_t cap_color_mix(int32_t from, int32_t to, double at)
{
    int32_t out = 0;

    at = fmin(1, fmax(0, at));
    for (int shift = 16; shift >= 0; shift -= 8) {
        double a = (from >> shift) & 255, b = (to >> shift) & 255;

        out |= (int32_t)lround(a + (b - a) * at) << shift;
    }
    return out;
}
