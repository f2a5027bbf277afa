/* row_map.h — where the rows of tables and the messages of the wire meet, and the only place.
 *
 * row_map.def has one map for each table: which column is which field, what kind of value it is and
 * what NULL means. From it come the lists of columns in statements, the lines of COPY and, with
 * protobuf-c's descriptors, the messages that a SELECT answers. A new field of a message is a row
 * of that file: docs/adding-a-field.md.
 *
 * In a statement braces stand for a map's columns (store_pg_ask and store_pg_copy fill them in):
 *
 *     COPY verdict (run_no, {verdict}) FROM STDIN      as they are written
 *     SELECT {verdict v} FROM verdict v                as they are read, from the alias v
 *     SELECT {answer.base s answer.} FROM sample s     one part, into the sub-message `answer`
 *
 * What is read is bound by name: a column of the result is the field of that name
 * ("timing.ended_us" lies in a sub-message, which is there once a column of it is not NULL). So any
 * statement may add fields by `AS field`. Columns that begin with "_" are for the statement's own
 * code.
 */
#ifndef STORE_ROW_MAP_H
#define STORE_ROW_MAP_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "pg.h"

enum store_map {
#define MAP(name, table) STORE_MAP_##name,
#define COLUMN(...)
#include "row_map.def"
#undef MAP
#undef COLUMN
    STORE_MAP_COUNT
};

/* ---- messages to rows ---- */

/* Messages of one type that become rows of one COPY: each line has `keys`, the message's number
 * from 0 if `numbered`, then the columns of `map`. */
struct store_map_rows {
    enum store_map map;
    const void *messages; /* protobuf-c's array of pointers to `count` of them */
    size_t count;
    const int64_t *keys;
    size_t key_count;
    bool numbered;
};
/* `sql` is COPY … FROM STDIN. INVALID_ARGUMENT past bytes_max; nothing is sent for no messages. */
bool store_map_copy(struct store_conn *conn, const char *sql, const struct store_map_rows *rows,
                    size_t bytes_max, struct cap_err *err);

/* ---- rows to messages ---- */

/* Where a list ends before its rows do: after rows_max of them, or when what was read takes more
 * than bytes_max of the arena, row_bytes for each row counted as well. One row is always read. */
struct store_cut {
    size_t rows_max, bytes_max, row_bytes;
    bool more; /* out: rows were left over */
};

/* One row into a message that was initialised. What is NULL stays as it is. */
bool store_row_fill(const struct store_rows *rows, size_t row, ProtobufCMessage *message,
                    struct cap_arena *arena, struct cap_err *err);
/* All rows, or up to `cut`, as protobuf-c's array of pointers to new messages; never NULL but on
 * failure. `cut` may be NULL. */
void *store_rows_list(const struct store_rows *rows, const ProtobufCMessageDescriptor *type,
                      struct store_cut *cut, struct cap_arena *arena, size_t *out_count,
                      struct cap_err *err);

/* A message as bytes in the arena; data NULL when that is full. */
struct store_bytes store_packed(const ProtobufCMessage *message, struct cap_arena *arena);

/* ---- for pg.c and tests ---- */

/* `sql` with its braces filled in. */
void store_map_expand(const char *sql, struct cap_buf *out);

struct store_column {
    const char *column, *field; /* column NULL: a map begins, `field` is its table */
    enum {
        STORE_KIND_INT,
        STORE_KIND_REAL,
        STORE_KIND_BOOL,
        STORE_KIND_TEXT,
        STORE_KIND_WORD,
        STORE_KIND_COMPLETED,
        STORE_KIND_PACKED,
        STORE_KIND_LIST,
        STORE_KIND_LINES,
        STORE_KIND_TIME,
        STORE_KIND_MARK,
    } kind;
    enum { STORE_NULL_REQUIRED, STORE_NULL_OPTIONAL } null;
    const char *part;
};
/* The columns of a map and its table. */
const struct store_column *store_map_columns(enum store_map map, size_t *out_count,
                                             const char **out_table);

#endif
