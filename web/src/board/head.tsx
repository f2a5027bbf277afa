// The header: groups above, columns below; a press sorts, with Shift it sorts further. What is better is said by an
// arrow beside the unit and in words.
import type { Column } from "./column.ts";
import { firstDesc } from "./columns.ts";
import { leadColumns } from "./row.tsx";
import { formatSort, parseSort, pressSort, type BoardState, type SetBoard, type SortKey } from "./state.ts";
import { Icon } from "../ui/icon.tsx";

interface Props {
  columns: readonly Column[];
  state: BoardState;
  set: SetBoard;
  activeCol: number | null;
}

export function Head({ columns, state, set, activeCol }: Props) {
  const keys = parseSort(state.sort);
  const tab = (col: number) => (activeCol === col ? 0 : -1);
  return (
    <thead>
      <tr class="column-groups" aria-rowindex={1}>
        <td colSpan={leadColumns} class="lead" />
        {spans(columns).map(({ group, span }, i) => (
          <th key={`${group} ${i}`} scope="colgroup" colSpan={span} class={i === 0 ? "first" : ""}>
            <span>{group}</span>
          </th>
        ))}
      </tr>
      <tr aria-rowindex={2}>
        <th scope="col" class="lead" data-at="-1:0" tabIndex={tab(0)} data-tip="Choose up to three runs to compare">
          <Icon name="compare" />
          <span class="away-from-eyes">Compare</span>
        </th>
        <th
          scope="col"
          class="lead"
          data-at="-1:1"
          tabIndex={tab(1)}
          data-tip="Pinned runs stay on top through every filter"
        >
          <Icon name="pin" />
          <span class="away-from-eyes">Pin</span>
        </th>
        {columns.map((column, i) => (
          <HeadCell
            key={column.id}
            column={column}
            keys={keys}
            first={i === 0}
            at={`-1:${i + leadColumns}`}
            tab={tab(i + leadColumns)}
            press={(add) => set({ sort: formatSort(pressSort(keys, column.id, firstDesc(column), add)) })}
          />
        ))}
      </tr>
    </thead>
  );
}

interface CellProps {
  column: Column;
  keys: SortKey[];
  first: boolean;
  at: string;
  tab: number;
  press: (add: boolean) => void;
}

function HeadCell({ column, keys, first, at, tab, press }: CellProps) {
  const place = keys.findIndex((k) => k.id === column.id);
  const key = keys[place];
  const direction = column.better ? `${column.better} is better` : "";
  const order = key
    ? `sorted ${key.desc ? "downwards" : "upwards"}${keys.length > 1 ? `, as number ${place + 1}` : ""}`
    : "";
  return (
    <th
      scope="col"
      class={(first ? "stick " : "") + (column.numeric ? "number" : "")}
      data-at={at}
      data-col={column.id}
      aria-sort={key ? (key.desc ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        class="bare sort"
        tabIndex={tab}
        onClick={(event) => press(event.shiftKey || event.ctrlKey || event.metaKey)}
        data-tip={
          [
            column.about,
            direction && direction[0]!.toUpperCase() + direction.slice(1),
            "Click to sort; Shift-click to add a second key",
          ]
            .filter(Boolean)
            .join(". ") + "."
        }
      >
        <span class="title">
          {column.title}
          {key && <SortMark desc={key.desc} place={keys.length > 1 ? place + 1 : 0} />}
        </span>
        <span class="unit">
          {column.better && <span aria-hidden="true">{column.better === "higher" ? "↑" : "↓"} </span>}
          {column.unit}
        </span>
        <span class="away-from-eyes">{[direction, order].filter(Boolean).join(", ")}</span>
      </button>
    </th>
  );
}

function SortMark({ desc, place }: { desc: boolean; place: number }) {
  return (
    <span class="sortmark" aria-hidden="true">
      {desc ? "▼" : "▲"}
      {place > 0 && <small>{place}</small>}
    </span>
  );
}

function spans(columns: readonly Column[]): { group: string; span: number }[] {
  const out: { group: string; span: number }[] = [];
  for (const { group } of columns) {
    const last = out.at(-1);
    if (last?.group === group) last.span++;
    else out.push({ group, span: 1 });
  }
  return out;
}
