// The board: every finished run, one row each. The address holds all of its state (board/state.ts).
import { useEffect, useMemo, useState } from "preact/hooks";
import { bestOf } from "../board/best.ts";
import { columnsFor, fitted, shownColumns } from "../board/columns.ts";
import { Compare } from "../board/compare.tsx";
import { type BoardData, boardPath, useAbsent, useBoard, useDiscovered } from "../board/data.ts";
import { totalOf } from "../board/facets.ts";
import { Grid } from "../board/grid.tsx";
import { Lead } from "../board/lead.tsx";
import { rowsOf } from "../board/rows.ts";
import { type BoardState, knownSort, schema, type SetBoard } from "../board/state.ts";
import { summarize } from "../board/summary.ts";
import { makeTable } from "../board/table.ts";
import { Toolbar } from "../board/toolbar.tsx";
import { number, plural } from "../lib/format.ts";
import { narrow } from "../lib/narrow.ts";
import { useUrlState } from "../lib/router.ts";
import { ErrorBox } from "../ui/errorbox.tsx";

export function BoardView() {
  const [asked, set] = useUrlState(schema);
  const [ready, setReady] = useState(false);
  const discovered = useDiscovered(ready);
  const data = useBoard(boardPath(asked, discovered.figures));
  useEffect(() => setReady(data.ready), [data.ready]);
  const absent = useAbsent(asked.pin, data);
  const rows = useMemo(() => rowsOf([...data.rows, ...absent]), [data.rows, absent]);
  const all = useMemo(() => columnsFor([...discovered.runs, ...data.rows]), [discovered, data.rows]);
  // what a link names and nobody knows orders nothing
  const state = useMemo(() => ({ ...asked, sort: knownSort(asked.sort, all) }), [asked, all]);
  const pick = useMemo(() => makeTable(rows, all), [rows, all]);
  const key = JSON.stringify(state);
  const { pinned, rows: picked } = useMemo(() => pick(state), [pick, key]);
  const isNarrow = narrow.value;
  const columns = useMemo(
    () => fitted(shownColumns(all, state.cols, isNarrow, state.all), rows),
    [all, rows, key, isNarrow],
  );
  const shown = useMemo(() => [...pinned, ...picked], [pinned, picked]);
  const best = useMemo(() => bestOf(shown, columns), [shown, columns]);
  const summary = useMemo(() => summarize(shown), [shown]);

  if (data.error && !data.ready) return <ErrorBox error={data.error} retry={data.retry} />;
  return (
    <>
      <h1 class="away-from-eyes">Board</h1>
      <Lead summary={summary} rows={shown.length} loading={!data.ready} />
      <Toolbar counts={data.counts} shown={shown} all={all} columns={columns} state={state} set={set} />
      <Count data={data} shown={shown.length} state={state} set={set} />
      {data.error && <ErrorBox error={data.error} retry={data.retry} />}
      {data.ready && shown.length === 0 ? (
        <Empty
          any={data.rows.length > 0 || data.counts.length > 0}
          more={data.more ? { loaded: data.rows.length, load: data.loadMore, busy: data.busy } : null}
          reset={() => set({ q: "", model: [], task: [], engine: [], precision: [], range: [] })}
        />
      ) : (
        <Grid pinned={pinned} rows={picked} columns={columns} best={best} state={state} set={set} busy={data.busy} />
      )}
      <Compare
        ids={state.cmp}
        columns={all}
        open={state.compare && state.cmp.length > 1}
        onClose={() => state.compare && set({ compare: false })}
      />
      <Measured ready={data.ready} />
    </>
  );
}

function Count({ data, shown, state, set }: { data: BoardData; shown: number; state: BoardState; set: SetBoard }) {
  return (
    <p class="count">
      <span>
        <label class="with-all">
          <input type="checkbox" checked={state.all} data-testid="all" onChange={() => set({ all: !state.all })} />
          Include unfinished and failed runs
        </label>
        <span class="numbers">
          <span role="status" data-testid="count">
            {data.ready ? countText(shown, data.rows.length, totalOf(data.counts, state), data.more) : "…"}
          </span>
          {data.more && (
            <>
              {" "}
              <button type="button" class="bare link" disabled={data.busy} data-testid="older" onClick={data.loadMore}>
                {data.busy ? "Loading…" : "Load older runs"}
              </button>
            </>
          )}
        </span>
      </span>
      <span class="legend">
        <span>↑ higher is better</span>
        <span>↓ lower is better</span>
        <span class="best">★ best for its question (rows shown)</span>
        <span>– not available (hover for the reason)</span>
      </span>
    </p>
  );
}

/** "latest 1,000 runs of 12,345", "12 of 340 runs" */
function countText(shown: number, loaded: number, total: number, more: boolean): string {
  const all = more ? `latest ${plural(loaded, "run")} of ${number(Math.max(total, loaded))}` : plural(loaded, "run");
  return shown === loaded ? all : `${number(shown)} of ${all}`;
}

interface EmptyProps {
  any: boolean;
  more: { loaded: number; load: () => void; busy: boolean } | null; // older runs that nobody looked at yet
  reset: () => void;
}

function Empty({ any, more, reset }: EmptyProps) {
  return (
    <div class="no-rows" data-testid="empty">
      {any ? (
        <>
          <h2>No matching runs</h2>
          <p>
            {more ? `None of the latest ${number(more.loaded)} runs matches. ` : "No run matches these filters."}
            {more && (
              <button type="button" disabled={more.busy} onClick={more.load}>
                Load older runs
              </button>
            )}
          </p>
          <button type="button" class="primary" onClick={reset}>
            Clear filters
          </button>
        </>
      ) : (
        <>
          <h2>No results yet</h2>
          <p>A run appears here when it has finished.</p>
          <p>
            <a href="/submit">Submit an evaluation</a> or look at the <a href="/queue">queue</a>.
          </p>
        </>
      )}
    </div>
  );
}

// When the board can be used, on the browser's own timeline: tests and curious people read it there.
function Measured({ ready }: { ready: boolean }) {
  useEffect(() => {
    if (ready) performance.mark("board-ready");
  }, [ready]);
  return null;
}
