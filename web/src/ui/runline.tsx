// A run in progress, as an item of a list: what it is, how far it is, what it does or waits for.
import type { ComponentChildren } from "preact";
import { duration, plural, short } from "../lib/format.ts";
import { isBlocked, remainingMs } from "../lib/queue.ts";
import type { RunProgress } from "../lib/types.ts";
import { ProgressBar } from "./progress.tsx";
import { StateBadge } from "./state.tsx";

interface Props {
  run: RunProgress;
  lead?: string;
  linked?: boolean;
  repeated?: boolean; // one of several: its number is a part of its name
  about?: (string | false)[];
  waitsFor?: string;
  children?: ComponentChildren;
}

export function RunLine({ run, lead, linked = false, repeated = false, about = [], waitsFor, children }: Props) {
  const name = [run.task, (repeated || run.repeat > 0) && `repeat ${run.repeat + 1}`].filter(Boolean).join(", ");
  const facts = [run.engine, run.precision, run.concurrency ? `batch ${run.concurrency}` : "open loop", ...about]
    .filter(Boolean)
    .join(" · ");
  return (
    <li class="runline" data-testid="runline" data-run={run.run_id} data-state={run.state}>
      <div class="what">
        {lead && <span class="lead soft">{lead}</span>}
        <div>
          <a href={"/runs/" + encodeURIComponent(run.run_id)}>
            <b>{run.model}</b> on {name}
          </a>
          <span class="soft facts-line">
            {facts}
            {linked && (
              <>
                {" "}
                ·{" "}
                <a class="nowrap" href={"/evaluations/" + encodeURIComponent(run.evaluation_id)}>
                  evaluation
                </a>
              </>
            )}
          </span>
        </div>
      </div>
      <div class="how-far">
        <RunAmount run={run} />
      </div>
      <div class="state">
        <StateBadge state={run.state} />
        <span class="soft">{waitsFor ? waitText(waitsFor) : activityOf(run)}</span>
      </div>
      {children && <div class="actions">{children}</div>}
    </li>
  );
}

export function RunAmount({ run }: { run: RunProgress }) {
  const graded = run.state === "grading";
  const done = graded ? run.samples_graded : run.samples_answered;
  const left = remainingMs(run, Date.now());
  return (
    <>
      <ProgressBar done={done} of={run.samples_total} label={`${run.task} on ${run.model}`} />
      <span class="amount">
        {graded ? "graded " : ""}
        {done.toLocaleString("en")} of {plural(run.samples_total, "sample")}
        {run.output_tokens_per_s !== undefined && run.state === "running" && (
          <span class="soft"> · {short(run.output_tokens_per_s)} tokens/s</span>
        )}
        {left !== undefined && <span class="soft"> · {duration(left)} left</span>}
      </span>
    </>
  );
}

/** "waiting for a free node", "blocked: no connected node ..." */
function waitText(reason: string): string {
  return isBlocked(reason) ? `blocked: ${reason}` : `waiting for ${reason}`;
}

/** What it does, or why it ended as it did. */
export function activityOf(run: RunProgress): string {
  if (run.reason) return run.reason;
  if (run.state === "queued" && run.phase) return waitText(run.phase);
  const where = run.node && run.state !== "finished" ? `on ${run.node}` : "";
  const again = run.attempts > 1 ? `attempt ${run.attempts}` : "";
  return [run.phase === run.state ? "" : run.phase, where, again].filter(Boolean).join(", ");
}
