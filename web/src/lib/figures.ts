// How each kind of figure is shown. A ratio that is a share of answers is shown in percent; everything else in its
// own unit.
import { percent, short } from "./format.ts";
import type { BoardRow, Figure } from "./types.ts";

export function figureOf(row: BoardRow, id: string): Figure | undefined {
  return row.figures.find((f) => f.id === id);
}

/** The value that counts: one beyond a physical limit is shown, but is not a result. */
export function valueOf(figure: Figure | undefined): number | null {
  return figure && figure.value !== undefined && !figure.invalid ? figure.value : null;
}

export function reasonOf(figure: Figure | undefined): string {
  if (!figure) return "not measured";
  return figure.reason || "no reason was given";
}

/** What a value rests on where nobody measured or counted it: such a value has a star. Empty: somebody did. */
export function wordOf(figure: Figure): string {
  if (figure.basis === "declared") return "Declared: it rests on what the submitter said";
  return figure.basis === "nameplate" ? "Nameplate: it rests on a data sheet" : "";
}

/** Unit and digits of a value: shares in percent. */
export function shown(value: number, unit: string, share: boolean): string {
  return share ? percent(value) : unit === "samples" ? String(value) : short(value);
}

export function intervalText(figure: Figure, share: boolean): string {
  if (figure.low === undefined || figure.high === undefined) return "";
  const unit = share ? " %" : " " + figure.unit;
  const bound =
    figure.certified === undefined ? "" : `; at most ${shown(figure.certified, figure.unit, share)}${unit} at 99 %`;
  return `95 % interval: ${shown(figure.low, figure.unit, share)} to ${shown(figure.high, figure.unit, share)}${unit}${bound}`;
}

/** Where an interval lies on an axis from `min` to `max`, in percent of its width. Clipped to the axis. */
export function intervalBar(low: number, high: number, min: number, max: number): { left: number; width: number } {
  const span = max - min;
  if (!(span > 0) || !(high >= low)) return { left: 0, width: 0 };
  const clip = (v: number) => Math.min(1, Math.max(0, (v - min) / span)) * 100;
  return { left: clip(low), width: clip(high) - clip(low) };
}
