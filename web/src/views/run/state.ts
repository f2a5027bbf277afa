// The state of a run's page, all parts together: a part that writes the address keeps what the others set.
import { costSchema } from "../../lib/cost.ts";
import { useUrlState } from "../../lib/router.ts";
import { tables } from "../../lib/tables.ts";
import { choice, text } from "../../lib/urlstate.ts";

export const parts = [
  "overview",
  "samples",
  "latency",
  "experts",
  "utilisation",
  "cost",
  "energy",
  "provenance",
] as const;
export type Part = (typeof parts)[number];

// "failed" is a status rather than a verdict: such a sample counts as wrong, and people look for it apart.
export const verdicts = ["", ...tables.verdict_kinds, "failed"] as const;
export const phases = ["both", ...tables.phases] as const;
export const orders = ["number", "load"] as const;

export const schema = {
  show: choice(parts, "overview"),
  verdict: choice(verdicts, ""),
  search: text(),
  after: text(),
  sample: text(),
  phase: choice(phases, "both"),
  batch: text(),
  order: choice(orders, "number"),
  ...costSchema,
};

export const useRunState = () => useUrlState(schema);
