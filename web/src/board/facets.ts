// The values that a facet offers, with the number of runs each would show, of all runs that the server has: counted over
// those that the other facets leave, so that a count is what a click gives. Search and ranges look at what is loaded.
import { type BoardState, type Facet, facets } from "./state.ts";
import type { BoardCount } from "../lib/types.ts";

export interface Choice {
  value: string;
  count: number;
  chosen: boolean;
}

export function choicesOf(counts: readonly BoardCount[], state: BoardState, facet: Facet): Choice[] {
  const found = new Map<string, number>(state[facet].map((v) => [v, 0]));
  for (const kind of counts)
    found.set(kind[facet], (found.get(kind[facet]) ?? 0) + (fits(kind, state, facet) ? kind.runs : 0));
  return [...found]
    .map(([value, count]) => ({ value, count, chosen: state[facet].includes(value) }))
    .sort((a, b) => a.value.localeCompare(b.value, "en", { numeric: true }));
}

/** How many runs the facets let through. */
export const totalOf = (counts: readonly BoardCount[], state: BoardState): number =>
  counts.reduce((sum, kind) => sum + (fits(kind, state) ? kind.runs : 0), 0);

const fits = (kind: BoardCount, state: BoardState, except?: Facet): boolean =>
  facets.every((f) => f === except || state[f].length === 0 || state[f].includes(kind[f]));
