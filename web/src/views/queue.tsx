// What runs and what waits, and for what. Asked again every two seconds.
import { plural } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { Queue, RunProgress } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { ProgressBar } from "../ui/progress.tsx";
import { StateBadge } from "../ui/state.tsx";

const refreshMs = 2000;

export function QueueView() {
  const queue = useResource<Queue>("queue", refreshMs);

  if (queue.error) return <ErrorBox error={queue.error} retry={queue.reload} />;
  if (!queue.value) return <p class="soft">Loading…</p>;
  const entries = queue.value.entries;
  return (
    <>
      <h1>Queue</h1>
      <p class="soft" role="status">{plural(queue.value.queued, "run")} waiting, {queue.value.running} running</p>
      {entries.length === 0 ? <p>Nothing waits and nothing runs. <a href="/submit">Submit an evaluation</a>.</p> : (
        <div class="scroll"><table data-testid="queue">
          <ProgressHead last="waits for" />
          <tbody>{entries.map((e) => <ProgressRow key={e.run.run_id} run={e.run} last={e.waiting_for} />)}</tbody>
        </table></div>
      )}
    </>
  );
}

export function ProgressHead({ last }: { last?: string }) {
  const names = ["run", "model", "precision", "task", "progress", "samples", "state", ...(last ? [last] : [])];
  return <thead><tr>{names.map((n) => <th key={n} scope="col" class={n === "samples" ? "number" : ""}>{n}</th>)}</tr></thead>;
}

export function ProgressRow({ run, last }: { run: RunProgress; last?: string }) {
  return (
    <tr>
      <td><a href={"/runs/" + encodeURIComponent(run.run_id)}>{run.run_id}</a></td>
      <td>{run.model}</td>
      <td>{run.precision}</td>
      <td>{run.task}</td>
      <td><ProgressBar done={run.samples_answered} of={run.samples_total} label={`${run.task} on ${run.model}`} /></td>
      <td class="number">{run.samples_answered}/{run.samples_total}</td>
      <td><StateBadge state={run.state} reason={run.reason} />{run.phase && <span class="soft"> {run.phase}</span>}</td>
      {last !== undefined && <td class="soft">{last}</td>}
    </tr>
  );
}
