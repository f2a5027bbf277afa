/* rows.h — what a statement answered: rows and columns, read by type.
 *
 * Columns are counted from 0 in the order of the SELECT. Reading the wrong type is a mistake of
 * ours and asserts; a NULL is 0, "" or empty: ask store_rows_null first where it matters. Texts are
 * borrowed until the rows are freed; what takes an arena is copied and is NULL past its limit.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "types.h"

struct store_rows;
struct pg_result;

struct store_rows *store_rows_new(struct pg_result *result); /* takes it */
void store_rows_free(struct store_rows *rows);
CAP_DEFINE_AUTO(store_rows)

size_t store_rows_count(const struct store_rows *rows);
size_t store_rows_changed(const struct store_rows *rows); /* by INSERT, UPDATE, DELETE */

bool store_rows_null(const struct store_rows *rows, size_t row, int column);
const char *store_rows_text(const struct store_rows *rows, size_t row, int column);
int64_t store_rows_int(const struct store_rows *rows, size_t row, int column);
uint32_t store_rows_u32(const struct store_rows *rows, size_t row, int column);
double store_rows_real(const struct store_rows *rows, size_t row, int column);
bool store_rows_bool(const struct store_rows *rows, size_t row, int column);

struct store_opt_int store_rows_opt_int(const struct store_rows *rows, size_t row, int column);
struct store_opt_real store_rows_opt_real(const struct store_rows *rows, size_t row, int column);

/* Copies. False when the arena is full; text and bytes then are NULL. */
char *store_rows_text_copy(const struct store_rows *rows, size_t row, int column,
                           struct cap_arena *arena);
bool store_rows_bytes(const struct store_rows *rows, size_t row, int column,
                      struct cap_arena *arena, struct store_bytes *out_bytes);
/* Arrays of integers that are not negative, and of reals. */
bool store_rows_u32s(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_u32s *out_items);
bool store_rows_u64s(const struct store_rows *rows, size_t row, int column, struct cap_arena *arena,
                     struct store_u64s *out_items);
bool store_rows_reals(const struct store_rows *rows, size_t row, int column,
                      struct cap_arena *arena, struct store_reals *out_items);

#endif
