// The queue as people read it: what runs, what waits for its turn, and what no connected node can run.
import { byRepeat } from "./repeats.ts";
import type { QueueEntry, RunProgress } from "./types.ts";

/** Why a run waits is the scheduler's sentence; these are the words of those that no turn will help. */
export function isBlocked(reason: string): boolean {
  return reason.startsWith("no connected node");
}

export interface Parts {
  active: QueueEntry[];
  waiting: QueueEntry[];
  blocked: QueueEntry[];
}

export function partsOf(entries: readonly QueueEntry[]): Parts {
  const queued = entries.filter((e) => e.position > 0).sort((a, b) => a.position - b.position);
  return {
    active: entries.filter((e) => e.position === 0).sort((a, b) => byRepeat(a.run, b.run)),
    waiting: queued.filter((e) => !isBlocked(e.waiting_for)),
    blocked: queued.filter((e) => isBlocked(e.waiting_for)),
  };
}

const answersMin = 3; // of fewer, the time of one says little

/** How long a run will take yet, from the time of the samples that are answered; unknown without some. */
export function remainingMs(run: RunProgress, now: number): number | undefined {
  if (run.state !== "running" || !run.started_at_ms || run.samples_answered < answersMin) return undefined;
  const spent = Math.max(0, now - run.started_at_ms);
  return (spent * (run.samples_total - run.samples_answered)) / run.samples_answered;
}
