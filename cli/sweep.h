/* sweep.h — one knob with several values, and a service level in one word. Pure; one thread.
 *
 *     --sweep rate=1,2,4,8      a run for each value, in a random order that the seed gives: what
 *                               drifts with time does not look like an effect of the knob
 *     --search rate=1..64       one run after the other, each between the last that met the
 *                               service level and the last that did not
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

/* ---- the highest load within the service level, by bisection ---- */

enum { CLI_SEARCH_RUNS_MAX = 12 };

struct cli_search {
    enum cap_knob_id knob;
    double low, high; /* the highest that met it, the lowest that did not; until then the bounds */
    bool low_met, high_failed;
    int runs;
};

/* "rate=1..64", or a concurrency. */
bool cli_search_read(const char *text, struct cap_arena *arena, struct cli_search *out,
                     struct cap_err *err);
/* The value to run next: the bounds first, then between them, by their ratio. False when the answer
 * is known within 10 % (of a concurrency to one), or after CLI_SEARCH_RUNS_MAX runs. */
bool cli_search_next(const struct cli_search *search, double *out_value);
/* What came of it. */
void cli_search_told(struct cli_search *io_search, double value, bool met);

/* "ttft=500ms,tpot=50ms,e2e=5s": sets the knobs of the service level. A number without a unit is in
 * milliseconds. */
bool cli_slo_set(const char *text, Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                 struct cap_spec_faults *io_faults, struct cap_err *err);

#endif
