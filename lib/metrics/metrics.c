#include "metrics/metrics.h"

static const char *const kind_names[] = {"counter", "gauge"};

void cap_metrics_text(const struct cap_metrics *metrics, struct cap_buf *out)
{
    for (size_t i = 0; i < metrics->row_count; i++) {
        const struct cap_metric_row *row = &metrics->rows[i];

        cap_buf_printf(out, "# HELP moecap_%s_%s %s\n# TYPE moecap_%s_%s %s\nmoecap_%s_%s %lld\n",
                       metrics->program, row->name, row->help, metrics->program, row->name,
                       kind_names[row->kind], metrics->program, row->name,
                       (long long)cap_metric_get(metrics, (int)i));
    }
}

void cap_metrics_markdown(const struct cap_metrics *metrics, struct cap_buf *out)
{
    cap_buf_printf(out, "## moecap-%s\n\n| counter | kind | what it counts |\n|---|---|---|\n",
                   metrics->program);
    for (size_t i = 0; i < metrics->row_count; i++)
        cap_buf_printf(out, "| `moecap_%s_%s` | %s | %s |\n", metrics->program,
                       metrics->rows[i].name, kind_names[metrics->rows[i].kind],
                       metrics->rows[i].help);
}
