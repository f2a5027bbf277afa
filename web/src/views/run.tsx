// One run: configuration, attempts, figures, and its samples page by page.
import { useEffect, useState } from "preact/hooks";
import { type ApiError, get } from "../lib/api.ts";
import { useResource } from "../lib/resource.ts";
import { useUrlState } from "../lib/router.ts";
import type { Figure, Run, Sample, Samples } from "../lib/types.ts";
import { choice } from "../lib/urlstate.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { FigureValue } from "../ui/figure.tsx";
import { Pager } from "../ui/pager.tsx";
import { StateBadge } from "../ui/state.tsx";

const pageSize = 25;
const verdicts = ["", "correct", "wrong"] as const;
const schema = { verdict: choice(verdicts, "") };

export function RunView({ id }: { id: string }) {
  const run = useResource<Run>("runs/" + encodeURIComponent(id));
  const [state, set] = useUrlState(schema);

  if (run.error) return <ErrorBox error={run.error} retry={run.reload} />;
  if (!run.value) return <p class="soft">Loading…</p>;
  return (
    <>
      <h1>{id}</h1>
      <Facts run={run.value} />
      <h2>Figures</h2>
      <Figures run={run.value} />
      <h2>Samples</h2>
      <p class="choices" role="group" aria-label="Verdict">
        {verdicts.map((v) => <button key={v} type="button" aria-pressed={state.verdict === v} onClick={() => set({ verdict: v })}>{v || "all"}</button>)}
      </p>
      <SampleList key={state.verdict} id={id} verdict={state.verdict} />
    </>
  );
}

function Facts({ run }: { run: Run }) {
  const { row } = run;
  return (
    <dl class="facts">
      <dt>state</dt><dd><StateBadge state={row.state} /> {row.reason}</dd>
      <dt>model</dt><dd>{row.spec.model}</dd>
      <dt>engine</dt><dd>{row.spec.engine}</dd>
      <dt>precision</dt><dd>{row.spec.precision}</dd>
      <dt>task</dt><dd>{row.task}, {run.samples_answered} of {run.samples_total} answered, {run.samples_graded} graded</dd>
      <dt>configuration</dt><dd><code>{row.config_hash}</code></dd>
      <dt>attempts</dt><dd>{run.attempts.map((a) => `${a.attempt} on ${a.node}: ${a.outcome || "going on"}`).join("; ")}</dd>
    </dl>
  );
}

function Figures({ run }: { run: Run }) {
  const share = (f: Figure) => f.id === run.row.headline_metric || (run.task?.metrics.includes(f.id) ?? false);
  return (
    <div class="scroll"><table data-testid="figures">
      <thead><tr><th scope="col">figure</th><th scope="col" class="number">value</th><th scope="col">unit</th><th scope="col">basis</th></tr></thead>
      <tbody>
        {run.row.figures.map((f) => (
          <tr key={f.id}>
            <td>{f.id}</td>
            <td class="number"><FigureValue figure={f} share={share(f)} /></td>
            <td>{share(f) ? "%" : f.unit}</td>
            <td class="soft">{f.basis}{f.reason && ": " + f.reason}</td>
          </tr>
        ))}
      </tbody>
    </table></div>
  );
}

function SampleList({ id, verdict }: { id: string; verdict: string }) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const [next, setNext] = useState<number | undefined>(undefined);
  const [error, setError] = useState<ApiError | null>(null);
  const [loading, setLoading] = useState(false);

  const load = async (after: number | undefined) => {
    setLoading(true);
    const page = await get<Samples>(`runs/${encodeURIComponent(id)}/samples?limit=${pageSize}&verdict=${verdict}` + (after === undefined ? "" : `&after=${after}`));
    setLoading(false);
    setError(page.ok ? null : page.error);
    if (!page.ok) return;
    setSamples((old) => [...old, ...page.value.samples]);
    setNext(page.value.next_after);
  };
  useEffect(() => void load(undefined), []);

  return (
    <div data-testid="samples">
      {samples.map((s) => <SampleDetails key={s.answer.ordinal} sample={s} />)}
      {error && <ErrorBox error={error} retry={() => void load(next)} />}
      <Pager shown={samples.length} more={next !== undefined} loading={loading} onMore={() => void load(next)} noun="samples" />
    </div>
  );
}

function SampleDetails({ sample }: { sample: Sample }) {
  const { answer, verdicts } = sample;
  const lines = verdicts.map((v) => `${v.metric}: ${v.kind}${v.extracted ? ` (${v.extracted})` : ""}${v.reason ? ", " + v.reason : ""}`);
  return (
    <details class="sample">
      <summary>{answer.uid}: {verdicts[0]?.kind ?? answer.status}</summary>
      <pre>{answer.prompt}{answer.text}</pre>
      <pre class="soft">{lines.join("\n")}{sample.doc_json && "\n" + sample.doc_json}</pre>
    </details>
  );
}
