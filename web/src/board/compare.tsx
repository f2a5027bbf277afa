// Two or three runs side by side, every figure that any of them has. The first is the baseline: the others say how
// far they are from it. Runs that were asked different questions, or timed at different places, are shown with a warning, and
// lead nothing there.
import type { Column } from "./column.ts";
import { leaders } from "./best.ts";
import { isDeclared, questionOf, type Row, rowsOf } from "./rows.ts";
import { compareMax } from "./state.ts";
import { nameOf } from "./summary.ts";
import { plural } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { Comparison } from "../lib/compared.ts";
import type { Run } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { narrow } from "../lib/narrow.ts";
import { FigureValue } from "../ui/figure.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";

interface Props {
  ids: readonly string[];
  columns: readonly Column[];
  open: boolean;
  onClose: () => void;
}

export function Compare({ ids, columns, open, onClose }: Props) {
  return (
    <Dialog open={open} title={`Comparing ${ids.length} runs`} onClose={onClose} testid="comparison">
      {() => <Runs ids={ids} columns={columns} />}
    </Dialog>
  );
}

// The board holds only what it shows; here all of a run is needed.
function Runs({ ids, columns }: { ids: readonly string[]; columns: readonly Column[] }) {
  const runs = Array.from({ length: compareMax }, (_, i) =>
    useResource<Run>(ids[i] ? "runs/" + encodeURIComponent(ids[i]) : null),
  ).slice(0, ids.length);
  const failed = runs.find((r) => r.error);
  if (failed) return <ErrorBox error={failed.error!} retry={failed.reload} />;
  if (runs.some((r) => !r.value)) return <p class="soft">Loading…</p>;
  return <Sides rows={rowsOf(runs.map((r) => r.value!.row))} columns={columns} />;
}

function Sides({ rows, columns }: { rows: Row[]; columns: readonly Column[] }) {
  const shown = columns.filter(
    (c) => c.id !== "model" && c.group !== "Provenance" && rows.some((r) => c.value(r) !== null),
  );
  const tasks = new Set(rows.map((r) => r.run.task));
  const isOne = new Set(rows.map(questionOf)).size === 1;
  return (
    <>
      {cautionsOf(rows).map((text) => (
        <p key={text} class="caution">
          <Icon name="warning" /> {text}
        </p>
      ))}
      {tasks.size === 1 && rows.slice(1).map((r) => <Verdict key={r.id} base={rows[0]!} row={r} />)}
      <div class="scroll">
        <table class="comparison">
          <thead>
            <tr>
              {!narrow.value && <th scope="col">figure</th>}
              {rows.map((r, i) => (
                <th key={r.id} scope="col" class="number">
                  <a href={"/runs/" + encodeURIComponent(r.id)}>{nameOf(r)}</a>
                  {i === 0 && rows.length > 1 && <span class="soft"> (baseline)</span>}
                </th>
              ))}
            </tr>
          </thead>
          {shown.map((c) => (
            <Line key={c.id} column={c} rows={rows} best={isOne && c.better ? leaders(rows, c) : []} />
          ))}
        </table>
      </div>
    </>
  );
}

/** Why figures of these runs do not compare, or not all of them. */
export function cautionsOf(rows: readonly Row[]): string[] {
  const boundaries = [...new Set(rows.map((r) => r.run.timing_boundary).filter(Boolean))];
  const cautions: string[] = [];
  if (new Set(rows.map((r) => r.run.task)).size > 1)
    cautions.push("These runs are of different tasks; their figures are not comparable.");
  else if (new Set(rows.map(questionOf)).size > 1)
    cautions.push(
      "These runs were not asked the same question; samples, prompts, generation or the task's version differ.",
    );
  if (boundaries.length > 1)
    cautions.push(
      `Times were taken at different places (${boundaries.join(", ")}); times and rates are not comparable.`,
    );
  return cautions;
}

// What the samples say of two runs, in a sentence: pairs of verdicts tell more than two accuracies do.
function Verdict({ base, row }: { base: Row; row: Row }) {
  const paired = useResource<Comparison>(`compare?runs=${encodeURIComponent(base.id)},${encodeURIComponent(row.id)}`);
  if (paired.error)
    return (
      <p class="caution" data-testid="paired">
        <Icon name="warning" /> {nameOf(row)}: {paired.error.message}
      </p>
    );
  if (!paired.value) return null;
  return (
    <p data-testid="paired">
      <b>{nameOf(row)}</b> {pairedText(paired.value)}
    </p>
  );
}

interface LineProps {
  column: Column;
  rows: Row[];
  best: string[];
}

// On a narrow screen the name has its own line, so that the values have the whole width.
function Line(props: LineProps) {
  const { column, rows } = props;
  const name = (
    <>
      {column.title}{" "}
      <span class="soft">
        {column.better && (column.better === "higher" ? "↑ " : "↓ ")}
        {column.unit}
      </span>
    </>
  );
  return narrow.value ? (
    <tbody>
      <tr>
        <th scope="rowgroup" colSpan={rows.length}>
          {name}
        </th>
      </tr>
      <tr>
        <Values {...props} />
      </tr>
    </tbody>
  ) : (
    <tbody>
      <tr>
        <th scope="row">{name}</th>
        <Values {...props} />
      </tr>
    </tbody>
  );
}

function Values({ column, rows, best }: LineProps) {
  const base = rows[0] ? column.value(rows[0]) : null;
  return (
    <>
      {rows.map((row, i) => (
        <td key={row.id} class={"number" + (best.includes(row.id) ? " best" : "")}>
          {best.includes(row.id) && (
            <>
              <Icon name="star" filled />
              <span class="away-from-eyes">best: </span>
            </>
          )}
          {column.figure ? <FigureValue figure={column.figure(row)} share={column.share} /> : factText(column, row)}
          {i > 0 && (
            <span class="soft change">{column.figure && changeText(base, column.value(row), column.share)}</span>
          )}
        </td>
      ))}
    </>
  );
}

function factText(column: Column, row: Row): string {
  const value = column.value(row);
  const word = isDeclared(row, column.id) ? " (declared)" : "";
  return value === null ? "–" : (column.text ? column.text(row) : String(value)) + word;
}

/** "+3.2 points" for shares, "-12 %" for everything else; nothing where there is nothing to compare. */
export function changeText(base: number | string | null, value: number | string | null, share: boolean): string {
  if (typeof base !== "number" || typeof value !== "number" || value === base) return "";
  const sign = value > base ? "+" : "−";
  if (share) return ` ${sign}${Math.abs(value - base).toFixed(1)} points`;
  if (base === 0) return "";
  const change = Math.abs(value / base - 1) * 100;
  return ` ${sign}${change >= 10 ? change.toFixed(0) : change.toFixed(1)} %`;
}

/** "gains 15 samples and loses 5 of 200: +5.0 points (95 % interval +0.5 to +9.5; p = 0.027). The runs differ." */
export function pairedText(c: Comparison): string {
  const points = (share: number | undefined) =>
    share === undefined ? "?" : (share < 0 ? "−" : "+") + Math.abs(share * 100).toFixed(1);
  const p = c.p_mid < 0.001 ? "p < 0.001" : `p = ${c.p_mid.toPrecision(2)}`;
  const sure =
    c.p_mid < 0.05
      ? "The runs differ."
      : `No evidence that one is better; ${(c.detectable * 100).toFixed(1)} points would have been found with 80 % chance.`;
  return (
    `gains ${c.right_b_only} and loses ${c.right_a_only} of ${plural(c.samples, "sample")}: ` +
    `${points(c.accuracy.value)} points (95 % interval ${points(c.accuracy.low)} to ${points(c.accuracy.high)}; ` +
    `McNemar ${p}). ${sure}`
  );
}
