// Which values lead their column. Runs are compared within their task only; what is no model (null engine), or is not to
// be believed, leads nothing; and where everyone is equal, or many are, nobody leads.
import type { Column } from "./column.ts";
import { competes, type Row } from "./rows.ts";

const leadersMax = 3;

export type Best = ReadonlyMap<string, ReadonlySet<string>>; // column -> run ids

export function bestOf(rows: readonly Row[], columns: readonly Column[]): Best {
  const byTask = new Map<string, Row[]>();
  for (const row of rows) byTask.set(row.run.task, [...(byTask.get(row.run.task) ?? []), row]);
  return new Map(
    columns
      .filter((c) => c.better)
      .map((column) => [column.id, new Set([...byTask.values()].flatMap((group) => leaders(group, column)))]),
  );
}

export function leaders(rows: readonly Row[], column: Column): string[] {
  const values = rows.filter(competes).flatMap((row) => {
    const value = column.value(row);
    return typeof value === "number" ? [{ id: row.id, value }] : [];
  });
  if (values.length < 2) return [];
  const best = values.reduce(
    (b, v) => (column.better === "higher" ? Math.max(b, v.value) : Math.min(b, v.value)),
    values[0]!.value,
  );
  const at = values.filter((v) => v.value === best);
  return at.length === values.length || at.length > leadersMax ? [] : at.map((v) => v.id);
}
