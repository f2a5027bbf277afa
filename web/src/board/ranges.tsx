// Bounds for numeric columns, in the unit that is shown. While one types the rows follow; what is final is a new
// entry in the history.
import type { Column } from "./column.ts";
import { type BoardState, formatRanges, parseRanges, type Range, type SetBoard } from "./state.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

interface Props {
  columns: readonly Column[];
  all: readonly Column[];
  state: BoardState;
  set: SetBoard;
}

export function Ranges({ columns, all, state, set }: Props) {
  const ranges = parseRanges(state.range);
  const bounded = new Set(ranges.map((r) => r.id));
  const shown = new Set(columns.map((c) => c.id)); // by id: a shown column may have another width than in `all`
  const offered = all.filter((c) => c.numeric && (bounded.has(c.id) || shown.has(c.id)));
  const change = (range: Range, draft: boolean) =>
    set({ range: formatRanges([...ranges.filter((r) => r.id !== range.id), range]) }, draft);
  return (
    <Popover
      name="Ranges"
      testid="ranges"
      active={ranges.length > 0}
      label={
        <>
          {ranges.length === 0 ? "Ranges" : `Ranges: ${ranges.length}`}
          <Icon name="chevron" />
        </>
      }
    >
      {() => (
        <div class="ranges">
          <p class="soft">Minimum and maximum. Runs without a value are hidden.</p>
          {offered.map((c) => (
            <RangeRow
              key={c.id}
              column={c}
              range={ranges.find((r) => r.id === c.id) ?? { id: c.id, min: null, max: null }}
              change={change}
            />
          ))}
          <button type="button" disabled={ranges.length === 0} onClick={() => set({ range: [] })}>
            Clear
          </button>
        </div>
      )}
    </Popover>
  );
}

function RangeRow({
  column,
  range,
  change,
}: {
  column: Column;
  range: Range;
  change: (range: Range, draft: boolean) => void;
}) {
  const field = (end: "min" | "max", name: string) => (
    <input
      type="number"
      step="any"
      placeholder={end}
      aria-label={`${column.title} ${name}`}
      data-testid={`range-${column.id}-${end}`}
      value={range[end] ?? ""}
      onInput={(e) => change({ ...range, [end]: read(e.currentTarget) }, true)}
      onChange={(e) => change({ ...range, [end]: read(e.currentTarget) }, false)}
    />
  );
  return (
    <div class="range">
      <span>
        {column.title} <span class="soft">{column.unit}</span>
      </span>
      {field("min", "at least")}
      {field("max", "at most")}
    </div>
  );
}

function read(input: HTMLInputElement): number | null {
  return input.value === "" || Number.isNaN(input.valueAsNumber) ? null : input.valueAsNumber;
}
