// The shown rows and columns as CSV, in the dialect of the API and the command line (lib/wire/table.c): its column
// names and units, values in full, unknown ones empty.
import type { Column } from "./column.ts";
import type { Row } from "./rows.ts";

type Value = string | number | null | undefined;
type Cell = [name: string, value: (row: Row) => Value];

// What a figure must not be read without, whatever columns are shown.
const always: Cell[] = [
  ["run_id", (r) => r.id],
  ["setting", (r) => r.run.setting?.join("; ")],
  ["samples_total", (r) => r.run.samples_total],
  ["task_samples", (r) => r.run.task_samples],
];

const facts: Record<string, Cell[]> = {
  batch: [
    ["concurrency", (r) => r.run.spec.load?.concurrency],
    ["rate_per_s", (r) => r.run.spec.load?.rate_per_s],
  ],
  parallelism: [
    ["tensor_parallel", (r) => r.run.spec.parallelism?.tensor],
    ["pipeline_parallel", (r) => r.run.spec.parallelism?.pipeline],
    ["data_parallel", (r) => r.run.spec.parallelism?.data],
    ["expert_parallel", (r) => r.run.spec.parallelism?.expert],
  ],
  hardware: [
    ["hardware", (r) => r.run.spec.hardware?.description],
    ["cpu", (r) => r.run.report?.hardware?.cpu],
    ["devices", (r) => r.run.report?.hardware && JSON.stringify(r.run.report.hardware.devices)],
  ],
  active: [["active_parameters", (r) => r.run.report?.active_parameters]],
  boundary: [["timing_boundary", (r) => r.run.timing_boundary]],
  few_shot: [["num_fewshot", (r) => r.run.spec.num_fewshot]],
  prompt_format: [["prompt_format", (r) => r.run.spec.prompt_format]],
  ended: [["ended_at_ms", (r) => r.run.ended_at_ms]],
};

export function toCsv(rows: readonly Row[], columns: readonly Column[]): string {
  const cells = [
    ...columns.filter((c) => !c.figure).flatMap((c): Cell[] => facts[c.id] ?? [[c.id, (r) => c.value(r)]]),
    ...always.filter(([name]) => !columns.some((c) => c.id === name)),
    ...columns.filter((c) => c.figure).flatMap(figureCells),
  ];
  const lines = [cells.map(([name]) => text(name)), ...rows.map((r) => cells.map(([, value]) => cell(value(r))))];
  return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
}

/** The value as the API has it, not in the unit that is shown: a share is from 0 to 1. */
function figureCells(column: Column): Cell[] {
  const figure = column.figure!;
  const valid = (r: Row) => (figure(r)?.invalid ? undefined : figure(r));
  return [
    [column.id, (r) => valid(r)?.value],
    [`${column.id}_low`, (r) => valid(r)?.low],
    [`${column.id}_high`, (r) => valid(r)?.high],
    [`${column.id}_basis`, (r) => figure(r)?.basis],
    [`${column.id}_reason`, (r) => figure(r)?.reason],
  ];
}

const cell = (value: Value): string => (typeof value === "number" ? String(value) : text(value ?? ""));

// A spreadsheet would run these as formulas, also after characters without width; the API's CSV does the same.
const formula =
  /^(?:[\t\r\n]|[\s\u0000-\u001f\u00ad\u061c\u1680\u2000-\u200f\u2060\ufeff]*[=+\-@\uff0b\uff0d\uff1d\uff20])/;

function text(value: string): string {
  const isFormula = formula.test(value);
  if (!isFormula && !/^ |[",\r\n]/.test(value)) return value;
  return `"${isFormula ? "'" : ""}${value.replace(/"/g, '""')}"`;
}
