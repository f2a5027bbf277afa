// An estimate as data: what the form holds stands in the address, each field a text; the server judges what it is.
import { type Schema, choice, text } from "./urlstate.ts";
import type { EstimateReply, Figure, NodeModel, Nodes } from "./types.ts";

export const estimateSchema = {
  model: text(), // of a node, by name
  config: text(), // a config.json instead
  hardware: text(),
  phase: choice(["decode", "prefill"] as const, "decode"),
  batch: text("1"),
  context: text("1024"),
  cached: text(),
  activated: text(),
  step: text(), // seconds
  precision: text(),
  cache: text(),
  tp: text(),
  mla: choice(["expanded", "absorbed"] as const, "expanded"),
} satisfies Schema;

export type EstimateState = {
  [K in keyof typeof estimateSchema]: ReturnType<(typeof estimateSchema)[K]["parse"]> & {};
};

/** Text fields: their name in the request, and in `moecap estimate`. */
export const fields = [
  { key: "batch", field: "batch", flag: "batch", title: "Batch size", hint: "sequences of the pass", whole: true },
  {
    key: "context",
    field: "context_tokens",
    flag: "context",
    title: "Context",
    hint: "tokens of each, after the pass",
    whole: true,
  },
  {
    key: "cached",
    field: "cached_tokens",
    flag: "cached",
    title: "Cached",
    hint: "prefill: of each, in the cache already",
    whole: true,
  },
  {
    key: "activated",
    field: "activated",
    flag: "activated",
    title: "Activated experts",
    hint: "of each MoE layer; empty: uniform choices",
    whole: false,
  },
  {
    key: "step",
    field: "step_time_s",
    flag: "step-time",
    title: "Step time, s",
    hint: "gives S-MBU and S-MFU",
    whole: false,
  },
  {
    key: "tp",
    field: "devices",
    flag: "tp",
    title: "Devices",
    hint: "that share the model; empty: as many as the hardware says",
    whole: true,
  },
] as const;

export type FieldKey = (typeof fields)[number]["key"];

/** What is typed as a number where it is one; what is not, the server refuses by its name. */
function typed(value: string): number | string {
  const trimmed = value.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

export function requestOf(state: EstimateState, config: string): Record<string, unknown> {
  const request: Record<string, unknown> = { model_config: config, phase: state.phase };
  for (const { key, field } of fields) if (state[key].trim() !== "") request[field] = typed(state[key]);
  if (state.hardware.trim()) request["hardware"] = state.hardware.trim();
  if (state.precision) request["precision"] = state.precision;
  if (state.cache) request["cache_precision"] = state.cache;
  if (state.mla === "absorbed") request["absorbed"] = true;
  return request;
}

const quoted = (value: string) => (/^[\w.,:/-]+$/.test(value) ? value : `"${value.replace(/(["\\$`])/g, "\\$1")}"`);

/** The same as words of a shell. */
export function estimateCommand(state: EstimateState, modelPath: string): string[] {
  const options = fields.flatMap(({ key, flag }) =>
    state[key].trim() ? [`--${flag} ${quoted(state[key].trim())}`] : [],
  );
  return [
    `moecap estimate --model ${quoted(modelPath || "config.json")}`,
    ...(state.hardware.trim() ? [`--hardware ${quoted(state.hardware.trim())}`] : []),
    ...(state.phase === "prefill" ? ["--phase prefill"] : []),
    ...options,
    ...(state.precision ? [`--precision ${state.precision}`] : []),
    ...(state.cache ? [`--cache-precision ${state.cache}`] : []),
    ...(state.mla === "absorbed" ? ["--mla absorbed"] : []),
  ];
}

/** Models of the nodes whose config.json is known, each name once. */
export function modelsOf(nodes: Nodes | undefined): NodeModel[] {
  const seen = new Map<string, NodeModel>();
  for (const node of nodes?.nodes ?? [])
    for (const model of node.hello.models) if (model.config && !seen.has(model.name)) seen.set(model.name, model);
  return [...seen.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** Without blanks, if it is JSON: it stands in the address. */
export function compact(config: string): string {
  try {
    return JSON.stringify(JSON.parse(config));
  } catch {
    return config;
  }
}

/** The gateway takes addresses of 8 KiB. */
export const fitsAddress = (config: string): boolean => encodeURIComponent(config).length <= 6000;

export const estimated = (reply: EstimateReply, id: string): Figure | undefined =>
  reply.figures.find((f) => f.id === id);

const units: [factor: number, name: string][] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** 435,654,437,000 -> "435.7 G", for bytes and operations. */
export function scaled(value: number): string {
  const [factor, name] = units.find(([f]) => value >= f) ?? [1, ""];
  return `${Number((value / factor).toPrecision(4))} ${name}`.trimEnd() + (name ? "" : " ");
}

/** A figure's number with its unit; shares in percent. */
export function amount(figure: Figure, value: number): string {
  switch (figure.unit) {
    case "ratio":
      return `${Number((100 * value).toPrecision(4))} %`;
    case "bytes":
      return `${scaled(value)}B`;
    case "FLOP":
      return `${scaled(value)}FLOP`;
    default:
      return `${value < 1000 ? Number(value.toPrecision(4)) : Math.round(value).toLocaleString("en")} ${figure.unit}`;
  }
}
