/* sweep.h — one knob with several values, and a service level in one word. Pure; one thread.
 *
 *     --sweep rate=1,2,4,8      a run for each value, in a random order that the seed gives: what
 *                               drifts with time does not look like an effect of the knob
 *     --slo ttft=500ms,tpot=50ms
 */
#ifndef CLI_SWEEP_H
#define CLI_SWEEP_H

#include "base/arena.h"
#include "base/err.h"
#include "spec/spec.h"

enum { CLI_SWEEP_VALUES_MAX = 64 };

struct cli_sweep {
    enum cap_knob_id knob;
    const char *values[CLI_SWEEP_VALUES_MAX]; /* in the order in which they run */
    int count;
};

/* "concurrency=1,2,4": a knob by its option's name, and values. */
bool cli_sweep_read(const char *text, uint64_t seed, struct cap_arena *arena, struct cli_sweep *out,
                    struct cap_err *err);

/* "ttft=500ms,tpot=50ms,e2e=5s": sets the knobs of the service level. A number without a unit is in
 * milliseconds. */
bool cli_slo_set(const char *text, Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                 struct cap_spec_faults *io_faults, struct cap_err *err);

#endif
