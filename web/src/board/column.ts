// What a column of the board is. A column of figures knows in which direction it is better; a column of facts has no
// direction.
import { figureValue, type Row } from "./rows.ts";
import type { Figure } from "../lib/types.ts";

export const groups = [
  "Run",
  "Cost",
  "Energy",
  "Accuracy",
  "Performance",
  "Load",
  "MoE",
  "Utilisation",
  "System",
  "Provenance",
  "More",
] as const;
export type Group = (typeof groups)[number];

export interface Column {
  id: string;
  group: Group;
  title: string;
  about: string;
  width: number;
  unit: string;
  better?: "higher" | "lower";
  share: boolean;
  numeric: boolean;
  standard: boolean;
  /** What the server must send for it: a figure, the node's report, or nothing beyond the run itself. */
  source: "figure" | "report" | "run";
  /** What sorts and filters: in the unit that is shown; null is unknown. */
  value(row: Row): number | string | null;
  /** Set for columns of figures. */
  figure?: (row: Row) => Figure | undefined;
  /** Set where the text is not the value itself. */
  text?: (row: Row) => string;
}

type Options = Partial<
  Pick<Column, "better" | "share" | "standard" | "width" | "unit" | "text" | "numeric" | "source">
>;

/** Makers of a group's columns: `fact` for what a run states, `figure` for what was measured. */
export function columnsOf(group: Group) {
  const basis = { group, width: 120, unit: "", share: false, numeric: false, standard: false };
  return {
    fact(id: string, title: string, about: string, value: Column["value"], options: Options = {}): Column {
      return { ...basis, id, title, about, source: "run", value, ...options };
    },
    figure(id: string, title: string, unit: string, about: string, options: Options = {}): Column {
      const figure = (row: Row) => row.figures.get(id);
      const value = (row: Row) => figureValue(row, id);
      return {
        ...basis,
        id,
        title,
        about,
        unit,
        width: 102,
        numeric: true,
        source: "figure",
        value,
        figure,
        ...options,
      };
    },
  };
}

export function percentOf(f: Figure | undefined): number | null {
  return f && f.value !== undefined && !f.invalid ? f.value * 100 : null;
}
