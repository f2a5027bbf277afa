/* table.h — a page of rows for people's tools: JSON as the service answers it, or CSV.
 *
 * A table names the rows' member in the reply's JSON and how each cell is found in a row. Besides
 * the fixed columns a table may have groups: lists in each row (figures, verdicts) whose items
 * become columns named after the item. CSV is RFC 4180 in UTF-8: a header, lines ending in CR LF.
 * What is unknown is an empty cell. A text that a spreadsheet would take for a formula (it begins
 * with = + - @, a tab or a carriage return) has an apostrophe in front; numbers never do.
 */
#ifndef GATE_TABLE_H
#define GATE_TABLE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "http/server.h"

struct gate_column {
    const char *name;   /* of a group: what is added to the item's name */
    const char *path;   /* members of the row (or item), joined by dots: "spec.model" */
    const char *unless; /* or NULL: the member whose truth leaves the cell empty */
};

enum { GATE_GROUP_COLUMNS_MAX = 8 };

struct gate_group {
    const char *list, *key; /* the row's member, and its items' member that names the columns */
    struct gate_column columns[GATE_GROUP_COLUMNS_MAX]; /* up to the first without a name */
};

struct gate_table {
    const char *name; /* of the file: "board" for moecap-board.csv */
    const char *rows; /* the reply's member */
    const struct gate_column *columns;
    size_t column_count;
    const struct gate_group *group; /* or NULL */
};

/* `wanted`: the group's items, separated by semicolons, or "" for those that the rows have. */
void gate_table_csv(const struct gate_table *table, const json_t *reply, const char *wanted,
                    struct cap_buf *out);

/* JSON, or CSV when the query says format=csv; with a Link to the next page when the reply has a
 * next_after. Sets ETag and answers 304 where it can. */
void gate_reply_table(struct cap_http_request *http, const struct gate_table *table,
                      const char *wanted, const ProtobufCMessage *reply);

#endif
