// The table itself: only the rows in sight are drawn, header, first column and pinned rows stay in sight, and the
// keyboard moves from cell to cell.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Best } from "./best.ts";
import type { Column } from "./columns.ts";
import { Head } from "./head.tsx";
import { moved, type Place } from "./keys.ts";
import { BoardRow, leadColumns } from "./row.tsx";
import type { Row } from "./rows.ts";
import { type BoardState, facets, type SetBoard } from "./state.ts";
import { useScroll } from "./usescroll.ts";
import { scrollFor, windowOf } from "./window.ts";

export const rowHeight = 40;
export const headHeight = 76;
const leadWidth = 36;
const stuckPinsMax = 4; // more of them would leave no room for the others

interface Props { pinned: Row[]; rows: Row[]; columns: readonly Column[]; best: Best; state: BoardState; set: SetBoard; busy: boolean }

export function Grid({ pinned, rows, columns, best, state, set, busy }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { top, height } = useScroll(box);
  const [active, setActive] = useState<Place>({ row: -1, col: leadColumns });
  const wanted = useRef<string | null>(null);
  const all = pinned.length + rows.length;
  const cols = columns.length + leadColumns;
  const seen = windowOf(Math.max(0, top - pinned.length * rowHeight), height, rowHeight, rows.length);
  const drawn = active.row < pinned.length || (active.row - pinned.length >= seen.first && active.row - pinned.length < seen.last);
  const tabRow = drawn && active.row < all ? active.row : -1; // a cell that is not drawn cannot be Tab's stop
  const tabCol = Math.min(active.col, cols - 1);
  const colOf = (row: number) => (row === tabRow ? tabCol : null);

  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const cell = box.current!.querySelector(`[data-at="${wanted.current}"]`);
    if (!cell) return;
    wanted.current = null;
    focusable(cell).focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // Another order or filter begins at its top; the first picture where the reader left it.
  const order = JSON.stringify([state.q, state.sort, state.range, ...facets.map((f) => state[f])]);
  const shownOrder = useRef(order);
  useLayoutEffect(() => {
    if (shownOrder.current !== order) box.current!.scrollTop = 0;
    shownOrder.current = order;
  }, [order]);

  const onKey = (event: KeyboardEvent) => {
    const next = moved(event.key, event.ctrlKey || event.metaKey, active, all, cols);
    if (!next || event.altKey) return;
    event.preventDefault();
    wanted.current = `${next.row}:${next.col}`;
    if (next.row >= pinned.length) box.current!.scrollTop = scrollFor(next.row, box.current!.scrollTop, height, rowHeight, headHeight);
    setActive(next);
  };
  const onFocus = (event: FocusEvent) => {
    const place = event.target instanceof Element ? event.target.closest("[data-at]")?.getAttribute("data-at")?.split(":").map(Number) : undefined;
    if (place && (place[0] !== active.row || place[1] !== active.col)) setActive({ row: place[0]!, col: place[1]! });
  };

  const width = leadWidth * leadColumns + columns.reduce((sum, c) => sum + c.width, 0);
  return (
    <div class="grid" ref={box} style={{ minHeight: `${Math.min(300, headHeight + all * rowHeight + 4)}px` }}>
      <table role="grid" aria-label="Results" aria-rowcount={all + 2} aria-colcount={cols} aria-busy={busy} data-testid="board"
        style={{ width: `max(100%, ${width}px)` }} onKeyDown={onKey} onFocusIn={onFocus}>
        <colgroup>
          <col style={{ width: `${leadWidth}px` }} /><col style={{ width: `${leadWidth}px` }} />
          {columns.map((c, i) => <col key={c.id} class={i === 0 ? "first" : ""} style={{ width: `${c.width}px` }} />)}
        </colgroup>
        <Head columns={columns} state={state} set={set} activeCol={colOf(-1)} />
        {pinned.length > 0 && <tbody class="pins" data-testid="pinned">
          {pinned.map((row, i) => <BoardRow key={row.id} row={row} index={i} columns={columns} best={best} state={state} set={set} busy={busy} activeCol={colOf(i)}
            {...(i < stuckPinsMax ? { top: headHeight + i * rowHeight } : {})} />)}
        </tbody>}
        <tbody>
          {seen.before > 0 && <Gap height={seen.before} />}
          {rows.slice(seen.first, seen.last).map((row, i) => {
            const index = pinned.length + seen.first + i;
            return <BoardRow key={row.id} row={row} index={index} columns={columns} best={best} state={state} set={set} busy={busy} activeCol={colOf(index)} />;
          })}
          {seen.after > 0 && <Gap height={seen.after} />}
        </tbody>
      </table>
    </div>
  );
}

function Gap({ height }: { height: number }) {
  return <tr class="gap" aria-hidden="true" style={{ height: `${height}px` }} />;
}

function focusable(cell: Element): HTMLElement {
  return cell.querySelector<HTMLElement>("a, button, input:not(:disabled)") ?? (cell as HTMLElement);
}
