#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void cap_rand_seed(struct cap_rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rand->state[i] = z ^ (z >> 31);
    }
}

uint64_t cap_rand_u64(struct cap_rand *rand)
{
    uint64_t *s = rand->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t cap_rand_below(struct cap_rand *rand, uint64_t bound)
{
    uint64_t reject_below = -bound % bound, x;

    do
        x = cap_rand_u64(rand);
    while (x < reject_below);
    return x % bound;
}

void cap_rand_shuffle(struct cap_rand *rand, void *items, size_t count, size_t size)
{
    unsigned char *bytes = items;

    for (size_t i = count; i > 1; i--) {
        unsigned char *a = bytes + (i - 1) * size, *b = bytes + cap_rand_below(rand, i) * size;

        for (size_t k = 0; k < size; k++) {
            unsigned char byte = a[k];

            a[k] = b[k];
            b[k] = byte;
        }
    }
}

double cap_rand_unit(struct cap_rand *rand)
{
    return (double)(cap_rand_u64(rand) >> 11) * 0x1.0p-53;
}

void cap_rand_id(const char *prefix, char out[CAP_ID_BYTES])
{
    static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: no l, o, 0, 1 */
    unsigned char bytes[16];
    int used = snprintf(out, CAP_ID_BYTES - sizeof bytes, "%s-", prefix);

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort();
    for (size_t i = 0; i < sizeof bytes; i++)
        out[used + (int)i] = digits[bytes[i] % 32];
    out[used + (int)sizeof bytes] = '\0';
}
