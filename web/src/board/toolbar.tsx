// What one can do with the board, in one line: search, filters, order, columns, comparison, download.
import { useState } from "preact/hooks";
import type { Column } from "./column.ts";
import { Chooser } from "./chooser.tsx";
import { Download } from "./download.tsx";
import { choicesOf } from "./facets.ts";
import { Ranges } from "./ranges.tsx";
import type { Row } from "./rows.ts";
import { parseSearch } from "./search.ts";
import { SortMenu } from "./sortmenu.tsx";
import { type BoardState, type Facet, facets, type SetBoard, toggled } from "./state.ts";
import { number } from "../lib/format.ts";
import type { BoardCount } from "../lib/types.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

interface Props {
  counts: readonly BoardCount[];
  shown: Row[];
  all: readonly Column[];
  columns: readonly Column[];
  state: BoardState;
  set: SetBoard;
}

export function Toolbar({ counts, shown, all, columns, state, set }: Props) {
  const [open, setOpen] = useState(false); // on narrow screens a button opens the tools
  return (
    <div class={"toolbar" + (open ? " open" : "")} role="group" aria-label="Filters, order and columns">
      <SearchField state={state} set={set} />
      <button type="button" class="more-tools" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="filter" />
        Filters
      </button>
      <div class="tools">
        {facets.map((f) => (
          <FacetMenu key={f} facet={f} counts={counts} state={state} set={set} />
        ))}
        <Ranges columns={columns} all={all} state={state} set={set} />
      </div>
      <div class="tools end">
        <SortMenu all={all} columns={columns} state={state} set={set} />
        <Chooser all={all} state={state} set={set} />
        <Download rows={shown} columns={columns} />
        <button
          type="button"
          class={state.cmp.length > 1 ? "primary" : ""}
          disabled={state.cmp.length < 2}
          data-testid="compare"
          data-tip={state.cmp.length < 2 ? "Choose two or three runs by their boxes" : undefined}
          onClick={() => set({ compare: true })}
        >
          <Icon name="compare" />
          Compare{state.cmp.length > 0 && ` ${state.cmp.length}`}
        </button>
      </div>
    </div>
  );
}

function SearchField({ state, set }: { state: BoardState; set: SetBoard }) {
  const plain = parseSearch(state.q).plain;
  return (
    <div class="search">
      <Icon name="search" />
      <input
        type="search"
        value={state.q}
        placeholder="Search: qwen; int8; gsm.*"
        aria-label="Search: regular expressions, several with ;"
        data-testid="search"
        aria-describedby="search-hint"
        onInput={(e) => set({ q: e.currentTarget.value }, true)}
        onChange={(e) => set({ q: e.currentTarget.value })}
      />
      <span id="search-hint" class={plain.length > 0 ? "hint" : "away-from-eyes"}>
        {plain.length > 0
          ? `“${plain.join("”, “")}” is not a valid regular expression; searching for it as text`
          : "A run is shown when any of the terms matches"}
      </span>
    </div>
  );
}

interface FacetProps {
  facet: Facet;
  counts: readonly BoardCount[];
  state: BoardState;
  set: SetBoard;
}

function FacetMenu({ facet, counts, state, set }: FacetProps) {
  const chosen = state[facet];
  const title = facet[0]!.toUpperCase() + facet.slice(1);
  const label =
    chosen.length === 0 ? title : chosen.length === 1 ? `${title}: ${chosen[0]}` : `${title}: ${chosen.length}`;
  return (
    <Popover
      name={title}
      testid={"facet-" + facet}
      active={chosen.length > 0}
      label={
        <>
          <span class="clip">{label}</span>
          <Icon name="chevron" />
        </>
      }
    >
      {() => (
        <fieldset class="choices-list">
          <legend>Show only</legend>
          {choicesOf(counts, state, facet).map((c) => (
            <label key={c.value}>
              <input type="checkbox" checked={c.chosen} onChange={() => set({ [facet]: toggled(chosen, c.value) })} />
              <span>{c.value || "(none)"}</span>
              <span class="soft">{number(c.count)}</span>
            </label>
          ))}
          <button type="button" disabled={chosen.length === 0} onClick={() => set({ [facet]: [] })}>
            Clear filter
          </button>
        </fieldset>
      )}
    </Popover>
  );
}
