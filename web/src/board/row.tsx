// One run: comparison, pin, then a cell a column.
import type { Best } from "./best.ts";
import { Cell } from "./cell.tsx";
import type { Place } from "./keys.ts";
import type { Column } from "./column.ts";
import type { Row } from "./rows.ts";
import { type BoardState, compareMax, type SetBoard, toggled } from "./state.ts";
import { nameOf } from "./summary.ts";
import { Icon } from "../ui/icon.tsx";

export const leadColumns = 2; // compare and pin stand before the columns

interface Props {
  row: Row;
  index: number;
  columns: readonly Column[];
  best: Best;
  state: BoardState;
  set: SetBoard;
  hold: (place: Place) => void;
  busy: boolean;
  activeCol: number | null;
  top?: number;
}

export function BoardRow({ row, index, columns, best, state, set, hold, busy, activeCol, top }: Props) {
  const pinned = state.pin.includes(row.id);
  const compared = state.cmp.includes(row.id);
  const isFull = !compared && state.cmp.length >= compareMax;
  const name = `${nameOf(row)}, ${row.run.task}`;
  const at = (col: number) => `${index}:${col}`;
  const tab = (col: number) => (activeCol === col ? 0 : -1);
  const cells = top === undefined ? {} : { style: { "--top": `${top}px` } };
  return (
    <tr
      aria-rowindex={index + 3}
      class={(pinned ? "pinned " : "") + (compared ? "compared" : "")}
      data-testid="row"
      data-run={row.id}
      {...cells}
    >
      <td
        class="lead"
        data-at={at(0)}
        {...(isFull ? { tabIndex: tab(0), "data-tip": `At most ${compareMax} runs compare` } : {})}
      >
        <input
          type="checkbox"
          checked={compared}
          disabled={isFull}
          tabIndex={tab(0)}
          aria-label={"Compare " + name}
          onChange={() => set({ cmp: toggled(state.cmp, row.id) })}
        />
      </td>
      <td class="lead" data-at={at(1)}>
        <button
          type="button"
          class="bare pin"
          aria-pressed={pinned}
          aria-label={"Pin " + name}
          tabIndex={tab(1)}
          onClick={(event) => {
            if (event.detail === 0) hold({ row: index, col: 1 }); // by the keyboard
            set({ pin: toggled(state.pin, row.id) });
          }}
        >
          <Icon name="pin" filled={pinned} />
        </button>
      </td>
      {columns.map((column, i) => (
        <Cell
          key={column.id}
          column={column}
          row={row}
          best={best.get(column.id)?.has(row.id) ?? false}
          at={at(i + leadColumns)}
          tab={tab(i + leadColumns)}
          first={i === 0}
          busy={busy}
        />
      ))}
    </tr>
  );
}
