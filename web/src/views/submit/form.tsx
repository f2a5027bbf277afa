// The fields of an evaluation, in groups. What can be chosen and how much is allowed comes from the server (Info).
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bytes, plural } from "../../lib/format.ts";
import type { Fault, FieldName, Form } from "../../lib/spec.ts";
import type { EngineChoice, Info, ModelChoice, TaskChoice } from "../../lib/types.ts";
import { type Option, Fault as FaultLine, controlProps, Labelled, SelectField, TextField } from "./field.tsx";

export interface FormProps {
  info: Info;
  form: Form;
  engine: EngineChoice;
  modelConfig: string;
  set: (changes: Partial<Form>) => void;
  setModelConfig: (text: string) => void;
  faultOf: (field: Fault["field"]) => string | undefined;
}

/** What a text field needs besides its title. */
function bind(props: FormProps, name: FieldName & string) {
  return {
    name,
    value: props.form[name] as string,
    fault: props.faultOf(name),
    onInput: (text: string) => props.set({ [name]: text }),
  };
}

export function Subject(props: FormProps) {
  const { info, engine, set } = props;
  return (
    <fieldset>
      <legend>Model and engine</legend>
      <SelectField
        {...bind(props, "engine")}
        title="Engine"
        value={engine.name}
        options={info.engine_choices.map(engineOption)}
        onInput={(name) => set({ engine: name === info.defaults.engine ? "" : name, model: "", precision: "" })}
        hint={engine.needs_url ? "A server that you run; a node sends it the requests." : undefined}
      />
      {engine.needs_url && (
        <TextField
          {...bind(props, "url")}
          type="url"
          title="Address of the server"
          placeholder="http://127.0.0.1:8000"
          hint="As the node reaches it, not this browser."
        />
      )}
      <ModelField {...props} />
      {engine.name === info.defaults.engine ? (
        <SelectField
          {...bind(props, "precision")}
          title="Precision"
          value={props.form.precision || info.defaults.precision || "bf16"}
          options={info.precisions.map((p) => ({ value: p, title: p }))}
          onInput={(p) => set({ precision: p === (info.defaults.precision || "bf16") ? "" : p })}
        />
      ) : (
        <TextField
          {...bind(props, "precision")}
          title="Precision"
          suggestions={info.precisions}
          placeholder="not declared"
          hint="What it computes with; shown as declared."
        />
      )}
    </fieldset>
  );
}

function engineOption(e: EngineChoice): Option {
  const group = e.needs_url ? "A server that you run" : "Of this suite";
  const title = e.name === "null" ? "null, no model: for tests of the suite" : e.name;
  return { value: e.name, group, title: title + (e.offered ? "" : " (no node offers it now)") };
}

const ownDirectory = "/";

function ModelField(props: FormProps) {
  const { info, form, engine, set, faultOf } = props;
  const listed = info.model_choices.filter((m) => !m.problem);
  const [typed, setTyped] = useState(form.model !== "" && !listed.some((m) => m.name === form.model));
  if (engine.name !== info.defaults.engine)
    return (
      <TextField
        {...bind(props, "model")}
        title="Model"
        placeholder={engine.needs_url ? "Qwen/Qwen3-30B-A3B" : "none"}
        hint={engine.needs_url ? "The name that results are shown under." : "Any name: the null engine has no model."}
      />
    );
  const options = [
    { value: "", title: listed.length ? "choose a model" : "no node offers a model" },
    ...listed.map((m) => ({ value: m.name, title: m.name })),
    { value: ownDirectory, title: "a directory on the node" },
  ];
  const choose = (value: string) => {
    setTyped(value === ownDirectory);
    set({ model: value === ownDirectory ? "" : value });
  };
  return (
    <>
      <SelectField
        name={typed ? "model_choice" : "model"}
        title="Model"
        fault={typed ? undefined : faultOf("model")}
        options={options}
        value={typed ? ownDirectory : form.model}
        onInput={choose}
        hint={aboutModel(listed.find((m) => m.name === form.model))}
      />
      {typed && (
        <TextField
          {...bind(props, "model")}
          title="Directory"
          placeholder="/data/models/Qwen3-30B-A3B"
          hint="Its absolute path on the node."
        />
      )}
    </>
  );
}

function aboutModel(model: ModelChoice | undefined): string | undefined {
  if (!model) return undefined;
  const context = model.context_tokens ? `${model.context_tokens.toLocaleString("en")} tokens of context` : "";
  return [model.family, model.bytes ? bytes(model.bytes) : "", context].filter(Boolean).join(", ");
}

const tasksWithoutSearch = 8;

export function Tasks({ info, form, set, faultOf }: FormProps) {
  const [wanted, search] = useState("");
  const known = info.task_choices;
  const fault = faultOf("tasks");
  const unknown = form.tasks.filter((name) => !known.some((t) => t.name === name));
  const shown = known.filter((t) => `${t.name} ${t.description}`.toLowerCase().includes(wanted.toLowerCase()));
  const toggle = (name: string, on: boolean) =>
    set({ tasks: on ? [...form.tasks, name] : form.tasks.filter((t) => t !== name) });
  return (
    <fieldset class="tasks" id="field-tasks" tabIndex={-1} aria-describedby={fault ? "fault-tasks" : undefined}>
      <legend>Tasks</legend>
      {info.tasks_missing && <p class="soft whole">{info.tasks_missing}</p>}
      {known.length > tasksWithoutSearch && (
        <div class="field whole">
          <input
            type="search"
            aria-label="Find a task"
            placeholder="Find a task"
            value={wanted}
            onInput={(e) => search(e.currentTarget.value)}
          />
        </div>
      )}
      <ul class="checks whole">
        {shown.map((t) => (
          <TaskCheck key={t.name} task={t} on={form.tasks.includes(t.name)} toggle={toggle} />
        ))}
        {unknown.map((name) => (
          <TaskCheck key={name} task={{ name, description: "not a task of this suite" }} on toggle={toggle} />
        ))}
      </ul>
      <FaultLine name="tasks" text={fault} />
    </fieldset>
  );
}

function TaskCheck({
  task,
  on,
  toggle,
}: {
  task: Pick<TaskChoice, "name" | "description"> & Partial<TaskChoice>;
  on: boolean;
  toggle: (name: string, on: boolean) => void;
}) {
  return (
    <li>
      <label class="check">
        <input
          type="checkbox"
          name={`task-${task.name}`}
          checked={on}
          onChange={(event) => toggle(task.name, event.currentTarget.checked)}
        />
        <span>
          <b>{task.name}</b>{" "}
          <small class="soft">
            {[task.samples === undefined ? "" : plural(task.samples, "sample"), task.description]
              .filter(Boolean)
              .join(" · ")}
          </small>
        </span>
      </label>
    </li>
  );
}

export function LoadFields(props: FormProps) {
  const { form, set, info } = props;
  const choose = (loop: Form["loop"]) => () => set({ loop });
  return (
    <fieldset>
      <legend>Load</legend>
      <div class="radios whole" role="radiogroup" aria-label="Kind of load">
        <label class="check">
          <input type="radio" name="loop" checked={form.loop === "closed"} onChange={choose("closed")} />
          <span>Batch: a fixed number of requests in flight</span>
        </label>
        <label class="check">
          <input type="radio" name="loop" checked={form.loop === "open"} onChange={choose("open")} />
          <span>Arrivals: requests at a mean rate, whether earlier ones have ended or not</span>
        </label>
      </div>
      {form.loop === "closed" ? (
        <TextField
          {...bind(props, "concurrency")}
          numeric
          title="Batch size"
          placeholder="1"
          hint={`1 to ${info.limits.concurrency_max}`}
        />
      ) : (
        <TextField {...bind(props, "rate")} numeric title="Requests a second" placeholder="e.g. 2.5" />
      )}
      <TextField
        {...bind(props, "repeats")}
        numeric
        title="Repeats"
        placeholder="1"
        hint={`Runs of each task, 1 to ${info.limits.repeats_max}`}
      />
    </fieldset>
  );
}

export function SampleFields(props: FormProps) {
  const { info, form, set } = props;
  const formatDefault = info.defaults.prompt_format || "text";
  return (
    <fieldset>
      <legend>Samples and prompts</legend>
      <TextField {...bind(props, "limit")} numeric title="First N samples" placeholder="all" />
      <TextField
        {...bind(props, "sampling")}
        numeric
        title="Random share"
        placeholder="all"
        hint="Above 0, up to 1; drawn by the seed"
      />
      <TextField {...bind(props, "fewshot")} numeric title="Examples in the prompt" placeholder="the task's own" />
      <SelectField
        {...bind(props, "format")}
        title="Prompt format"
        value={form.format || formatDefault}
        options={info.prompt_formats.map((f) => ({ value: f, title: f === "chat" ? "chat: the model's template" : f }))}
        onInput={(f) => set({ format: f === formatDefault ? "" : f })}
      />
      <TextField
        {...bind(props, "seed")}
        numeric
        title="Seed"
        placeholder="0"
        hint="Of sampling, examples and tokens"
      />
    </fieldset>
  );
}

export function GenerationFields(props: FormProps) {
  const { form, set } = props;
  return (
    <Folded
      title="Generation"
      open={Boolean(form.max_tokens || form.temperature || form.top_p || form.top_k || form.ignore_eos)}
    >
      <TextField {...bind(props, "max_tokens")} numeric title="Longest answer, tokens" placeholder="the task's own" />
      <TextField
        {...bind(props, "temperature")}
        numeric
        title="Temperature"
        placeholder="the task's own"
        hint="0: always the likeliest token"
      />
      <TextField {...bind(props, "top_p")} numeric title="Top p" placeholder="off" />
      <TextField {...bind(props, "top_k")} numeric title="Top k" placeholder="off" />
      <label class="check whole">
        <input
          type="checkbox"
          name="ignore_eos"
          checked={form.ignore_eos}
          onChange={(event) => set({ ignore_eos: event.currentTarget.checked })}
        />
        <span>Exact lengths: generate until the longest answer, whatever the model says</span>
      </label>
    </Folded>
  );
}

export function MachineFields(props: FormProps) {
  const { info, form, engine } = props;
  if (!engine.needs_url)
    return (
      <Folded title="Machine" open={Boolean(form.device)}>
        <SelectField
          {...bind(props, "device")}
          title="Device"
          options={[{ value: "", title: "any" }, ...info.devices.filter(Boolean).map((d) => ({ value: d, title: d }))]}
        />
      </Folded>
    );
  return (
    <Folded title="Declared: what the server cannot tell" open>
      <TextField {...bind(props, "hardware")} title="Hardware" placeholder="8x H100-SXM" />
      <TextField
        {...bind(props, "served_model")}
        title="Name to send"
        placeholder="as the model"
        hint="The server's own name of the model"
      />
      <TextField {...bind(props, "tensor")} numeric title="Tensor parallel" placeholder="1" />
      <TextField {...bind(props, "pipeline")} numeric title="Pipeline parallel" placeholder="1" />
      <TextField {...bind(props, "data")} numeric title="Data parallel" placeholder="1" />
      <TextField {...bind(props, "expert")} numeric title="Expert parallel" placeholder="1" />
      <TextField
        {...bind(props, "key_env")}
        title="Variable with its key"
        placeholder="MOECAP_KEY_…"
        hint="Set on the node. The key itself never comes here."
      />
      <ConfigField {...props} />
    </Folded>
  );
}

function ConfigField({ modelConfig, setModelConfig, faultOf }: FormProps) {
  const frame = {
    name: "model_config",
    fault: faultOf("model_config"),
    hint: "Gives layers, experts and parameters. Kept with the run, not in this page's address.",
  };
  return (
    <Labelled {...frame} title="config.json of the model" wide>
      <textarea
        {...controlProps(frame)}
        rows={4}
        spellcheck={false}
        value={modelConfig}
        placeholder='{"num_experts": 128, …}'
        onInput={(event) => setModelConfig(event.currentTarget.value)}
      />
      <input
        type="file"
        class="file"
        aria-label="Read config.json from a file"
        accept=".json,application/json"
        onChange={async (event) => {
          const file = event.currentTarget.files?.[0];
          if (file) setModelConfig(await file.text());
        }}
      />
    </Labelled>
  );
}

export function RecordFields(props: FormProps) {
  const { form, info } = props;
  return (
    <Folded title="For the record" open={Boolean(form.submitter || form.note || form.priority || form.revision)}>
      <TextField
        {...bind(props, "submitter")}
        title="Your name"
        placeholder="anonymous"
        autocomplete="nickname"
        hint="The queue is shared fairly by name"
      />
      <TextField
        {...bind(props, "priority")}
        numeric
        title="Priority"
        placeholder="0"
        hint={`${info.limits.priority_min} to ${info.limits.priority_max}, higher first`}
      />
      <TextField {...bind(props, "revision")} title="Revision of the model" placeholder="a commit, a tag" />
      <TextField {...bind(props, "note")} title="Note" placeholder="Shown beside the run" wide />
    </Folded>
  );
}

function Folded({ title, open, children }: { title: string; open: boolean; children: ComponentChildren }) {
  return (
    <details class="folded" open={open}>
      <summary>{title}</summary>
      <div class="fields">{children}</div>
    </details>
  );
}
