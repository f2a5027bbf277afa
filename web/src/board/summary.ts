// What the rows say, for the sentence above them: who answers best on which task, whether that can be told from the
// others, and who is fastest. Numbers of different tasks are never compared.
import { competes, figureValue, headline, type Row } from "./rows.ts";
import { isOpen, loadText } from "../lib/load.ts";

export interface Summary {
  task: string;
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
  const [task, group] = largestTask(rows.filter((r) => competes(r) && accuracyOf(r) !== null));
  if (task === undefined) return null;
  const best = [...group].sort(
    (a, b) => accuracyOf(b)! - accuracyOf(a)! || (figureValue(b, rate) ?? 0) - (figureValue(a, rate) ?? 0),
  )[0]!;
  const { low, high } = headline(best)!;
  const alike = low === undefined ? 0 : group.filter((r) => r !== best && (headline(r)!.high ?? -1) >= low).length;
  return { task, runs: group.length, best, accuracy: accuracyOf(best)!, low, high, alike, fastest: fastestOf(group) };
}

function accuracyOf(row: Row): number | null {
  return figureValue(row, row.run.headline_metric);
}

function largestTask(rows: readonly Row[]): [string | undefined, Row[]] {
  const tasks = new Map<string, Row[]>();
  for (const row of rows) tasks.set(row.run.task, [...(tasks.get(row.run.task) ?? []), row]);
  const timed = (group: Row[]) => group.filter((r) => figureValue(r, rate) !== null).length;
  const order = [...tasks].sort(([a, x], [b, y]) => y.length - x.length || timed(y) - timed(x) || a.localeCompare(b));
  return order[0] ?? [undefined, []];
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

/** "moecap-tiny, int8, batch 4": what tells runs of a task apart. */
export function nameOf(row: Row): string {
  const { spec } = row.run;
  const load = isOpen(spec) ? loadText(row.run.spec) : "batch " + loadText(row.run.spec);
  return [spec.model, spec.precision, load].filter(Boolean).join(", ");
}
