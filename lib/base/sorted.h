/* sorted.h — pointers kept in an order of the caller's, for many that come and go.
 *
 * Putting, removing, and finding the first, the next or how many come before take O(log n)
 * comparisons on average, whatever the order in which items come. Items stay the caller's, must not
 * change their place in the order while they are in, and no two may compare as equal. Not
 * thread-safe.
 *
 *     struct cap_sorted *waiting = cap_sorted_new(by_time);
 *     cap_sorted_put(waiting, run);
 *     for (run = cap_sorted_after(waiting, NULL); run; run = cap_sorted_after(waiting, run))
 *         use(run);
 *
 * It is a treap: a search tree by the order, and a heap by random numbers, which keep it shallow.
 */
#ifndef CAP_SORTED_H
#define CAP_SORTED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"

struct cap_sorted;

/* Below 0: a comes first; 0: they are the same item. */
struct cap_sorted *cap_sorted_new(int (*compare)(const void *a, const void *b));
void cap_sorted_free(struct cap_sorted *sorted); /* items are not freed */
CAP_DEFINE_AUTO(cap_sorted)

void cap_sorted_put(struct cap_sorted *sorted, void *item);
/* False when it was not in. */
bool cap_sorted_remove(struct cap_sorted *sorted, const void *item);
size_t cap_sorted_count(const struct cap_sorted *sorted);
/* The first item after `key`, which need not be in; of all when key is NULL. NULL: none. */
void *cap_sorted_after(const struct cap_sorted *sorted, const void *key);
/* How many items `before` holds for; it holds for a first part of them and not for the rest. */
size_t cap_sorted_count_while(const struct cap_sorted *sorted,
                              bool (*before)(const void *item, const void *arg), const void *arg);

#endif
