// How much of what the machine can do the run used: of its data sheet and of what its node attained, by phase, and
// how the passes were spread below these limits.
import { figureOf, reasonOf, valueOf } from "../../lib/figures.ts";
import { short } from "../../lib/format.ts";
import type { Figure, Run } from "../../lib/types.ts";
import { FigureValue } from "../../ui/figure.tsx";
import { HistogramChart, type Mark } from "../../ui/histogram.tsx";

const phases = [
  ["decode", "Decode"],
  ["prefill", "Prefill"],
  ["mixed", "Mixed passes"],
] as const;
const limits = [
  { title: "Memory, by data sheet", id: "peak_gb_per_s" },
  { title: "Memory, attained by the probe", id: "attainable_gb_per_s" },
  { title: "Compute, by data sheet", id: "peak_gflop_per_s" },
  { title: "Compute, attained by the probe", id: "attainable_gflop_per_s" },
];

export function Utilisation({ run }: { run: Run }) {
  if (run.row.figures.length === 0) return <p class="soft">Utilisation appears when the run has ended.</p>;
  return (
    <div data-testid="utilisation">
      <p class="soft">
        S-MBU: bytes that the passes moved, of experts only the chosen ones, by the bandwidth. S-MFU: operations, with
        top-k experts for each token, by the dense peak of the run's precision. Sums over sums; a value above 100 % is
        invalid.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Utilisation by phase">
        <table class="dense utilisation">
          <thead>
            <tr>
              <th scope="col">Phase</th>
              <th scope="col">S-MBU, of the data sheet</th>
              <th scope="col">of attainable</th>
              <th scope="col">S-MFU, of the data sheet</th>
              <th scope="col">of attainable</th>
            </tr>
          </thead>
          <tbody>
            {phases.map(([id, title]) => (
              <tr key={id}>
                <th scope="row">{title}</th>
                {[`smbu_${id}`, `smbu_${id}_attainable`, `smfu_${id}`, `smfu_${id}_attainable`].map((figure) => (
                  <Share key={figure} figure={figureOf(run.row, figure)} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h2>What the machine can do</h2>
      <dl class="tiles">
        {limits.map(({ id, title }) => (
          <Limit key={id} title={title} figure={figureOf(run.row, id)} />
        ))}
      </dl>
      <h2>Passes</h2>
      <Passes run={run} />
    </div>
  );
}

const isKnown = (f: Figure | undefined): boolean => f?.value !== undefined && !f.invalid;

function Share({ figure }: { figure: Figure | undefined }) {
  return (
    <td>
      <FigureValue figure={figure} share />
      {isKnown(figure) ? ` % (${figure!.basis})` : <small class="soft"> {reasonOf(figure)}</small>}
    </td>
  );
}

function Limit({ title, figure }: { title: string; figure: Figure | undefined }) {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <span class="big">
          <FigureValue figure={figure} />
        </span>
        {isKnown(figure) ? (
          <span class="soft">
            {" "}
            {figure!.unit} ({figure!.basis})
          </span>
        ) : (
          <small class="soft">{reasonOf(figure)}</small>
        )}
      </dd>
    </div>
  );
}

const rates = [
  { id: "decode_gb_per_s", title: "Decode, bytes moved", unit: "GB/s", limit: "gb_per_s" },
  { id: "decode_gflop_per_s", title: "Decode, operations", unit: "GFLOP/s", limit: "gflop_per_s" },
  { id: "prefill_gb_per_s", title: "Prefill, bytes moved", unit: "GB/s", limit: "gb_per_s" },
  { id: "prefill_gflop_per_s", title: "Prefill, operations", unit: "GFLOP/s", limit: "gflop_per_s" },
];

function Passes({ run }: { run: Run }) {
  const there = rates.flatMap((r) => {
    const histogram = run.histograms.find((h) => h.id === r.id);
    return histogram ? [{ ...r, histogram }] : [];
  });
  if (there.length === 0) return <p class="soft">No passes that count their work were reported.</p>;
  return (
    <div class="histograms">
      {there.map(({ id, title, unit, limit, histogram }) => (
        <div class="card" key={id}>
          <HistogramChart histogram={histogram} title={`${title}, ${unit}`} marks={marksOf(run, limit)} say={short} />
        </div>
      ))}
    </div>
  );
}

function marksOf(run: Run, limit: string): Mark[] {
  const names = [
    ["attainable", "attained"],
    ["peak", "data sheet"],
  ] as const;
  return names.flatMap(([id, name]) => {
    const at = valueOf(figureOf(run.row, `${id}_${limit}`));
    return at === null ? [] : [{ name, at }];
  });
}
