// Which values lead their column. Runs are compared inside one question only, and what rests on times inside one timing
// boundary; what is no model (null engine), is partial, or is not to be believed, leads nothing; and where everyone is
// equal, or many are, or an interval reaches the best one's, nobody leads.
import type { Column } from "./column.ts";
import { competes, questionOf, type Row } from "./rows.ts";

const leadersMax = 3;

export type Best = ReadonlyMap<string, ReadonlySet<string>>; // column -> run ids

export function bestOf(rows: readonly Row[], columns: readonly Column[]): Best {
  return new Map(columns.filter((c) => c.better).map((column) => [column.id, new Set(leaders(rows, column))]));
}

/** The best of each question. */
export function leaders(rows: readonly Row[], column: Column): string[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows.filter(competes)) {
    const key = comparedIn(row, column);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => leadersOf(group, column));
}

const comparedIn = (row: Row, column: Column): string =>
  questionOf(row) + (column.group === "Accuracy" ? "" : " " + (row.run.timing_boundary ?? ""));

function leadersOf(group: readonly Row[], column: Column): string[] {
  const values = group.flatMap((row) => {
    const value = column.value(row);
    return typeof value === "number" ? [{ row, value }] : [];
  });
  if (values.length < 2) return [];
  const best = values.reduce(
    (b, v) => (column.better === "higher" ? Math.max(b, v.value) : Math.min(b, v.value)),
    values[0]!.value,
  );
  const at = values.filter((v) => v.value === best);
  if (at.length === values.length || at.length > leadersMax) return [];
  const others = values.filter((v) => v.value !== best);
  if (column.share && at.some((a) => others.some((o) => reaches(o.row, a.row, column)))) return [];
  return at.map((v) => v.row.id);
}

/** Whether the intervals of two shares of samples meet: then chance may have made the difference. */
function reaches(row: Row, best: Row, column: Column): boolean {
  const a = column.figure?.(row);
  const b = column.figure?.(best);
  if (a?.low === undefined || a.high === undefined || b?.low === undefined || b.high === undefined) return false;
  return a.high >= b.low && b.high >= a.low;
}
