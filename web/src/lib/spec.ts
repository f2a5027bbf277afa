// The submit form as data: which fields there are, how each becomes a part of an EvaluationSpec and an option of
// `moecap submit`, and back. Every field is the text that stands in it, so that a wrong number survives in the address
// and the server says what is wrong with it. An empty field is left out: the server's default holds.
import type { Spec } from "./types.ts";
import { choice, flag, list, type StateOf, text } from "./urlstate.ts";

export const schema = {
  engine: text(),
  model: text(),
  tasks: list(),
  precision: text(),
  format: text(),
  loop: choice(["closed", "open"], "closed"),
  concurrency: text(),
  rate: text(),
  limit: text(),
  sampling: text(),
  fewshot: text(),
  seed: text(),
  repeats: text(),
  max_tokens: text(),
  temperature: text(),
  top_p: text(),
  top_k: text(),
  ignore_eos: flag(),
  device: text(),
  hardware: text(),
  tensor: text(),
  pipeline: text(),
  data: text(),
  expert: text(),
  url: text(),
  served_model: text(),
  key_env: text(),
  config_from: text(),
  submitter: text(),
  priority: text(),
  revision: text(),
  note: text(),
};

export type Form = StateOf<typeof schema>;
export type FieldName = keyof Form;

/** Where a field is in the spec and on the command line; `when`: for which engines it means something. */
interface Field {
  path: string;
  option: string;
  number?: true;
  when?: "native" | "server" | "closed" | "open";
}

const fields: Partial<Record<FieldName, Field>> = {
  engine: { path: "engine", option: "--engine" },
  url: { path: "external.url", option: "--url", when: "server" },
  model: { path: "model", option: "--model" },
  served_model: { path: "external.served_model", option: "--served-model", when: "server" },
  revision: { path: "revision", option: "--revision" },
  tasks: { path: "tasks", option: "--task" },
  precision: { path: "precision", option: "--precision" },
  concurrency: { path: "load.concurrency", option: "--batch-size", number: true, when: "closed" },
  rate: { path: "load.rate_per_s", option: "--rate", number: true, when: "open" },
  limit: { path: "limit", option: "--limit", number: true },
  sampling: { path: "sampling", option: "--sampling", number: true },
  fewshot: { path: "num_fewshot", option: "--num-fewshot", number: true },
  seed: { path: "seed", option: "--seed", number: true },
  repeats: { path: "repeats", option: "--repeats", number: true },
  max_tokens: { path: "generation.max_tokens", option: "--max-tokens", number: true },
  temperature: { path: "generation.temperature", option: "--temperature", number: true },
  top_p: { path: "generation.top_p", option: "--top-p", number: true },
  top_k: { path: "generation.top_k", option: "--top-k", number: true },
  ignore_eos: { path: "generation.ignore_eos", option: "--ignore-eos" },
  device: { path: "hardware.device", option: "--device", when: "native" },
  hardware: { path: "hardware.description", option: "--hardware", when: "server" },
  tensor: { path: "parallelism.tensor", option: "--tensor-parallel", number: true, when: "server" },
  pipeline: { path: "parallelism.pipeline", option: "--pipeline-parallel", number: true, when: "server" },
  data: { path: "parallelism.data", option: "--data-parallel", number: true, when: "server" },
  expert: { path: "parallelism.expert", option: "--expert-parallel", number: true, when: "server" },
  key_env: { path: "external.api_key_env", option: "--api-key-env", when: "server" },
  format: { path: "prompt_format", option: "--chat" },
  submitter: { path: "submitter", option: "--submitter" },
  priority: { path: "priority", option: "--priority", number: true },
  note: { path: "note", option: "--note" },
};

export interface Fault {
  field: FieldName | "model_config" | null;
  message: string;
}

/** What a form stands for beside its fields: whether its engine is the user's server, and the declared config.json. */
export interface Around {
  isServer: boolean;
  modelConfig: string;
}

function applies(field: Field, form: Form, around: Around): boolean {
  switch (field.when) {
    case "native":
      return !around.isServer;
    case "server":
      return around.isServer;
    case "closed":
      return form.loop === "closed";
    case "open":
      return form.loop === "open";
    default:
      return true;
  }
}

/** Fields that say something, in the order of the table. */
function filled(form: Form, around: Around): [FieldName, Field, string | true | readonly string[]][] {
  return (Object.entries(fields) as [FieldName, Field][]).flatMap(([name, field]) => {
    const value = form[name];
    const says = typeof value === "boolean" ? value : value.length > 0;
    return says && applies(field, form, around) ? [[name, field, value as string | true | readonly string[]]] : [];
  });
}

const numberShape = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

// What is no number goes as it is: the server's refusal names the field.
function numberOf(text: string): number | string {
  return numberShape.test(text.trim()) ? Number(text) : text;
}

function put(target: Record<string, any>, path: string, value: unknown): void {
  const [first, rest] = path.split(".", 2) as [string, string | undefined];
  if (rest === undefined) target[first] = value;
  else put((target[first] ??= {}), rest, value);
}

export function specOf(form: Form, around: Around): Record<string, unknown> {
  const spec: Record<string, unknown> = {};
  for (const [, field, value] of filled(form, around))
    put(spec, field.path, field.number ? numberOf(value as string) : value);
  if (around.isServer && around.modelConfig) put(spec, "external.model_config", around.modelConfig);
  return spec;
}

/** What would be sent as something else than was written; everything else is the server's to judge. */
export function localFaults(form: Form, around: Around): Fault[] {
  return filled(form, around).flatMap(([name, field, value]) => {
    const number = field.number ? numberOf(value as string) : 0;
    return typeof number === "number" && Number.isInteger(number) && !Number.isSafeInteger(number)
      ? [
          {
            field: name,
            message: `${value as string} has more digits than a browser can send exactly; submit it with the command line`,
          },
        ]
      : [];
  });
}

/** What a form lacks before it can be planned, as a request; empty: nothing. */
export function missing({ model, tasks }: Form): string {
  const parts = [model === "" && "a model", tasks.length === 0 && "a task"].filter(Boolean);
  return parts.length > 0 ? `Choose ${parts.join(" and ")}.` : "";
}

/** The field that a refusal blames: "spec.tasks[1]" is the list of tasks. */
export function fieldOfPath(path: string): Fault["field"] {
  const bare = path.replace(/^spec\./, "").replace(/\[\d+\]$/, "");
  if (bare === "external.model_config") return "model_config";
  if (bare === "parallelism") return "tensor";
  return (Object.entries(fields) as [FieldName, Field][]).find(([, f]) => f.path === bare)?.[0] ?? null;
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}

/** The same submission as words of a shell. */
export function commandOf(form: Form, around: Around): string[] {
  const words = filled(form, around).flatMap(([name, field, value]) => {
    if (name === "format") return value === "chat" ? ["--chat"] : [];
    if (value === true) return [field.option];
    const values = typeof value === "string" ? [value.trim()] : value;
    return values.map((v) => `${field.option} ${quoted(v)}`);
  });
  if (around.isServer && around.modelConfig) words.push("--model-config config.json");
  return ["moecap submit", ...words];
}

const known = (value: unknown): string =>
  value === undefined || value === null || value === 0 || value === "" ? "" : String(value);
const given = (value: number | undefined): string => (value === undefined ? "" : String(value));
const above1 = (value: number | undefined): string => (value && value > 1 ? String(value) : "");

/** The form that submits `spec` again. `runId` is where a declared config.json is read from. */
export function formOf(spec: Spec, runId: string): Partial<Form> {
  const { generation: g, parallelism: p, external: e, load } = spec;
  return {
    engine: spec.engine,
    model: spec.model,
    tasks: spec.tasks,
    precision: spec.precision,
    revision: spec.revision,
    format: spec.prompt_format === "text" ? "" : spec.prompt_format,
    loop: load?.rate_per_s === undefined ? "closed" : "open",
    concurrency: given(load?.concurrency),
    rate: given(load?.rate_per_s),
    limit: known(spec.limit),
    sampling: given(spec.sampling),
    fewshot: given(spec.num_fewshot),
    seed: known(spec.seed),
    repeats: above1(spec.repeats),
    max_tokens: known(g?.max_tokens),
    temperature: given(g?.temperature),
    top_p: given(g?.top_p),
    top_k: known(g?.top_k),
    ignore_eos: g?.ignore_eos ?? false,
    device: known(spec.hardware?.device),
    hardware: known(spec.hardware?.description),
    tensor: above1(p?.tensor),
    pipeline: above1(p?.pipeline),
    data: above1(p?.data),
    expert: above1(p?.expert),
    url: known(e?.url),
    served_model: known(e?.served_model),
    key_env: known(e?.api_key_env),
    config_from: e?.model_config ? runId : "",
    submitter: spec.submitter === "anonymous" ? "" : spec.submitter,
    priority: known(spec.priority),
    note: spec.note,
  };
}
