// The board: every finished run, one row each. The address holds all of its state (board/state.ts).
import { useEffect, useMemo } from "preact/hooks";
import { bestOf } from "../board/best.ts";
import { columnsFor, shownColumns } from "../board/columns.ts";
import { Compare } from "../board/compare.tsx";
import { Grid } from "../board/grid.tsx";
import { Lead } from "../board/lead.tsx";
import { rowsOf } from "../board/rows.ts";
import { schema } from "../board/state.ts";
import { summarize } from "../board/summary.ts";
import { makeTable } from "../board/table.ts";
import { Toolbar } from "../board/toolbar.tsx";
import { plural } from "../lib/format.ts";
import { narrow } from "../lib/narrow.ts";
import { useResource } from "../lib/resource.ts";
import { useUrlState } from "../lib/router.ts";
import type { Board } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";

const refreshMs = 30_000;

export function BoardView() {
  const [state, set] = useUrlState(schema);
  const board = useResource<Board>(state.all ? "board?all=1" : "board", refreshMs);
  const data = board.value;
  const rows = useMemo(() => rowsOf(data?.rows ?? []), [data]);
  const all = useMemo(() => columnsFor(rows), [rows]);
  const pick = useMemo(() => makeTable(rows, all), [rows, all]);
  const key = JSON.stringify(state);
  const { pinned, rows: picked } = useMemo(() => pick(state), [pick, key]);
  const isNarrow = narrow.value;
  const columns = useMemo(() => shownColumns(all, state.cols, isNarrow, state.all), [all, key, isNarrow]);
  const shown = useMemo(() => [...pinned, ...picked], [pinned, picked]);
  const best = useMemo(() => bestOf(shown, columns), [shown, columns]);
  const summary = useMemo(() => summarize(shown), [shown]);
  const compared = state.cmp.flatMap((id) => rows.filter((r) => r.id === id));

  if (board.error && !data) return <ErrorBox error={board.error} retry={board.reload} />;
  return (
    <>
      <h1 class="away-from-eyes">Board</h1>
      <Lead summary={summary} rows={rows.length} loading={!data} />
      <Toolbar rows={rows} shown={shown} all={all} columns={columns} state={state} set={set} />
      <p class="count">
        <span><span role="status" data-testid="count">{data ? `${shown.length} of ${plural(rows.length, "run")}` : "…"}{data?.more && ", the latest ones"}</span>
          <label class="check"><input type="checkbox" checked={state.all} data-testid="all" onChange={() => set({ all: !state.all })} />with unfinished and failed ones</label></span>
        <span class="legend"><span>↑ higher is better</span><span>↓ lower is better</span><span class="best">★ best of its task here</span><span>– no value: its reason on hover and focus</span></span>
      </p>
      {data && shown.length === 0 ? <Empty any={rows.length > 0} reset={() => set({ q: "", model: [], task: [], engine: [], precision: [], range: [] })} />
        : <Grid pinned={pinned} rows={picked} columns={columns} best={best} state={state} set={set} loading={!data} />}
      <Compare rows={compared} columns={all} open={state.compare && compared.length > 1} onClose={() => state.compare && set({ compare: false })} />
      <Measured ready={data !== undefined} />
    </>
  );
}

function Empty({ any, reset }: { any: boolean; reset: () => void }) {
  return (
    <div class="empty" data-testid="empty">
      {any ? <><h2>No run fits</h2><p>The filters leave nothing.</p><button type="button" class="primary" onClick={reset}>Clear the filters</button></>
        : <><h2>No results yet</h2><p>A run appears here when it has finished.</p><p><a href="/submit">Submit an evaluation</a> or look at the <a href="/queue">queue</a>.</p></>}
    </div>
  );
}

// When the board can be used, on the browser's own timeline: tests and curious people read it there.
function Measured({ ready }: { ready: boolean }) {
  useEffect(() => { if (ready) performance.mark("board-ready"); }, [ready]);
  return null;
}
