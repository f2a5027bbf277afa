// Repeats of one question: which runs are such, and in which order they stand.
import type { RunProgress } from "./types.ts";

/** Whether `run` is one of several repeats among `runs`: then its number is a part of its name. */
export function isRepeated(run: RunProgress, runs: readonly RunProgress[]): boolean {
  return runs.some((r) => r.evaluation_id === run.evaluation_id && r.task === run.task && r.repeat !== run.repeat);
}

/** An order in which evaluations stand as they came, and their repeats as they count. */
export function byRepeat(a: RunProgress, b: RunProgress): number {
  return a.queued_at_ms - b.queued_at_ms || a.task.localeCompare(b.task) || a.repeat - b.repeat;
}
