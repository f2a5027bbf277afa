// Rows through filters, order and pins: TanStack's row models, fed from the address. Unknown values are undefined
// for it and come last, whichever way a column is sorted. Pinned rows stand on top through every filter.
import {
  columnFilteringFeature,
  type ColumnDef,
  constructTable,
  createFilteredRowModel,
  createSortedRowModel,
  rowPinningFeature,
  rowSortingFeature,
  tableFeatures,
} from "@tanstack/table-core";
import { storeReactivityBindings } from "@tanstack/table-core/store-reactivity-bindings";
import type { Column } from "./column.ts";
import type { Row } from "./rows.ts";
import { parseSearch } from "./search.ts";
import { type BoardState, facets, parseRanges, parseSort, type Range } from "./state.ts";

const features = tableFeatures({
  coreReactivityFeature: storeReactivityBindings(),
  columnFilteringFeature,
  rowSortingFeature,
  rowPinningFeature,
  filteredRowModel: createFilteredRowModel(),
  sortedRowModel: createSortedRowModel(),
});

type Definition = ColumnDef<typeof features, Row, unknown>;

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export interface Picked {
  pinned: Row[];
  rows: Row[];
}

export function makeTable(data: Row[], columns: readonly Column[]) {
  const table = constructTable({
    features,
    data,
    columns: [...columns.map(definition), searched],
    getRowId: (row) => row.id,
    keepPinnedRows: true,
  });
  return (state: BoardState): Picked => {
    table.setOptions((old) => ({ ...old, state: tableState(state, columns) }));
    const pinned = table.getTopRows();
    const ids = new Set(pinned.map((r) => r.id));
    return {
      pinned: pinned.map((r) => r.original),
      rows: table
        .getRowModel()
        .rows.filter((r) => !ids.has(r.id))
        .map((r) => r.original),
    };
  };
}

function definition(column: Column): Definition {
  return {
    id: column.id,
    accessorFn: (row) => column.value(row) ?? undefined,
    sortUndefined: "last",
    sortFn: (a, b, id) => compare(a.getValue(id), b.getValue(id)),
    filterFn: (row, id, wanted: readonly string[] | Range) =>
      "min" in wanted ? within(row.getValue(id), wanted) : wanted.includes(String(row.getValue(id))),
  };
}

// All that can be searched, as one column that is never shown.
const searched: Definition = {
  id: "searched",
  accessorFn: (row) => row.text,
  filterFn: (row, id, matches: (text: string) => boolean) => matches(row.getValue(id)),
};

function tableState(state: BoardState, columns: readonly Column[]) {
  const known = new Set(columns.map((c) => c.id));
  const filters: { id: string; value: unknown }[] = facets
    .filter((f) => state[f].length > 0)
    .map((f) => ({ id: f, value: state[f] }));
  for (const range of parseRanges(state.range)) if (known.has(range.id)) filters.push({ id: range.id, value: range });
  if (state.q.trim()) filters.push({ id: "searched", value: parseSearch(state.q).matches });
  return {
    columnFilters: filters,
    sorting: parseSort(state.sort).filter((k) => known.has(k.id)),
    rowPinning: { top: [...state.pin], bottom: [] },
  };
}

function within(value: unknown, range: Range): boolean {
  return (
    typeof value === "number" &&
    (range.min === null || value >= range.min) &&
    (range.max === null || value <= range.max)
  );
}

function compare(a: unknown, b: unknown): number {
  return typeof a === "number" && typeof b === "number" ? a - b : words.compare(String(a), String(b));
}
