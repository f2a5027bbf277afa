/* copy.h — lines for COPY … FROM STDIN in its text format, built in a bounded buffer.
 *
 * One call a column, in the order of the COPY statement's list, then store_copy_end_row. Whatever
 * bytes come in, what goes out is UTF-8 without U+0000, as PostgreSQL wants its text: bytes that do
 * not fit are written as "<0xNN>", the notation of byte tokens (store_text_add does the same
 * without COPY's escapes). Nothing fails until the end: ask `lines.overflowed` once.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "types.h"

struct store_copy {
    struct cap_buf lines;
    bool row_begun;
};

void store_copy_init(struct store_copy *copy, size_t bytes_max);
void store_copy_done(struct store_copy *copy);
#define STORE_AUTO_COPY(name, max)                                                                 \
    __attribute__((cleanup(store_copy_done))) struct store_copy name;                              \
    store_copy_init(&name, max)

void store_copy_text(struct store_copy *copy, const char *text, size_t length);
void store_copy_str(struct store_copy *copy, const char *text); /* NULL counts as "" */
void store_copy_int(struct store_copy *copy, int64_t value);
void store_copy_uint(struct store_copy *copy, uint64_t value);
void store_copy_opt_int(struct store_copy *copy, struct store_opt_int value);
void store_copy_real(struct store_copy *copy, double value);
void store_copy_opt_real(struct store_copy *copy, struct store_opt_real value);
void store_copy_bool(struct store_copy *copy, bool value);
void store_copy_null(struct store_copy *copy);
void store_copy_bytes(struct store_copy *copy, struct store_bytes bytes); /* none: NULL */
/* Arrays. */
void store_copy_u32s(struct store_copy *copy, const uint32_t *items, size_t count);
void store_copy_u64s(struct store_copy *copy, const uint64_t *items, size_t count);
void store_copy_reals(struct store_copy *copy, const double *items, size_t count);
void store_copy_end_row(struct store_copy *copy);

/* ---- the rule for texts, by itself ---- */

/* Nothing of it needs a stand-in. */
bool store_text_fits(const char *text, size_t length);
/* `text` itself if it fits, else a copy with stand-ins in the arena; NULL when that is full. */
const char *store_text_fit(struct cap_arena *arena, const char *text);
/* The array literal "{1,2}" as a statement's parameter; NULL when the arena is full. */
const char *store_u32s_literal(struct cap_arena *arena, const uint32_t *items, size_t count);

#endif
