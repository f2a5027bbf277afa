// The values that a facet offers, with the number of runs each would show: counted over the rows that the other
// filters leave, so that a count is what a click gives.
import type { Row } from "./rows.ts";
import { parseSearch } from "./search.ts";
import { type BoardState, type Facet, facets } from "./state.ts";

export interface Choice {
  value: string;
  count: number;
  chosen: boolean;
}

export function choicesOf(rows: readonly Row[], state: BoardState, facet: Facet): Choice[] {
  const matches = parseSearch(state.q).matches;
  const others = facets.filter((f) => f !== facet && state[f].length > 0);
  const counts = new Map<string, number>(state[facet].map((v) => [v, 0]));
  for (const row of rows) {
    const value = facetValue(row, facet);
    const counted = matches(row.text) && others.every((f) => state[f].includes(facetValue(row, f)));
    counts.set(value, (counts.get(value) ?? 0) + Number(counted));
  }
  return [...counts]
    .map(([value, count]) => ({ value, count, chosen: state[facet].includes(value) }))
    .sort((a, b) => a.value.localeCompare(b.value, "en", { numeric: true }));
}

export function facetValue(row: Row, facet: Facet): string {
  return facet === "task" ? row.run.task : row.run.spec[facet];
}
