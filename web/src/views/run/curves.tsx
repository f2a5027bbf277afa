// How activation grows with the batch, and how evenly the experts of each layer work: the curves of a run.
import type { Run } from "../../lib/types.ts";
import { CurveChart, type CurveNames } from "../../ui/curve.tsx";

const batch = (phase: string): CurveNames => ({
  title: `Activated experts by batch, ${phase}`,
  about: "distinct experts of a layer in a pass",
  x: "tokens in the pass",
  y: "experts",
  reference: "a router that chooses uniformly",
  logarithmic: true,
});

const layer = (phase: string): CurveNames => ({
  title: `Activated experts by layer, ${phase}`,
  about: "distinct experts of the layer in a pass",
  x: "layer",
  y: "experts",
  reference: "a router that chooses uniformly",
  logarithmic: false,
});

const load = (phase: string): CurveNames => ({
  title: `Load by layer, ${phase}`,
  about: "the busiest expert's selections over the mean; 1 = even",
  x: "layer",
  y: "busiest / mean",
  logarithmic: false,
});

const known: [id: string, names: CurveNames][] = [
  ["activation_batch_decode", batch("decode")],
  ["activation_batch_prefill", batch("prefill")],
  ["activation_layer_decode", layer("decode")],
  ["activation_layer_prefill", layer("prefill")],
  ["expert_load_decode", load("decode")],
  ["expert_load_prefill", load("prefill")],
];

export function Curves({ run }: { run: Run }) {
  const drawn = known.flatMap(([id, names]) => {
    const curve = run.curves?.find((c) => c.id === id);
    return curve && curve.x.length > 0 ? [{ curve, names }] : [];
  });
  if (drawn.length === 0) return null;
  return (
    <div class="histograms" data-testid="curves">
      {run.row.report?.routing_source && (
        <p class="soft whole-row" data-testid="routing-source">
          Routing of {run.row.report.routing_source}.
        </p>
      )}
      {drawn.map(({ curve, names }) => (
        <div key={curve.id} class="card">
          <CurveChart curve={curve} names={names} />
        </div>
      ))}
    </div>
  );
}
