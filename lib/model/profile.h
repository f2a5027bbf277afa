/* profile.h — a profile of activated experts: how many distinct experts of a layer a step reads, by
 * batch size. As `moecap profile` writes it and the Open MoE LLM Leaderboard did:
 *
 *     dataset,batch_size,average_activated_experts
 *     gsm8k,1,8
 *     gsm8k,16,71.4
 *
 * Columns are found by their names; several rows of one batch size count as their mean. Pure; any
 * thread.
 */
#ifndef CAP_PROFILE_H
#define CAP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { CAP_PROFILE_POINTS_MAX = 256, CAP_PROFILE_BYTES_MAX = 64 << 10 };

struct cap_profile {
    struct {
        double batch, activated;
        unsigned rows;
    } points[CAP_PROFILE_POINTS_MAX]; /* [count], by batch */
    size_t count;
};

/* Fails with the line that cannot be. */
bool cap_profile_read(const char *csv, struct cap_profile *out, struct cap_err *err);

/* At any batch between the smallest and the largest, on the line between its neighbours. False
 * beyond them. */
bool cap_profile_at(const struct cap_profile *profile, double batch, double *out_activated);

#endif
