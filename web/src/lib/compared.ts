// Replies about several runs at once, as the page reads them: GET /api/v1/compare and /api/v1/repeats.
import type { Figure } from "./types.ts";

/** Two runs on the same samples, b against a. */
export interface Comparison {
  run_a: string;
  run_b: string;
  task: string;
  metric: string;
  samples: number;
  right_both: number;
  right_a_only: number;
  right_b_only: number;
  wrong_both: number;
  accuracy: Figure;
  p_exact: number;
  p_mid: number;
  detectable: number;
  lost: number[];
  gained: number[];
  figures: Figure[];
}

/** The finished repeats of one task: means over runs, with an interval over runs. */
export interface RepeatGroup {
  task: string;
  run_ids: string[];
  figures: Figure[];
  headline_metric: string;
}
