// The table itself: only the rows in sight are drawn, header, first column and pinned rows stay in sight, and the
// keyboard moves from cell to cell.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Best } from "./best.ts";
import type { Column } from "./column.ts";
import { Head } from "./head.tsx";
import { BoardRow, leadColumns } from "./row.tsx";
import type { Row } from "./rows.ts";
import { type BoardState, facets, type SetBoard } from "./state.ts";
import { narrow } from "../lib/narrow.ts";
import { useKeys } from "./usekeys.ts";
import { useScroll } from "./usescroll.ts";
import { scrollFor, windowOf } from "./window.ts";

export const rowHeight = 40;
export const headHeight = 76;
const leadWidth = 36;
const ghostRows = 12;
const stuckPinsMax = 4; // more of them would leave no room for the others

interface Props {
  pinned: Row[];
  rows: Row[];
  columns: readonly Column[];
  best: Best;
  state: BoardState;
  set: SetBoard;
  busy: boolean;
}

export function Grid({ pinned, rows, columns, best, state, set, busy }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { top, height } = useScroll(box);
  const all = pinned.length + rows.length;
  const cols = columns.length + leadColumns;
  const stuck = Math.min(pinned.length, stuckPinsMax);
  const show = (row: number) => {
    if (row >= stuck)
      box.current!.scrollTop = scrollFor(
        row - stuck,
        box.current!.scrollTop,
        height,
        rowHeight,
        headHeight + stuck * rowHeight,
      );
  };
  const { active, hold, ...keys } = useKeys(box, { rows: all, cols, start: { row: -1, col: leadColumns }, show });
  const seen = windowOf(Math.max(0, top - pinned.length * rowHeight), height, rowHeight, rows.length);
  const isDrawn =
    active.row < pinned.length || (active.row >= pinned.length + seen.first && active.row < pinned.length + seen.last);
  const tabRow = isDrawn && active.row < all ? active.row : -1; // a cell that is not drawn cannot be Tab's stop
  const colOf = (row: number) => (row === tabRow ? Math.min(active.col, cols - 1) : null);
  const rowAt = (row: Row, index: number) => (
    <BoardRow
      key={row.id}
      row={row}
      index={index}
      columns={columns}
      best={best}
      state={state}
      set={set}
      hold={hold}
      busy={busy}
      activeCol={colOf(index)}
      {...(index < stuck ? { top: headHeight + index * rowHeight } : {})}
    />
  );

  // Another order or filter begins at its top; the first picture where the reader left it.
  const order = JSON.stringify([state.q, state.sort, state.range, ...facets.map((f) => state[f])]);
  const shownOrder = useRef(order);
  useLayoutEffect(() => {
    if (shownOrder.current !== order) box.current!.scrollTop = 0;
    shownOrder.current = order;
  }, [order]);

  const width = leadWidth * leadColumns + columns.reduce((sum, c) => sum + c.width, 0);
  return (
    <div
      class="grid"
      ref={box}
      style={{
        minHeight: `${Math.min(300, headHeight + all * rowHeight + 4)}px`,
        // What the keyboard reaches comes to lie beside the first column, not below it.
        scrollPaddingLeft: narrow.value ? "9.25rem" : `${leadWidth * leadColumns + columns[0]!.width}px`,
      }}
    >
      <table
        role="grid"
        aria-label="Results"
        aria-rowcount={all + 2}
        aria-busy={busy}
        data-testid="board"
        style={{ width: `max(100%, ${width}px)` }}
        {...keys}
      >
        <colgroup>
          <col style={{ width: `${leadWidth}px` }} />
          <col style={{ width: `${leadWidth}px` }} />
          {columns.map((c, i) => (
            <col key={c.id} class={i === 0 ? "first" : ""} style={widthOf(c, i, columns.length)} />
          ))}
        </colgroup>
        <Head columns={columns} state={state} set={set} activeCol={colOf(-1)} />
        {pinned.length > 0 && (
          <tbody class="pins" data-testid="pinned">
            {pinned.map(rowAt)}
          </tbody>
        )}
        <tbody>
          {busy && all === 0 && <Ghosts columns={columns} />}
          {seen.before > 0 && <Gap height={seen.before} />}
          {rows.slice(seen.first, seen.last).map((row, i) => rowAt(row, pinned.length + seen.first + i))}
          {seen.after > 0 && <Gap height={seen.after} />}
        </tbody>
      </table>
    </div>
  );
}

/** With few columns the first one takes the room that is left; otherwise all grow alike. */
function widthOf(column: Column, index: number, count: number): { width: string } | undefined {
  return index === 0 && count < 4 ? undefined : { width: `${column.width}px` };
}

function Gap({ height }: { height: number }) {
  return <tr class="gap" aria-hidden="true" style={{ height: `${height}px` }} />;
}

// What stands where rows will be, so that the eye finds its place before they come.
function Ghosts({ columns }: { columns: readonly Column[] }) {
  return Array.from({ length: ghostRows }, (_, i) => (
    <tr key={i} aria-hidden="true" class="ghost">
      <td class="lead" colSpan={leadColumns} />
      {columns.map((c) => (
        <td key={c.id} class={c.numeric ? "number" : ""}>
          <i />
        </td>
      ))}
    </tr>
  ));
}
