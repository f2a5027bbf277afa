// What runs and what waits, and for what, as it changes.
import "../style/queue.css";
import { useState } from "preact/hooks";
import { duration, number } from "../lib/format.ts";
import { useQueue } from "../lib/live.ts";
import { byRepeat, isRepeated } from "../lib/repeats.ts";
import type { QueueEntry, RunProgress } from "../lib/types.ts";
import { CancelButton } from "../ui/cancel.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { RunLine } from "../ui/runline.tsx";

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
  const active = entries.filter((e) => e.position === 0).sort((a, b) => byRepeat(a.run, b.run)),
    waiting = entries.filter((e) => e.position > 0).sort((a, b) => a.position - b.position);
  const runs = entries.map((e) => e.run);
  return (
    <>
      <h1>Queue</h1>
      <p class="soft" data-testid="queue-sum">
        {number(running)} running, {number(queued)} waiting
      </p>
      <p role="status" class="said">
        {said}
      </p>
      {problem}
      {entries.length === 0 && (
        <p class="empty">
          The queue is empty. <a href="/submit">Submit an evaluation</a> or look at <a href="/">what has finished</a>.
        </p>
      )}
      <Part title="Running" entries={active} runs={runs} onCancelled={cancelled} />
      <Part title="Waiting (next first)" entries={waiting} runs={runs} onCancelled={cancelled} />
      {queued > waiting.length && <p class="soft">{number(queued - waiting.length)} more are waiting.</p>}
    </>
  );
}

function Part({
  title,
  entries,
  runs,
  onCancelled,
}: {
  title: string;
  entries: QueueEntry[];
  runs: RunProgress[];
  onCancelled: (what: string) => (said: string) => void;
}) {
  if (entries.length === 0) return null;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul class="runlines" data-testid={entries[0]!.position === 0 ? "active" : "waiting"}>
        {entries.map((e) => (
          <RunLine
            key={e.run.run_id}
            run={e.run}
            linked
            repeated={isRepeated(e.run, runs)}
            lead={e.position > 0 ? `${e.position}.` : undefined}
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

function ago(ms: number): string {
  return `${duration(Math.max(0, Date.now() - ms))} ago`;
}
