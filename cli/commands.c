/* The table of commands: everything that is said about them anywhere is said here. */
#include <string.h>

#include "base/auto.h"
#include "cmd.h"

const struct cli_option cli_global_options[] = {
    CLI_OPTION(
        struct cli_globals, server, "server", NULL, CLI_TEXT, "ADDRESS",
        "the suite's scheduler, e.g. 10.0.0.5:7861; else MOECAP_SERVER, else the local suite"),
    CLI_OPTION(struct cli_globals, state, "state", NULL, CLI_TEXT, "DIR",
               "folder of the local suite; else MOECAP_STATE, else $XDG_STATE_HOME/moecap"),
    CLI_OPTION(struct cli_globals, json, "json", NULL, CLI_FLAG, NULL,
               "print JSON, one object per line"),
    CLI_OPTION(struct cli_globals, help, "help", NULL, CLI_FLAG, NULL, "show this help"),
};
const size_t cli_global_option_count = CAP_COUNT_OF(cli_global_options);

static const struct cli_option up_options[] = {
    CLI_OPTION(struct cli_up_options, detach, "detach", NULL, CLI_FLAG, NULL,
               "return when everything is ready, and leave it running"),
    CLI_OPTION(struct cli_up_options, nodes, "nodes", NULL, CLI_INT, "N", "inference nodes (1)"),
    CLI_OPTION(struct cli_up_options, models, "models", NULL, CLI_LIST, "DIR",
               "a model, or a folder of models; may be repeated (the shipped ones)"),
    CLI_OPTION(struct cli_up_options, any_model_path, "any-model-path", NULL, CLI_FLAG, NULL,
               "let submitters name any directory as the model"),
    CLI_OPTION(struct cli_up_options, postgres, "postgres", NULL, CLI_TEXT, "URI",
               "use this PostgreSQL instead of a private one"),
    CLI_OPTION(struct cli_up_options, ports, "ports", NULL, CLI_TEXT, "default|auto",
               "auto: any free ports, so that suites can run side by side"),
    CLI_OPTION(struct cli_up_options, port_base, "port-base", NULL, CLI_INT, "N",
               "first of the suite's ports (7860: the page; scheduler +1, store +2, evaluator +3)"),
    CLI_OPTION(struct cli_up_options, openai_port, "openai-port", NULL, CLI_INT, "N",
               "OpenAI-compatible endpoint of the first node; 0 = any free port (off)"),
    CLI_OPTION(struct cli_up_options, tasks, "tasks", NULL, CLI_TEXT, "DIR",
               "folder of task YAML files to add at the start (the shipped ones)"),
    CLI_OPTION(struct cli_up_options, no_tasks, "no-tasks", NULL, CLI_FLAG, NULL, "add no tasks"),
    CLI_OPTION(struct cli_up_options, log, "log", NULL, CLI_TEXT, "LEVELS",
               "e.g. info,dispatcher:debug"),
};

static const struct cli_command up = {
    .name = "up",
    .words = "",
    .summary = "start a suite on this machine and watch over it",
    .text = "Starts store (with a private PostgreSQL), evaluator, scheduler, nodes and the\n"
            "gateway (the page), adds the shipped tasks, restarts programs that die, and\n"
            "ends everything on Ctrl-C. A second suite needs another state folder and ports.\n"
            "\n"
            "  moecap up                                  in the foreground\n"
            "  moecap up --detach --models /data/models   in the background, your models\n"
            "  moecap up --detach --state /tmp/s --ports auto    a second one beside it\n",
    .options = up_options,
    .option_count = CAP_COUNT_OF(up_options),
    .values = &cli_up_options,
    .hint = "moecap help up shows the options; the logs are in the state folder",
    .run = cli_cmd_up,
};

static const struct cli_command down = {
    .name = "down",
    .words = "",
    .summary = "stop the local suite",
    .text = "Ends the supervisor, which ends its programs in order. Programs that outlived a\n"
            "killed supervisor are ended, too; nothing else is.\n"
            "\n"
            "  moecap down\n",
    .run = cli_cmd_down,
};

static const struct cli_command status = {
    .name = "status",
    .words = "",
    .summary = "the programs of the suite, and whether they answer",
    .text = "Of the local suite: address, process, restarts; with --server what its scheduler\n"
            "reports. Status 0 when everything answers, 1 when something is down or silent,\n"
            "4 when there is no suite.\n"
            "\n"
            "  moecap status --json\n"
            "  moecap status --server 10.0.0.5:7861\n",
    .run = cli_cmd_status,
};

/* How a knob of each kind is written, and where cmd_submit_rpc.c finds it. */
#define KNOB_SLOT(id, slot) offsetof(struct cli_submit_options, slot[CAP_KNOB_##id])
#define KNOB_TEXT(id) CLI_TEXT, KNOB_SLOT(id, texts)
#define KNOB_NAME(id) KNOB_TEXT(id)
#define KNOB_WORD(id) KNOB_TEXT(id)
#define KNOB_WHOLE(id) KNOB_TEXT(id)
#define KNOB_REAL(id) KNOB_TEXT(id)
#define KNOB_FILE(id) KNOB_TEXT(id)
#define KNOB_SWITCH(id) CLI_FLAG, KNOB_SLOT(id, switches)
#define KNOB_CHOICE(id) KNOB_SWITCH(id)
#define KNOB_LIST(id) CLI_LIST, KNOB_SLOT(id, lists)
#define KNOB_OPTION(name, alias, value, help, kind, slot)                                          \
    {                                                                                              \
        name, alias, kind, value, help, slot, 0                                                    \
    }
#define KNOB_ROW(...) KNOB_OPTION(__VA_ARGS__)
#define KNOB(id, path, kind, flag, alias, value, unset, label, help, ...)                          \
    KNOB_ROW(flag, alias, value, help " (" unset ")", KNOB_##kind(id)),

static const struct cli_option submit_options[] = {
#include "spec/spec.def"
    CLI_OPTION(struct cli_submit_options, sweep, "sweep", NULL, CLI_TEXT, "KNOB=V1,V2,...",
               "an evaluation for each value of an option, in a random order by the seed"),
    CLI_OPTION(struct cli_submit_options, search, "search", NULL, CLI_TEXT, "rate=LO..HI",
               "run after run, until the highest rate (or concurrency) is known at which 99 % of "
               "the requests meet the service level"),
    CLI_OPTION(struct cli_submit_options, slo, "slo", NULL, CLI_TEXT, "ttft=500ms,...",
               "--slo-ttft, --slo-tpot and --slo-e2e in one: ttft=500ms,tpot=50ms,e2e=5s"),
    CLI_OPTION(struct cli_submit_options, dry_run, "dry-run", NULL, CLI_FLAG, NULL,
               "check and plan only"),
    CLI_OPTION(struct cli_submit_options, watch, "watch", NULL, CLI_FLAG, NULL,
               "follow the runs and show results; status 1 if a run or all its samples fail"),
    CLI_OPTION(struct cli_submit_options, quiet, "quiet", NULL, CLI_FLAG, NULL,
               "print the evaluation's id only"),
};
#undef KNOB
#undef KNOB_SLOT

static const struct cli_command compare = {
    .name = "compare",
    .words = "RUN RUN",
    .summary = "whether two runs on the same samples differ",
    .text = "Verdicts are compared sample by sample: McNemar's test, the difference of accuracy\n"
            "with a paired bootstrap, the smallest difference that this many samples would show,\n"
            "and which samples flipped. Figures with an interval: the second run's minus the\n"
            "first's. Runs of another task, another version of its data or other samples are\n"
            "refused. What the tests say: docs/methodology.md.\n"
            "\n"
            "  moecap compare run-a2b3c4d5e6f7g8h9 run-b3c4d5e6f7g8h9j2\n",
    .words_min = 2,
    .words_max = 2,
    .run = cli_cmd_compare,
};

static const struct cli_command repeats = {
    .name = "repeats",
    .words = "EVALUATION",
    .summary = "means over the repeats of an evaluation",
    .text = "Each finished run is one observation: Student's 95 % interval over runs says what a\n"
            "run's own intervals cannot, how far another run may lie. Figures that not every run\n"
            "has are in --json with the reason.\n"
            "\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --repeats 5 --watch\n"
            "  moecap repeats eval-k3v5n7x2m4p8q9wz\n",
    .words_min = 1,
    .words_max = 1,
    .run = cli_cmd_repeats,
};

/* The knobs of cost once more, for a run that is measured already. */
#define KNOB_SLOT(id, slot) offsetof(struct cli_cost_options, slot[CAP_KNOB_##id])
#define KNOB(id, path, kind, flag, alias, value, unset, label, help, ...)                          \
    KNOB_ROW(flag, alias, value, help " (" unset ")", KNOB_##kind(id)),
static const struct cli_option cost_options[] = {
#include "spec/cost.def"
    CLI_OPTION(struct cli_cost_options, defaults, "defaults", NULL, CLI_FLAG, NULL,
               "leave out what the submitter gave"),
};
#undef KNOB
#undef KNOB_SLOT

static const struct cli_command cost = {
    .name = "cost",
    .words = "RUN",
    .summary = "what a run costs, with other prices, without running it again",
    .text = "A machine is rented (--rent), or bought: price, host, lifetime, utilisation, power.\n"
            "An option that is left out is what the submitter gave, else what was measured, else\n"
            "what the table of hardware says, else a default. Nothing is stored. All amounts are\n"
            "in US dollars. Formulas and defaults: docs/cost.md.\n"
            "\n"
            "  moecap cost run-a2b3c4d5e6f7g8h9\n"
            "  moecap cost run-a2b3c4d5e6f7g8h9 --rent 2.16\n"
            "  moecap cost run-a2b3c4d5e6f7g8h9 --price 27000 --utilisation 0.5 --pue 1.3\n",
    .options = cost_options,
    .option_count = CAP_COUNT_OF(cost_options),
    .values = &cli_cost_options,
    .words_min = 1,
    .words_max = 1,
    .hint = "moecap board --all lists runs with their ids",
    .hint_values = "moecap help cost lists the options; docs/cost.md too",
    .run = cli_cmd_cost,
};

/* As in the form of the page. */
static const char *group_of_knob(const char *option)
{
    for (int i = 0; i < CAP_KNOB_COUNT; i++)
        if (strcmp(cap_knobs[i].flag, option) == 0)
            return cap_knob_group_title(cap_knobs[i].group);
    return "Of this command";
}

static const struct cli_command submit = {
    .name = "submit",
    .words = "",
    .summary = "queue an evaluation: a model on tasks",
    .text = "Each task and repeat becomes a run. If the same configuration is queued or\n"
            "running already, its ids are returned. A refusal names every wrong option, its\n"
            "value, and what would be accepted.\n"
            "\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --batch-size 4 --watch\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --task choice-mini\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --precision int8 --limit 100\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --num-fewshot 3 --chat\n"
            "  moecap submit --model moecap-tiny --task fixed \\\n"
            "      --input-tokens 128 --output-tokens 32\n"
            "  moecap submit --model moecap-tiny --task gsm-mini --sweep rate=1,2,4,8 \\\n"
            "      --slo ttft=500ms,tpot=50ms --watch\n"
            "  moecap submit --engine null --model none --task gsm-mini --dry-run\n",
    .options = submit_options,
    .option_count = CAP_COUNT_OF(submit_options),
    .group_of = group_of_knob,
    .values = &cli_submit_options,
    .hint_values = "moecap help submit lists the options; docs/cli.md too",
    .run = cli_cmd_submit,
};

static const struct cli_option sweep_options[] = {
    CLI_OPTION_GIVEN(struct cli_sweep_options, attain, has_attain, "attain", CLI_REAL, "SHARE",
                     "share of requests that must meet the service level (0.99)"),
};

static const struct cli_command sweep = {
    .name = "sweep",
    .words = "EVALUATION...",
    .summary = "runs side by side, and the highest load within the SLO",
    .text =
        "A row for each run; the first columns are the options in which they differ. Where only\n"
        "the rate or the concurrency does, and a service level was given, the last line says\n"
        "the highest load that meets it and what the next one above came to.\n"
        "\n"
        "  moecap submit --model moecap-tiny --task gsm-mini --sweep concurrency=1,2,4,8\n"
        "  moecap sweep eval-k3v5n7x2m4p8q9wz eval-m2c7t9r5w3x6b8dh\n",
    .options = sweep_options,
    .option_count = CAP_COUNT_OF(sweep_options),
    .values = &cli_sweep_options,
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .hint = "moecap board --all lists runs; --json has their evaluations",
    .run = cli_cmd_sweep,
};

static const struct cli_option load_options[] = {
    CLI_OPTION(struct cli_load_options, rate, "rate", NULL, CLI_TEXT, "R", "requests a second"),
    CLI_OPTION(struct cli_load_options, arrivals, "arrivals", NULL, CLI_TEXT,
               "poisson|constant|gamma", "how the gaps between arrivals are distributed (poisson)"),
    CLI_OPTION(struct cli_load_options, burstiness, "burstiness", NULL, CLI_TEXT, "SHAPE",
               "shape of gamma arrivals (1)"),
    CLI_OPTION(struct cli_load_options, ramp_to, "ramp-to", NULL, CLI_TEXT, "R",
               "the rate grows to R within --ramp-s"),
    CLI_OPTION(struct cli_load_options, ramp_s, "ramp-s", NULL, CLI_TEXT, "S",
               "seconds until --ramp-to is reached"),
    CLI_OPTION(struct cli_load_options, replay, "replay", NULL, CLI_TEXT, "FILE",
               "instead: the times in FILE"),
    CLI_OPTION(struct cli_load_options, seed, "seed", NULL, CLI_TEXT, "N", "as of submit (0)"),
    CLI_OPTION_GIVEN(struct cli_load_options, requests, has_requests, "requests", CLI_INT, "N",
                     "how many arrivals (20)"),
};

static const struct cli_command load = {
    .name = "load",
    .words = "",
    .summary = "when the requests of an open loop are due, without a suite",
    .text =
        "Seconds from the start, one a line: what a node does with these options of submit, to\n"
        "the last bit.\n"
        "\n"
        "  moecap load --rate 5 --arrivals gamma --burstiness 0.5 --seed 1\n"
        "  moecap load --rate 2 --ramp-to 20 --ramp-s 60 --requests 1000 --json\n",
    .options = load_options,
    .option_count = CAP_COUNT_OF(load_options),
    .values = &cli_load_options,
    .run = cli_cmd_load,
};

static const struct cli_command watch = {
    .name = "watch",
    .words = "ID...",
    .summary = "follow evaluations or runs until they end",
    .text = "On a terminal a bar for each run; elsewhere a line for each step; with --json an\n"
            "object for each change. Ends with the result of each run. Status 0 only if every\n"
            "run finished with answers. A scheduler that restarts is waited for. Ctrl-C stops\n"
            "watching; the runs go on. The beginning of an id is enough if it is unique.\n"
            "\n"
            "  moecap watch eval-k3v5n7x2m4p8q9wz\n",
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .hint = "moecap queue and moecap board --all list runs and their ids",
    .run = cli_cmd_watch,
};

static const struct cli_option cancel_options[] = {
    CLI_OPTION(struct cli_cancel_options, reason, "reason", NULL, CLI_TEXT, "TEXT",
               "kept with the run"),
};

static const struct cli_command cancel = {
    .name = "cancel",
    .words = "ID...",
    .summary = "stop evaluations or runs; stored answers are kept",
    .text = "Status 0 also for runs that had already ended: nothing is left to stop.\n"
            "\n"
            "  moecap cancel run-a2b3c4d5e6f7g8h9 --reason \"wrong precision\"\n",
    .options = cancel_options,
    .option_count = CAP_COUNT_OF(cancel_options),
    .values = &cli_cancel_options,
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .hint = "moecap queue and moecap board --all list runs and their ids",
    .run = cli_cmd_cancel,
};

static const struct cli_command queue = {
    .name = "queue",
    .words = "",
    .summary = "runs that are running or waiting, and what each waits for",
    .text = "  moecap queue\n",
    .run = cli_cmd_queue,
};

static const struct cli_option board_options[] = {
    CLI_OPTION(struct cli_board_options, model, "model", NULL, CLI_TEXT, "NAME", "only this model"),
    CLI_OPTION(struct cli_board_options, task, "task", NULL, CLI_TEXT, "TASK", "only this task"),
    CLI_OPTION(struct cli_board_options, engine, "engine", NULL, CLI_TEXT, "KIND",
               "only this engine"),
    CLI_OPTION(struct cli_board_options, precision, "precision", NULL, CLI_TEXT, "P",
               "only this precision"),
    CLI_OPTION(struct cli_board_options, evaluation, "evaluation", NULL, CLI_TEXT, "ID",
               "only this evaluation"),
    CLI_OPTION(struct cli_board_options, all, "all", NULL, CLI_FLAG, NULL,
               "also runs that failed or are in progress"),
    CLI_OPTION(struct cli_board_options, limit, "limit", NULL, CLI_INT, "N",
               "at most N rows, up to 1000"),
    CLI_OPTION(struct cli_board_options, csv, "csv", NULL, CLI_FLAG, NULL,
               "the API's table as CSV: a line for each run, all of them without --limit"),
};

static const struct cli_command board = {
    .name = "board",
    .words = "",
    .summary = "results: accuracy, latency, throughput, activated experts, cost",
    .text =
        "Accuracy is the task's first metric with its 95 % interval. TTFT and TPOT are\n"
        "medians of the time to the first token and of the time per further token. Tokens\n"
        "per second: output (out) and prefill (pre). Activated experts: how many distinct\n"
        "experts a pass uses in a layer, in prefill (pre) and decode (dec). $/1M out: a\n"
        "million output tokens in US dollars; $/1M right: a million right answers (moecap\n"
        "help cost). S-MBU: of the peak of the data sheet; attained: of what the node's probe\n"
        "attained. J/out: joules for an output token. A star: what the submitter declared\n"
        "decides it. A dash is an unknown figure; the reasons are below the table and in --json.\n"
        "A narrow terminal shows fewer columns.\n"
        "\n"
        "  moecap board --task gsm-mini\n"
        "  moecap board --csv > board.csv\n",
    .options = board_options,
    .option_count = CAP_COUNT_OF(board_options),
    .values = &cli_board_options,
    .run = cli_cmd_board,
};

static const struct cli_command run_show = {
    .name = "run show",
    .words = "RUN",
    .summary = "one run: configuration, attempts, figures with their reasons",
    .text = "Below the figures: activated experts by the tokens in a pass, beside what a router\n"
            "would use that chose uniformly, and the load of each layer. --json has every point.\n"
            "\n"
            "  moecap run show run-a2b3c4d5e6f7g8h9\n",
    .words_min = 1,
    .words_max = 1,
    .hint = "moecap board --all lists runs with their ids",
    .run = cli_cmd_run_show,
};

static const struct cli_option samples_options[] = {
    CLI_OPTION(struct cli_samples_options, verdict, "verdict", NULL, CLI_TEXT,
               "correct|wrong|undecided", "only samples with this verdict"),
    CLI_OPTION(struct cli_samples_options, limit, "limit", NULL, CLI_INT, "N",
               "at most N samples (50)"),
    CLI_OPTION_GIVEN(struct cli_samples_options, after, has_after, "after", CLI_INT, "SAMPLE",
                     "only those after this number: the next page"),
};

static const struct cli_command run_samples = {
    .name = "run samples",
    .words = "RUN",
    .summary = "samples of a run: verdict, end, tokens, experts used",
    .text = "EXPERTS: how many of the model's experts were chosen, median over MoE layers.\n"
            "BUSIEST: the share of selections that went to a layer's busiest expert, median\n"
            "over layers. A dash is unknown. With --json also texts, and the counts by layer,\n"
            "phase and expert. All samples: moecap run export.\n"
            "\n"
            "  moecap run samples run-a2b3c4d5e6f7g8h9 --verdict wrong\n",
    .options = samples_options,
    .option_count = CAP_COUNT_OF(samples_options),
    .values = &cli_samples_options,
    .words_min = 1,
    .words_max = 1,
    .hint = "moecap board --all lists runs with their ids",
    .run = cli_cmd_run_samples,
};

static const struct cli_option export_options[] = {
    CLI_OPTION(struct cli_export_options, csv, "csv", NULL, CLI_FLAG, NULL,
               "only the runs' lines of board --csv"),
    CLI_OPTION(struct cli_export_options, no_samples, "no-samples", NULL, CLI_FLAG, NULL,
               "the run's line only"),
};

static const struct cli_command run_export = {
    .name = "run export",
    .words = "RUN...",
    .summary = "a run with all its samples, texts and verdicts, as JSON lines",
    .text = "Gold answers are included once the run has ended.\n\n"
            "  moecap run export run-a2b3c4d5e6f7g8h9 > run.jsonl\n",
    .options = export_options,
    .option_count = CAP_COUNT_OF(export_options),
    .values = &cli_export_options,
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .hint = "moecap board --all lists runs with their ids",
    .run = cli_cmd_run_export,
};

static const struct cli_command task_list = {
    .name = "task list",
    .words = "",
    .summary = "tasks that can be run",
    .text = "  moecap task list\n",
    .run = cli_cmd_task_list,
};

static const struct cli_command task_show = {
    .name = "task show",
    .words = "TASK",
    .summary = "one task: samples, metrics, hashes",
    .text = "  moecap task show gsm-mini\n",
    .words_min = 1,
    .words_max = 1,
    .hint = "moecap task list shows the tasks",
    .run = cli_cmd_task_show,
};

static const struct cli_option task_options[] = {
    CLI_OPTION(struct cli_task_options, data, "data", NULL, CLI_TEXT, "FILE",
               "JSONL of the samples, when it is not beside the YAML"),
    CLI_OPTION(struct cli_task_options, fewshot, "fewshot", NULL, CLI_TEXT, "FILE",
               "JSONL of the few-shot examples, likewise"),
};

static const struct cli_command task_add = {
    .name = "task add",
    .words = "FILE.yaml|NAME...",
    .summary = "add a task: a YAML and its JSONL; NAME is a shipped YAML",
    .text = "Every sample is rendered once as a check. An older version stays for the runs\n"
            "that used it.\n"
            "\n"
            "  moecap task add tasks/gsm-mini.yaml\n"
            "  moecap task add gsm8k --data gsm8k_test.jsonl --fewshot gsm8k_train.jsonl\n",
    .options = task_options,
    .option_count = CAP_COUNT_OF(task_options),
    .values = &cli_task_options,
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .hint = "moecap help task add shows examples",
    .run = cli_cmd_task_add,
};

static const struct cli_command node_list = {
    .name = "node list",
    .words = "",
    .summary = "connected nodes: engines, models, current run",
    .text = "  moecap node list\n",
    .run = cli_cmd_node_list,
};

static const struct cli_command node_probe = {
    .name = "node probe",
    .words = "",
    .summary = "measure this machine as a node does when it starts",
    .text = "What memory gives, and what matrix multiplication attains in each precision: what\n"
            "utilisation \"of attainable\" is of. Needs no suite and keeps nothing.\n"
            "\n"
            "  moecap node probe\n",
    .raw = true,
    .run_raw = cli_exec_inference,
};

static const struct cli_command hardware = {
    .name = "hardware",
    .words = "[NAME...]",
    .summary = "known devices: bandwidth, peaks, power, list price",
    .text = "Without a name all of them; with one, the device that it means, as --hardware of\n"
            "submit takes it. Peaks are dense: figures with sparsity are halved.\n"
            "\n"
            "  moecap hardware\n"
            "  moecap hardware 8x H100-SXM\n"
            "  moecap hardware \"NVIDIA A100-SXM4-80GB\" --json\n",
    .hint = "moecap hardware without a name lists them",
    .words_max = CLI_WORDS_MAX,
    .run = cli_cmd_hardware,
};

#define ESTIMATE(field, name, kind, value, help)                                                   \
    CLI_OPTION(struct cli_estimate_options, field, name, NULL, kind, value, help)
#define ESTIMATE_GIVEN(field, given, name, kind, value, help)                                      \
    CLI_OPTION_GIVEN(struct cli_estimate_options, field, given, name, kind, value, help)

static const struct cli_option estimate_options[] = {
    ESTIMATE(model, "model", CLI_TEXT, "DIR|FILE", "a model's folder, or its config.json alone"),
    ESTIMATE(hardware, "hardware", CLI_TEXT, "NAME",
             "e.g. \"8x H100-SXM\"; moecap hardware lists devices (none: no times)"),
    ESTIMATE_GIVEN(batch, has_batch, "batch", CLI_INT, "B", "sequences of the pass (1)"),
    ESTIMATE_GIVEN(context, has_context, "context", CLI_INT, "C",
                   "tokens of each sequence after the pass"),
    ESTIMATE(phase, "phase", CLI_TEXT, "decode|prefill",
             "decode: one token of each; prefill: all of them (decode)"),
    ESTIMATE(cached, "cached", CLI_INT, "N", "prefill: tokens of each that are in the cache (0)"),
    ESTIMATE_GIVEN(activated, has_activated, "activated", CLI_REAL, "A",
                   "distinct experts of each MoE layer (uniform choices)"),
    ESTIMATE(step_time, "step-time", CLI_TEXT, "S", "seconds, or 40ms: gives S-MBU and S-MFU"),
    ESTIMATE(precision, "precision", CLI_TEXT, "P",
             "count every matrix in P (as config.json says it is stored)"),
    ESTIMATE(cache_precision, "cache-precision", CLI_TEXT, "P",
             "of the KV cache (as config.json says, else 16 bits)"),
    ESTIMATE(devices, "tp", CLI_INT, "N",
             "devices that share the model (as many as --hardware says)"),
    ESTIMATE(mla, "mla", CLI_TEXT, "expanded|absorbed",
             "how latent attention is executed (expanded)"),
    ESTIMATE(peak_gb_s, "peak-bandwidth", CLI_REAL, "GB/s", "of one device (the table's)"),
    ESTIMATE(peak_tflops, "peak-flops", CLI_REAL, "TFLOPS", "of one device, dense (the table's)"),
};
#undef ESTIMATE
#undef ESTIMATE_GIVEN

static const struct cli_command estimate = {
    .name = "estimate",
    .words = "",
    .summary = "what a pass of a model costs, and how fast hardware can be",
    .text = "From a config.json alone, of any family that docs/models.md lists; nothing is run.\n"
            "Costs by part, the roofline's floor, and with --step-time S-MBU and S-MFU. Without\n"
            "--activated the experts are what uniform choices would wake, with the range of\n"
            "what can be.\n"
            "\n"
            "  moecap estimate --model models/moecap-tiny --context 512\n"
            "  moecap estimate --model config.json --hardware \"8x H100-SXM\" --batch 32 \\\n"
            "      --context 1024 --activated 163.3 --step-time 40ms\n"
            "  moecap estimate --model config.json --hardware H200 --context 4096 \\\n"
            "      --phase prefill --json\n",
    .options = estimate_options,
    .option_count = CAP_COUNT_OF(estimate_options),
    .values = &cli_estimate_options,
    .hint = "moecap help estimate shows the options; moecap hardware lists devices",
    .run = cli_cmd_estimate,
};

static const struct cli_command model = {
    .name = "model",
    .words = "inspect|forward|serve DIR ...",
    .summary = "inspect a checkpoint, run it once, or serve it, without a suite",
    .text = "  moecap model inspect models/moecap-tiny\n"
            "  moecap model forward models/moecap-tiny --tokens tokens.json --greedy 8\n",
    .raw = true,
    .run_raw = cli_exec_inference,
};

static const struct cli_command engine = {
    .name = "engine",
    .words = "check URL ...",
    .summary = "find out what a server can do, before submitting",
    .text = "  moecap engine check http://127.0.0.1:8000\n"
            "  moecap engine check http://127.0.0.1:8000 --kind vllm --model NAME\n",
    .raw = true,
    .run_raw = cli_exec_inference,
};

static const struct cli_command tokenize = {
    .name = "tokenize",
    .words = "DIR",
    .summary = "turn JSON strings, one a line, into lists of token ids",
    .text = "  echo '\"2 + 2\"' | moecap tokenize models/moecap-tiny\n",
    .raw = true,
    .run_raw = cli_exec_inference,
};

static const struct cli_option routing_options[] = {
    CLI_OPTION(struct cli_routing_options, same_model, "same-model", NULL, CLI_FLAG, NULL,
               "both runs are of one model, though their files differ"),
};

static const struct cli_command routing = {
    .name = "routing",
    .words = "RUN RUN",
    .summary = "which experts two runs of one model chose, and what moved",
    .text = "Of two tasks: how far their loads overlap, layer by layer. Of two precisions on the\n"
            "same prompts also: the share of each sample's selections that moved, beside the\n"
            "accuracy of both. Experts of two models are not compared; of checkpoints with\n"
            "other files that are one model, say --same-model. Formulas: docs/activation.md.\n"
            "\n"
            "  moecap routing run-a2b3c4d5e6f7g8h9 run-b7d4g2h9j5k8m3np\n",
    .options = routing_options,
    .option_count = CAP_COUNT_OF(routing_options),
    .values = &cli_routing_options,
    .words_min = 2,
    .words_max = 2,
    .hint = "moecap board lists runs with their ids",
    .run = cli_cmd_routing,
};

static const struct cli_option profile_options[] = {
    CLI_OPTION(struct cli_profile_options, model, "model", NULL, CLI_TEXT, "DIR",
               "a checkpoint that our engine runs, or the name of a shipped one"),
    CLI_OPTION(struct cli_profile_options, task, "task", NULL, CLI_TEXT, "NAME",
               "a task, or its YAML file"),
    CLI_OPTION_GIVEN(struct cli_profile_options, batch_size, has_batch_size, "batch-size", CLI_INT,
                     "N", "prompts answered at once, 1 to 4096"),
    CLI_OPTION_GIVEN(struct cli_profile_options, limit, has_limit, "limit", CLI_INT, "N",
                     "the first N samples (all)"),
    CLI_OPTION_GIVEN(struct cli_profile_options, tp, has_tp, "tp", CLI_INT, "N",
                     "put _tpN into the file's name; the counts are the whole model's"),
    CLI_OPTION(struct cli_profile_options, output, "output", NULL, CLI_TEXT, "DIR",
               "where the two files go (this folder)"),
    CLI_OPTION(struct cli_profile_options, name, "name", NULL, CLI_TEXT, "ORG/NAME",
               "names of the files (the last two folders of DIR)"),
    CLI_OPTION(struct cli_profile_options, precision, "precision", NULL, CLI_TEXT, "P",
               "f32, bf16, int8 (bf16)"),
    CLI_OPTION(struct cli_profile_options, threads, "threads", NULL, CLI_INT, "N",
               "threads of the engine (every core)"),
    CLI_OPTION_GIVEN(struct cli_profile_options, num_fewshot, has_fewshot, "num-fewshot", CLI_INT,
                     "N", "examples in each prompt (the task's)"),
    CLI_OPTION(struct cli_profile_options, chat, "chat", NULL, CLI_FLAG, NULL,
               "put prompts through the model's chat template"),
    CLI_OPTION(struct cli_profile_options, data, "data", NULL, CLI_TEXT, "FILE",
               "JSONL of the samples, when it is not beside the YAML"),
    CLI_OPTION(struct cli_profile_options, fewshot, "fewshot", NULL, CLI_TEXT, "FILE",
               "JSONL of the few-shot examples, likewise"),
    CLI_OPTION(struct cli_profile_options, tasks, "tasks", NULL, CLI_TEXT, "DIR",
               "where NAME.yaml lies ($MOECAP_TASKS, ./tasks, the shipped ones)"),
};

static const struct cli_command profile = {
    .name = "profile",
    .words = "",
    .summary = "which experts a task's answers wake in batches of N, no suite",
    .text = "Answers the task's prompts in batches and writes two CSV files, laid out as the\n"
            "recorder of the Open MoE LLM Leaderboard did: the mean number of distinct experts\n"
            "of a layer in a decode step, a line for each task and batch size, in\n"
            "activation_profiling_results/ORG/NAME.csv; the selections by layer and expert in\n"
            "activation_profiling_expert_count/. Prompts, padding and answers that have ended\n"
            "are in neither. An evaluation records the same by itself: moecap run show.\n"
            "\n"
            "  moecap profile --model models/moecap-tiny --batch-size 16 --task gsm-mini\n"
            "  moecap profile --model DIR --batch-size 1 --task gsm8k --data test.jsonl\n",
    .options = profile_options,
    .option_count = CAP_COUNT_OF(profile_options),
    .values = &cli_profile_options,
    .hint = "moecap help profile shows the options; task files lie in tasks/",
    .run = cli_cmd_profile,
};

static const struct cli_command render = {
    .name = "render",
    .words = "TASK",
    .summary = "the prompts of a task as JSON lines, without a suite",
    .text = "moecap render --help lists every option.\n\n"
            "  moecap render gsm-mini --limit 3\n",
    .raw = true,
    .run_raw = cli_exec_evaluator,
};

static const struct cli_command grade = {
    .name = "grade",
    .words = "TASK|GRADER [--filter NAME]",
    .summary = "grade answers made anywhere: {id, text, gold} lines to verdicts",
    .text = "moecap grade --help lists the graders and every option.\n\n"
            "  moecap grade gsm8k < answers.jsonl > verdicts.jsonl\n",
    .raw = true,
    .run_raw = cli_exec_evaluator,
};

static const struct cli_command admin_config = {
    .name = "admin config",
    .words = "PROGRAM",
    .summary = "settings of a program, and where each comes from",
    .text = "  moecap admin config scheduler\n"
            "  moecap admin config node-1\n",
    .words_min = 1,
    .words_max = 1,
    .run = cli_cmd_admin_config,
};

static const struct cli_command admin_metrics = {
    .name = "admin metrics",
    .words = "PROGRAM",
    .summary = "counters of a program, as Prometheus reads them",
    .text = "  moecap admin metrics store\n",
    .words_min = 1,
    .words_max = 1,
    .run = cli_cmd_admin_metrics,
};

static const struct cli_command admin_log = {
    .name = "admin log",
    .words = "PROGRAM LEVELS",
    .summary = "change what a running program logs",
    .text = "A level, or levels by module (source file without .c): debug, info, warn, error.\n"
            "Lasts until the program ends; `up --log` and MOECAP_LOG set it from the start.\n"
            "\n"
            "  moecap admin log scheduler info,dispatcher:debug\n",
    .words_min = 2,
    .words_max = 2,
    .run = cli_cmd_admin_log,
};

static const struct cli_command version = {
    .name = "version",
    .words = "",
    .summary = "the version of this program",
    .text = "  moecap version --json\n",
    .run = cli_cmd_version,
};

#define PLOT(field, kind, value, help)                                                             \
    CLI_OPTION(struct cli_plot_options, field, #field, NULL, kind, value, help)

static const struct cli_option plot_options[] = {
    PLOT(output, CLI_TEXT, "DIR|FILE", "folder, or a file that ends in .svg, .png, .pdf (here)"),
    PLOT(format, CLI_TEXT, "svg|png|pdf", "of the file (png, or as --output ends)"),
    PLOT(theme, CLI_TEXT, "light|dark|contrast", "colours (light)"),
    PLOT(title, CLI_TEXT, "TEXT", "heading (of a heat map of a file its name)"),
    PLOT(absolute, CLI_FLAG, NULL, "heatmap: counts (shares of the even load of each layer)"),
    PLOT(sorted, CLI_FLAG, NULL, "heatmap: each layer's experts by their load"),
    PLOT(phase, CLI_TEXT, "prefill|decode", "heatmap, activation of runs: which passes (decode)"),
    PLOT(metric, CLI_TEXT, "ttft|tpot|itl|e2e", "ecdf: which time (of one run all, else ttft)"),
    PLOT(relative, CLI_FLAG, NULL, "radar of runs: scales by the runs beside (fixed ones)"),
};

static const struct cli_command plot = {
    .name = "plot",
    .words = "PICTURE FILE|RUN...",
    .summary = "a picture as SVG, PNG or PDF, or its numbers as JSON",
    .text = "Of a file:\n"
            "  radar     cost, accuracy, performance of systems, from a YAML (docs/plot.md)\n"
            "  heatmap   load of each expert of each layer, from a CSV layer_id,expert_0,...\n"
            "Of runs:\n"
            "  radar, heatmap, and\n"
            "  roofline  operations a second, below what the machine can\n"
            "  pareto    accuracy against cost, with the frontier\n"
            "  sweep     TPOT against output tokens a second\n"
            "  activation  distinct experts by tokens in a pass\n"
            "  ecdf      share of requests that took at most so long\n"
            "\n"
            "  moecap plot radar radar.yaml\n"
            "  moecap plot heatmap counts.csv --output pictures --format svg --sorted\n"
            "  moecap plot roofline run-1a2b run-3c4d --output roofline.pdf\n",
    .options = plot_options,
    .option_count = CAP_COUNT_OF(plot_options),
    .values = &cli_plot_options,
    .hint = "moecap help plot shows the pictures; docs/plot.md has samples of both files",
    .words_min = 2,
    .words_max = CLI_WORDS_MAX,
    .run = cli_cmd_plot,
};

static const struct cli_option help_options[] = {
    CLI_OPTION(struct cli_help_options, markdown, "markdown", NULL, CLI_FLAG, NULL,
               "all of it, as docs/cli.md"),
    CLI_OPTION(struct cli_help_options, man, "man", NULL, CLI_FLAG, NULL,
               "all of it, as a man page"),
    CLI_OPTION(struct cli_help_options, completion, "bash-completion", NULL, CLI_FLAG, NULL,
               "a completion script for bash"),
};

static const struct cli_command help = {
    .name = "help",
    .words = "[COMMAND]",
    .summary = "all commands, or one of them with examples",
    .text = "  moecap help submit\n"
            "  moecap help --man | man -l -\n"
            "  source <(moecap help --bash-completion)\n",
    .options = help_options,
    .option_count = CAP_COUNT_OF(help_options),
    .values = &cli_help_options,
    .words_max = 2,
    .run = cli_cmd_help,
};

const struct cli_command *const cli_commands[] = {
    &up,         &down,         &status,        &submit,     &sweep,    &load,
    &watch,      &cancel,       &queue,         &board,      &run_show, &run_samples,
    &run_export, &routing,      &cost,          &compare,    &repeats,  &task_list,
    &task_show,  &task_add,     &node_list,     &node_probe, &hardware, &estimate,
    &model,      &engine,       &tokenize,      &profile,    &plot,     &render,
    &grade,      &admin_config, &admin_metrics, &admin_log,  &version,  &help,
};
const size_t cli_command_count = CAP_COUNT_OF(cli_commands);
