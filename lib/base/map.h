/* map.h — a hash map from strings to pointers. Keys are copied; values stay the caller's.
 *
 * Not thread-safe. Iteration follows insertion order while nothing is removed:
 *
 *     for (size_t i = 0; i < cap_map_count(map); i++)
 *         use(cap_map_key_at(map, i), cap_map_value_at(map, i));
 */
#ifndef CAP_MAP_H
#define CAP_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"

struct cap_map;

struct cap_map *cap_map_new(void);
void cap_map_free(struct cap_map *map); /* values are not freed */
CAP_DEFINE_AUTO(cap_map)

/* Returns the value that was there before, or NULL. `value` must not be NULL. */
void *cap_map_put(struct cap_map *map, const char *key, void *value);
void *cap_map_get(const struct cap_map *map, const char *key);
/* Key of `length` bytes, need not be NUL-terminated. */
void *cap_map_get_n(const struct cap_map *map, const char *key, size_t length);
void *cap_map_put_n(struct cap_map *map, const char *key, size_t length, void *value);
/* Removes and returns the value, or NULL; the last entry takes the removed one's index. */
void *cap_map_remove(struct cap_map *map, const char *key);

size_t cap_map_count(const struct cap_map *map);
const char *cap_map_key_at(const struct cap_map *map, size_t index);
void *cap_map_value_at(const struct cap_map *map, size_t index);

#endif
