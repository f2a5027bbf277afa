/* text.h — texts as Python's str sees them: code points, Unicode white space, full case mapping.
 *
 * Graders must agree with reference graders written in Python, so these are Python's rules, not C's
 * and not POSIX's (docs/graders.md). A text is a slice of valid UTF-8 that may hold U+0000; code
 * that takes bytes from outside calls eval_text_valid first. Results are borrowed from their input
 * or live in the arena; where the arena is full they are EVAL_TEXT_NONE. Any thread.
 *
 *     struct eval_text t = eval_text_valid(arena, bytes, length);
 *     t = eval_text_strip(t);
 */
#ifndef EVAL_TEXT_H
#define EVAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct eval_text {
    const char *data; /* NULL: there is none (full arena), see EVAL_TEXT_NONE */
    size_t length;
};

#define EVAL_TEXT_NONE ((struct eval_text){NULL, 0})

struct eval_text eval_text_of(const char *c_string);
/* A copy with every byte that is not UTF-8 replaced by U+FFFD; the input itself when all is well.
 */
struct eval_text eval_text_valid(struct cap_arena *arena, const char *data, size_t length);
/* With a NUL after it. */
const char *eval_text_c(struct cap_arena *arena, struct eval_text text);

bool eval_text_equal(struct eval_text a, struct eval_text b);
/* Byte offset of the first occurrence, or text.length + 1. An empty needle is never found. */
size_t eval_text_find(struct eval_text text, struct eval_text needle);
size_t eval_text_find_last(struct eval_text text, struct eval_text needle);

/* str.strip(), str.lstrip() without arguments. */
struct eval_text eval_text_strip(struct eval_text text);
struct eval_text eval_text_strip_left(struct eval_text text);
/* numpy's string arrays drop these. */
struct eval_text eval_text_strip_nuls(struct eval_text text);
/* str.lower(), str.upper(): full mappings, final sigma included. */
struct eval_text eval_text_lower(struct cap_arena *arena, struct eval_text text);
struct eval_text eval_text_upper(struct cap_arena *arena, struct eval_text text);
/* Without the 32 marks of string.punctuation. */
struct eval_text eval_text_drop_ascii_punctuation(struct cap_arena *arena, struct eval_text text);
/* Without every character of a category P*. */
struct eval_text eval_text_drop_punctuation(struct cap_arena *arena, struct eval_text text);
/* Without 0 to 9. */
struct eval_text eval_text_drop_digits(struct cap_arena *arena, struct eval_text text);
/* len(): code points. */
size_t eval_text_count(struct eval_text text);
/* text[:count]. */
struct eval_text eval_text_first(struct eval_text text, size_t count);
/* str.isdigit() for ASCII digits, not empty. */
bool eval_text_is_number(struct eval_text text);

#endif
