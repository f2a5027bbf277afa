// What the rows say, for the sentence above them: who answers best to which question, whether that can be told from the
// others, and who is fastest. Numbers of different questions are never compared, nor times of different boundaries.
import { competes, figureValue, headline, questionOf, type Row } from "./rows.ts";
import { isOpen, loadText } from "../lib/load.ts";

export interface Summary {
  task: string;
  setting: string; // what all of its runs have, other than the task by itself
  runs: number;
  best: Row;
  accuracy: number;
  low: number | undefined;
  high: number | undefined;
  alike: number; // others whose interval reaches the best one's
  fastest: { row: Row; rate: number; times: number } | null; // times the median
}

const rate = "output_tokens_per_s";

export function summarize(rows: readonly Row[]): Summary | null {
  const group = largestQuestion(rows.filter((r) => competes(r) && accuracyOf(r) !== null));
  if (group.length === 0) return null;
  const best = [...group].sort(
    (a, b) => accuracyOf(b)! - accuracyOf(a)! || (figureValue(b, rate) ?? 0) - (figureValue(a, rate) ?? 0),
  )[0]!;
  const { low, high } = headline(best)!;
  const alike = low === undefined ? 0 : group.filter((r) => r !== best && (headline(r)!.high ?? -1) >= low).length;
  return {
    task: best.run.task,
    setting: (best.run.setting ?? []).filter((word) => group.every((r) => r.run.setting?.includes(word))).join(", "),
    runs: group.length,
    best,
    accuracy: accuracyOf(best)!,
    low,
    high,
    alike,
    fastest: fastestOf(largestOf(group, (r) => r.run.timing_boundary ?? "")),
  };
}

function accuracyOf(row: Row): number | null {
  return figureValue(row, row.run.headline_metric);
}

function largestQuestion(rows: readonly Row[]): Row[] {
  return largestOf(rows, (r) => `${r.run.task} ${questionOf(r)}`);
}

/** The largest of the groups that a key makes; of equal ones that with more times. */
function largestOf(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  const timed = (group: Row[]) => group.filter((r) => figureValue(r, rate) !== null).length;
  const order = [...groups].sort(([a, x], [b, y]) => y.length - x.length || timed(y) - timed(x) || a.localeCompare(b));
  return order[0]?.[1] ?? [];
}

function fastestOf(group: readonly Row[]): Summary["fastest"] {
  const rates = group
    .flatMap((row) => {
      const value = figureValue(row, rate);
      return value !== null && value > 0 ? [{ row, rate: value }] : [];
    })
    .sort((a, b) => b.rate - a.rate);
  if (rates.length < 2) return null;
  const middle = (rates.length - 1) / 2;
  const median = (rates[Math.floor(middle)]!.rate + rates[Math.ceil(middle)]!.rate) / 2;
  return { ...rates[0]!, times: rates[0]!.rate / median };
}

/** "moecap-tiny, int8, batch 4, 3-shot": what tells runs of a task apart. */
export function nameOf(row: Row): string {
  const { spec } = row.run;
  const load = isOpen(spec) ? loadText(row.run.spec) : "batch " + loadText(row.run.spec);
  return [spec.model, spec.precision, load, ...(row.run.setting ?? [])].filter(Boolean).join(", ");
}
