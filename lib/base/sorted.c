/* A treap: a search tree by the caller's order, and a heap by random weights, which keep it shallow
 * whatever the order in which items come. Each node counts its part, so that "how many come before"
 * needs one way down. Weights come from a fixed seed, so that a test can be played again. */
#include "base/sorted.h"

#include <assert.h>
#include <stdlib.h>

#include "base/rand.h"

struct node {
    void *item;
    uint64_t weight; /* above every weight below it */
    size_t count;    /* of the items in this part */
    struct node *left, *right;
};

struct cap_sorted {
    int (*compare)(const void *a, const void *b);
    struct node *root;
    struct cap_rand rand;
};

static size_t count_of(const struct node *node)
{
    return node ? node->count : 0;
}

static void recount(struct node *node)
{
    node->count = 1 + count_of(node->left) + count_of(node->right);
}

struct cap_sorted *cap_sorted_new(int (*compare)(const void *a, const void *b))
{
    struct cap_sorted *sorted = calloc(1, sizeof *sorted);

    if (!sorted)
        abort();
    sorted->compare = compare;
    cap_rand_seed(&sorted->rand, 1); /* the same shape every time: a test can be played again */
    return sorted;
}

static void free_part(struct node *node)
{
    if (!node)
        return;
    free_part(node->left);
    free_part(node->right);
    free(node);
}

void cap_sorted_free(struct cap_sorted *sorted)
{
    if (!sorted)
        return;
    free_part(sorted->root);
    free(sorted);
}

/* Everything in `left` comes before everything in `right`. */
static struct node *join(struct node *left, struct node *right)
{
    if (!left || !right)
        return left ? left : right;
    if (left->weight > right->weight) {
        left->right = join(left->right, right);
        recount(left);
        return left;
    }
    right->left = join(left, right->left);
    recount(right);
    return right;
}

/* What comes before the item, and the rest. */
static void split(const struct cap_sorted *sorted, struct node *node, const void *item,
                  struct node **out_left, struct node **out_right)
{
    if (!node) {
        *out_left = *out_right = NULL;
    } else if (sorted->compare(node->item, item) < 0) {
        split(sorted, node->right, item, &node->right, out_right);
        *out_left = node;
        recount(node);
    } else {
        split(sorted, node->left, item, out_left, &node->left);
        *out_right = node;
        recount(node);
    }
}

void cap_sorted_put(struct cap_sorted *sorted, void *item)
{
    struct node *node = calloc(1, sizeof *node), *left, *right;

    if (!node)
        abort();
    node->item = item;
    node->weight = cap_rand_u64(&sorted->rand);
    node->count = 1;
    split(sorted, sorted->root, item, &left, &right);
    sorted->root = join(join(left, node), right);
}

bool cap_sorted_remove(struct cap_sorted *sorted, const void *item)
{
    struct node **at = &sorted->root, *found;
    int side;

    for (found = *at; found && (side = sorted->compare(item, found->item)) != 0; found = *at)
        at = side < 0 ? &found->left : &found->right;
    if (!found)
        return false;
    for (struct node **above = &sorted->root; above != at;) {
        (*above)->count--;
        above = sorted->compare(item, (*above)->item) < 0 ? &(*above)->left : &(*above)->right;
    }
    *at = join(found->left, found->right);
    free(found);
    return true;
}

size_t cap_sorted_count(const struct cap_sorted *sorted)
{
    return count_of(sorted->root);
}

void *cap_sorted_after(const struct cap_sorted *sorted, const void *key)
{
    void *best = NULL;

    for (const struct node *node = sorted->root; node;) {
        if (!key || sorted->compare(node->item, key) > 0) {
            best = node->item;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

size_t cap_sorted_count_while(const struct cap_sorted *sorted,
                              bool (*before)(const void *item, const void *arg), const void *arg)
{
    size_t count = 0;

    for (const struct node *node = sorted->root; node;) {
        if (before(node->item, arg)) {
            count += count_of(node->left) + 1;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return count;
}
