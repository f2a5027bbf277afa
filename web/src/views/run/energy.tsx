// What the run drew in joules: the figures most people look for, each device below them, and why what is not there is
// not known.
import { figureOf, reasonOf } from "../../lib/figures.ts";
import { short } from "../../lib/format.ts";
import type { EnergyReading, Figure, Run } from "../../lib/types.ts";
import { CurveChart, type CurveNames } from "../../ui/curve.tsx";
import { FigureValue } from "../../ui/figure.tsx";

const tiles: [id: string, title: string][] = [
  ["j_per_output_token", "An output token"],
  ["j_per_correct", "A right answer"],
  ["energy_j", "The run"],
  ["power_w_mean", "Power, mean"],
];

export function Energy({ run }: { run: Run }) {
  const { row } = run;
  const readings = row.report?.energy ?? [];
  const curve = run.curves?.find((c) => c.id === "power_over_time" && c.x.length > 1);
  if (row.figures.length === 0) return <p class="soft">Energy appears when the run has ended.</p>;
  return (
    <div data-testid="energy">
      <dl class="tiles">
        {tiles.map(([id, title]) => (
          <Tile key={id} run={run} id={id} title={title} />
        ))}
      </dl>
      {curve && <h2>Over time</h2>}
      {curve && (
        <div class="card">
          <CurveChart curve={curve} names={overTime} />
        </div>
      )}
      <h2>Devices</h2>
      {readings.length > 0 ? <Devices readings={readings} /> : <p class="soft">The node did not measure power.</p>}
      <p class="soft">
        Energy of the machine from the first request to the last end, without power supply, fans and disks; all figures
        are in the overview.
      </p>
    </div>
  );
}

const overTime: CurveNames = {
  title: "Power over time",
  about: "all devices that were measured, together",
  x: "s",
  y: "W",
  reference: "idle",
  logarithmic: false,
};

const isKnown = (f: Figure | undefined): boolean => f?.value !== undefined && !f.invalid;
const nameplates: Record<string, string> = {
  j_per_output_token: "j_per_output_token_nameplate",
  j_per_correct: "j_per_correct_nameplate",
  energy_j: "energy_j_nameplate",
};

function Tile({ run, id, title }: { run: Run; id: string; title: string }) {
  const figure = figureOf(run.row, id);
  const above = figureOf(run.row, id + "_above_idle");
  const plate = figureOf(run.row, nameplates[id] ?? "");
  return (
    <div class="tile" data-testid={"energy-" + id}>
      <dt>{title}</dt>
      <dd>
        <span class="big">
          <FigureValue figure={figure} />
        </span>
        {isKnown(figure) ? <span class="soft"> {figure!.unit}</span> : <small class="soft">{reasonOf(figure)}</small>}
        {isKnown(above) && (
          <small class="soft">
            {short(above!.value!)} {above!.unit} above idle
          </small>
        )}
        {isKnown(plate) && (
          <small class="soft">
            {short(plate!.value!)} {plate!.unit} at the boards' power (nameplate, not measured)
          </small>
        )}
      </dd>
    </div>
  );
}

function Devices({ readings }: { readings: EnergyReading[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Energy by device">
      <table data-testid="devices">
        <thead>
          <tr>
            <th scope="col">Device</th>
            <th scope="col" class="number">
              Energy, J
            </th>
            <th scope="col" class="number">
              Power, W
            </th>
            <th scope="col" class="number">
              Idle, W
            </th>
            <th scope="col" class="number">
              Limit, W
            </th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          {readings.map((r) => (r.joules === undefined ? <Unknown key={r.kind + r.device} of={r} /> : known(r)))}
        </tbody>
      </table>
    </div>
  );
}

function known(r: EnergyReading) {
  return (
    <tr key={r.kind + r.device}>
      <th scope="row">
        {r.device} {r.model && <span class="soft">{r.model}</span>}
      </th>
      <td class="number">{short(r.joules!)}</td>
      <td class="number">{short(r.joules! / r.seconds)}</td>
      <td class="number">
        {r.idle_watts === undefined ? (
          <span tabIndex={0} data-tip={r.idle_unknown}>
            –
          </span>
        ) : (
          short(r.idle_watts)
        )}
      </td>
      <td class="number">{r.limit_watts === undefined ? "–" : short(r.limit_watts)}</td>
      <td>{r.source}</td>
    </tr>
  );
}

const kinds: Record<string, string> = { gpu: "GPUs", cpu: "Processors", dram: "Memory" };

function Unknown({ of: r }: { of: EnergyReading }) {
  return (
    <tr>
      <th scope="row">{r.device || (kinds[r.kind] ?? r.kind)}</th>
      <td class="number">–</td>
      <td colSpan={4} class="soft">
        {r.reason}
      </td>
    </tr>
  );
}
