// How a run's requests arrive, in a word and in a sentence.
import type { Spec } from "./types.ts";

/** Whether requests arrive at their own times, whatever is in flight. */
export const isOpen = ({ load }: Spec): boolean => load?.rate_per_s !== undefined || load?.replay !== undefined;

/** "16" for a closed loop, "2.5/s" for an open one, "2–20/s" for a ramp. */
export function loadText({ load = {} }: Spec): string {
  const { concurrency = 1, rate_per_s: rate, ramp_to_per_s: to, replay } = load;
  if (replay !== undefined) return "replay";
  return rate === undefined ? String(concurrency) : `${rate}${to === undefined ? "" : `–${to}`}/s`;
}

export function loadSentence({ load = {} }: Spec): string {
  const { concurrency = 1, rate_per_s: rate, ramp_to_per_s: to, ramp_s, replay, burstiness } = load;
  if (replay !== undefined) return "open loop, at the times of a replay";
  if (rate === undefined) return `closed loop, ${concurrency} in flight`;
  const process = load.arrivals || (burstiness === undefined ? "Poisson" : "gamma");
  const shape = burstiness === undefined ? "" : `, shape ${burstiness}`;
  const ramp = to === undefined ? "" : `, to ${to} within ${ramp_s} s`;
  return `open loop, ${rate} requests a second${ramp} (${process}${shape})`;
}
