/* sampler.h — the next token from its logits. Pure but for the generator's state. */
#ifndef NATIVE_SAMPLER_H
#define NATIVE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"

struct native_sampling {
    double temperature; /* 0 = greedy */
    int top_k;          /* 0 = off */
    double top_p;       /* 1 (or 0) = off */
    uint64_t seed;      /* the same seed and logits give the same tokens */
};

/* Ties go to the lower index. */
int32_t native_sample_greedy(const float *logits, int vocab);

/* Temperature, then top-k, then top-p, then one draw. `scratch` holds vocab pairs. */
struct native_candidate {
    float probability;
    int32_t id;
};
int32_t native_sample(const float *logits, int vocab, const struct native_sampling *sampling,
                      struct cap_rand *rand, struct native_candidate *scratch);

/* log softmax(logits)[id], in double. */
double native_log_likelihood(const float *logits, int vocab, int32_t id);

#endif
