// The form of an evaluation. Its state is the address, so a half-filled form can be kept, shared, and reached from a
// run ("submit again with changes"). Every change is checked by the server, which plans it without queueing it.
import "../style/submit.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, get, post } from "../lib/api.ts";
import { useResource } from "../lib/resource.ts";
import { amend, go, path, query } from "../lib/router.ts";
import {
  type Around,
  besideField,
  commandOf,
  type Fault,
  fieldOfPath,
  type Form,
  isToldEarly,
  localFaults,
  missing,
  schema,
  specOf,
} from "../lib/spec.ts";
import { tables } from "../lib/tables.ts";
import type { Info, Run, SubmitReply } from "../lib/types.ts";
import { readState, writeState } from "../lib/urlstate.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { Group } from "./submit/form.tsx";
import { PlanPanel, usePlan } from "./submit/plan.tsx";

const refreshMs = 10_000; // nodes come and go, and with them what is offered

export function SubmitView() {
  const info = useResource<Info>("info", refreshMs);
  if (info.error && !info.value) return <ErrorBox error={info.error} retry={info.reload} />;
  return (
    <>
      <h1>Submit an evaluation</h1>
      {info.value ? <SubmitForm info={info.value} /> : <p class="soft">Loading…</p>}
    </>
  );
}

function SubmitForm({ info }: { info: Info }) {
  const form = withOnlyModel(readState(schema, query.value) as Form, info);
  const set = (changes: Partial<Form>) => {
    const text = writeState(schema, { ...readState(schema, query.peek()), ...changes });
    amend(path.peek() + (text ? "?" + text : ""));
  };
  const [modelConfig, setModelConfig] = useDeclaredConfig(form.config_from);
  const engine =
    info.engine_choices.find((e) => e.name === (form.engine || info.defaults.engine)) ?? info.engine_choices[0]!;
  const around: Around = { isServer: engine.needs_url, modelConfig };
  const isTouched = query.value.size > 0 || modelConfig !== "";
  const plan = usePlan(isTouched ? specOf(form, around) : null);
  const [attempt, setAttempt] = useState<{ sending: boolean; error?: ApiError; made: boolean }>({
    sending: false,
    made: false,
  });
  const element = useRef<HTMLFormElement>(null);

  const faults = [...localFaults(form, around), ...faultsOf(attempt.error ?? plan.error)];
  const told = faults.filter((f) => attempt.made || isToldEarly(f, form));
  const faultOf = (field: Fault["field"]) => told.find((f) => f.field === field)?.message;
  useEffect(() => {
    if (attempt.error) setAttempt((old) => ({ ...old, error: undefined }));
  }, [query.value, modelConfig]);

  const send = async (event: Event) => {
    event.preventDefault();
    if (attempt.sending) return;
    setAttempt({ sending: true, made: true });
    const result = await post<SubmitReply>("evaluations", { spec: specOf(form, around) });
    setAttempt({ sending: false, made: true, error: result.ok ? undefined : result.error });
    if (result.ok)
      go(`/evaluations/${encodeURIComponent(result.value.evaluation_id)}${result.value.duplicate ? "?again=1" : ""}`);
    else focusFirst(element.current!, faultsOf(result.error));
  };

  const props = { info, form, engine, modelConfig, set, setModelConfig, faultOf };
  return (
    <form ref={element} class="submit-form" data-testid="submit" noValidate onSubmit={send}>
      <div class="groups">
        {tables.groups.map((group) => (
          <Group key={group} group={group} {...props} />
        ))}
      </div>
      <PlanPanel
        plan={plan}
        sending={attempt.sending}
        command={commandOf(form, around)}
        configTyped={modelConfig !== ""}
        missing={missing(form)}
        general={told.filter((f) => f.field === null).map((f) => f.message)}
        faults={told.filter((f) => f.field !== null).length}
      />
    </form>
  );
}

// Where there is nothing to choose, nothing has to be chosen.
function withOnlyModel(form: Form, info: Info): Form {
  const offered = info.model_choices.filter((m) => !m.problem);
  const isOwn = form.engine === "" || form.engine === info.defaults.engine;
  return isOwn && form.model === "" && offered.length === 1 ? { ...form, model: offered[0]!.name } : form;
}

/** Every fault that the server names, each beside its field; without fields the sentence alone. */
function faultsOf(error: ApiError | undefined): Fault[] {
  if (!error) return [];
  const named = error.fields ?? (error.field ? [{ field: error.field, message: error.message }] : []);
  if (named.length === 0) return [{ field: null, message: error.message }];
  return named.map((f) => ({ field: fieldOfPath(f.field), message: besideField(f.field, f.message) }));
}

function focusFirst(form: HTMLFormElement, faults: Fault[]): void {
  const first = faults.find((f) => f.field !== null);
  if (!first) return;
  const control = form.querySelector<HTMLElement>(`#field-${first.field}`);
  control?.closest("details")?.setAttribute("open", "");
  control?.focus();
}

/** The config.json that an earlier run declared; it may be large, so the address only names the run. */
function useDeclaredConfig(runId: string) {
  const [text, set] = useState("");
  useEffect(() => {
    if (!runId) return;
    const stop = new AbortController();
    void get<Run>("runs/" + encodeURIComponent(runId), stop.signal).then((run) => {
      if (run.ok) set(run.value.row.spec.external?.model_config ?? "");
    });
    return () => stop.abort();
  }, [runId]);
  return [text, set] as const;
}
