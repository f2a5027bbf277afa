// What runs, what waits and for what, and what has finished lately, as it changes.
import "../style/queue.css";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { duration, number } from "../lib/format.ts";
import { useQueue } from "../lib/live.ts";
import { partsOf } from "../lib/queue.ts";
import { isRepeated } from "../lib/repeats.ts";
import { useResource } from "../lib/resource.ts";
import type { Board, QueueEntry, RunProgress } from "../lib/types.ts";
import { CancelButton } from "../ui/cancel.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { RunLine } from "../ui/runline.tsx";
import { FinishedRuns } from "../ui/runsof.tsx";

const finishedShown = 8;

export function QueueView() {
  const { queue, error } = useQueue();
  const [said, say] = useState("");

  const problem = error && <ErrorBox error={{ code: "unavailable", message: error, status: 0 }} />;
  if (!queue)
    return (
      <>
        <h1>Queue</h1>
        {problem || <p class="soft">Loading…</p>}
      </>
    );
  const { entries, queued, running } = queue;
  const cancelled = (what: string) => (words: string) => say(`${what}: ${words}`);
  const { active, waiting, blocked } = partsOf(entries);
  const hidden = queued - waiting.length - blocked.length;
  const runs = entries.map((e) => e.run);
  return (
    <>
      <h1>Queue</h1>
      <p class="soft" data-testid="queue-sum">
        {number(running)} running, {number(queued)} waiting
        {blocked.length > 0 && `, of these ${number(blocked.length)} blocked`}
      </p>
      <p role="status" class="said">
        {said}
      </p>
      {problem}
      {entries.length === 0 && (
        <p class="empty">
          The queue is empty. <a href="/submit">Submit an evaluation</a>.
        </p>
      )}
      <Part id="active" title="Running" entries={active} runs={runs} onCancelled={cancelled} />
      <Part id="waiting" title="Waiting (next first)" entries={waiting} runs={runs} onCancelled={cancelled} />
      <Part id="blocked" title="Blocked" entries={blocked} runs={runs} onCancelled={cancelled}>
        No connected node can run these; they start when a node that can has connected.
      </Part>
      {hidden > 0 && <p class="soft">{number(hidden)} more are waiting.</p>}
      <Finished running={active.map((e) => e.run.run_id).join()} />
    </>
  );
}

function Part({
  id,
  title,
  entries,
  runs,
  onCancelled,
  children,
}: {
  id: string;
  title: string;
  entries: QueueEntry[];
  runs: RunProgress[];
  onCancelled: (what: string) => (said: string) => void;
  children?: ComponentChildren;
}) {
  if (entries.length === 0) return null;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {children && <p class="soft">{children}</p>}
      <ul class="runlines" data-testid={id}>
        {entries.map((e) => (
          <RunLine
            key={e.run.run_id}
            run={e.run}
            linked
            repeated={isRepeated(e.run, runs)}
            lead={id === "waiting" ? `${e.position}.` : undefined}
            waitsFor={e.waiting_for}
            about={[
              `by ${e.submitter}`,
              e.priority !== 0 && `priority ${e.priority}`,
              `queued ${ago(e.run.queued_at_ms)}`,
            ]}
          >
            <CancelButton
              small
              id={e.run.run_id}
              what={`${e.run.model} on ${e.run.task}`}
              onDone={onCancelled(`${e.run.model} on ${e.run.task}`)}
            />
          </RunLine>
        ))}
      </ul>
    </section>
  );
}

/** The latest results; asked for again when another run runs, as one may have ended then. */
function Finished({ running }: { running: string }) {
  const board = useResource<Board>(`board?limit=${finishedShown}&report=0&figures=accuracy`);
  useEffect(board.reload, [running]);
  const rows = board.value?.rows ?? [];
  if (rows.length === 0) return null;
  return (
    <section aria-label="Finished">
      <h2>Finished (latest first)</h2>
      <FinishedRuns rows={rows} title={(row) => `${row.spec.model} on ${row.task}`} />
      <p class="soft">
        <a href="/">All finished runs</a> · <a href="/?all=1">also those that failed or were cancelled</a>
      </p>
    </section>
  );
}

function ago(ms: number): string {
  return `${duration(Math.max(0, Date.now() - ms))} ago`;
}
