/* arena.h — memory that dies together: everything made while answering one call.
 *
 * An arena has a byte limit. Past it, allocation returns NULL; a caller checks for that wherever a
 * peer decides a size. Not thread-safe: an arena has one user at a time. Nothing is freed singly.
 */
#ifndef CAP_ARENA_H
#define CAP_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/auto.h"

struct cap_arena;

struct cap_arena *cap_arena_new(size_t bytes_max);
void cap_arena_free(struct cap_arena *arena);
CAP_DEFINE_AUTO(cap_arena)

/* Drops every allocation but keeps one block for the next use. */
void cap_arena_reset(struct cap_arena *arena);

/* Zeroed, aligned to 16 bytes; NULL past the limit. */
void *cap_arena_alloc(struct cap_arena *arena, size_t bytes);
/* count * size without overflow; NULL past the limit. */
void *cap_arena_array(struct cap_arena *arena, size_t count, size_t size);
char *cap_arena_strdup(struct cap_arena *arena, const char *text);
char *cap_arena_strndup(struct cap_arena *arena, const char *text, size_t length);
char *cap_arena_printf(struct cap_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
char *cap_arena_vprintf(struct cap_arena *arena, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

size_t cap_arena_used(const struct cap_arena *arena);

#endif
