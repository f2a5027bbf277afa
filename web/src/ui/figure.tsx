// A figure as people should see it: the value with its interval, a dash with its reason where there is none, a
// warning with its reason where the value is beyond what is possible. Never a zero for what is unknown.
import { intervalBar, intervalText, reasonOf, shown, wordOf } from "../lib/figures.ts";
import type { Figure } from "../lib/types.ts";
import { Icon } from "./icon.tsx";

interface Props {
  figure: Figure | undefined;
  share?: boolean;
  unit?: boolean;
  axis?: { min: number; max: number };
  focusable?: boolean;
}

export function FigureValue({ figure, share = false, unit = false, axis, focusable = true }: Props) {
  const tab = focusable ? 0 : undefined;
  if (figure && figure.value === undefined && figure.low !== undefined && figure.high !== undefined)
    return (
      <span class={figure.invalid ? "invalid" : "with-interval"} tabIndex={tab} data-tip={reasonOf(figure)}>
        {figure.invalid && <Icon name="warning" />}
        {shown(figure.low, figure.unit, share)}–{shown(figure.high, figure.unit, share)}
        {unit && " " + (share ? "%" : figure.unit)}
        <span class="away-from-eyes">, a range: {reasonOf(figure)}</span>
      </span>
    );
  if (!figure || figure.value === undefined)
    return (
      <span class="dash" tabIndex={tab} data-tip={"No value: " + reasonOf(figure)}>
        <span aria-hidden="true">–</span>
        <span class="away-from-eyes">no value: {reasonOf(figure)}</span>
      </span>
    );
  const text = shown(figure.value, figure.unit, share) + (unit ? " " + (share ? "%" : figure.unit) : "");
  if (figure.invalid)
    return (
      <span class="invalid" tabIndex={tab} data-tip={"Invalid: " + reasonOf(figure)}>
        <Icon name="warning" />
        <s>{text}</s>
        <span class="away-from-eyes"> invalid: {reasonOf(figure)}</span>
      </span>
    );
  const interval = intervalText(figure, share);
  const word = wordOf(figure);
  if (!interval && !word) return <span>{text}</span>;
  return (
    <span class="with-interval" tabIndex={tab} data-tip={[interval, word].filter(Boolean).join("\n")}>
      {text}
      <WordMark figure={figure} />
      {interval && <span class="away-from-eyes">, {interval}</span>}
      {axis && <IntervalBar low={figure.low!} high={figure.high!} value={figure.value} min={axis.min} max={axis.max} />}
    </span>
  );
}

/** A star where only somebody's word decides a value, so that it does not read as measured. */
export function WordMark({ figure }: { figure: Figure }) {
  const word = wordOf(figure);
  if (!word) return null;
  return (
    <span class="by-word">
      <span aria-hidden="true">*</span>
      <span class="away-from-eyes"> {word}</span>
    </span>
  );
}

export function IntervalBar({
  low,
  high,
  value,
  min,
  max,
}: {
  low: number;
  high: number;
  value: number;
  min: number;
  max: number;
}) {
  const bar = intervalBar(low, high, min, max);
  const mark = intervalBar(value, value, min, max);
  return (
    <span class="interval" aria-hidden="true">
      <i class="span" style={{ left: `${bar.left}%`, width: `${bar.width}%` }} />
      <i class="mark" style={{ left: `${mark.left}%` }} />
    </span>
  );
}
