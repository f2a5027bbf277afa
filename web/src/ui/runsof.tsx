// The latest finished runs of a task or a model, as a short list; the board has the others.
import "../style/queue.css";
import { figureOf } from "../lib/figures.ts";
import { useResource } from "../lib/resource.ts";
import { list } from "../lib/urlstate.ts";
import type { Board, BoardRow } from "../lib/types.ts";
import { ErrorBox } from "./errorbox.tsx";
import { FigureValue } from "./figure.tsx";
import { Time } from "./time.tsx";

const shownMax = 10;

interface Props {
  by: "task" | "model";
  name: string;
  title: (row: BoardRow) => string;
}

export function RunsOf({ by, name, title }: Props) {
  const query = new URLSearchParams({ [by]: name, limit: String(shownMax), report: "0", figures: "accuracy" });
  const board = useResource<Board>(`board?${query}`);
  const rows = board.value?.rows ?? [];
  return (
    <section aria-label="Finished runs">
      <h2>Finished runs (latest first)</h2>
      {board.error && <ErrorBox error={board.error} retry={board.reload} />}
      {board.value && rows.length === 0 && <p class="soft">None yet.</p>}
      <FinishedRuns rows={rows} title={title} />
      {rows.length > 0 && (
        <p>
          <a href={`/?${by}=${encodeURIComponent(list().format([name]))}`}>All of them on the board</a>
        </p>
      )}
    </section>
  );
}

export function FinishedRuns({ rows, title }: { rows: readonly BoardRow[]; title: (row: BoardRow) => string }) {
  return (
    <ul class="finished" data-testid="finished">
      {rows.map((row) => (
        <li key={row.run_id}>
          <a href={"/runs/" + encodeURIComponent(row.run_id)}>
            {title(row)}
            {row.repeat > 0 && `, repeat ${row.repeat + 1}`}
          </a>
          <span class="soft">
            {[row.spec.engine, row.spec.precision].filter(Boolean).join(" · ")} · ended{" "}
            <Time ms={row.ended_at_ms ?? 0} />
          </span>
          <FigureValue figure={figureOf(row, "accuracy")} share unit />
        </li>
      ))}
    </ul>
  );
}
