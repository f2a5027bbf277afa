/* rope.h — rotary positions: how a position turns into the angles of a head.
 *
 * The description is complete: everything that config.json leaves out is filled in when it is read,
 * in either spelling (rope_theta + rope_scaling, or rope_parameters). Pure; any thread.
 */
#ifndef CAP_ROPE_H
#define CAP_ROPE_H

#include <stdbool.h>
#include <stdint.h>

enum cap_rope_kind {
    CAP_ROPE_DEFAULT,
    CAP_ROPE_LINEAR,
    CAP_ROPE_DYNAMIC, /* the base grows with the sequence, once it is longer than `original` */
    CAP_ROPE_YARN,
    CAP_ROPE_LLAMA3,
    CAP_ROPE_COUNT
};

struct cap_rope {
    enum cap_rope_kind kind;
    double theta;
    double factor;                  /* all but default */
    int original;                   /* positions of the training before scaling */
    double beta_fast, beta_slow;    /* yarn */
    bool truncate;                  /* yarn: whole dimensions as borders of the ramp */
    double attention_factor;        /* cos and sin are multiplied by it; 1 but for yarn */
    double low_factor, high_factor; /* llama3: low_freq_factor, high_freq_factor */
};

const char *cap_rope_kind_name(enum cap_rope_kind kind);

/* out[i], i < dim / 2: radians a position of the pair (i, i + dim / 2). `length` is the number of
 * positions of the sequence and matters to dynamic only. */
void cap_rope_frequencies(const struct cap_rope *rope, int dim, int64_t length, double *out);

#endif
