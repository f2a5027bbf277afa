// What runs and what waits, and for what. Asked again every second and a half; an unchanged queue costs a 304.
import "../style/queue.css";
import { useState } from "preact/hooks";
import { duration, plural } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { Queue, QueueEntry } from "../lib/types.ts";
import { CancelButton } from "../ui/cancel.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { RunLine } from "../ui/runline.tsx";

const refreshMs = 1500;

export function QueueView() {
  const queue = useResource<Queue>("queue", refreshMs);
  const [said, say] = useState("");

  if (queue.error && !queue.value) return <ErrorBox error={queue.error} retry={queue.reload} />;
  if (!queue.value) return <><h1>Queue</h1><p class="soft">Loading…</p></>;
  const { entries, queued, running } = queue.value;
  const cancelled = (what: string) => (words: string) => { say(`${what}: ${words}`); queue.reload(); };
  const active = entries.filter((e) => e.position === 0), waiting = entries.filter((e) => e.position > 0);
  return (
    <>
      <h1>Queue</h1>
      <p class="soft" data-testid="queue-sum">{plural(running, "run")} at work, {queued} waiting</p>
      <p role="status" class="said">{said}</p>
      {queue.error && <ErrorBox error={queue.error} retry={queue.reload} />}
      {entries.length === 0 && <p class="empty">Nothing waits and nothing runs. <a href="/submit">Submit an evaluation</a> or look at <a href="/">what has finished</a>.</p>}
      <Part title="At work" entries={active} onCancelled={cancelled} />
      <Part title="Waiting, next first" entries={waiting} onCancelled={cancelled} />
      {queued > waiting.length && <p class="soft">And {queued - waiting.length} more that wait.</p>}
    </>
  );
}

function Part({ title, entries, onCancelled }: { title: string; entries: QueueEntry[]; onCancelled: (what: string) => (said: string) => void }) {
  if (entries.length === 0) return null;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul class="runlines" data-testid={entries[0]!.position === 0 ? "active" : "waiting"}>
        {entries.map((e) => (
          <RunLine key={e.run.run_id} run={e.run} lead={e.position > 0 ? `${e.position}.` : undefined} waitsFor={e.waiting_for}
            about={[`by ${e.submitter}`, e.priority !== 0 && `priority ${e.priority}`, `${e.position > 0 ? "since" : "queued"} ${ago(e.run.queued_at_ms)}`]}>
            <CancelButton small id={e.run.run_id} what={`${e.run.model} on ${e.run.task}`} onDone={onCancelled(`${e.run.model} on ${e.run.task}`)} />
          </RunLine>
        ))}
      </ul>
    </section>
  );
}

function ago(ms: number): string {
  return `${duration(Math.max(0, Date.now() - ms))} ago`;
}
