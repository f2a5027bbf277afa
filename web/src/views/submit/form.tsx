// The fields of an evaluation: the rows of lib/spec/spec.def, group by group. Most are drawn from their row alone; a
// field that offers what the server has now (engines, models, tasks), or is more than one control, is written here.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bytes, plural } from "../../lib/format.ts";
import { applies, type Fault, type Form, type Knob, type KnobId, knobs, type OfKind } from "../../lib/spec.ts";
import { tables } from "../../lib/tables.ts";
import type { EngineChoice, Info, ModelChoice, TaskChoice } from "../../lib/types.ts";
import { type Option, Fault as FaultLine, controlProps, Labelled, SelectField, TextField } from "../../ui/field.tsx";

export interface FormProps {
  info: Info;
  form: Form;
  engine: EngineChoice;
  modelConfig: string;
  set: (changes: Partial<Form>) => void;
  setModelConfig: (text: string) => void;
  faultOf: (field: Fault["field"]) => string | undefined;
}

type GroupTitle = (typeof tables.groups)[number];
type TextKnob = Exclude<KnobId, OfKind<"list" | "switch"> | "model_config">;

/** On the engine depends what the other fields offer. */
const first: readonly KnobId[] = ["engine", "url"];

/** Groups that are folded until they say something. */
const folded: readonly GroupTitle[] = ["Service level", "Generation", "Machine", "Metadata", "Cost"];

export function Group({ group, ...props }: FormProps & { group: GroupTitle }) {
  const shown = knobs.filter((k) => k.group === group && applies(k, props.form, { isServer: props.engine.needs_url }));
  const rows = [...shown.filter((k) => first.includes(k.id)), ...shown.filter((k) => !first.includes(k.id))];
  const fields = rows.map((knob) => <KnobField key={knob.id} knob={knob} {...props} />);
  if (group === "Tasks") return <Tasks {...props} />;
  if (folded.includes(group)) {
    const declares = group === "Machine" && props.engine.needs_url;
    return (
      <Folded
        title={declares ? "Declared by you (the server cannot report it)" : group}
        open={declares || rows.some((k) => k.id !== "model_config" && saysSomething(props.form[k.id as TextKnob]))}
      >
        {fields}
      </Folded>
    );
  }
  return (
    <fieldset>
      <legend>{group}</legend>
      {group === "Load" && <LoadKind {...props} />}
      {fields}
    </fieldset>
  );
}

const saysSomething = (value: string | boolean): boolean => (typeof value === "boolean" ? value : value !== "");

function KnobField({ knob, ...props }: FormProps & { knob: Knob }) {
  switch (knob.id) {
    case "engine":
      return <EngineField {...props} />;
    case "model":
      return <ModelField {...props} />;
    case "precision":
      return <PrecisionField {...props} />;
    case "model_config":
      return <ConfigField {...props} />;
    default:
      return <PlainField knob={knob} {...props} />;
  }
}

/** What a text field needs besides its title. */
function bind(props: FormProps, name: TextKnob) {
  return {
    name,
    value: props.form[name],
    fault: props.faultOf(name),
    onInput: (text: string) => props.set({ [name]: text }),
  };
}

/** "Requests in flight, closed loop: 1 to 4096, e.g. 4" */
function hintOf({ help, range, example }: Knob): string {
  const parts = [range, example && `e.g. ${example}`].filter(Boolean).join(", ");
  const about = help[0]!.toUpperCase() + help.slice(1);
  return range ? `${about}: ${parts}` : about;
}

function PlainField({ knob, ...props }: FormProps & { knob: Knob }) {
  const bound = bind(props, knob.id as TextKnob);
  const placeholder = knob.unset.replace(/^0 = /, "");
  if (knob.kind === "switch")
    return (
      <label class="check whole">
        <input
          type="checkbox"
          name={knob.id}
          checked={props.form[knob.id as OfKind<"switch">]}
          onChange={(event) => props.set({ [knob.id]: event.currentTarget.checked })}
        />
        <span>
          {knob.label}: {knob.help}
        </span>
      </label>
    );
  if (knob.words) {
    const unset = knob.preset ?? "";
    const options = knob.words.map((word) => ({ value: word, title: word }));
    return (
      <SelectField
        {...bound}
        title={knob.label}
        value={bound.value || unset}
        options={unset ? options : [{ value: "", title: placeholder }, ...options]}
        onInput={(word) => bound.onInput(word === unset ? "" : word)}
        hint={hintOf(knob)}
      />
    );
  }
  return (
    <TextField
      {...bound}
      title={knob.label}
      numeric={knob.kind === "whole" || knob.kind === "real"}
      type={knob.id === "url" ? "url" : "text"}
      autocomplete={knob.id === "submitter" ? "nickname" : "off"}
      wide={knob.id === "note"}
      placeholder={knob.when === "server" && knob.example ? knob.example : placeholder}
      hint={hintOf(knob)}
    />
  );
}

function EngineField(props: FormProps) {
  const { info, engine, set } = props;
  return (
    <SelectField
      {...bind(props, "engine")}
      title="Engine"
      value={engine.name}
      options={info.engine_choices.map(engineOption)}
      onInput={(name) => set({ engine: name === info.defaults.engine ? "" : name, model: "", precision: "" })}
      hint={engine.needs_url ? "A server that you run; a node sends it the requests." : undefined}
    />
  );
}

function engineOption(e: EngineChoice): Option {
  const group = e.needs_url ? "A server that you run" : "Of this suite";
  const about = tables.engines.find((row) => row.word === e.name)?.about ?? "";
  const title = about.toLowerCase() === e.name ? about : [e.name, about].filter(Boolean).join(": ");
  return { value: e.name, group, title: title + (e.offered ? "" : " (no node offers it now)") };
}

function PrecisionField(props: FormProps) {
  const { info, engine, form, set } = props;
  const preset = info.defaults.precision || "bf16";
  if (engine.name !== info.defaults.engine)
    return (
      <TextField
        {...bind(props, "precision")}
        title="Precision"
        suggestions={[...tables.precisions]}
        placeholder="not declared"
        hint="What it computes with; shown as declared."
      />
    );
  return (
    <SelectField
      {...bind(props, "precision")}
      title="Precision"
      value={form.precision || preset}
      options={info.precisions.map((p) => ({ value: p, title: p }))}
      onInput={(p) => set({ precision: p === preset ? "" : p })}
    />
  );
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
        hint={engine.needs_url ? "Name shown with the results." : "Any name: the null engine has no model."}
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

function Tasks({ info, form, set, faultOf }: FormProps) {
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

function LoadKind({ form, set }: FormProps) {
  const choose = (loop: Form["loop"]) => () => set({ loop });
  return (
    <div class="radios whole" role="radiogroup" aria-label="Kind of load">
      <label class="check">
        <input type="radio" name="loop" checked={form.loop === "closed"} onChange={choose("closed")} />
        <span>Closed loop: a fixed number of requests in flight</span>
      </label>
      <label class="check">
        <input type="radio" name="loop" checked={form.loop === "open"} onChange={choose("open")} />
        <span>Open loop: requests arrive at a rate, or at given times, whatever is in flight</span>
      </label>
    </div>
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

function Folded({ title, open, children }: { title: string; open: boolean; children: ComponentChildren }) {
  return (
    <details class="folded" open={open}>
      <summary>{title}</summary>
      <div class="fields">{children}</div>
    </details>
  );
}
