/* table.h — rows of a reply as CSV, in one dialect wherever people get one: the API, the command
 * line, and the page, which does the same in web/src/board/csv.ts.
 *
 * The dialect is RFC 4180 in UTF-8: a header, lines that end in CR LF, quotes where they are
 * needed. A value stands in the unit that the API has (shares from 0 to 1, times as the column's
 * name says); what is unknown is an empty cell. A text that a spreadsheet would take for a formula
 * has an apostrophe in front; numbers never do.
 *
 * A table names the rows' member in the reply's JSON and how each cell is found in a row. Besides
 * the fixed columns a table may have a group: a list in each row (figures, verdicts) whose items
 * become columns named after the item, or those that were asked for. The rows come in pages, from
 * a callback, and are never all in memory as trees: only the text is.
 *
 *     CAP_AUTO_BUF(text, TEXT_BYTES_MAX);
 *     cap_table_write(&cap_board_table, NULL, 0, next_page, &state, &text, err);
 */
#ifndef CAP_WIRE_TABLE_H
#define CAP_WIRE_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct cap_table_column {
    const char *name; /* of a group: what is added to the item's name */
    /* Members of the row (or item), joined by dots: "spec.model"; "marks[].id" is the words of a
     * list, joined by semicolons, and "setting[]" those of a list of words. */
    const char *path;
    const char *unless; /* or NULL: the member whose truth leaves the cell empty */
};

enum { CAP_TABLE_GROUP_COLUMNS_MAX = 8 };

struct cap_table_group {
    const char *list, *key; /* the row's member, and its items' member that names the columns */
    struct cap_table_column columns[CAP_TABLE_GROUP_COLUMNS_MAX]; /* up to one without a name */
};

struct cap_table {
    const char *name; /* of the file: "board" for moecap-board.csv */
    const char *rows; /* the reply's member */
    const struct cap_table_column *columns;
    size_t column_count;
    const struct cap_table_group *group; /* or NULL */
};

extern const struct cap_table cap_board_table; /* of BoardReply */

/* The next reply of a list, which the table releases; the first one again when `first`. NULL after
 * the last, or with err when there was none to get. */
typedef json_t *cap_table_page(void *arg, bool first, struct cap_err *err);

/* Header and rows. With item names the group has these columns, in this order; with none, those
 * that the rows name. Then the rows are read twice, because the header stands before them. */
bool cap_table_write(const struct cap_table *table, char *const *names, size_t name_count,
                     cap_table_page *page, void *arg, struct cap_buf *out, struct cap_err *err);

#endif
