// One cell: a figure with its interval, a dash with its reason, or a fact. What a cell has to explain hangs on the
// cell itself (data-tip), because in a grid the cell is what the keyboard reaches.
import type { Column } from "./column.ts";
import { isDeclared, partText, type Row, settingText } from "./rows.ts";
import { intervalText, reasonOf, shown, wordOf } from "../lib/figures.ts";
import { utc } from "../lib/format.ts";
import { loadText } from "../lib/load.ts";
import { narrow } from "../lib/narrow.ts";
import type { Figure, Mark } from "../lib/types.ts";
import { IntervalBar, WordMark } from "../ui/figure.tsx";
import { Icon } from "../ui/icon.tsx";
import { MarkIcon, badMarks } from "../ui/marks.tsx";
import { StateBadge } from "../ui/state.tsx";

export interface CellProps {
  column: Column;
  row: Row;
  best: boolean;
  at: string;
  tab: number;
  first: boolean;
  busy: boolean;
}

export function Cell({ column, row, best, at, tab, first, busy }: CellProps) {
  const common = { "data-at": at, "data-col": column.id };
  if (first) return <ModelCell row={row} tab={tab} common={common} />;
  if (busy && isAwaited(column, row))
    return (
      <td class="number soft" {...common} tabIndex={tab}>
        …
      </td>
    );
  if (column.figure)
    return (
      <FigureCell
        column={column}
        figure={column.figure(row)}
        best={best}
        marks={column.id === "accuracy" ? row.run.marks : undefined}
        note={noteOf(column, row)}
        common={{ ...common, tabIndex: tab }}
      />
    );
  if (column.id === "state")
    return (
      <td {...common} tabIndex={tab} data-tip={row.run.reason || undefined}>
        <StateBadge state={row.run.state} />
      </td>
    );
  const value = column.value(row);
  if (value === null)
    return (
      <td
        class={(column.numeric ? "number " : "") + "unknown"}
        {...common}
        tabIndex={tab}
        data-tip="No value: not set, or not reported"
      >
        <Dash reason="not set, or not reported" />
      </td>
    );
  const text = column.text ? column.text(row) : String(value);
  const whole = text.length * 9 > column.width || text !== String(value) ? String(value) : undefined;
  const declared = isDeclared(row, column.id);
  return (
    <td
      class={column.numeric ? "number" : ""}
      {...common}
      tabIndex={tab}
      data-tip={
        declared
          ? `${value}: declared by the submitter, not measured`
          : column.id === "ended"
            ? utc(row.run.ended_at_ms)
            : column.numeric
              ? undefined
              : whole
      }
    >
      {text}
      {declared && (
        <span class="declared">
          <Icon name="info" />
          <span class="away-from-eyes"> declared</span>
        </span>
      )}
    </td>
  );
}

// An invalid run is among the results, to be seen, and says so where it is named, whatever columns are shown.
function ModelCell({ row, tab, common }: { row: Row; tab: number; common: object }) {
  const { state, reason, spec } = row.run;
  const mark = state === "invalid" ? `Invalid${reason && ": " + reason}` : "";
  const setting = settingText(row);
  return (
    <th scope="row" class="stick model" {...common} data-tip={[mark, setting].filter(Boolean).join("\n") || undefined}>
      <a href={"/runs/" + encodeURIComponent(row.id)} tabIndex={tab} title={spec.model}>
        {mark && <Icon name="warning" />}
        {mark && <span class="away-from-eyes">{mark}, </span>}
        {spec.model}
        {(narrow.value || setting) && <small data-testid="setting">{narrow.value ? brief(row) : setting}</small>}
      </a>
    </th>
  );
}

// A column that was chosen a moment ago: its values are on their way.
function isAwaited(column: Column, row: Row): boolean {
  return column.source === "figure" ? !row.figures.has(column.id) : column.source === "report" && !row.run.report;
}

function FigureCell({
  column,
  figure,
  best,
  marks,
  note,
  common,
}: {
  column: Column;
  figure: Figure | undefined;
  best: boolean;
  marks: readonly Mark[] | undefined; // stand beside the headline
  note: string; // a word that the value must not be read without
  common: object;
}) {
  if (!figure || figure.value === undefined)
    return (
      <td class="number unknown" {...common} data-tip={tips("No value: " + reasonOf(figure), marks)}>
        <Dash reason={reasonOf(figure)} />
        <MarkIcon marks={marks} />
      </td>
    );
  const text = shown(figure.value, figure.unit, column.share);
  if (figure.invalid)
    return (
      <td class="number" {...common} data-tip={"Invalid: " + reasonOf(figure)}>
        <span class="invalid">
          <Icon name="warning" />
          <s>{text}</s>
          <span class="away-from-eyes"> invalid: {reasonOf(figure)}</span>
        </span>
      </td>
    );
  const interval = intervalText(figure, column.share);
  return (
    <td
      class={"number" + (best ? " best" : "")}
      {...common}
      data-tip={tips([interval, note, wordOf(figure)].filter(Boolean).join("\n"), marks)}
    >
      {best && (
        <>
          <Icon name="star" filled />
          <span class="away-from-eyes">best of its question: </span>
        </>
      )}
      <span class="value">{text}</span>
      <WordMark figure={figure} />
      {note && <small class="beside"> {note}</small>}
      {!note && interval && column.share && (
        <IntervalBar low={figure.low!} high={figure.high!} value={figure.value} min={0} max={1} />
      )}
      <MarkIcon marks={marks} />
    </td>
  );
}

/** "5 of 600" beside the score of a partial run, "http" beside times that the network is part of. */
function noteOf(column: Column, row: Row): string {
  if (column.id === "accuracy") return partText(row);
  return column.group === "Performance" && row.run.timing_boundary === "http" ? "http" : "";
}

function tips(text: string, marks: readonly Mark[] | undefined): string | undefined {
  return [text, badMarks(marks)].filter(Boolean).join("\n") || undefined;
}

// On a narrow screen the model's cell says what tells runs apart; the columns for it stand further right. The longest
// comes last: of a task the first letters do.
function brief(row: Row): string {
  return [loadText(row.run.spec), row.run.spec.precision, settingText(row), row.run.task].filter(Boolean).join(" · ");
}

function Dash({ reason }: { reason: string }) {
  return (
    <>
      <span aria-hidden="true">–</span>
      <span class="away-from-eyes">no value: {reason}</span>
    </>
  );
}
