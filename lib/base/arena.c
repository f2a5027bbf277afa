/* An arena is a list of blocks; the first one is being filled. Blocks grow with the arena up to 1
 * MiB, so that large arenas have few, and a request above that gets one of its own size. The limit
 * counts what was asked for, not what the blocks hold: the same requests meet it at the same place.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES_MIN = 4096, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t size;
    size_t used;
    alignas(ALIGNMENT) unsigned char data[];
};

struct cap_arena {
    struct block *blocks; /* the first one is being filled */
    size_t bytes_max;
    size_t used;
};

struct cap_arena *cap_arena_new(size_t bytes_max)
{
    struct cap_arena *arena = calloc(1, sizeof *arena);

    if (!arena)
        abort();
    arena->bytes_max = bytes_max;
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
}

void cap_arena_free(struct cap_arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->blocks);
    free(arena);
}

void cap_arena_reset(struct cap_arena *arena)
{
    arena->used = 0;
    if (!arena->blocks)
        return;
    free_blocks(arena->blocks->next);
    arena->blocks->next = NULL;
    arena->blocks->used = 0;
}

/* A block that holds at least `bytes`; grows with the arena so that large ones have few blocks. */
static struct block *push_block(struct cap_arena *arena, size_t bytes)
{
    size_t size = arena->used > BLOCK_BYTES_MIN ? arena->used : BLOCK_BYTES_MIN;
    struct block *block;

    if (size > 1 << 20)
        size = 1 << 20;
    if (size < bytes)
        size = bytes;
    block = malloc(sizeof *block + size);
    if (!block)
        abort();
    block->next = arena->blocks;
    block->size = size;
    block->used = 0;
    arena->blocks = block;
    return block;
}

void *cap_arena_alloc(struct cap_arena *arena, size_t bytes)
{
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct block *block = arena->blocks;
    void *data;

    if (rounded < bytes || rounded > arena->bytes_max - arena->used)
        return NULL;
    if (!block || block->size - block->used < rounded)
        block = push_block(arena, rounded);
    data = block->data + block->used;
    block->used += rounded;
    arena->used += rounded;
    return memset(data, 0, bytes);
}

void *cap_arena_array(struct cap_arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return cap_arena_alloc(arena, bytes);
}

char *cap_arena_strndup(struct cap_arena *arena, const char *text, size_t length)
{
    char *copy = length == SIZE_MAX ? NULL : cap_arena_alloc(arena, length + 1);

    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *cap_arena_strdup(struct cap_arena *arena, const char *text)
{
    return cap_arena_strndup(arena, text, strlen(text));
}

char *cap_arena_vprintf(struct cap_arena *arena, const char *fmt, va_list args)
{
    va_list again;
    char *text;
    int length;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (length < 0)
        return NULL;
    text = cap_arena_alloc(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, fmt, args);
    return text;
}

char *cap_arena_printf(struct cap_arena *arena, const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    text = cap_arena_vprintf(arena, fmt, args);
    va_end(args);
    return text;
}

size_t cap_arena_used(const struct cap_arena *arena)
{
    return arena->used;
}
