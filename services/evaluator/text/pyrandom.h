/* pyrandom.h — the numbers that Python's random.Random(seed) gives, bit for bit.
 *
 * Few-shot examples are chosen as lm-evaluation-harness chooses them, so that a prompt of ours is
 * the prompt it would have made. MT19937 (Matsumoto and Nishimura, 1998) seeded by init_by_array
 * from the integer's 32-bit words, as Python does. One generator has one user at a time.
 */
#ifndef EVAL_PYRANDOM_H
#define EVAL_PYRANDOM_H

#include <stddef.h>
#include <stdint.h>

struct eval_pyrandom {
    uint32_t state[624];
    uint32_t next;
};

void eval_pyrandom_seed(struct eval_pyrandom *random, uint64_t seed);
double eval_pyrandom_unit(struct eval_pyrandom *random); /* in [0, 1), 53 bits */
/* random.randrange(bound), 0 < bound <= 2^32. */
uint32_t eval_pyrandom_below(struct eval_pyrandom *random, uint64_t bound);
/* random.sample(range(count), chosen) into out; chosen <= count. */
void eval_pyrandom_sample(struct eval_pyrandom *random, size_t count, size_t chosen, size_t *out);

#endif
