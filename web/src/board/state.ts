// Everything that the board's address holds. Names are short because people read and share them.
import { columns as table } from "./columns.ts";
import { flag, list, type StateOf, text } from "../lib/urlstate.ts";

export const schema = {
  q: text(),
  model: list(),
  task: list(),
  engine: list(),
  precision: list(),
  range: list(), // "ttft_ms_p50:..100", "accuracy:50..": column, least, most
  sort: list(), // "-accuracy", "ttft_ms_p50": the first decides, "-" is downwards
  cols: list(table.filter((c) => c.standard).map((c) => c.id)),
  pin: list(),
  cmp: list(), // run ids
  compare: flag(), // the comparison is open
  all: flag(), // unfinished and failed runs too
};

export type BoardState = StateOf<typeof schema>;
export type SetBoard = (changes: Partial<BoardState>, draft?: boolean) => void;

export const facets = ["model", "task", "engine", "precision"] as const;
export type Facet = (typeof facets)[number];

export const compareMax = 3;

export interface SortKey {
  id: string;
  desc: boolean;
}

export function parseSort(keys: readonly string[]): SortKey[] {
  const seen = new Set<string>();
  return keys
    .map((k) => ({ id: k.replace(/^-/, ""), desc: k.startsWith("-") }))
    .filter((k) => k.id !== "" && !seen.has(k.id) && seen.add(k.id));
}

/** Those whose column there is. */
export const knownSort = (keys: readonly string[], columns: readonly { id: string }[]): string[] =>
  formatSort(parseSort(keys).filter((k) => columns.some((c) => c.id === k.id)));

export const formatSort = (keys: readonly SortKey[]): string[] => keys.map((k) => (k.desc ? "-" : "") + k.id);

/** A press on a column's head: its first direction, then the other, then none. It sorts alone, or with `add` after the
 *  keys that are there. */
export function pressSort(keys: readonly SortKey[], id: string, firstDesc: boolean, add: boolean): SortKey[] {
  const old = keys.find((k) => k.id === id);
  const alone = keys.length === 1 && old !== undefined;
  const next = turn(add || alone ? old : undefined, id, firstDesc);
  if (!add) return next ? [next] : [];
  if (!old) return [...keys, next!];
  return next ? keys.map((k) => (k === old ? next : k)) : keys.filter((k) => k !== old);
}

function turn(old: SortKey | undefined, id: string, firstDesc: boolean): SortKey | null {
  if (!old) return { id, desc: firstDesc };
  return old.desc === firstDesc ? { id, desc: !firstDesc } : null;
}

export interface Range {
  id: string;
  min: number | null;
  max: number | null;
}

export function parseRanges(texts: readonly string[]): Range[] {
  return texts.map(parseRange).filter((r) => r !== null);
}

function parseRange(text: string): Range | null {
  const parts = /^(.+):([^:]*)\.\.([^:]*)$/.exec(text);
  if (!parts) return null;
  const [min, max] = [bound(parts[2]!), bound(parts[3]!)];
  return min === null && max === null ? null : { id: parts[1]!, min, max };
}

function bound(text: string): number | null {
  const value = text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

export const formatRanges = (ranges: readonly Range[]): string[] =>
  ranges.filter((r) => r.min !== null || r.max !== null).map((r) => `${r.id}:${r.min ?? ""}..${r.max ?? ""}`);

/** Adds or removes one of a list. */
export function toggled(words: readonly string[], word: string): string[] {
  return words.includes(word) ? words.filter((w) => w !== word) : [...words, word];
}
