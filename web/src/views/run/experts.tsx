// How often the router chose each expert, layer by layer, over the whole run.
import { useMemo } from "preact/hooks";
import { figureOf, reasonOf } from "../../lib/figures.ts";
import { batchesOf, rowsOfRun } from "../../lib/heat.ts";
import { useResource } from "../../lib/resource.ts";
import type { ExpertCounts, Run } from "../../lib/types.ts";
import { ErrorBox } from "../../ui/errorbox.tsx";
import { HeatMap } from "../../ui/heatmap.tsx";
import { Curves } from "./curves.tsx";
import { orders, phases, useRunState } from "./state.ts";

const phaseNames = { both: "prefill and decode", prefill: "prefill", decode: "decode", mixed: "passes of both kinds" };
const orderNames = { number: "by number", load: "by load, layer by layer" };

export function Experts({ run }: { run: Run }) {
  return (
    <>
      <Curves run={run} />
      <Selections run={run} />
    </>
  );
}

function Selections({ run }: { run: Run }) {
  const experts = useResource<ExpertCounts>(`runs/${encodeURIComponent(run.row.run_id)}/experts`);
  const [state, set] = useRunState();
  const rows = useMemo(
    () => rowsOfRun(experts.value?.counts ?? [], state.phase, state.batch),
    [experts.value, state.phase, state.batch],
  );

  if (experts.error && !experts.value) return <ErrorBox error={experts.error} retry={experts.reload} />;
  if (!experts.value) return <p class="soft">Loading…</p>;
  const { counts } = experts.value;
  if (counts.length === 0)
    return (
      <p class="empty" data-testid="no-experts">
        No routing data: {whyNone(run)}.
      </p>
    );
  const batches = batchesOf(counts, state.phase);
  const choosePhase = (phase: typeof state.phase) => {
    const kept = batchesOf(counts, phase).map(String).includes(state.batch);
    set({ phase, batch: kept ? state.batch : "" });
  };
  return (
    <>
      <div class="controls">
        <label>
          Phase{" "}
          <select
            value={state.phase}
            name="phase"
            onChange={(e) => choosePhase(e.currentTarget.value as typeof state.phase)}
          >
            {phases
              .filter((p) => p !== "mixed" || counts.some((c) => c.phase === p))
              .map((p) => (
                <option key={p} value={p}>
                  {phaseNames[p]}
                </option>
              ))}
          </select>
        </label>
        <label>
          Sequences in the pass{" "}
          <select value={state.batch} name="batch" onChange={(e) => set({ batch: e.currentTarget.value })}>
            <option value="">all</option>
            {batches.map((b) => (
              <option key={b} value={String(b)}>
                {b <= 2 ? b : `${b / 2 + 1} to ${b}`}
              </option>
            ))}
          </select>
        </label>
        <label>
          Experts{" "}
          <select
            value={state.order}
            name="order"
            onChange={(e) => set({ order: e.currentTarget.value as typeof state.order })}
          >
            {orders.map((o) => (
              <option key={o} value={o}>
                {orderNames[o]}
              </option>
            ))}
          </select>
        </label>
      </div>
      {rows.some((r) => r.sum > 0) ? (
        <HeatMap
          rows={rows}
          order={state.order}
          label={`Selections of experts, ${phaseNames[state.phase]}, layers downwards, experts to the right`}
        />
      ) : (
        <p class="empty">No expert selections for this phase and batch.</p>
      )}
    </>
  );
}

/** The run's own reason, in the words of its report or its figures. */
export function whyNone(run: Run): string {
  if (run.row.report?.routing_unknown) return run.row.report.routing_unknown;
  const figure = figureOf(run.row, "expert_load_entropy");
  if (figure) return reasonOf(figure);
  return run.row.ended_at_ms ? "none was recorded" : "available when the run ends";
}
