// Beside the form: what the server would make of it, the same as a command line, and the button.
import { useEffect, useState } from "preact/hooks";
import { type ApiError, isAway, post, type Result } from "../../lib/api.ts";
import { plural } from "../../lib/format.ts";
import { epoch } from "../../lib/server.ts";
import type { PlannedRun, SubmitReply } from "../../lib/types.ts";
import { Command } from "../../ui/command.tsx";
import { Icon } from "../../ui/icon.tsx";

const restMs = 250;

export interface Plan {
  value?: SubmitReply;
  error?: ApiError;
  checking: boolean;
}

/** The server's opinion of a spec, asked for once it has not changed for a moment; null asks nothing. */
export function usePlan(spec: Record<string, unknown> | null): Plan {
  const wanted = spec ? JSON.stringify(spec) : "";
  const [known, set] = useState<{ of: string; result?: Result<SubmitReply> }>({ of: "" });
  const seen = epoch.value;

  useEffect(() => {
    if (!wanted) return;
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      const result = await post<SubmitReply>("evaluations", { spec: JSON.parse(wanted), dry_run: true }, stop.signal);
      if (!stop.signal.aborted) set({ of: wanted, result });
    }, restMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [wanted, seen]);

  if (!wanted) return { checking: false };
  const { result } = known;
  const checking = known.of !== wanted;
  if (!result) return { checking };
  return result.ok
    ? { value: result.value, checking }
    : { error: isAway(result.error) ? undefined : result.error, checking };
}

interface Props {
  plan: Plan;
  missing: string;
  general: string[];
  faults: number;
  command: string[];
  sending: boolean;
  configTyped: boolean;
}

export function PlanPanel({ plan, missing, general, faults, command, sending, configTyped }: Props) {
  return (
    <aside class="plan" aria-label="Plan" data-testid="plan" data-checking={plan.checking}>
      <h2>Preview</h2>
      <div class="verdict" role="status" aria-live="polite">
        {general.map((text) => (
          <p key={text} class="bad">
            <Icon name="warning" /> {text}
          </p>
        ))}
        {faults > 0 ? (
          <p class="bad" data-testid="fault-count">
            <Icon name="warning" /> {plural(faults, "field")} {faults === 1 ? "needs" : "need"} fixing
          </p>
        ) : plan.value ? (
          <Planned plan={plan.value} />
        ) : (
          general.length === 0 && <p class="soft">{plan.checking ? "Checking…" : missing || "Not planned yet."}</p>
        )}
      </div>
      <button type="submit" class="primary submit" disabled={sending}>
        {sending ? "Submitting…" : "Submit"}
      </button>
      <Command words={command}>{configTyped && <p class="soft">With the text above saved as config.json.</p>}</Command>
    </aside>
  );
}

function Planned({ plan }: { plan: SubmitReply }) {
  const samples = plan.runs.reduce((sum, run) => sum + run.samples, 0);
  return (
    <>
      <p class="sum" data-testid="plan-sum">
        <b>
          {plural(plan.runs.length, "run")}, {plural(samples, "sample")}
        </b>
      </p>
      <ul class="planned">
        {byTask(plan.runs).map(([task, runs]) => (
          <li key={task}>
            {task}
            {runs.length > 1 && ` × ${runs.length}`}
            <span class="soft">
              {plural(runs[0]!.samples, "sample")}
              {runs.length > 1 && " each"}
            </span>
          </li>
        ))}
      </ul>
      {plan.warnings.map((text) => (
        <p key={text} class="warn">
          <Icon name="warning" /> {text}
        </p>
      ))}
      {plan.no_node && plan.warnings.length === 0 && (
        <p class="warn">
          <Icon name="clock" /> No connected node can run this now, so it would wait.
        </p>
      )}
      <p class="soft hash">
        Configuration{" "}
        <code data-testid="config-hash" title={plan.config_hash}>
          {plan.config_hash.slice(0, 12)}
        </code>
      </p>
    </>
  );
}

function byTask(runs: PlannedRun[]): [string, PlannedRun[]][] {
  const groups = new Map<string, PlannedRun[]>();
  for (const run of runs) groups.set(run.task, [...(groups.get(run.task) ?? []), run]);
  return [...groups];
}
