// What a run costs with other prices, as data: the inputs are the knobs of the group Cost, each a text that stands in
// the address; an empty one is left to the run, or to the defaults. The server judges what they are.
import { type InGroup, knobs } from "./spec.ts";
import type { CostBasis, CostTerm } from "./types.ts";
import { choice, text } from "./urlstate.ts";

export const costKnobs = knobs.filter((k) => k.group === "Cost");
export type CostKnob = InGroup<"Cost">;

/** What an input is that is left empty: the submitter's, or as if nobody had given any. */
export const froms = ["run", "defaults"] as const;
export type From = (typeof froms)[number];

export const costSchema = {
  ...(Object.fromEntries(costKnobs.map((k) => [k.id, text()])) as Record<CostKnob, ReturnType<typeof text>>),
  from: choice(froms, "run"),
};

export type CostState = Record<CostKnob, string> & { from: From };

function filled(state: CostState): [string, string][] {
  return costKnobs.flatMap((k) => {
    const value = state[k.id as CostKnob].trim();
    return value === "" ? [] : [[k.id, value] as [string, string]];
  });
}

export function costPath(runId: string, state: CostState): string {
  const query = new URLSearchParams(filled(state));
  if (state.from !== "run") query.set("from", state.from);
  return `runs/${encodeURIComponent(runId)}/cost` + (query.size ? "?" + query : "");
}

/** The same as words of a shell. */
export function costCommand(runId: string, state: CostState): string[] {
  const options = filled(state).map(([id, value]) => `--${costKnobs.find((k) => k.id === id)!.flag} ${value}`);
  return [`moecap cost ${runId}`, ...options, ...(state.from === "defaults" ? ["--defaults"] : [])];
}

export const isChanged = (state: CostState): boolean => state.from !== "run" || filled(state).length > 0;

export const nothingGiven = Object.fromEntries(costKnobs.map((k) => [k.id, ""])) as Record<CostKnob, string>;

/** Who says what an input is, in a word or two; the rest on hover. */
export function saidOf(term: CostTerm): string {
  switch (term.source) {
    case "given":
      return "declared";
    case "table":
      return "table of hardware: " + term.said;
    case "default":
      return "default: " + term.said;
    case "measured":
      return "measured: " + term.said;
    default:
      return "not known";
  }
}

export const machineOf = (basis: CostBasis): string =>
  `${basis.devices} × ${basis.device || "a device that is not known"}, ${basis.rented ? "rented" : "bought"}`;
