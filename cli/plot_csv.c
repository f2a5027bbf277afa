/* The counts of experts: a heading with a column for each expert, then a row of numbers for each
 * layer. Two walks: one counts, the other reads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot_read.h"

static size_t count_commas(const char *line)
{
    size_t count = 0;

    for (; *line && *line != '\n'; line++)
        count += *line == ',';
    return count;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end ? end + 1 : line + strlen(line);
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \r\t")] == '\n' || line[strspn(line, " \r\t")] == '\0';
}

/* A number and what ends it: a comma, or the line's end after the last. */
static bool read_cell(const char **at, bool last, double *out)
{
    char *end;

    *at += strspn(*at, " \t");
    if (!strchr("+.0123456789", **at) || !**at) /* strtod would go on into the next line */
        return false;
    *out = strtod(*at, &end);
    if (end == *at || !isfinite(*out) || *out < 0)
        return false;
    end += strspn(end, " \r\t");
    if (last ? *end != '\n' && *end != '\0' : *end != ',')
        return false;
    *at = end + (*end != '\0');
    return true;
}

static bool read_row(const char *line, size_t number, size_t experts, double *row,
                     struct cap_err *err)
{
    for (size_t i = 0; i <= experts; i++)
        if (!read_cell(&line, i == experts, &row[i]))
            return cap_fail(err, CAP_INVALID_ARGUMENT,
                            "line %zu: value %zu of %zu is missing or is not a count", number,
                            i + 1, experts + 1);
    return true;
}

static bool read_rows(const char *text, size_t rows, size_t experts, struct cap_arena *arena,
                      struct cap_heatmap *out, struct cap_err *err)
{
    double *layers = cap_arena_array(arena, rows, sizeof *layers);
    double *counts = cap_arena_array(arena, rows * experts, sizeof *counts);
    double *row = cap_arena_array(arena, experts + 1, sizeof *row);
    size_t layer = 0, number = 1;

    if (!layers || !counts || !row)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the file is too large to be drawn");
    for (const char *line = text; *line; line = next_line(line), number++) {
        if (number == 1 || is_blank(line))
            continue;
        if (!read_row(line, number, experts, row, err))
            return false;
        layers[layer] = row[0];
        memcpy(&counts[layer++ * experts], row + 1, experts * sizeof *row);
    }
    out->layer_count = rows;
    out->expert_count = experts;
    out->layers = layers;
    out->counts = counts;
    return true;
}

bool cli_plot_read_heatmap(const char *text, struct cap_arena *arena, struct cap_heatmap *out,
                           struct cap_err *err)
{
    size_t experts = count_commas(text), rows = 0;

    if (strncmp(text, "layer_id,", 9) != 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "line 1 is not \"layer_id,expert_0,...\", the heading of expert counts");
    for (const char *line = next_line(text); *line; line = next_line(line))
        rows += !is_blank(line);
    if (rows == 0)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "the file has no layer");
    if (rows > CAP_HEATMAP_LAYERS_MAX || experts > CAP_HEATMAP_EXPERTS_MAX ||
        rows * experts > CAP_HEATMAP_CELLS_MAX)
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "%zu layers x %zu experts is more than can be drawn (%d, %d, %d cells)",
                        rows, experts, CAP_HEATMAP_LAYERS_MAX, CAP_HEATMAP_EXPERTS_MAX,
                        CAP_HEATMAP_CELLS_MAX);
    return read_rows(text, rows, experts, arena, out, err);
}
