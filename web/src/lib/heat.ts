// Selections of experts as a grid, layer by layer, beside what an even spread would be.
import type { tables } from "./tables.ts";
import type { ExpertCount, LayerRouting } from "./types.ts";

/** One MoE layer: how often each expert was chosen. `even` is what each would have if all were chosen alike. */
export interface HeatRow {
  layer: number;
  counts: number[];
  sum: number;
  even: number;
}

export type PhaseChoice = "both" | (typeof tables.phases)[number];

function rowOf(layer: number, counts: number[]): HeatRow {
  const sum = counts.reduce((a, b) => a + b, 0);
  return { layer, counts, sum, even: counts.length ? sum / counts.length : 0 };
}

function add(into: number[], counts: readonly number[]): void {
  counts.forEach((n, i) => {
    into[i] = (into[i] ?? 0) + n;
  });
}

/** A run's counts, summed over what was not asked to be apart. */
export function rowsOfRun(counts: readonly ExpertCount[], phase: PhaseChoice, batch: string): HeatRow[] {
  const layers = new Map<number, number[]>();
  for (const c of counts) {
    if ((phase !== "both" && c.phase !== phase) || (batch && String(c.batch_bucket) !== batch)) continue;
    if (!layers.has(c.layer)) layers.set(c.layer, []);
    add(layers.get(c.layer)!, c.counts);
  }
  return [...layers].sort(([a], [b]) => a - b).map(([layer, sums]) => rowOf(layer, sums));
}

/** The batches that a phase has selections of, smallest first: what there is to choose among. */
export function batchesOf(counts: readonly ExpertCount[], phase: PhaseChoice): number[] {
  const known = counts.filter((c) => phase === "both" || c.phase === phase).map((c) => c.batch_bucket ?? 0);
  return [...new Set(known)].filter((b) => b > 0).sort((a, b) => a - b);
}

/** One sample's; a phase in which nothing was chosen is an empty list. */
export function rowsOfSample(layers: readonly LayerRouting[], experts: number, phase: PhaseChoice): HeatRow[] {
  return layers.map(({ layer, prefill, decode }) => {
    const sums = new Array<number>(experts).fill(0);
    if (phase !== "decode") add(sums, prefill);
    if (phase !== "prefill") add(sums, decode);
    return rowOf(layer, sums);
  });
}

/** The order in which a row's experts are drawn. */
export function orderOf(row: HeatRow, order: "number" | "load"): number[] {
  const experts = row.counts.map((_, i) => i);
  return order === "load" ? experts.sort((a, b) => row.counts[b]! - row.counts[a]! || a - b) : experts;
}

/** How many times its even share an expert was chosen; 0 where nothing was chosen at all. */
export const ratioOf = (row: HeatRow, expert: number): number => (row.even > 0 ? row.counts[expert]! / row.even : 0);

export function busiest(row: HeatRow): { expert: number; ratio: number } {
  const expert = row.counts.reduce((best, n, i) => (n > row.counts[best]! ? i : best), 0);
  return { expert, ratio: ratioOf(row, expert) };
}

export const unused = (row: HeatRow): number => row.counts.filter((n) => n === 0).length;
