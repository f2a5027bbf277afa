// Above the table: what the rows say, in a sentence or two, and what is seen.
import type { Row } from "./rows.ts";
import { nameOf, type Summary } from "./summary.ts";
import { percent, plural, short } from "../lib/format.ts";

export function Lead({ summary, rows, loading }: { summary: Summary | null; rows: number; loading: boolean }) {
  if (loading)
    return (
      <p class="lead-text soft" data-testid="summary">
        Loading the results…
      </p>
    );
  if (!summary)
    return (
      <p class="lead-text" data-testid="summary">
        {rows === 0 ? "" : "None of these runs has an accuracy of a model yet."}
      </p>
    );
  const { best, accuracy, low, high, alike, fastest, runs, task } = summary;
  return (
    <p class="lead-text" data-testid="summary">
      On <b>{task}</b>, {runs === 1 ? "the only run, " : `the most right answers of ${plural(runs, "run")} came from `}
      <RunLink row={best} />
      {runs === 1 ? ", answers " : ": "}
      <b>{percent(accuracy)} %</b>
      {low !== undefined && high !== undefined && ` (95 % interval ${percent(low)} to ${percent(high)})`}
      {runs === 1 && " right"}
      {runs > 1 && "; " + apart(alike, runs - 1)}.
      {fastest && (
        <>
          {" "}
          The fastest is <RunLink row={fastest.row} /> with <b>{short(fastest.rate)} output tokens/s</b>,{" "}
          {short(fastest.times)}× the median.
        </>
      )}
    </p>
  );
}

function apart(alike: number, others: number): string {
  if (alike === 0) return "no other run comes near";
  if (alike === others)
    return others === 1
      ? "the other cannot be told apart from it"
      : `none of the ${others} others can be told apart from it`;
  return `${alike} of the ${others} others cannot be told apart from it`;
}

function RunLink({ row }: { row: Row }) {
  return <a href={"/runs/" + encodeURIComponent(row.id)}>{nameOf(row)}</a>;
}
