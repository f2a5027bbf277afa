/* What people read. A table is measured before it is printed, so that its columns are as wide as
 * their cells, counted in characters; for a narrow terminal it drops the columns that matter least.
 * Every text goes through base/plain.h, because names and messages come from others. */
#include "out.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/plain.h"
#include "base/utf8.h"

enum { CELL_BYTES_MAX = 4096, WIDTH_DEFAULT = 100, HEIGHT_DEFAULT = 24, COLUMNS_MAX = 32, GAP = 2 };

/* ---- text ---- */

void cli_say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    cap_plain_vline(stdout, fmt, args);
    va_end(args);
}

void cli_warn(const char *fmt, ...)
{
    CAP_AUTO_MEM char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    cap_plain_line(stderr, "warning: %s", text);
}

void cli_say_lines(const char *text)
{
    for (size_t length; *text; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        cli_say("%.*s", (int)length, text);
    }
}

static void add_padding(struct cap_buf *out, size_t count)
{
    while (count-- > 0)
        cap_buf_add_char(out, ' ');
}

static unsigned add_characters(struct cap_buf *out, const char *text, unsigned width)
{
    for (; *text && width > 0; text++) {
        cap_buf_add_char(out, *text);
        width -= ((unsigned char)text[1] & 0xc0) != 0x80;
    }
    return width;
}

void cli_add_clipped(struct cap_buf *out, const char *text, unsigned width)
{
    add_characters(out, text, width);
}

void cli_add_padded(struct cap_buf *out, const char *text, unsigned width)
{
    add_padding(out, add_characters(out, text, width));
}

/* ---- tables ---- */

void cli_table_init(struct cli_table_out *table, size_t columns, unsigned right)
{
    assert(columns <= COLUMNS_MAX);
    *table = (struct cli_table_out){.columns = columns, .right = right};
}

void cli_table_add(struct cli_table_out *table, const char *cell)
{
    struct cap_buf plain;

    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = realloc(table->cells, table->capacity * sizeof *table->cells);
        if (!table->cells)
            abort();
    }
    cap_buf_init(&plain, CELL_BYTES_MAX);
    cap_plain_add(&plain, cell);
    table->cells[table->count++] = strdup(plain.data);
    if (!table->cells[table->count - 1])
        abort();
    cap_buf_done(&plain);
}

void cli_table_addf(struct cli_table_out *table, const char *fmt, ...)
{
    CAP_AUTO_BUF(cell, CELL_BYTES_MAX);
    va_list args;

    va_start(args, fmt);
    cap_buf_vprintf(&cell, fmt, args);
    va_end(args);
    cli_table_add(table, cell.data);
}

static void measure(const struct cli_table_out *table, size_t widths[COLUMNS_MAX])
{
    memset(widths, 0, COLUMNS_MAX * sizeof *widths);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = cap_utf8_count(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
}

static bool is_dropped(const struct cli_table_out *table, size_t column)
{
    return table->dropped >> column & 1;
}

size_t cli_table_fit(struct cli_table_out *table, unsigned width, const size_t *order, size_t count)
{
    size_t widths[COLUMNS_MAX], total = 0, dropped = 0;

    measure(table, widths);
    for (size_t c = 0; c < table->columns; c++)
        total += is_dropped(table, c) ? 0 : widths[c] + GAP;
    while (width > 0 && total > width + GAP && dropped < count) {
        size_t column = order[dropped++];

        total -= widths[column] + GAP;
        table->dropped |= 1u << column;
    }
    return dropped;
}

static void print_row(const struct cli_table_out *table, size_t row, const size_t *widths,
                      struct cap_buf *out)
{
    size_t pending = 0; /* blanks that a later cell needs: lines do not end in them */

    for (size_t c = 0; c < table->columns; c++) {
        const char *cell = table->cells[row * table->columns + c];
        size_t padding = widths[c] - cap_utf8_count(cell);
        bool right = table->right >> c & 1;

        if (is_dropped(table, c))
            continue;
        if (right)
            pending += padding;
        if (*cell)
            add_padding(out, pending);
        cap_buf_add_str(out, cell);
        pending = (*cell ? 0 : pending) + (right ? 0 : padding) + GAP;
    }
    cap_buf_add_char(out, '\n');
}

void cli_table_print(const struct cli_table_out *table, struct cap_buf *out)
{
    size_t widths[COLUMNS_MAX];

    measure(table, widths);
    for (size_t row = 0; row < table->count / table->columns; row++)
        print_row(table, row, widths, out);
}

void cli_table_done(struct cli_table_out *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct cli_table_out){0};
}

void cli_bar(struct cap_buf *out, unsigned width, double done, double total)
{
    unsigned filled = total > 0 ? (unsigned)(done / total * width) : 0;

    for (unsigned i = 0; i < width; i++)
        cap_buf_add_char(out, i < filled ? '#' : '-');
}

void cli_duration(struct cap_buf *out, double seconds)
{
    long s = seconds < 0 ? 0 : (long)(seconds + 0.5);

    if (s < 60)
        cap_buf_printf(out, "%ld s", s);
    else if (s < 3600)
        cap_buf_printf(out, "%ld min %02ld s", s / 60, s % 60);
    else
        cap_buf_printf(out, "%ld h %02ld min", s / 3600, s % 3600 / 60);
}

bool cli_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

unsigned cli_terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_DEFAULT;
}

unsigned cli_terminal_height(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2)
        return size.ws_row;
    return HEIGHT_DEFAULT;
}

void cli_print_csv(const char *text)
{
    if (!cli_is_terminal()) {
        fputs(text, stdout);
        return;
    }
    for (size_t length; *text; text += length + strspn(text + length, "\r\n")) {
        length = strcspn(text, "\r\n");
        cli_say("%.*s", (int)length, text);
    }
}

void cli_write_json(FILE *out, const json_t *json)
{
    CAP_AUTO_MEM char *text = json_dumps(json, JSON_COMPACT);

    if (!text)
        abort();
    cap_plain_json(out, text);
    putc('\n', out);
}

void cli_print_json(json_t *json)
{
    cli_write_json(stdout, json);
    json_decref(json);
}
