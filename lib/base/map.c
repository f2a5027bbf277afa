/* A hash map with its entries in a dense array, in the order of insertion, and a table of slots
 * that points into it: iteration is a loop over an array, and removing moves the last entry into
 * the hole. */
#include "base/map.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Entries lie densely in insertion order; `slots` is an open-addressing table of entry index + 1,
 * at most half full, with its size a power of two. */
struct entry {
    char *key;
    size_t length;
    uint64_t hash;
    void *value;
};

struct cap_map {
    struct entry *entries;
    size_t count, capacity;
    uint32_t *slots;
    size_t slot_count;
};

/* FNV-1a: short keys, and nothing here is chosen by a stranger in bulk. */
static uint64_t hash_bytes(const char *key, size_t length)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
    return hash ^ (hash >> 29);
}

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct cap_map *cap_map_new(void)
{
    return must(calloc(1, sizeof(struct cap_map)));
}

void cap_map_free(struct cap_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->count; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map->slots);
    free(map);
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t find_slot(const struct cap_map *map, const char *key, size_t length, uint64_t hash)
{
    size_t slot = hash & (map->slot_count - 1);

    while (map->slots[slot]) {
        const struct entry *entry = &map->entries[map->slots[slot] - 1];

        if (entry->hash == hash && entry->length == length && memcmp(entry->key, key, length) == 0)
            break;
        slot = (slot + 1) & (map->slot_count - 1);
    }
    return slot;
}

static void rebuild_slots(struct cap_map *map, size_t slot_count)
{
    free(map->slots);
    map->slots = must(calloc(slot_count, sizeof *map->slots));
    map->slot_count = slot_count;
    for (size_t i = 0; i < map->count; i++) {
        const struct entry *entry = &map->entries[i];

        map->slots[find_slot(map, entry->key, entry->length, entry->hash)] = (uint32_t)i + 1;
    }
}

static void append_entry(struct cap_map *map, const char *key, size_t length, uint64_t hash,
                         void *value)
{
    char *copy = must(malloc(length + 1));

    if (map->count == map->capacity) {
        map->capacity = map->capacity ? map->capacity * 2 : 8;
        map->entries = must(realloc(map->entries, map->capacity * sizeof *map->entries));
    }
    memcpy(copy, key, length);
    copy[length] = '\0';
    map->entries[map->count++] = (struct entry){copy, length, hash, value};
}

void *cap_map_put_n(struct cap_map *map, const char *key, size_t length, void *value)
{
    uint64_t hash = hash_bytes(key, length);
    size_t slot;

    assert(value);
    if ((map->count + 1) * 2 > map->slot_count)
        rebuild_slots(map, map->slot_count ? map->slot_count * 2 : 16);
    slot = find_slot(map, key, length, hash);
    if (map->slots[slot]) {
        struct entry *entry = &map->entries[map->slots[slot] - 1];
        void *old = entry->value;

        entry->value = value;
        return old;
    }
    append_entry(map, key, length, hash, value);
    map->slots[slot] = (uint32_t)map->count;
    return NULL;
}

void *cap_map_put(struct cap_map *map, const char *key, void *value)
{
    return cap_map_put_n(map, key, strlen(key), value);
}

void *cap_map_get_n(const struct cap_map *map, const char *key, size_t length)
{
    size_t slot;

    if (map->count == 0)
        return NULL;
    slot = find_slot(map, key, length, hash_bytes(key, length));
    return map->slots[slot] ? map->entries[map->slots[slot] - 1].value : NULL;
}

void *cap_map_get(const struct cap_map *map, const char *key)
{
    return cap_map_get_n(map, key, strlen(key));
}

/* An empty slot in the middle of a run would hide what comes after it: an entry that may lie in the
 * gap moves there, which makes a gap where it was. A key may not lie before its home. */
static void close_gap(struct cap_map *map, size_t gap)
{
    size_t mask = map->slot_count - 1;

    for (size_t at = (gap + 1) & mask; map->slots[at]; at = (at + 1) & mask) {
        size_t home = map->entries[map->slots[at] - 1].hash & mask;

        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        map->slots[gap] = map->slots[at];
        gap = at;
    }
    map->slots[gap] = 0;
}

/* The last entry goes where `index` was, so that entries stay dense. */
static void fill_place(struct cap_map *map, size_t index)
{
    const struct entry *last = &map->entries[map->count - 1];

    if (index != map->count - 1)
        map->slots[find_slot(map, last->key, last->length, last->hash)] = (uint32_t)index + 1;
    map->entries[index] = *last;
    map->count--;
}

void *cap_map_remove(struct cap_map *map, const char *key)
{
    size_t length = strlen(key), slot, index;
    char *removed;
    void *value;

    if (map->count == 0)
        return NULL;
    slot = find_slot(map, key, length, hash_bytes(key, length));
    if (!map->slots[slot])
        return NULL;
    index = map->slots[slot] - 1;
    value = map->entries[index].value;
    removed = map->entries[index].key;
    close_gap(map, slot);
    fill_place(map, index);
    free(removed);
    return value;
}

size_t cap_map_count(const struct cap_map *map)
{
    return map->count;
}

const char *cap_map_key_at(const struct cap_map *map, size_t index)
{
    assert(index < map->count);
    return map->entries[index].key;
}

void *cap_map_value_at(const struct cap_map *map, size_t index)
{
    assert(index < map->count);
    return map->entries[index].value;
}
