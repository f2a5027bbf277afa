// One run: how it stands, what came out, and the evidence below it, in parts that the address names.
import "../style/run.css";
import "../style/figures.css";
import { useEffect } from "preact/hooks";
import { plural } from "../lib/format.ts";
import { useWatch } from "../lib/live.ts";
import { isOpen, loadText } from "../lib/load.ts";
import { useResource } from "../lib/resource.ts";
import { path, query } from "../lib/router.ts";
import { setTitle } from "../lib/title.ts";
import type { Run, RunState } from "../lib/types.ts";
import { CancelButton } from "../ui/cancel.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { Icon } from "../ui/icon.tsx";
import { activityOf, RunAmount } from "../ui/runline.tsx";
import { StateBadge } from "../ui/state.tsx";
import { Time } from "../ui/time.tsx";
import { AgainLink } from "./run/again.tsx";
import { Cost } from "./run/cost.tsx";
import { Energy } from "./run/energy.tsx";
import { Attempts, Provenance } from "./run/provenance.tsx";
import { Experts } from "./run/experts.tsx";
import { Figures, Headlines } from "./run/figures.tsx";
import { Latency } from "./run/latency.tsx";
import { SampleBrowser } from "./run/samples.tsx";
import { type Part, parts, useRunState } from "./run/state.ts";
import { Utilisation } from "./run/utilisation.tsx";

const names: Record<Part, string> = {
  overview: "Overview",
  samples: "Samples",
  latency: "Latency",
  experts: "Experts",
  utilisation: "Utilisation",
  cost: "Cost",
  energy: "Energy",
  provenance: "Provenance",
};
const ended: readonly RunState[] = ["finished", "failed", "cancelled", "invalid"];

export function RunView({ id }: { id: string }) {
  const run = useResource<Run>("runs/" + encodeURIComponent(id));
  const [state] = useRunState();

  const what = run.value ? `${run.value.row.spec.model} on ${run.value.row.task}` : id;
  useEffect(() => setTitle(what), [what]);

  if (run.error && !run.value)
    return (
      <>
        <h1>{id}</h1>
        <ErrorBox error={run.error} retry={run.reload} />
      </>
    );
  if (!run.value)
    return (
      <>
        <h1>{id}</h1>
        <p class="soft">Loading…</p>
      </>
    );
  const { row } = run.value;
  const open = !ended.includes(row.state);
  return (
    <>
      <Title run={run.value} />
      {open ? <Progress id={id} onEnd={run.reload} /> : <Outcome run={run.value} />}
      <nav class="parts" aria-label="Parts of this run">
        {parts.map((p) => (
          <PartLink key={p} part={p} current={state.show === p} />
        ))}
      </nav>
      <section aria-label={names[state.show]}>
        {state.show === "overview" && <Overview run={run.value} />}
        {state.show === "samples" && <SampleBrowser run={run.value} />}
        {state.show === "latency" && <Latency run={run.value} />}
        {state.show === "experts" && <Experts run={run.value} />}
        {state.show === "utilisation" && <Utilisation run={run.value} />}
        {state.show === "cost" && <Cost run={run.value} />}
        {state.show === "energy" && <Energy run={run.value} />}
        {state.show === "provenance" && <Provenance run={run.value} />}
      </section>
    </>
  );
}

function PartLink({ part, current }: { part: Part; current: boolean }) {
  const target = path.value + (part === "overview" ? "" : `?show=${part}`);
  // The part that is shown keeps what is set in it.
  return (
    <a
      href={current ? path.value + (query.value.size ? "?" + query.value : "") : target}
      aria-current={current ? "page" : undefined}
    >
      {names[part]}
    </a>
  );
}

function Title({ run: { row } }: { run: Run }) {
  const { spec } = row;
  const load = isOpen(spec) ? `open loop ${loadText(spec)}` : `batch ${loadText(spec)}`;
  const facts = [spec.engine, spec.precision, load, ...(row.setting ?? []), spec.submitter && `by ${spec.submitter}`];
  return (
    <header class="run-title">
      <div>
        <h1>
          <a class="quiet-link" href={"/models/" + encodeURIComponent(spec.model)}>
            {spec.model}
          </a>{" "}
          <span class="soft">on</span>{" "}
          <a class="quiet-link" href={"/tasks/" + encodeURIComponent(row.task)}>
            {row.task}
          </a>
        </h1>
        <p class="soft run-facts">
          <StateBadge state={row.state} /> {facts.filter(Boolean).join(" · ")} · {row.ended_at_ms ? "ended" : "queued"}{" "}
          <Time ms={row.ended_at_ms || row.queued_at_ms} />
        </p>
        <p class="soft run-ids">
          <code data-testid="run-id">{row.run_id}</code> of{" "}
          <a href={"/evaluations/" + encodeURIComponent(row.evaluation_id)}>{row.evaluation_id}</a>
        </p>
        {spec.note && <p class="run-note">{spec.note}</p>}
      </div>
      <p class="buttons">
        <AgainLink row={row} />
        <a class="button" href={"/api/v1/runs/" + encodeURIComponent(row.run_id)} download={row.run_id + ".json"}>
          <Icon name="download" />
          JSON
        </a>
      </p>
    </header>
  );
}

function Progress({ id, onEnd }: { id: string; onEnd: () => void }) {
  const live = useWatch(id);
  const run = live.progress?.runs.find((r) => r.run_id === id) ?? live.progress?.runs[0];
  useEffect(() => {
    if (live.ended) onEnd();
  }, [live.ended]);
  return (
    <div class="panel-box live" data-testid="live">
      {live.error && <ErrorBox error={live.error} />}
      {run ? (
        <>
          <div class="how-far">
            <RunAmount run={run} />
          </div>
          <StateBadge state={run.state} />
          <span class="soft" role="status">
            {activityOf(run)}
          </span>
          <CancelButton id={id} what="the run" onDone={onEnd} />
        </>
      ) : (
        <span class="soft">Loading the progress…</span>
      )}
    </div>
  );
}

function Outcome({ run: { row, samples_answered: answered, samples_total: total } }: { run: Run }) {
  if (row.state === "finished") return null;
  const words = {
    failed: "Failed",
    cancelled: "Cancelled",
    invalid: "Invalid",
  } as Record<RunState, string>;
  return (
    <div
      class={"panel-box outcome " + (row.state === "cancelled" ? "quiet" : "bad")}
      role="alert"
      data-testid="outcome"
    >
      <Icon name={row.state === "cancelled" ? "ban" : "warning"} />
      <div>
        <b>{words[row.state]}</b>
        {row.reason
          ? row.reason.startsWith("failed after ")
            ? row.reason.slice(6)
            : `: ${row.reason}`
          : "; no reason was recorded."}
        <br />
        <span class="soft">
          {answered > 0
            ? `${answered} of ${plural(total, "sample")} were answered; the answers are kept.`
            : "No sample was answered."}
        </span>
      </div>
    </div>
  );
}

/** A run that ended without figures has said why above: no row of dashes. */
function Overview({ run }: { run: Run }) {
  const { figures, ended_at_ms } = run.row;
  return (
    <>
      {(figures.length > 0 || !ended_at_ms) && <Headlines run={run} />}
      <Attempts run={run} />
      <Figures run={run} />
    </>
  );
}
