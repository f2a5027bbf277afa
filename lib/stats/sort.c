/* Doubles by radix: their bits order them as whole numbers, once those of negative ones are turned
 * round. A digit that all values share costs one look. */
#include <stdlib.h>
#include <string.h>

#include "stats/stats.h"

enum { FEW = 256, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 6 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static uint64_t key_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double value_of(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static size_t digit_of(uint64_t key, int pass)
{
    return key >> (pass * DIGIT_BITS) & (DIGITS - 1);
}

/* Stable by one digit. False when all have the same: nothing was moved. */
static bool sort_by_digit(const uint64_t *from, size_t count, int pass, uint64_t *to)
{
    size_t places[DIGITS] = {0}, place = 0;

    for (size_t i = 0; i < count; i++)
        places[digit_of(from[i], pass)]++;
    if (places[digit_of(from[0], pass)] == count)
        return false;
    for (size_t d = 0; d < DIGITS; d++) {
        size_t here = places[d];

        places[d] = place;
        place += here;
    }
    for (size_t i = 0; i < count; i++)
        to[places[digit_of(from[i], pass)]++] = from[i];
    return true;
}

void cap_stats_sort(double *values, size_t count)
{
    uint64_t *keys, *from, *to;

    if (count <= FEW) {
        if (count > 0)
            qsort(values, count, sizeof *values, compare);
        return;
    }
    if (!(keys = malloc(2 * count * sizeof *keys)))
        abort();
    from = keys;
    to = keys + count;
    for (size_t i = 0; i < count; i++)
        from[i] = key_of(values[i]);
    for (int pass = 0; pass < PASSES; pass++)
        if (sort_by_digit(from, count, pass, to)) {
            uint64_t *other = from;

            from = to;
            to = other;
        }
    for (size_t i = 0; i < count; i++)
        values[i] = value_of(from[i]);
    free(keys);
}
