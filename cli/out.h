/* out.h — what people read: tables that fit the terminal, bars, JSON from messages. One thread. */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "wire/json.h"

/* A table that is measured before it is printed. Cells are copied, without control characters. */
struct cli_table_out {
    char **cells;
    size_t columns, count, capacity;
    unsigned right;   /* bit i: column i is a number, set to the right */
    unsigned dropped; /* bit i: column i is not printed */
};

void cli_table_init(struct cli_table_out *table, size_t columns, unsigned right);
void cli_table_add(struct cli_table_out *table, const char *cell);
void cli_table_addf(struct cli_table_out *table, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the columns of `order` one by one (their indexes, the least important first) until the
 * table fits into `width`; 0 = any width. Returns how many it dropped. */
size_t cli_table_fit(struct cli_table_out *table, unsigned width, const size_t *order,
                     size_t count);
/* The first row is the heading. */
void cli_table_print(const struct cli_table_out *table, struct cap_buf *out);
void cli_table_done(struct cli_table_out *table);

/* A line on stdout, through base/plain.h: names and messages come from others. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "warning: ..." on stderr, so. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Text of several lines, each so. */
void cli_say_lines(const char *text);
/* The first `width` characters of `text`; _padded: followed by blanks up to `width`. */
void cli_add_clipped(struct cap_buf *out, const char *text, unsigned width);
void cli_add_padded(struct cap_buf *out, const char *text, unsigned width);

/* "####----" of `width` characters for done of total. */
void cli_bar(struct cap_buf *out, unsigned width, double done, double total);
/* "3 s", "4 min 10 s", "2 h 05 min" */
void cli_duration(struct cap_buf *out, double seconds);

/* One line: JSON in which nothing acts on a terminal. */
void cli_write_json(FILE *out, const json_t *json);
/* The same on stdout. Takes the reference. */
void cli_print_json(json_t *json);

enum { CLI_CSV_BYTES_MAX = 1 << 30 };

/* A table as cap_table_write made it: into a file as it is, on a terminal harmless. */
void cli_print_csv(const char *text);

bool cli_is_terminal(void);
unsigned cli_terminal_width(void);
unsigned cli_terminal_height(void);

#endif
