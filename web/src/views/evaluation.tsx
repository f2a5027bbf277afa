// One evaluation while it runs and after: its runs, live, then with their results.
import "../style/queue.css";
import { useWatch } from "../lib/live.ts";
import { figureOf } from "../lib/figures.ts";
import { isRepeated } from "../lib/repeats.ts";
import { useResource } from "../lib/resource.ts";
import { useUrlState } from "../lib/router.ts";
import type { Board, BoardRow, Progress } from "../lib/types.ts";
import { flag } from "../lib/urlstate.ts";
import { CancelButton } from "../ui/cancel.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { FigureValue } from "../ui/figure.tsx";
import { Icon } from "../ui/icon.tsx";
import { RunLine } from "../ui/runline.tsx";
import { Time } from "../ui/time.tsx";
import { Repeats } from "./repeats.tsx";
import { AgainLink } from "./run/again.tsx";

const schema = { again: flag() };

export function EvaluationView({ id }: { id: string }) {
  const live = useWatch(id);
  const board = useResource<Board>(
    `board?evaluation=${encodeURIComponent(id)}&all=1${live.ended ? "&limit=1000" : ""}`,
  );
  const [state] = useUrlState(schema);
  const rows = board.value?.rows ?? [];
  const first = rows[0];
  return (
    <>
      <h1>Evaluation {first && <>of {first.spec.model}</>}</h1>
      <p class="soft">
        <code data-testid="evaluation-id">{id}</code>
        {first && (
          <>
            {" "}
            · submitted by {first.spec.submitter}, <Time ms={first.queued_at_ms} />
          </>
        )}
      </p>
      {first?.spec.note && <p>{first.spec.note}</p>}
      {state.again && (
        <p class="note">
          <Icon name="info" /> This configuration is already queued or running, so no new run was started.
        </p>
      )}
      {live.error && <ErrorBox error={live.error} />}
      {live.progress ? (
        <Runs id={id} progress={live.progress} rows={rows} />
      ) : (
        !live.error && <p class="soft">Loading…</p>
      )}
      {live.ended && rows.some((r) => r.repeat > 0) && <Repeats id={id} />}
      {first && (
        <p class="buttons">
          <AgainLink row={first} />
          {live.ended && rows.length > 1 && <a href={`/?q=${encodeURIComponent(id)}`}>View on the board</a>}
        </p>
      )}
    </>
  );
}

function Runs({ id, progress, rows }: { id: string; progress: Progress; rows: BoardRow[] }) {
  const open = progress.runs.filter((r) => !r.ended_at_ms).length;
  return (
    <>
      <div class="bar-line">
        <p role="status" data-testid="evaluation-sum" data-ended={progress.ended}>
          {progress.ended
            ? progress.runs.length === 1
              ? "The run has ended."
              : `All ${progress.runs.length} runs have ended.`
            : `${progress.runs.length - open} of ${progress.runs.length} finished`}
        </p>
        {!progress.ended && <CancelButton id={id} what="the evaluation" />}
      </div>
      <ul class="runlines" data-testid="progress">
        {progress.runs.map((run) => (
          <RunLine key={run.run_id} run={run} repeated={isRepeated(run, progress.runs)}>
            <Result row={rows.find((r) => r.run_id === run.run_id)} />
          </RunLine>
        ))}
      </ul>
    </>
  );
}

function Result({ row }: { row: BoardRow | undefined }) {
  if (row?.state !== "finished") return null;
  return (
    <span class="result">
      <FigureValue figure={figureOf(row, row.headline_metric)} share unit axis={{ min: 0, max: 1 }} />
    </span>
  );
}
