// The rows of the board. Only what is shown is asked for: a thousand runs with all their figures are five megabytes.
// The latest page is asked for again every half minute; older pages are added on demand and stay, for the order never
// changes under a reader. What was shown stays while something else is on its way.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { columns as table } from "./columns.ts";
import { type BoardState, facets, parseRanges, parseSort, schema } from "./state.ts";
import { type ApiError, get } from "../lib/api.ts";
import { useResource } from "../lib/resource.ts";
import type { Board, BoardCount, BoardRow, Run } from "../lib/types.ts";

const refreshMs = 30_000;
const discoverRows = 25;
const absentMax = 8;
const summaryFigure = "output_tokens_per_s";

/** The address that answers what this state shows. The table's own columns and `more` figures exist; any other that a
 *  link names does not, or is not known yet, and asking for it would be refused. */
export function boardPath(state: BoardState, more: ReadonlySet<string> = new Set()): string {
  const ids = new Set([
    ...state.cols,
    ...parseSort(state.sort).map((k) => k.id),
    ...parseRanges(state.range).map((r) => r.id),
  ]);
  const known = new Map(table.map((c) => [c.id, c]));
  const figures = [...ids].filter((id) => (known.has(id) ? known.get(id)!.source === "figure" : more.has(id)));
  const report = [...ids].some((id) => known.get(id)?.source === "report");
  const names = [...new Set([summaryFigure, ...figures])].sort().map(encodeURIComponent).join(";");
  return `board?figures=${names}${report ? "" : "&report=0"}${state.all ? "&all=1" : ""}${facetQuery(state)}&counts=1`;
}

/** The facets as the API's filters, "&task=a,b". Nothing of one that has the empty value, which the API takes for any. */
export function facetQuery(state: BoardState): string {
  return facets
    .filter((f) => state[f].length > 0 && !state[f].includes(""))
    .map((f) => `&${f}=${encodeURIComponent(schema[f].format(state[f]))}`)
    .join("");
}

export interface BoardData {
  rows: readonly BoardRow[];
  counts: readonly BoardCount[]; // of all runs, not only the loaded ones
  ready: boolean;
  busy: boolean;
  error: ApiError | undefined;
  retry: () => void;
  more: boolean;
  loadMore: () => void;
}

interface Pages {
  path: string;
  rows: BoardRow[];
  counts: BoardCount[];
  next: string | undefined;
  count: number;
}

export function useBoard(path: string): BoardData {
  const first = useResource<Board>(path, refreshMs);
  const [pages, set] = useState<Pages | null>(() => (first.value ? firstPage(path, first.value) : null));
  const wanted = useRef(1); // pages that the reader asked for, whatever columns
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    const page = first.value;
    if (page) set((old) => (old?.path === path ? refreshed(old, page) : firstPage(path, page)));
  }, [first.value, path]);

  const loadPage = async (at: Pages) => {
    setBusy(true);
    const page = await get<Board>(`${path}&after=${encodeURIComponent(at.next!)}`);
    setBusy(false);
    if (page.ok) set((old) => (old && old.path === at.path && old.next === at.next ? extended(old, page.value) : old));
    else wanted.current = at.count; // the button is still there to try again
  };
  useEffect(() => {
    if (pages?.path === path && pages.next !== undefined && pages.count < wanted.current) void loadPage(pages);
  }, [pages]);

  return {
    rows: useMemo(() => pages?.rows ?? [], [pages]),
    counts: pages?.counts ?? noCounts,
    ready: pages !== null,
    busy: busy || pages?.path !== path,
    error: first.error,
    retry: first.reload,
    more: pages?.next !== undefined,
    loadMore: () => {
      wanted.current = pages!.count + 1;
      void loadPage(pages!);
    },
  };
}

const noCounts: readonly BoardCount[] = [];

const firstPage = (path: string, page: Board): Pages => ({
  path,
  rows: page.rows,
  counts: page.counts ?? [],
  next: page.next_after,
  count: 1,
});

// New runs stand before those that were there; what slid from the first page stays where it was.
export function refreshed(old: Pages, page: Board): Pages {
  const ids = new Set(page.rows.map((r) => r.run_id));
  const kept = old.rows.filter((r) => !ids.has(r.run_id));
  return kept.length === 0 || page.next_after === undefined
    ? firstPage(old.path, page)
    : { ...old, rows: [...page.rows, ...kept], counts: page.counts ?? old.counts };
}

function extended(old: Pages, page: Board): Pages {
  const ids = new Set(old.rows.map((r) => r.run_id));
  return {
    ...old,
    rows: [...old.rows, ...page.rows.filter((r) => !ids.has(r.run_id))],
    next: page.next_after,
    count: old.count + 1,
  };
}

/** Runs that a link pins and that are not among the rows: older ones, asked for one by one. */
export function useAbsent(ids: readonly string[], data: BoardData): readonly BoardRow[] {
  const [found, set] = useState<readonly BoardRow[]>([]);
  const absent = data.ready ? ids.filter((id) => !data.rows.some((r) => r.run_id === id)).slice(0, absentMax) : [];
  const key = absent.join();

  useEffect(() => {
    const stop = new AbortController();
    void Promise.all(absent.map((id) => get<Run>("runs/" + encodeURIComponent(id), stop.signal))).then(
      (runs) => !stop.signal.aborted && set(runs.flatMap((r) => (r.ok ? [r.value.row] : []))),
    );
    return () => stop.abort();
  }, [key]);
  return useMemo(() => found.filter((r) => absent.includes(r.run_id)), [found, key]);
}

/** Runs with all that is known of them, a few: they tell which figures there are to choose from. */
export function useDiscovered(ready: boolean): { runs: readonly BoardRow[]; figures: ReadonlySet<string> } {
  const runs = useResource<Board>(ready ? `board?limit=${discoverRows}` : null).value?.rows ?? none;
  return useMemo(() => ({ runs, figures: new Set(runs.flatMap((r) => r.figures.map((f) => f.id))) }), [runs]);
}

const none: readonly BoardRow[] = [];
