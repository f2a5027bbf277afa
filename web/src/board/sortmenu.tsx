// The sort keys of the rows, first to last, each with its direction: what clicks on the column heads do, for people
// without a Shift key.
import type { Column } from "./column.ts";
import { firstDesc } from "./columns.ts";
import { type BoardState, formatSort, parseSort, type SetBoard, type SortKey } from "./state.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

interface Props {
  all: readonly Column[];
  columns: readonly Column[];
  state: BoardState;
  set: SetBoard;
}

export function SortMenu({ all, columns, state, set }: Props) {
  const keys = parseSort(state.sort);
  const change = (next: SortKey[]) => set({ sort: formatSort(next) });
  const free = columns.filter((c) => !keys.some((k) => k.id === c.id));
  const column = (id: string) => all.find((c) => c.id === id);
  return (
    <Popover
      name="Sort"
      testid="order"
      active={keys.length > 0}
      label={
        <>
          {keys.length === 0
            ? "Sort"
            : `Sort: ${column(keys[0]!.id)?.title ?? keys[0]!.id}${keys.length > 1 ? `, +${keys.length - 1} more` : ""}`}
          <Icon name="chevron" />
        </>
      }
    >
      {() => (
        <div class="sortmenu">
          {keys.length === 0 && <p class="soft">Newest first.</p>}
          <ol>
            {keys.map((key, i) => (
              <li key={key.id}>
                <span>{column(key.id)?.title ?? key.id}</span>
                <button
                  type="button"
                  onClick={() => change(keys.map((k, j) => (j === i ? { ...k, desc: !k.desc } : k)))}
                >
                  <Icon name={key.desc ? "down" : "up"} />
                  {key.desc ? "high to low" : "low to high"}
                </button>
                <button
                  type="button"
                  class="bare"
                  aria-label={`Do not sort by ${key.id}`}
                  onClick={() => change(keys.filter((_, j) => j !== i))}
                >
                  <Icon name="cross" />
                </button>
              </li>
            ))}
          </ol>
          <select
            aria-label={keys.length === 0 ? "Sort by" : "Then by"}
            value=""
            data-testid="sort-add"
            onChange={(e) => {
              const chosen = column(e.currentTarget.value);
              if (chosen) change([...keys, { id: chosen.id, desc: firstDesc(chosen) }]);
            }}
          >
            <option value="">{keys.length === 0 ? "Sort by…" : "Then by…"}</option>
            {free.map((c) => (
              <option key={c.id} value={c.id}>
                {c.title}
              </option>
            ))}
          </select>
        </div>
      )}
    </Popover>
  );
}
