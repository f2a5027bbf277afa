// The shown rows and columns as CSV (RFC 4180), values in full, unknown ones empty.
import type { Column } from "./column.ts";
import type { Row } from "./rows.ts";

export function toCsv(rows: readonly Row[], columns: readonly Column[]): string {
  const shown = columns.some((c) => c.id === "run_id") ? columns : [...columns, runId];
  const lines = [
    shown.map((c) => c.id + (c.unit && c.numeric ? ` (${c.unit})` : "")),
    ...rows.map((r) => shown.map((c) => cell(c, r))),
  ];
  return lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

const runId = { id: "run_id", unit: "", numeric: false, value: (r: Row) => r.id } as Column;

function cell(column: Column, row: Row): string {
  const value = column.value(row);
  if (value === null) return "";
  if (column.id === "ended") return new Date(Number(value)).toISOString();
  return typeof value === "number" ? String(value) : harmless(value);
}

// A spreadsheet would run these as formulas; the API's CSV does the same.
function harmless(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}
