// Every column of the board. A column of figures knows in which direction it is better; a column of facts does not
// have one. Figures that a newer server sends and this table does not know become columns of the group "More".
import { figureValue, hardwareText, headline, loadText, parallelText, type Row } from "./rows.ts";
import { parameters, time } from "../lib/format.ts";
import type { Figure } from "../lib/types.ts";

export const groups = ["Run", "Cost", "Accuracy", "Performance", "MoE", "System", "Provenance", "More"] as const;
export type Group = (typeof groups)[number];

export interface Column {
  id: string; group: Group; title: string; about: string; width: number; unit: string; better?: "higher" | "lower";
  share: boolean; numeric: boolean; standard: boolean;
  /** What the server must send for it: a figure, the node's report, or nothing beyond the run itself. */
  source: "figure" | "report" | "run";
  /** What sorts and filters: in the unit that is shown; null is unknown. */
  value(row: Row): number | string | null;
  /** Set for columns of figures. */
  figure?: (row: Row) => Figure | undefined;
  /** Set where the text is not the value itself. */
  text?: (row: Row) => string;
}

type Options = Partial<Pick<Column, "better" | "share" | "standard" | "width" | "unit" | "text" | "numeric" | "source">>;

function fact(group: Group, id: string, title: string, about: string, value: Column["value"], options: Options = {}): Column {
  return { id, group, title, about, width: 120, unit: "", share: false, numeric: false, standard: false, source: "run", value, ...options };
}

function figure(group: Group, id: string, title: string, unit: string, about: string, options: Options = {}): Column {
  return { id, group, title, about, width: 102, unit, share: false, numeric: true, standard: false, source: "figure",
    value: (row) => figureValue(row, id), figure: (row) => row.figures.get(id), ...options };
}

const known = (count: number | undefined): number | null => count || null; // the report says 0 for what it does not know
const reported = { source: "report" } as const;
const lower = { better: "lower" } as const;
const higher = { better: "higher" } as const;

const latencies: [id: string, title: string, about: string][] = [
  ["ttft", "TTFT", "Time from the request to its first token"],
  ["tpot", "TPOT", "Time per output token after the first, of a request"],
  ["itl", "ITL", "Gap between two tokens that follow each other"],
  ["e2e", "End to end", "Time from the request to its end"],
];

function latencyColumns(): Column[] {
  const points = [["mean", "mean"], ["p50", "median"], ["p90", "90th percentile"], ["p99", "99th percentile"]] as const;
  return latencies.flatMap(([id, title, about]) => points.map(([point, name]) =>
    figure("Performance", `${id}_ms_${point}`, `${title} ${point}`, "ms", `${about}; ${name} over requests`,
      { ...lower, standard: point === "p50" && (id === "ttft" || id === "tpot") })));
}

export const columns: readonly Column[] = [
  fact("Run", "model", "Model", "The model that was asked for", (r) => r.run.spec.model, { width: 160, standard: true }),
  fact("Run", "task", "Task", "What was asked of it", (r) => r.run.task, { width: 132, standard: true }),
  fact("Run", "precision", "Precision", "What the engine computed with", (r) => r.run.spec.precision || null, { width: 88, standard: true }),
  fact("Run", "engine", "Engine", "What ran the model", (r) => r.run.spec.engine, { width: 80, standard: true }),
  fact("Run", "batch", "Batch", "Requests in flight; or arrivals a second of an open loop", (r) => r.run.spec.load?.rate_per_s ?? r.run.spec.load?.concurrency ?? 1,
    { width: 70, standard: true, numeric: true, text: (r) => loadText(r.run) }),
  fact("Run", "state", "State", "Where the run stands", (r) => r.run.state, { width: 116 }),

  figure("Cost", "wall_s", "Duration", "s", "From the first request to the last end; loading is not counted", lower),

  { ...fact("Accuracy", "accuracy", "Accuracy", "Right answers of all samples, by the task's first metric; bar: 95 % interval (Wilson), from 0 to 100 %",
    (r) => percentOf(headline(r)), { ...higher, share: true, unit: "%", width: 152, standard: true, numeric: true }), figure: headline },
  figure("Accuracy", "attempted", "Samples", "", "Samples of the run", { width: 92 }),
  figure("Accuracy", "served", "Served", "", "Samples whose request brought tokens or completed", { width: 92 }),
  figure("Accuracy", "completed", "Completed", "", "Samples whose request ended by itself or at its limit", { width: 100 }),
  figure("Accuracy", "failed", "Failed", "", "Samples whose request failed; each counts as wrong", { ...lower, width: 92 }),
  figure("Accuracy", "unanswered", "Unanswered", "", "Completed, without anything that looks like an answer", { ...lower, width: 108 }),
  figure("Accuracy", "truncated", "Truncated", "", "Completed at the token limit", { ...lower, width: 100 }),

  ...latencyColumns(),
  figure("Performance", "output_tokens_per_s", "Output", "tokens/s", "Output tokens of completed samples by wall time", { ...higher, standard: true }),
  figure("Performance", "input_tokens_per_s", "Input", "tokens/s", "Prompt tokens of completed samples by wall time", higher),
  figure("Performance", "total_tokens_per_s", "Total", "tokens/s", "Prompt and output tokens by wall time", higher),
  figure("Performance", "requests_per_s", "Requests", "1/s", "Completed requests by wall time", higher),
  figure("Performance", "prefill_tokens_per_s", "Prefill", "tokens/s", "Tokens of prefill passes by their durations", { ...higher, standard: true }),
  figure("Performance", "decode_tokens_per_s", "Decode", "tokens/s", "Tokens of decode passes by their durations", { ...higher, standard: true }),
  figure("Performance", "decode_batch_mean", "Decode batch", "sequences", "Sequences in a decode pass, mean"),

  figure("MoE", "activated_experts_prefill", "Experts, prefill", "a layer", "Distinct experts that got a token in a prefill pass; mean over passes and MoE layers", { width: 130 }),
  figure("MoE", "activated_experts_decode", "Experts, decode", "a layer", "Distinct experts that got a token in a decode pass; mean over passes and MoE layers", { width: 134, standard: true }),
  figure("MoE", "expert_load_entropy", "Load entropy", "1 = even", "Entropy of the experts' shares of selections; mean over MoE layers", { width: 112 }),
  figure("MoE", "expert_load_max_ratio", "Busiest expert", "1 = even", "The busiest expert's share of selections by an even share; mean over MoE layers", { width: 122 }),
  fact("MoE", "experts", "Experts", "Experts of a MoE layer", (r) => known(r.run.report?.experts), { ...reported, width: 84, numeric: true }),
  fact("MoE", "top_k", "Top-k", "Experts chosen for a token", (r) => known(r.run.report?.top_k), { ...reported, width: 76, numeric: true }),
  fact("MoE", "moe_layers", "MoE layers", "Layers with experts", (r) => known(r.run.report?.moe_layers), { ...reported, width: 98, numeric: true }),

  fact("System", "hardware", "Hardware", "What it ran on, as declared or found", (r) => hardwareText(r.run) || null, { ...reported, width: 220 }),
  fact("System", "parallelism", "Parallelism", "Tensor, pipeline, data and expert parallelism above 1", (r) => parallelText(r.run) || "none", { width: 116 }),
  fact("System", "parameters", "Parameters", "Weights of the model", (r) => r.run.report?.parameters ?? null, { ...reported, width: 108, numeric: true, text: (r) => count(r.run.report?.parameters) }),
  fact("System", "active", "Active", "Weights that a token uses", (r) => r.run.report?.active_parameters ?? null, { ...reported, width: 96, numeric: true, text: (r) => count(r.run.report?.active_parameters) }),
  fact("System", "node", "Node", "The machine's name", (r) => r.run.node || null),
  fact("System", "isa", "Kernels", "Instruction set of the kernels in use", (r) => r.run.report?.isa || null, reported),
  fact("System", "boundary", "Timed at", "Where times were taken: in the engine, or over http", (r) => r.run.report?.timing_boundary || null, { ...reported, width: 96 }),
  fact("System", "load_average", "Host load", "Load average of the host when the run ended", (r) => r.run.report?.load_average ?? null, { ...reported, width: 100, numeric: true }),

  fact("Provenance", "run_id", "Run", "The run's id", (r) => r.run.run_id, { width: 190 }),
  fact("Provenance", "ended", "Ended", "When the run ended, local time", (r) => r.run.ended_at_ms || null, { width: 150, text: (r) => time(r.run.ended_at_ms) }),
  fact("Provenance", "submitter", "Submitter", "Who asked", (r) => r.run.spec.submitter || null),
  fact("Provenance", "seed", "Seed", "Of sampling, few-shot choice and token sampling", (r) => r.run.spec.seed, { width: 80, numeric: true }),
  fact("Provenance", "few_shot", "Few-shot", "Examples before the question; empty: the task's own", (r) => r.run.spec.num_fewshot ?? null, { width: 92, numeric: true }),
  fact("Provenance", "prompt_format", "Prompt", "Plain text, or the model's chat template", (r) => r.run.spec.prompt_format || "text", { width: 92 }),
  fact("Provenance", "config_hash", "Configuration", "SHA-256 of what was asked for; equal: the same question", (r) => r.run.config_hash, { width: 130, text: (r) => r.run.config_hash.slice(0, 12) }),
  fact("Provenance", "model_sha256", "Weights", "SHA-256 over the model's files", (r) => r.run.report?.model_sha256 || null, { ...reported, width: 130, text: (r) => (r.run.report?.model_sha256 ?? "").slice(0, 12) }),
  fact("Provenance", "engine_version", "Engine version", "As the engine tells", (r) => r.run.report?.engine_version || null, { ...reported, width: 124 }),
  fact("Provenance", "note", "Note", "Free text of the submitter", (r) => r.run.spec.note || null, { width: 220 }),
];

/** The columns to show. On a narrow screen the usual ones begin with the figures: the model's cell says the rest. */
export function shownColumns(all: readonly Column[], chosen: readonly string[], narrow: boolean, unfinished: boolean): Column[] {
  const wanted = new Set(["model", ...chosen, ...(unfinished ? ["state"] : [])]);
  const columns = all.filter((c) => wanted.has(c.id));
  if (!narrow) return columns;
  return [...columns.slice(0, 1), ...columns.slice(1).filter((c) => c.group !== "Run"), ...columns.slice(1).filter((c) => c.group === "Run")];
}

/** The direction that a first press sorts in: what is better, or newer, comes first. */
export const firstDesc = (column: Column): boolean => column.better === "higher" || column.id === "ended";

/** The table's columns, and one for every figure among the runs that the table does not know. */
export function columnsFor(runs: Iterable<{ figures: Iterable<Figure> }>): readonly Column[] {
  const ids = new Set(columns.map((c) => c.id));
  const more = new Map<string, Column>();
  for (const run of runs)
    for (const f of run.figures)
      if (!ids.has(f.id) && !more.has(f.id)) more.set(f.id, unknownFigure(f));
  return more.size === 0 ? columns : [...columns, ...[...more.values()].sort((a, b) => a.id.localeCompare(b.id))];
}

// A ratio with an interval is a share of answers: one of the task's metrics.
function unknownFigure(f: Figure): Column {
  const share = f.unit === "ratio" && f.low !== undefined;
  const column = figure(share ? "Accuracy" : "More", f.id, f.id, share ? "%" : f.unit, `The figure ${f.id}`,
    share ? { ...higher, share, width: 190 } : { width: 150 });
  return share ? { ...column, value: (row) => percentOf(row.figures.get(f.id)) } : column;
}

function percentOf(f: Figure | undefined): number | null {
  return f && f.value !== undefined && !f.invalid ? f.value * 100 : null;
}

function count(n: number | undefined): string {
  return n === undefined ? "" : parameters(n);
}
