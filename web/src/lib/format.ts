// Numbers, times and names as people read them.
const thousands = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits, whole numbers from 100 on: 0.0123, 1.23, 12.3, 1,234. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e7 || size < 1e-4) return value.toExponential(2);
  if (size >= 100) return thousands.format(value);
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
}

export const percent = (share: number): string => (share * 100).toFixed(1);

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const step = Math.min(4, Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** step).toPrecision(3)} ${["KiB", "MiB", "GiB", "TiB"][step - 1]}`;
}

/** 3,300,000,000 -> "3.3 B". */
export function parameters(count: number): string {
  const step =
    count >= 1e9 ? { size: 1e9, name: "B" } : count >= 1e6 ? { size: 1e6, name: "M" } : { size: 1e3, name: "K" };
  return `${Number((count / step.size).toPrecision(3))} ${step.name}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const pad = (n: number): string => String(n).padStart(2, "0");

/** Local time, "2026-11-25 10:13". Empty when there was none. */
export function time(ms: number | undefined): string {
  if (!ms) return "";
  const t = new Date(ms);
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${pad(t.getHours())}:${pad(t.getMinutes())}`;
}

const zones = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

/** The viewer's zone at that moment: "UTC", "GMT+1", "EST". */
export function zoneAt(ms: number): string {
  return zones.formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** "2026-11-25T10:13:05.000Z". Empty when there was none. */
export const utc = (ms: number | undefined): string => (ms ? new Date(ms).toISOString() : "");

export const number = (count: number): string => thousands.format(count);

/** Local time to the second, with the day: events of a run lie close together. */
export function timeOfDay(ms: number): string {
  return `${time(ms)}:${pad(new Date(ms).getSeconds())}`;
}

export function plural(count: number, one: string, many = one + "s"): string {
  return `${thousands.format(count)} ${count === 1 ? one : many}`;
}

/** Names that are there several times once, with their number: "2x H100, L4". */
export function counted(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${count}x ${name}` : name)).join(", ");
}
