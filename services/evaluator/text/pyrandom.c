/* MT19937, and what Python's random module makes of it: seeding by init_by_array, numbers in [0,
 * 1), and sample() with its two ways of choosing, of which the smaller in memory is taken. */
#include "text/pyrandom.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

enum { N = 624, M = 397 };

/* ---- MT19937 ---- */

static void init_by_one(struct eval_pyrandom *r, uint32_t seed)
{
    r->state[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        r->state[i] = 1812433253U * (r->state[i - 1] ^ (r->state[i - 1] >> 30)) + i;
    r->next = N;
}

static void init_by_array(struct eval_pyrandom *r, const uint32_t *key, size_t key_count)
{
    uint32_t *s = r->state;
    size_t i = 1, j = 0;

    init_by_one(r, 19650218U);
    for (size_t k = N > key_count ? N : key_count; k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525U)) + key[j] + (uint32_t)j;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
        if (++j >= key_count)
            j = 0;
    }
    for (size_t k = N - 1; k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941U)) - (uint32_t)i;
        if (++i >= N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = 0x80000000U;
}

static void refill(struct eval_pyrandom *r)
{
    uint32_t *s = r->state;

    for (size_t i = 0; i < N; i++) {
        uint32_t y = (s[i] & 0x80000000U) | (s[(i + 1) % N] & 0x7fffffffU);

        s[i] = s[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfU : 0);
    }
    r->next = 0;
}

static uint32_t next_u32(struct eval_pyrandom *r)
{
    uint32_t y;

    if (r->next >= N)
        refill(r);
    y = r->state[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

/* ---- what Python makes of it ---- */

void eval_pyrandom_seed(struct eval_pyrandom *random, uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    init_by_array(random, key, key[1] ? 2 : 1);
}

double eval_pyrandom_unit(struct eval_pyrandom *random)
{
    uint32_t a = next_u32(random) >> 5, b = next_u32(random) >> 6;

    return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

uint32_t eval_pyrandom_below(struct eval_pyrandom *random, uint64_t bound)
{
    int bits = 0;
    uint64_t r;

    assert(bound > 0 && bound <= UINT32_MAX);
    for (uint64_t n = bound; n; n >>= 1)
        bits++;
    do
        r = next_u32(random) >> (32 - bits);
    while (r >= bound);
    return (uint32_t)r;
}

/* How large a set of `chosen` may be thought to be before a list of all is the smaller thing:
 * 21, and beyond five the least power of four that is 3 * chosen or more. Never equal, as powers of
 * four have no factor three, so integers do what Python does with logarithms. */
static size_t set_size(size_t chosen)
{
    size_t power = 1;

    if (chosen <= 5)
        return 21;
    while (power < 3 * chosen)
        power *= 4;
    return 21 + power;
}

static bool is_among(const size_t *values, size_t count, size_t value)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] == value)
            return true;
    return false;
}

static void sample_from_list(struct eval_pyrandom *random, size_t count, size_t chosen, size_t *out)
{
    size_t *pool = calloc(count + 1, sizeof *pool);

    if (!pool)
        abort();
    for (size_t i = 0; i < count; i++)
        pool[i] = i;
    for (size_t i = 0; i < chosen; i++) {
        uint32_t j = eval_pyrandom_below(random, count - i);

        out[i] = pool[j];
        pool[j] = pool[count - i - 1];
    }
    free(pool);
}

void eval_pyrandom_sample(struct eval_pyrandom *random, size_t count, size_t chosen, size_t *out)
{
    assert(chosen <= count);
    if (count <= set_size(chosen)) {
        sample_from_list(random, count, chosen, out);
        return;
    }
    for (size_t i = 0; i < chosen; i++)
        do
            out[i] = eval_pyrandom_below(random, count);
        while (is_among(out, i, out[i]));
}
