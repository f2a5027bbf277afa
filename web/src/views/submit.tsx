// The form of an evaluation; what can be chosen comes from the server. After the submission its progress, live.
import { useState } from "preact/hooks";
import { type ApiError, post } from "../lib/api.ts";
import { useWatch } from "../lib/live.ts";
import { useResource } from "../lib/resource.ts";
import type { Info, SubmitReply } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { ProgressHead, ProgressRow } from "./queue.tsx";

export function SubmitView() {
  const info = useResource<Info>("info");
  const [reply, setReply] = useState<{ dry: boolean; value: SubmitReply } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);

  const send = async (form: HTMLFormElement, dry: boolean) => {
    const result = await post<SubmitReply>("evaluations", { spec: specOf(form), dry_run: dry });
    setError(result.ok ? null : result.error);
    setReply(result.ok ? { dry, value: result.value } : null);
  };

  if (info.error) return <ErrorBox error={info.error} retry={info.reload} />;
  if (!info.value) return <p class="soft">Loading…</p>;
  return (
    <>
      <h1>Submit</h1>
      <form class="form" data-testid="submit" onSubmit={(event) => { event.preventDefault(); void send(event.currentTarget, false); }}>
        <Choice name="model" title="model" options={info.value.models} />
        <Choice name="task" title="task" options={info.value.tasks} />
        <Choice name="engine" title="engine" options={info.value.engines} />
        <Choice name="precision" title="precision" options={info.value.precisions} />
        <NumberField name="batch" title="batch size" value={4} min={1} />
        <NumberField name="limit" title="first N samples (0 = all)" value={0} min={0} />
        <NumberField name="seed" title="seed" value={0} min={0} />
        <Choice name="format" title="prompt format" options={info.value.prompt_formats} />
        <label>your name<input name="submitter" maxLength={64} autocomplete="nickname" /></label>
        <div class="buttons">
          <button type="button" onClick={(event) => void send(event.currentTarget.form!, true)}>Check</button>
          <button type="submit" class="primary">Submit</button>
        </div>
      </form>
      {error && <ErrorBox error={error} />}
      {reply && <Outcome dry={reply.dry} reply={reply.value} />}
    </>
  );
}

function specOf(form: HTMLFormElement) {
  const v = Object.fromEntries(new FormData(form)) as Record<string, string>;
  return { model: v.model, engine: v.engine, precision: v.precision, tasks: [v.task], load: { concurrency: Number(v.batch) },
    limit: Number(v.limit), seed: Number(v.seed), prompt_format: v.format, submitter: v.submitter };
}

function Choice({ name, title, options }: { name: string; title: string; options: string[] }) {
  return <label>{title}<select name={name}>{options.map((o) => <option key={o} value={o}>{o}</option>)}</select></label>;
}

function NumberField({ name, title, value, min }: { name: string; title: string; value: number; min: number }) {
  return <label>{title}<input name={name} type="number" defaultValue={String(value)} min={min} step={1} /></label>;
}

function Outcome({ dry, reply }: { dry: boolean; reply: SubmitReply }) {
  const runs = reply.runs.map((r) => `${r.task}, ${r.samples} samples`).join("; ");
  return (
    <>
      <p role="status" data-testid="outcome">
        {dry ? "Would run: " : reply.duplicate ? "Already queued or running: " : "Queued: "}{runs}
        {reply.warnings.length > 0 && <>. Warning: {reply.warnings.join("; ")}</>}
      </p>
      {!dry && <Follow id={reply.evaluation_id} />}
    </>
  );
}

function Follow({ id }: { id: string }) {
  const live = useWatch(id);
  if (live.error) return <p class="bad" role="alert">{live.error}</p>;
  if (!live.progress) return null;
  return (
    <div class="scroll"><table data-testid="progress">
      <ProgressHead />
      <tbody>{live.progress.runs.map((run) => <ProgressRow key={run.run_id} run={run} />)}</tbody>
    </table></div>
  );
}
