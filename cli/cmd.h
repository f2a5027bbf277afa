/* cmd.h — the commands, one function each; rows in commands.c. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include <stdio.h>

#include "command.h"
#include "moecap/v1/store.pb-c.h"
#include "spec/spec.h"

#define CLI_CMD(name)                                                                              \
    int cli_cmd_##name(struct cli_context *context, const struct cli_words *words,                 \
                       struct cap_err *err)

CLI_CMD(up);
CLI_CMD(down);
CLI_CMD(status);
CLI_CMD(submit);
CLI_CMD(sweep);
CLI_CMD(load);
CLI_CMD(watch);
CLI_CMD(cancel);
CLI_CMD(queue);
CLI_CMD(board);
CLI_CMD(run_show);
CLI_CMD(cost);
CLI_CMD(run_samples);
CLI_CMD(run_export);
CLI_CMD(profile);
CLI_CMD(routing);
CLI_CMD(task_list);
CLI_CMD(task_show);
CLI_CMD(task_add);
CLI_CMD(compare);
CLI_CMD(repeats);
CLI_CMD(node_list);
CLI_CMD(hardware);
CLI_CMD(plot);
CLI_CMD(estimate);
CLI_CMD(admin_config);
CLI_CMD(admin_metrics);
CLI_CMD(admin_log);
CLI_CMD(version);
CLI_CMD(help);

/* Arguments go to another program as they are. */
int cli_exec_inference(struct cli_context *context, int argc, char **argv, struct cap_err *err);
int cli_exec_evaluator(struct cli_context *context, int argc, char **argv, struct cap_err *err);
/* The evaluator's output goes to a file; what it says on stderr is err's message if it fails. */
int cli_run_evaluator(struct cli_context *context, int argc, char **argv, FILE *output,
                      struct cap_err *err);
/* Returns only on failure. */
int cli_become_inference(struct cli_context *context, int argc, char **argv, struct cap_err *err);

/* The knobs of an evaluation as they were written, by the rows of lib/spec/spec.def. */
struct cli_submit_options {
    const char *texts[CAP_KNOB_COUNT];
    bool switches[CAP_KNOB_COUNT];
    struct cli_list lists[CAP_KNOB_COUNT];
    bool dry_run, watch, quiet;
    const char *sweep, *search, *slo;
};
struct cli_load_options {
    const char *rate, *arrivals, *burstiness, *ramp_to, *ramp_s, *replay, *seed;
    int64_t requests;
    bool has_requests;
};
struct cli_sweep_options {
    double attain;
    bool has_attain;
};
struct cli_board_options {
    const char *model, *task, *engine, *precision, *evaluation;
    bool all, csv;
    int64_t limit;
};
struct cli_samples_options {
    const char *verdict;
    int64_t limit, after;
    bool has_after;
};
struct cli_export_options {
    bool csv, no_samples;
};
struct cli_cost_options {
    const char *texts[CAP_KNOB_COUNT]; /* of the group of cost alone */
    bool defaults;
};
struct cli_task_options {
    const char *data, *fewshot;
};
struct cli_profile_options {
    const char *model, *task, *output, *name, *precision, *tasks, *data, *fewshot;
    int64_t batch_size, tp, limit, num_fewshot, threads;
    bool has_batch_size, has_tp, has_limit, has_fewshot, chat;
};
struct cli_estimate_options {
    const char *model, *hardware, *step_time, *precision, *cache_precision, *phase, *mla;
    int64_t batch, context, cached, devices;
    double activated, peak_gb_s, peak_tflops;
    bool has_batch, has_context, has_activated;
};
struct cli_plot_options {
    const char *output, *format, *theme, *title, *phase, *metric;
    bool absolute, sorted, relative;
};
struct cli_routing_options {
    bool same_model;
};
struct cli_cancel_options {
    const char *reason;
};
struct cli_help_options {
    bool markdown, man, completion;
};

extern struct cli_submit_options cli_submit_options;
extern struct cli_load_options cli_load_options;
extern struct cli_sweep_options cli_sweep_options;
extern struct cli_board_options cli_board_options;
extern struct cli_samples_options cli_samples_options;
extern struct cli_export_options cli_export_options;
extern struct cli_cost_options cli_cost_options;
extern struct cli_task_options cli_task_options;
extern struct cli_profile_options cli_profile_options;
extern struct cli_estimate_options cli_estimate_options;
extern struct cli_plot_options cli_plot_options;
extern struct cli_routing_options cli_routing_options;
extern struct cli_cancel_options cli_cancel_options;
extern struct cli_help_options cli_help_options;

/* ---- what one command needs of another ---- */

struct cli_up_options {
    bool detach, no_tasks, any_model_path;
    struct cli_list models;
    const char *postgres, *log, *tasks;
    int64_t nodes, port_base, openai_port;
    const char *ports; /* "default" or "auto" */
};

extern struct cli_up_options cli_up_options;

/* Runs until SIGINT or SIGTERM; in the foreground it says what happens on stdout. */
int cli_supervise(struct cli_context *context, const struct cli_up_options *options,
                  const char *state_dir, struct cap_err *err);

/* Adds every task YAML of the folder to the suite. */
bool cli_add_shipped_tasks(struct cli_context *context, const char *dir, struct cap_err *err);

/* cmd_submit_rpc.c: every fault of an evaluation on its line, with the names of options; the last
 * one is the failure. */
int cli_refuse(const struct cli_context *context, const struct cap_spec_faults *faults,
               struct cap_err *err);

/* cmd_sweep_rpc.c: what an evaluation asks for of one knob; nothing where it says nothing. */
struct cap_buf;
void cli_add_knob(struct cap_buf *out, const Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id);

/* cmd_run_rpc.c: a run by its id or the beginning of one. */
struct cli_suite;
bool cli_get_run(struct cli_suite *suite, const char *word, Moecap__V1__GetRunReply **out,
                 struct cap_err *err);
/* Figures of a run, a line each; `why_none` follows "none". */
void cli_print_figures(Moecap__V1__Figure *const *figures, size_t count, const char *why_none);

/* cmd_watch_rpc.c: watches these ids until all have ended. */
int cli_watch_ids(struct cli_context *context, const char *const *ids, int count,
                  struct cap_err *err);

/* cmd_sweep_rpc.c: the runs of these evaluations as a table, and the highest load of which `attain`
 * of the requests meet the service level. */
#define CLI_ATTAIN_DEFAULT 0.99
/* Whether every run of the evaluation does; false in out_met when one does not. */
bool cli_meets_slo(struct cli_context *context, const char *id, double attain, bool *out_met,
                   struct cap_err *err);
int cli_print_sweep(struct cli_context *context, const char *const *ids, int count, double attain,
                    struct cap_err *err);

#endif
