// The submit form as data. Its fields are the rows of lib/spec/spec.def (tables.ts): how each becomes a part of an
// EvaluationSpec and an option of `moecap submit`, and back. Every field is the text that stands in it, so that a wrong
// number survives in the address and the server says what is wrong with it. An empty field is left out: the server's
// default holds.
import { isOpen } from "./load.ts";
import { tables } from "./tables.ts";
import type { Spec } from "./types.ts";
import { choice, flag, type Key, list, text } from "./urlstate.ts";

type Row = (typeof tables.knobs)[number];
export type KnobId = Row["id"];
/** The knobs of a kind: "switch" is a box to tick. */
export type OfKind<K extends Row["kind"]> = Extract<Row, { kind: K }>["id"];
/** The knobs of a group. */
export type InGroup<G extends Row["group"]> = Extract<Row, { group: G }>["id"];

/** A row with the columns that only some rows have. */
export interface Knob {
  id: KnobId;
  path: string;
  kind: Row["kind"];
  flag: string;
  label: string;
  help: string;
  unset: string;
  group: Row["group"];
  unit?: string;
  example?: string;
  range?: string;
  when?: "native" | "server" | "closed_loop" | "open_loop";
  preset?: string;
  words?: readonly string[];
  words_when?: string;
  tells_zero?: boolean;
}

export const knobs: readonly Knob[] = tables.knobs;
export const knobOf = (id: KnobId): Knob => knobs.find((k) => k.id === id)!;

// A config.json may be large, so the address only names the run that declared it.
type Typed = Exclude<KnobId, "model_config">;
type Value<K extends KnobId> =
  K extends OfKind<"list"> ? readonly string[] : K extends OfKind<"switch"> ? boolean : string;
export type Form = { [K in Typed]: Value<K> } & { loop: "closed" | "open"; config_from: string };
export type FieldName = keyof Form;

function keyOf(knob: Knob): Key<any> {
  return knob.kind === "list" ? list() : knob.kind === "switch" ? flag() : text();
}

export const schema = {
  ...Object.fromEntries(knobs.filter((k) => k.id !== "model_config").map((k) => [k.id, keyOf(k)])),
  loop: choice(["closed", "open"], "closed"),
  config_from: text(),
} as { [K in FieldName]: Key<Form[K]> };

export interface Fault {
  field: KnobId | null;
  message: string;
}

/** What a form stands for beside its fields: whether its engine is the user's server, and the declared config.json. */
export interface Around {
  isServer: boolean;
  modelConfig: string;
}

/** Whether a knob means something for this engine and this kind of load. */
export function applies(knob: Knob, form: Form, around: Pick<Around, "isServer">): boolean {
  switch (knob.when) {
    case "native":
      return !around.isServer;
    case "server":
      return around.isServer;
    case "closed_loop":
      return form.loop === "closed";
    case "open_loop":
      return form.loop === "open";
    default:
      return true;
  }
}

/** Knobs that the form says something about, in the order of the table. */
function filled(form: Form, around: Around): [Knob, string | true | readonly string[]][] {
  return knobs.flatMap((knob) => {
    const value: string | boolean | readonly string[] = knob.id === "model_config" ? around.modelConfig : form[knob.id];
    const says = typeof value === "boolean" ? value : value.length > 0;
    return says && applies(knob, form, around) ? [[knob, value as string | true | readonly string[]]] : [];
  });
}

const isNumber = (knob: Knob): boolean => knob.kind === "whole" || knob.kind === "real";
const numberShape = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

// What is not a number is sent as it is: the server's refusal names the field.
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
  for (const [knob, value] of filled(form, around))
    put(spec, knob.path, isNumber(knob) ? numberOf(value as string) : value);
  return spec;
}

/** What would be sent as something else than was written; everything else is the server's to judge. */
export function localFaults(form: Form, around: Around): Fault[] {
  return filled(form, around).flatMap(([knob, value]) => {
    const number = isNumber(knob) ? numberOf(value as string) : 0;
    return typeof number === "number" && Number.isInteger(number) && !Number.isSafeInteger(number)
      ? [
          {
            field: knob.id,
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
export function fieldOfPath(path: string): KnobId | null {
  const bare = path.replace(/^spec\./, "").replace(/\[\d+\]$/, "");
  return knobs.find((k) => k.path === bare)?.id ?? null;
}

/** A refusal as it is said beside its field: without the field's path, and other fields by their titles. */
export function besideField(path: string, message: string): string {
  const bare = path.replace(/^spec\./, "");
  const rest = message.startsWith(bare + " ") ? message.slice(bare.length + 1).replace(/^is /, "") : message;
  return knobs
    .filter((k) => k.path.includes("."))
    .reduce((said, k) => said.replaceAll(k.path, k.path === bare ? "this" : `“${k.label}”`), rest);
}

/** Whether a fault is told before anyone tried to submit: not of what is still empty, unless the engine asks for it. */
export function isToldEarly({ field }: Fault, form: Form): boolean {
  if (field === null || field === "model_config") return true;
  const value: string | boolean | readonly string[] = form[field];
  const says = typeof value === "boolean" ? value : value.length > 0;
  return says || (form.engine !== "" && knobOf(field).when === "server");
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}

function optionOf(knob: Knob, value: string | true | readonly string[]): string[] {
  const option = `--${knob.flag}`;
  if (knob.kind === "file") return [`${option} ${knob.id === "model_config" ? "config.json" : "FILE"}`];
  if (knob.kind === "choice") return value === knob.flag ? [option] : [];
  if (value === true) return [option];
  const values = typeof value === "string" ? [value.trim()] : value;
  return values.map((v) => `${option} ${quoted(v)}`);
}

/** The same submission as words of a shell. */
export function commandOf(form: Form, around: Around): string[] {
  return ["moecap submit", ...filled(form, around).flatMap(([knob, value]) => optionOf(knob, value))];
}

function at(spec: Spec, path: string): unknown {
  return path.split(".").reduce<any>((part, name) => part?.[name], spec);
}

// What says nothing, or says what holds anyway, is an empty field.
function fieldOf(knob: Knob, spec: Spec): string | boolean | readonly string[] {
  const value = at(spec, knob.path);
  if (knob.kind === "list") return (value as string[]) ?? [];
  if (knob.kind === "switch") return value === true;
  const isDefault = String(value) === knob.preset && !knob.words_when;
  if (value === undefined || value === null || value === "" || isDefault) return "";
  return value === 0 && !knob.tells_zero ? "" : String(value);
}

/** What a specification says of the knobs that are not among `told`, for a list of it all. */
export function otherKnobs(spec: Spec, told: readonly KnobId[]): [string, string][] {
  return knobs.flatMap((knob) => {
    const value = told.includes(knob.id) ? "" : fieldOf(knob, spec);
    return value === "" || value === false ? [] : [[knob.label, String(value)] as [string, string]];
  });
}

/** The form that submits `spec` again. `runId` is where a declared config.json is read from. */
export function formOf(spec: Spec, runId: string): Partial<Form> {
  return {
    ...Object.fromEntries(knobs.filter((k) => k.id !== "model_config").map((k) => [k.id, fieldOf(k, spec)])),
    loop: isOpen(spec) ? "open" : "closed",
    config_from: spec.external?.model_config ? runId : "",
  };
}
