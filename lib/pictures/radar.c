/* The CAP radar of runs. Fixed scales, so that a run lies where it lies whatever is beside it: TPOT
 * from 0.1 ms to 1 s, a million output tokens from 1 cent to 100 dollars, accuracy from 0 to 1.
 * Relative ones are those of the Open MoE LLM Leaderboard. */
#include <math.h>

#include "inside.h"
#include "plot/radar.h"

static const struct cap_radar_axis fixed[] = {
    {"tpot_ms_p50", "TPOT, median (ms)", CAP_RADAR_FIXED_LOG, 0.1, 1000, true},
    {"cost_per_1m_output_tokens", "USD per 1M tokens out", CAP_RADAR_FIXED_LOG, 0.01, 100, true},
    {"accuracy", "Accuracy", CAP_RADAR_FIXED, 0, 1, false},
};
static const enum cap_radar_scale relative[] = {CAP_RADAR_LOWEST, CAP_RADAR_CEILING,
                                                CAP_RADAR_TO_ONE};

bool cap_picture_radar(const struct cap_picture_ask *ask, struct cap_arena *arena,
                       struct cap_plot *out, struct cap_err *err)
{
    struct cap_radar *radar = cap_arena_alloc(arena, sizeof *radar);

    if (!radar)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "the picture is too large");
    radar->title = ask->relative ? "Cost, accuracy, performance: relative to these runs"
                                 : "Cost, accuracy, performance";
    radar->baseline = ask->relative ? 20 : 0;
    radar->axis_count = CAP_COUNT_OF(fixed);
    radar->system_count = ask->run_count;
    for (size_t axis = 0; axis < radar->axis_count; axis++) {
        double highest = 0;

        radar->axes[axis] = fixed[axis];
        for (size_t i = 0; i < ask->run_count; i++) {
            radar->systems[i].name = cap_run_name(ask, i, arena);
            radar->systems[i].raw[axis] = cap_run_figure(ask->runs[i], fixed[axis].key);
            highest = fmax(highest, radar->systems[i].raw[axis]);
        }
        if (!ask->relative)
            continue;
        radar->axes[axis].scale = relative[axis];
        radar->axes[axis].high = highest;
    }
    *out = cap_radar_plot(radar);
    return true;
}
