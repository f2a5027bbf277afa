// What came out: the few figures that most people look for, then all of them with interval, basis and reason.
import type { ComponentChildren } from "preact";
import { type Group, groups } from "../../board/column.ts";
import { columns } from "../../board/columns.ts";
import { figureOf, intervalText, reasonOf } from "../../lib/figures.ts";
import type { Figure, Run, RunState } from "../../lib/types.ts";
import { FigureValue, IntervalBar } from "../../ui/figure.tsx";
import { MarkList } from "../../ui/marks.tsx";

const headlines: [id: string, title: string][] = [
  ["ttft_ms_p50", "TTFT, median"],
  ["tpot_ms_p50", "TPOT, median"],
  ["output_tokens_per_s", "Output"],
  ["cost_per_1m_output_tokens", "1M output tokens"],
  ["activated_experts_decode", "Active experts per layer (decode)"],
];
const utilisation: [id: string, title: string][] = [
  ["smbu_decode", "S-MBU of data sheet (decode)"],
  ["smbu_decode_attainable", "S-MBU of attainable (decode)"],
  ["smfu_prefill", "S-MFU of data sheet (prefill)"],
  ["smfu_prefill_attainable", "S-MFU of attainable (prefill)"],
];

export function Headlines({ run }: { run: Run }) {
  const accuracy = figureOf(run.row, run.row.headline_metric);
  return (
    <>
      <dl class="tiles" data-testid="headlines">
        <Tile run={run} title={`Accuracy, ${run.row.headline_metric}`} figure={accuracy} share>
          {accuracy?.low !== undefined && accuracy.high !== undefined && accuracy.value !== undefined && (
            <>
              <IntervalBar low={accuracy.low} high={accuracy.high} value={accuracy.value} min={0} max={1} />
              <small class="soft">{intervalText(accuracy, true)}</small>
            </>
          )}
        </Tile>
        {headlines.map(([id, title]) => (
          <Tile key={id} run={run} title={title} figure={figureOf(run.row, id)} />
        ))}
        {utilisation
          .map(([id, title]) => ({ id, title, figure: figureOf(run.row, id) }))
          .filter(({ figure }) => figure?.value !== undefined && !figure.invalid)
          .map(({ id, title, figure }) => (
            <Tile key={id} run={run} title={title} figure={figure} share />
          ))}
      </dl>
      <MarkList marks={run.row.marks} />
    </>
  );
}

function Tile({
  run,
  title,
  figure,
  share = false,
  children,
}: {
  run: Run;
  title: string;
  figure: Figure | undefined;
  share?: boolean;
  children?: ComponentChildren;
}) {
  const known = figure?.value !== undefined && !figure.invalid;
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <span class="big">
          <FigureValue figure={figure && { ...figure, low: undefined, high: undefined }} share={share} />
        </span>
        {known && <span class="soft"> {share ? "%" : figure.unit}</span>}
        {!known && <small class="soft">{whyUnknown(run, figure)}</small>}
        {children}
      </dd>
    </div>
  );
}

function whyUnknown({ row }: Run, figure: Figure | undefined): string {
  if (figure) return reasonOf(figure);
  if (!row.ended_at_ms) return "available when the run ends";
  return row.state === "finished"
    ? "not measured"
    : row.state === "cancelled"
      ? "the run was cancelled"
      : "the run failed";
}

export function isShare(run: Run, figure: Figure): boolean {
  return figure.id === run.row.headline_metric || (run.task?.metrics.includes(figure.id) ?? false);
}

const noFigures: Partial<Record<RunState, string>> = {
  finished: "No figures.",
  failed: "No figures: the run failed.",
  cancelled: "No figures: the run was cancelled.",
};

export function Figures({ run }: { run: Run }) {
  if (run.row.figures.length === 0)
    return (
      <>
        <h2>All figures</h2>
        <p class="soft">{noFigures[run.row.state] ?? "Figures appear once every sample is graded."}</p>
      </>
    );
  return (
    <>
      <h2>All figures</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="All figures">
        <table class="figures" data-testid="figures">
          <thead>
            <tr>
              <th scope="col">Figure</th>
              <th scope="col" class="number">
                Value
              </th>
              <th scope="col">Unit</th>
              <th scope="col">95 % interval</th>
              <th scope="col">Basis</th>
            </tr>
          </thead>
          {groupsOf(run).map(([group, figures]) => (
            <tbody key={group}>
              <tr class="group">
                <th scope="rowgroup" colSpan={5}>
                  {group}
                </th>
              </tr>
              {figures.map((f) => (
                <FigureRow key={f.id} figure={f} share={isShare(run, f)} />
              ))}
            </tbody>
          ))}
        </table>
      </div>
    </>
  );
}

function FigureRow({ figure, share }: { figure: Figure; share: boolean }) {
  const column = columns.find((c) => c.id === figure.id);
  const interval = intervalText(figure, share).replace(/^95 % interval: /, "");
  return (
    <tr>
      <th scope="row" data-tip={column?.about} tabIndex={column ? 0 : undefined}>
        {column?.title ?? figure.id}
        {column && <code class="soft id">{figure.id}</code>}
      </th>
      <td class="number">
        <FigureValue figure={{ ...figure, low: undefined, high: undefined }} share={share} focusable={false} />
      </td>
      <td class="soft">{share ? "%" : figure.unit}</td>
      <td class="soft bounds">{interval}</td>
      <td class="basis">
        <span class="chip">{figure.basis}</span>
        {figure.reason && <span class={figure.invalid ? "bad" : "soft"}> {figure.reason}</span>}
      </td>
    </tr>
  );
}

const wantedFirst: readonly Group[] = ["Accuracy", "Performance"];
const groupOrder = [...wantedFirst, ...groups.filter((g) => !wantedFirst.includes(g))];

/** In the board's groups; the task's metrics are the accuracy. */
export function groupsOf(run: Run): [Group, Figure[]][] {
  const found = new Map<Group, Figure[]>();
  for (const figure of run.row.figures) {
    if (figure.id === "accuracy") continue; // the headline metric once more
    const group: Group = isShare(run, figure) ? "Accuracy" : (columns.find((c) => c.id === figure.id)?.group ?? "More");
    found.set(group, [...(found.get(group) ?? []), figure]);
  }
  return [...found].sort(([a], [b]) => groupOrder.indexOf(a) - groupOrder.indexOf(b));
}
