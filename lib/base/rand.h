/* rand.h — random numbers: a seeded generator that gives the same stream everywhere, and ids.
 *
 * The generator is xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", 2021), seeded by splitmix64. One generator has one user at a time.
 */
#ifndef CAP_RAND_H
#define CAP_RAND_H

#include <stddef.h>
#include <stdint.h>

struct cap_rand {
    uint64_t state[4];
};

void cap_rand_seed(struct cap_rand *rand, uint64_t seed);
uint64_t cap_rand_u64(struct cap_rand *rand);
uint64_t cap_rand_below(struct cap_rand *rand,
                        uint64_t bound);     /* uniform in [0, bound), bound > 0 */
double cap_rand_unit(struct cap_rand *rand); /* uniform in [0, 1), 53 bits */
/* Puts `count` items of `size` bytes into an order drawn from all orders (Fisher and Yates). */
void cap_rand_shuffle(struct cap_rand *rand, void *items, size_t count, size_t size);

/* "run-" and 16 lower-case letters and digits from the kernel's random source. `prefix` has at most
 * 15 bytes. Any thread. */
enum { CAP_ID_BYTES = 33 };
void cap_rand_id(const char *prefix, char out[CAP_ID_BYTES]);

#endif
