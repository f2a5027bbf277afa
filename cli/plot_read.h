/* plot_read.h — the files that the Open MoE LLM Leaderboard's drawing tools read, as they stand.
 *
 * The texts live in the arena. One thread.
 */
#ifndef CLI_PLOT_READ_H
#define CLI_PLOT_READ_H

#include "base/arena.h"
#include "plot/heatmap.h"
#include "plot/radar.h"

enum { CLI_PLOT_YAML_BYTES_MAX = 256 << 10, CLI_PLOT_CSV_BYTES_MAX = 64 << 20 };

/* draw_radar.py's YAML: model_name, axis_labels, axis_keys, baseline, ticks, data. Without
 * axis_keys they are the keys of the first system, in its order; out_note says so, else "". */
bool cli_plot_read_radar(const char *text, size_t length, struct cap_arena *arena,
                         struct cap_radar *out, const char **out_note, struct cap_err *err);

/* record_experts.py's CSV: layer_id,expert_0,...; a row for each layer. */
bool cli_plot_read_heatmap(const char *text, struct cap_arena *arena, struct cap_heatmap *out,
                           struct cap_err *err);

#endif
