// Runs for tests: what a test does not name is as a finished run of a small model has it.
import type { BoardRow, Figure, Mark } from "../src/lib/types.ts";
import type { Column } from "../src/board/column.ts";
import { columnsFor } from "../src/board/columns.ts";
import { type Row, rowsOf } from "../src/board/rows.ts";

export const figure = (id: string, more: Partial<Figure> = {}): Figure => ({
  id,
  reason: "",
  unit: "ms",
  basis: "measured",
  invalid: false,
  ...more,
});

export interface Wish {
  id: string;
  model?: string;
  task?: string;
  engine?: string;
  precision?: string;
  batch?: number;
  state?: BoardRow["state"];
  acc?: number;
  low?: number;
  high?: number;
  ttft?: number;
  rate?: number;
  note?: string;
  figures?: Figure[];
  marks?: Mark[];
  setting?: string[];
  question?: string;
  of?: number; // samples of the task; the run has 100
  boundary?: string;
  url?: string;
}

export function run(w: Wish): BoardRow {
  const figures = [
    figure("acc", {
      unit: "ratio",
      ...(w.acc === undefined
        ? { reason: "not every sample is graded" }
        : { value: w.acc, low: w.low ?? w.acc, high: w.high ?? w.acc }),
    }),
    figure("ttft_ms_p50", w.ttft === undefined ? { reason: "no decode" } : { value: w.ttft }),
    figure("output_tokens_per_s", {
      unit: "tokens/s",
      ...(w.rate === undefined ? { reason: "no decode" } : { value: w.rate }),
    }),
    ...(w.figures ?? []),
  ];
  return {
    run_id: w.id,
    evaluation_id: "eval-1",
    task: w.task ?? "gsm",
    repeat: 0,
    state: w.state ?? "finished",
    reason: "",
    node: "node-1",
    figures,
    marks: w.marks ?? [],
    queued_at_ms: 1,
    ended_at_ms: 2,
    config_hash: "c0ffee",
    headline_metric: "acc",
    samples_total: 100,
    task_samples: w.of ?? 100,
    question: w.question ?? (w.task ?? "gsm") + (w.setting ?? []).join(),
    setting: w.setting ?? [],
    timing_boundary: w.boundary ?? "engine",
    spec: {
      model: w.model ?? "tiny",
      revision: "",
      engine: w.engine ?? "native",
      precision: w.precision ?? "bf16",
      tasks: [],
      load: { concurrency: w.batch ?? 1 },
      limit: 0,
      repeats: 1,
      seed: 0,
      prompt_format: "text",
      submitter: "",
      priority: 0,
      note: w.note ?? "",
      ...(w.url && { external: { url: w.url, served_model: "", model_config: "", api_key_env: "" } }),
    },
  };
}

export const rows = (...wishes: Wish[]): Row[] => rowsOf(wishes.map(run));

export const columnsOf = (data: Row[]): readonly Column[] => columnsFor(data.map((r) => r.run));
