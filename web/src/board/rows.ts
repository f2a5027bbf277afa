// A run as the board works with it: its figures by id, so that sorting a thousand rows looks nothing up twice.
import { valueOf } from "../lib/figures.ts";
import { counted, number } from "../lib/format.ts";
import type { BoardRow, Figure } from "../lib/types.ts";

export interface Row {
  id: string;
  run: BoardRow;
  figures: Map<string, Figure>;
  text: string;
}

export function rowsOf(runs: readonly BoardRow[]): Row[] {
  return runs.map((run) => ({
    id: run.run_id,
    run,
    figures: new Map(run.figures.map((f) => [f.id, f])),
    text: searchText(run),
  }));
}

export function figureValue(row: Row, id: string): number | null {
  return valueOf(row.figures.get(id));
}

export function headline(row: Row): Figure | undefined {
  return row.figures.get(row.run.headline_metric);
}

/** What was asked; runs of different questions do not compare. */
export const questionOf = (row: Row): string => row.run.question || row.run.task;

/** How it was asked, as far as that is not the task's own: "3-shot · chat". */
export const settingText = (row: Row): string => (row.run.setting ?? []).join(" · ");

/** "5 of 600" of a run that took a part of its task's samples; "" of a whole one. */
export function partText({ run }: Row): string {
  const { samples_total: taken, task_samples: all } = run;
  return taken !== undefined && all !== undefined && taken < all ? `${number(taken)} of ${number(all)}` : "";
}

const shapes: ReadonlySet<string> = new Set(["experts", "top_k", "moe_layers", "parameters", "active"]);

/** Whether only the submitter's word stands behind a fact: of a server we see answers, not what it is. */
export function isDeclared({ run: { spec } }: Row, column: string): boolean {
  if (!spec.external?.url) return false;
  if (column === "engine" || column === "precision") return true;
  if (column === "hardware") return !!spec.hardware?.description;
  return shapes.has(column) && !!spec.external.model_config;
}

/** Bad marks that concern the times of a run, and not what it is (docs/metrics.md). */
const ofTimes: ReadonlySet<string> = new Set(["unsettled", "client-bound", "load-limited", "noisy-host"]);

/**
 * A run of the null engine measures our own overhead: it takes part in no comparison of models. Nor does one that the
 * audit speaks against, nor a partial one: five samples say little of a task.
 */
export function competes(row: Row): boolean {
  const marks = row.run.marks ?? [];
  return (
    row.run.state === "finished" &&
    partText(row) === "" &&
    row.run.spec.engine !== "null" &&
    !marks.some((m) => m.bad && !ofTimes.has(m.id))
  );
}

/** What the run ran on: what was declared, else the devices found, else the processor. */
export function hardwareText(run: BoardRow): string {
  const found = run.report?.hardware;
  if (run.spec.hardware?.description) return run.spec.hardware.description;
  if (found && found.devices.length > 0) return counted(found.devices);
  return found?.cpu ? `${found.cpu}, ${run.report?.threads || found.cores} threads` : "";
}

export function parallelText(run: BoardRow): string {
  const p = run.spec.parallelism;
  if (!p) return "";
  return (
    [
      ["TP", p.tensor],
      ["PP", p.pipeline],
      ["DP", p.data],
      ["EP", p.expert],
    ] as const
  )
    .filter(([, n]) => (n ?? 1) > 1)
    .map(([name, n]) => name + n)
    .join(" ");
}

function searchText(run: BoardRow): string {
  const { spec } = run;
  return [
    spec.model,
    run.task,
    spec.engine,
    spec.precision,
    run.run_id,
    run.evaluation_id,
    spec.submitter,
    spec.note,
    spec.revision,
    run.node,
    hardwareText(run),
    run.state,
    ...(run.setting ?? []),
  ].join("\n");
}
