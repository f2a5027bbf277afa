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
        {rows === 0 ? "" : "No accuracy to compare here: no finished run of a model has all samples of its task."}
      </p>
    );
  const { best, accuracy, low, high, alike, fastest, runs, task, setting } = summary;
  return (
    <p class="lead-text" data-testid="summary">
      On <b>{task}</b>
      {setting && ` (${setting})`}, <RunLink row={best} />{" "}
      {runs === 1 ? "has an accuracy of " : `has the highest accuracy of ${plural(runs, "run")}: `}
      <b>{percent(accuracy)} %</b>
      {low !== undefined && high !== undefined && ` (95 % CI ${percent(low)}–${percent(high)})`}.
      {runs > 1 && " " + apart(alike, runs - 1)}
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
  if (alike === 0)
    return others === 1 ? "The other run is significantly lower." : "Every other run is significantly lower.";
  if (alike === others)
    return others === 1
      ? "The other run is not significantly worse."
      : `None of the other ${others} is significantly worse.`;
  return `${alike} of the other ${others} ${alike === 1 ? "is" : "are"} not significantly worse.`;
}

function RunLink({ row }: { row: Row }) {
  return <a href={"/runs/" + encodeURIComponent(row.id)}>{nameOf(row)}</a>;
}
