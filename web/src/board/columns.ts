// Every column of the board, by group: facts that a run states, and figures of docs/metrics.md. A figure that a newer
// server sends and that is not here becomes a column of the group "More", or of "Accuracy" when it is a share of answers.
import { type Column, columnsOf, groups, percentOf } from "./column.ts";
import { hardwareText, headline, parallelText, type Row, settingText } from "./rows.ts";
import { parameters, short, time } from "../lib/format.ts";
import { loadText } from "../lib/load.ts";
import { tables } from "../lib/tables.ts";
import type { Figure } from "../lib/types.ts";

const lower = { better: "lower" } as const;
const higher = { better: "higher" } as const;
const reported = { source: "report" } as const;
const known = (count: number | undefined): number | null => count || null; // a report says 0 for unknown
const size = (count: number | undefined): string => (count === undefined ? "" : parameters(count));

const latencies: [id: string, title: string, about: string][] = [
  ["ttft", "TTFT", "Time from the request to its first token"],
  ["tpot", "TPOT", "Time per output token after the first, of a request"],
  ["itl", "ITL", "Gap between two tokens that follow each other"],
  ["e2e", "End to end", "Time from the request to its end"],
];

export const columns: readonly Column[] = [
  ...runColumns(),
  ...costColumns(),
  ...energyColumns(),
  ...accuracyColumns(),
  ...performanceColumns(),
  ...loadColumns(),
  ...moeColumns(),
  ...utilisationColumns(),
  ...systemColumns(),
  ...provenanceColumns(),
];

function runColumns(): Column[] {
  const { fact } = columnsOf("Run");
  return [
    fact("model", "Model", "The model that was asked for", (r) => r.run.spec.model, { width: 160, standard: true }),
    fact("task", "Task", "What was asked of it", (r) => r.run.task, { width: 132, standard: true }),
    fact("precision", "Precision", "What the engine computed with", (r) => r.run.spec.precision || null, {
      width: 84,
      standard: true,
    }),
    fact("engine", "Engine", "What ran the model", (r) => r.run.spec.engine, { width: 76, standard: true }),
    fact(
      "batch",
      "Batch",
      "Requests in flight; or arrivals a second of an open loop",
      (r) => r.run.spec.load?.rate_per_s ?? r.run.spec.load?.concurrency ?? 1,
      { width: 66, standard: true, numeric: true, text: (r) => loadText(r.run.spec) },
    ),
    fact("setting", "Setting", "What differs from the task's own setting", (r) => settingText(r) || null, {
      width: 160,
    }),
    fact("state", "State", "Where the run is: queued, running, finished, ...", (r) => r.run.state, { width: 140 }),
    fact(
      "marks",
      "Marks",
      "What to know of the figures: unsettled, declared, ...; the run's page has the sentences",
      (r) => r.run.marks?.map((m) => m.id).join("; ") || null,
      { width: 140 },
    ),
  ];
}

function costColumns(): Column[] {
  const { figure } = columnsOf("Cost");
  const usd = (id: string, title: string, about: string, more: { standard?: boolean } = {}) =>
    figure(id, title, "USD", about, { ...lower, width: 128, ...more });
  return [
    usd("cost_per_1m_output_tokens", "1M output", "A million output tokens, with their share of the run's time", {
      standard: true,
    }),
    usd("cost_per_correct", "Right answer", "The run's cost by right answers of the task's first metric", {
      standard: true,
    }),
    usd("cost_per_1m_input_tokens", "1M input", "A million input tokens, with their share of the run's time"),
    usd("cost_per_1m_tokens", "1M tokens", "A million tokens, input and output together"),
    usd("cost_per_request", "Request", "A completed request, by wall time"),
    usd("cost_per_request_busy", "Request, busy", "A request by the engine's own times, without idle ones"),
    usd("cost_per_1m_output_tokens_busy", "1M output, busy", "A million output tokens by TPOT and decode batch"),
    usd("run_cost", "Run", "The run's wall time at the machine's price by the hour"),
    figure("cost_per_hour", "Machine", "USD/h", "Rent, or purchase over its life and energy", lower),
    figure("cost_per_hour_devices", "Devices", "USD/h", "Rent, or purchase of the devices over their life", lower),
    figure("cost_per_hour_host", "Host", "USD/h", "Purchase of the host over its life", lower),
    figure("cost_per_hour_energy", "Energy", "USD/h", "Power of devices and host at the tariff", lower),
    usd("machine_price", "Machine price", "What the machine costs to buy: devices and host"),
    figure("wall_s", "Duration", "s", "From the first request to the last end; loading is not counted", {
      ...lower,
      width: 116,
    }),
  ];
}

// Each figure also without what the machine draws while it does nothing.
function energyColumns(): Column[] {
  const { figure } = columnsOf("Energy");
  const both = (id: string, title: string, unit: string, about: string) => [
    figure(id, title, unit, about, { ...lower, width: 118 }),
    figure(`${id}_above_idle`, `${title}, above idle`, unit, `${about}; without idle power`, { ...lower, width: 178 }),
  ];
  const plate = (id: string, title: string, about: string) =>
    figure(`${id}_nameplate`, `${title}, nameplate`, "J", `${about}: at the boards' power; not measured`, {
      ...lower,
      width: 178,
    });
  return [
    ...both("j_per_output_token", "Output token", "J", "Energy by output tokens of completed samples"),
    ...both("j_per_correct", "Right answer", "J", "Energy by right answers of the task's first metric"),
    ...both("j_per_token", "Token", "J", "Energy by tokens, input and output together"),
    ...both("j_per_request", "Request", "J", "Energy by completed requests; failed ones drew it, too"),
    ...both("energy_j", "Energy", "J", "All devices that were measured, while the run took"),
    ...both("energy_j_gpu", "GPUs", "J", "The GPU boards, memory included"),
    ...both("energy_j_cpu", "Processors", "J", "The processor packages"),
    ...both("energy_j_dram", "Memory", "J", "The memory, where the processor counts it"),
    ...both("power_w_mean", "Power", "W", "Energy by the time it was measured over"),
    figure("power_w_idle", "Idle power", "W", "The same devices before the run, while the node did nothing", lower),
    plate("j_per_output_token", "Output token", "An output token"),
    plate("j_per_correct", "Right answer", "A right answer"),
    plate("j_per_token", "Token", "A token"),
    plate("j_per_request", "Request", "A completed request"),
    plate("energy_j", "Energy", "The run"),
  ];
}

function accuracyColumns(): Column[] {
  const { fact, figure } = columnsOf("Accuracy");
  return [
    {
      ...fact(
        "accuracy",
        "Accuracy",
        "Right answers of all samples, by the task's first metric; bar: 95 % interval (Wilson), from 0 to 100 %",
        (r) => percentOf(headline(r)),
        { ...higher, share: true, unit: "%", width: 158, standard: true, numeric: true },
      ),
      figure: headline,
    },
    figure("attempted", "Samples", "", "Samples of the run", { width: 92 }),
    figure("served", "Served", "", "Samples whose request brought tokens or completed", { width: 92 }),
    figure("completed", "Completed", "", "Samples whose request ended by itself or at its limit", { width: 100 }),
    figure("failed", "Failed", "", "Samples whose request failed; each counts as wrong", { ...lower, width: 92 }),
    figure("unanswered", "Unanswered", "", "Completed, without anything that looks like an answer", {
      ...lower,
      width: 108,
    }),
    figure("truncated", "Truncated", "", "Completed at the token limit", { ...lower, width: 100 }),
  ];
}

function performanceColumns(): Column[] {
  const { figure } = columnsOf("Performance");
  return [
    ...latencyColumns(),
    figure("output_tokens_per_s", "Output", "tokens/s", "Output tokens of completed samples by wall time", {
      ...higher,
      standard: true,
    }),
    figure("input_tokens_per_s", "Input", "tokens/s", "Prompt tokens of completed samples by wall time", higher),
    figure("total_tokens_per_s", "Total", "tokens/s", "Prompt and output tokens by wall time", higher),
    figure("requests_per_s", "Requests", "1/s", "Completed requests by wall time", higher),
    figure("prefill_tokens_per_s", "Prefill", "tokens/s", "Tokens of prefill passes by their durations", {
      ...higher,
      standard: true,
    }),
    figure("decode_tokens_per_s", "Decode", "tokens/s", "Tokens of decode passes by their durations", {
      ...higher,
      standard: true,
    }),
    figure("decode_batch_mean", "Decode batch", "sequences", "Sequences in a decode pass, mean"),
    {
      ...figure("slo_met", "Objective met", "%", "Requests that met the objective, of all behind the warm-up", higher),
      share: true,
      value: (row) => percentOf(row.figures.get("slo_met")),
    },
    figure("goodput_per_s", "Goodput", "1/s", "Requests a second that met the objective", higher),
    figure(
      "quality_goodput_per_s",
      "Quality goodput",
      "1/s",
      "Requests a second that met the objective and are right",
      { ...higher, width: 130 },
    ),
    figure("warm_up_requests", "Warm-up", "", "Requests at the start that times and rates leave out", { width: 92 }),
    figure("prefill_batch_mean", "Prefill batch", "sequences", "Sequences in a prefill pass, mean"),
    figure("prefill_s", "Prefill time", "s", "Durations of prefill passes together"),
    figure("decode_s", "Decode time", "s", "Durations of decode passes together"),
    figure("mixed_s", "Mixed time", "s", "Durations together of passes that prefill and decode at once"),
  ];
}

// Whether requests were sent as asked for, and what of a latency is waiting.
function loadColumns(): Column[] {
  const { figure } = columnsOf("Load");
  const lag = (id: string, title: string, about: string) => figure(id, title, "ms", about, { ...lower, width: 132 });
  return [
    lag("queue_ms_p50", "Queue, median", "From the request to the moment when the engine began it"),
    lag("queue_ms_p99", "Queue, p99", "From the request to the moment when the engine began it"),
    lag("service_ttft_ms_p50", "Service TTFT", "From there to the first token, median; with the queue it is the TTFT"),
    figure("rate_asked", "Rate asked", "1/s", "Of an open loop: the arrivals that were drawn", { width: 110 }),
    figure("rate_achieved", "Rate achieved", "1/s", "Of an open loop: the requests that were sent", { width: 118 }),
    lag("schedule_delay_ms_p99", "Delay, p99", "Of an open loop: how late a request was sent"),
    figure("client_busy_share", "Client busy", "of 1", "The load generator's own work, of the run's time", lower),
    figure("host_load", "Host load", "threads", "Threads that wanted a core of the node's host, mean", lower),
  ];
}

function moeColumns(): Column[] {
  const { fact, figure } = columnsOf("MoE");
  return [
    figure(
      "activated_experts_prefill",
      "Experts, prefill",
      "a layer",
      "Distinct experts that got a token in a prefill pass; mean over passes and MoE layers",
      { width: 152 },
    ),
    figure(
      "activated_experts_decode",
      "Experts, decode",
      "a layer",
      "Distinct experts that got a token in a decode pass; mean over passes and MoE layers",
      { width: 137, standard: true },
    ),
    figure(
      "activated_share_decode",
      "Share awake, decode",
      "of 1",
      "Distinct experts in a decode pass over the experts of the model; mean over passes and MoE layers",
      { width: 160 },
    ),
    figure(
      "expert_load_worst_decode",
      "Worst layer, decode",
      "1 = even",
      "The busiest expert's selections over the mean, in the layer where that is largest; expert_load_worst_layer_decode names it",
      { width: 160 },
    ),
    figure(
      "expert_load_gini_decode",
      "Load Gini, decode",
      "0 = even",
      "Gini's coefficient of the experts' selections in decode passes; mean over MoE layers",
      { width: 150 },
    ),
    figure(
      "expert_load_entropy",
      "Load entropy",
      "1 = even",
      "Entropy of the experts' shares of selections; mean over MoE layers",
      { width: 112 },
    ),
    figure(
      "expert_load_max_ratio",
      "Busiest expert",
      "1 = even",
      "The busiest expert's share of selections relative to an even split; mean over MoE layers",
      { width: 122 },
    ),
    fact("experts", "Experts", "Experts of a MoE layer", (r) => known(r.run.report?.experts), {
      ...reported,
      width: 84,
      numeric: true,
    }),
    fact("top_k", "Top-k", "Experts chosen for a token", (r) => known(r.run.report?.top_k), {
      ...reported,
      width: 76,
      numeric: true,
    }),
    fact("moe_layers", "MoE layers", "Layers with experts", (r) => known(r.run.report?.moe_layers), {
      ...reported,
      width: 98,
      numeric: true,
    }),
  ];
}

function utilisationColumns(): Column[] {
  const { figure } = columnsOf("Utilisation");
  const share = (id: string, title: string, about: string, standard = false): Column => ({
    ...figure(id, title, "%", about, { ...higher, share: true, standard, width: 128 }),
    value: (r) => percentOf(r.figures.get(id)),
  });
  const phases = [
    ["decode", "decode"],
    ["prefill", "prefill"],
    ["mixed", "mixed passes"],
  ] as const;
  return [
    ...phases.flatMap(([id, phase]) => [
      share(`smbu_${id}`, `S-MBU, ${phase}`, "Bytes moved by time, of the bandwidth by data sheet", id === "decode"),
      share(
        `smbu_${id}_attainable`,
        `S-MBU, ${phase}, attained`,
        "Bytes moved by time, of the bandwidth that the node's probe attained",
        id === "decode",
      ),
      share(`smfu_${id}`, `S-MFU, ${phase}`, "Operations by time, of the peak by data sheet"),
      share(
        `smfu_${id}_attainable`,
        `S-MFU, ${phase}, attained`,
        "Operations by time, of what the node's probe attained at this precision",
      ),
    ]),
    figure("peak_gb_per_s", "Bandwidth", "GB/s", "Of the machine's memory, by data sheet or as declared"),
    figure("attainable_gb_per_s", "Bandwidth, attained", "GB/s", "Of main memory, by the node's probe", { width: 150 }),
    figure("peak_gflop_per_s", "Peak", "GFLOP/s", "Dense, of the machine at this precision, by data sheet"),
    figure("attainable_gflop_per_s", "Peak, attained", "GFLOP/s", "At this precision, by the node's probe", {
      width: 130,
    }),
  ];
}

function systemColumns(): Column[] {
  const { fact } = columnsOf("System");
  return [
    fact("hardware", "Hardware", "What it ran on, as declared or found", (r) => hardwareText(r.run) || null, {
      ...reported,
      width: 220,
    }),
    fact(
      "parallelism",
      "Parallelism",
      "Tensor, pipeline, data and expert parallelism above 1",
      (r) => parallelText(r.run) || "none",
      { width: 116 },
    ),
    fact("parameters", "Parameters", "Weights of the model", (r) => r.run.report?.parameters ?? null, {
      ...reported,
      width: 108,
      numeric: true,
      text: (r) => size(r.run.report?.parameters),
    }),
    fact("active", "Active", "Weights that a token uses", (r) => r.run.report?.active_parameters ?? null, {
      ...reported,
      width: 96,
      numeric: true,
      text: (r) => size(r.run.report?.active_parameters),
    }),
    fact("node", "Node", "The machine's name", (r) => r.run.node || null),
    fact("isa", "Kernels", "Instruction set of the kernels in use", (r) => r.run.report?.isa || null, reported),
    fact(
      "boundary",
      "Timing",
      "Where times were taken: in the engine, or over http",
      (r) => r.run.timing_boundary || null,
      { width: 96 },
    ),
    fact(
      "load_average",
      "Host load (1 min)",
      "Load average of the host when the run ended",
      (r) => r.run.report?.load_average ?? null,
      { ...reported, width: 100, numeric: true, text: (r) => short(r.run.report?.load_average ?? 0) },
    ),
  ];
}

function provenanceColumns(): Column[] {
  const { fact } = columnsOf("Provenance");
  return [
    fact("run_id", "Run", "The run's id", (r) => r.run.run_id, { width: 190 }),
    fact("ended", "Ended", "When the run ended, in your zone; UTC on hover", (r) => r.run.ended_at_ms || null, {
      width: 150,
      text: (r) => time(r.run.ended_at_ms),
    }),
    fact("submitter", "Submitter", "Who asked", (r) => r.run.spec.submitter || null),
    fact("seed", "Seed", "Seeds sampling, few-shot choice and token sampling", (r) => r.run.spec.seed, {
      width: 80,
      numeric: true,
    }),
    fact("few_shot", "Few-shot", "Few-shot examples; empty: task default", (r) => r.run.spec.num_fewshot ?? null, {
      width: 92,
      numeric: true,
    }),
    fact(
      "prompt_format",
      "Prompt",
      "Plain text, or the model's chat template",
      (r) => r.run.spec.prompt_format || "text",
      { width: 92 },
    ),
    fact(
      "config_hash",
      "Configuration",
      "SHA-256 of what was asked for; equal: the same question",
      (r) => r.run.config_hash,
      { width: 130, text: (r) => r.run.config_hash.slice(0, 12) },
    ),
    fact("model_sha256", "Weights", "SHA-256 over the model's files", (r) => r.run.report?.model_sha256 || null, {
      ...reported,
      width: 130,
      text: (r) => (r.run.report?.model_sha256 ?? "").slice(0, 12),
    }),
    fact("engine_version", "Engine version", "As the engine reports it", (r) => r.run.report?.engine_version || null, {
      ...reported,
      width: 124,
    }),
    fact("note", "Note", "Free text of the submitter", (r) => r.run.spec.note || null, { width: 220 }),
  ];
}

function latencyColumns(): Column[] {
  const { figure } = columnsOf("Performance");
  const points = [
    ["mean", "mean"],
    ["p50", "median"],
    ["p90", "90th percentile"],
    ["p99", "99th percentile"],
  ] as const;
  return latencies.flatMap(([id, title, about]) =>
    points.map(([point, name]) =>
      figure(`${id}_ms_${point}`, `${title} ${point}`, "ms", `${about}; ${name} over requests`, {
        ...lower,
        standard: point === "p50" && (id === "ttft" || id === "tpot"),
      }),
    ),
  );
}

/** The columns to show. On a narrow screen the usual ones begin with the figures: the model's cell says the rest. */
export function shownColumns(
  all: readonly Column[],
  chosen: readonly string[],
  narrow: boolean,
  unfinished: boolean,
): Column[] {
  const wanted = new Set(["model", ...chosen, ...(unfinished ? ["state"] : [])]);
  const columns = all.filter((c) => wanted.has(c.id));
  if (!narrow) return columns;
  return [
    ...columns.slice(0, 1),
    ...columns.slice(1).filter((c) => c.group !== "Run"),
    ...columns.slice(1).filter((c) => c.group === "Run"),
  ];
}

const fittedWidthMax = 320;
const letterWidth = 8; // of the table's font, about
const smallLetter = 0.7; // of it

/** What tells runs apart is read whole: names, settings below them and loads as wide as the longest, within bounds. */
export function fitted(columns: Column[], rows: readonly Row[]): Column[] {
  const lettersOf: Partial<Record<string, (row: Row) => number>> = {
    model: (row) => Math.max(row.run.spec.model.length, settingText(row).length * smallLetter),
    batch: (row) => loadText(row.run.spec).length,
  };
  return columns.map((column) => {
    const letters = lettersOf[column.id];
    if (!letters) return column;
    const longest = rows.reduce((most, row) => Math.max(most, letters(row)), 0);
    return { ...column, width: Math.min(fittedWidthMax, Math.max(column.width, longest * letterWidth + 24)) };
  });
}

/** The direction that a first press sorts in: what is better, or newer, comes first. */
export const firstDesc = (column: Column): boolean => column.better === "higher" || column.id === "ended";

/** The table's columns, and one for every figure among the runs that the table does not know. */
export function columnsFor(runs: Iterable<{ figures: Iterable<Figure> }>): readonly Column[] {
  const ids = new Set(columns.map((c) => c.id));
  const more = new Map<string, Column>();
  for (const run of runs)
    for (const f of run.figures) if (!ids.has(f.id) && !more.has(f.id)) more.set(f.id, unknownFigure(f));
  if (more.size === 0) return columns;
  const found = [...more.values()].sort((a, b) => a.id.localeCompare(b.id));
  return [...columns, ...found].sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
}

// A ratio with an interval that is no figure of every run is a share of answers: one of the task's metrics.
const ofEveryRun = new Set<string>(tables.figures);
function unknownFigure(f: Figure): Column {
  if (f.unit !== "ratio" || f.low === undefined || ofEveryRun.has(f.id))
    return columnsOf("More").figure(f.id, f.id, f.unit, `The figure ${f.id}`, { width: 150 });
  return {
    ...columnsOf("Accuracy").figure(f.id, f.id, "%", `The metric ${f.id}`, { ...higher, share: true, width: 190 }),
    value: (row) => percentOf(row.figures.get(f.id)),
  };
}
