// What a pass of a model costs and how fast hardware can be, without running it. The form is the address.
import "../style/estimate.css";
import { useEffect, useState } from "preact/hooks";
import { type ApiError, post } from "../lib/api.ts";
import {
  amount,
  compact,
  estimateCommand,
  estimated,
  estimateSchema,
  type EstimateState,
  fields,
  fitsAddress,
  modelsOf,
  requestOf,
  scaled,
} from "../lib/estimate.ts";
import { short } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import { useUrlState } from "../lib/router.ts";
import { tables } from "../lib/tables.ts";
import type { EstimateReply, Figure, Nodes } from "../lib/types.ts";
import { Command } from "../ui/command.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { controlProps, Labelled, SelectField, TextField } from "../ui/field.tsx";

export function EstimateView() {
  const [state, set] = useUrlState(estimateSchema) as unknown as [
    EstimateState,
    (changes: Partial<EstimateState>, draft?: boolean) => void,
  ];
  const [long, setLong] = useState(""); // a config.json for which the address has no room
  const nodes = useResource<Nodes>("nodes");
  const models = modelsOf(nodes.value);
  const own = long || state.config;
  const setConfig = (text: string, draft = false) => {
    const fits = fitsAddress(text);
    setLong(fits ? "" : text);
    set({ config: fits ? text : "" }, draft);
  };
  const model = own ? undefined : (models.find((m) => m.name === state.model) ?? models[0]);
  const config = own || (model?.config ?? "");
  const { reply, error } = useEstimate(config ? requestOf(state, config) : null);
  const faultOf = (field: string) => (error?.field === field ? error.message : undefined);
  const known = ["model_config", "hardware", "precision", "cache_precision", ...fields.map((f) => f.field)];

  return (
    <>
      <h1>Estimate</h1>
      <p class="soft">
        Bytes and operations of one forward pass from a config.json alone, and the time that hardware needs for them at
        least. Nothing is run; the address holds what you fill in.
      </p>
      <div class="estimate" data-testid="estimate">
        <div class="fields">
          <SelectField
            name="model"
            title="Model"
            value={own ? "" : (model?.name ?? "")}
            options={[
              ...models.map((m) => ({ value: m.name, title: m.name, group: "Of the nodes" })),
              { value: "", title: "config.json below" },
            ]}
            onInput={(name) => {
              setLong("");
              set(name ? { model: name, config: "" } : { model: "" });
            }}
          />
          <TextField
            name="hardware"
            title="Hardware"
            value={state.hardware}
            placeholder="none: no times"
            suggestions={[...tables.devices]}
            hint="8x in front of a name: as many"
            fault={faultOf("hardware")}
            onInput={(hardware) => set({ hardware }, true)}
          />
          <SelectField
            name="phase"
            title="Phase"
            value={state.phase}
            options={[
              { value: "decode", title: "decode: a token of each" },
              { value: "prefill", title: "prefill: all of them" },
            ]}
            onInput={(phase) => set({ phase: phase as EstimateState["phase"] })}
          />
          {fields
            .filter((f) => f.key !== "cached" || state.phase === "prefill")
            .map((f) => (
              <TextField
                key={f.key}
                name={f.key}
                title={f.title}
                value={state[f.key]}
                hint={f.hint}
                fault={faultOf(f.field)}
                onInput={(text) => set({ [f.key]: text }, true)}
                numeric
              />
            ))}
          <Precision
            name="precision"
            title="Weights in"
            value={state.precision}
            fault={faultOf("precision")}
            set={(precision) => set({ precision })}
          />
          <Precision
            name="cache"
            title="KV cache in"
            value={state.cache}
            fault={faultOf("cache_precision")}
            set={(cache) => set({ cache })}
          />
          <SelectField
            name="mla"
            title="Latent attention"
            value={state.mla}
            options={[
              { value: "expanded", title: "expanded" },
              { value: "absorbed", title: "absorbed, as engines decode" },
            ]}
            onInput={(mla) => set({ mla: mla as EstimateState["mla"] })}
          />
          <Config
            value={own}
            long={long !== ""}
            fault={faultOf("model_config")}
            set={(text) => setConfig(text, true)}
          />
        </div>
        {error && !known.includes(error.field ?? "") && <ErrorBox error={error} />}
        {!config && nodes.value && (
          <p class="soft" data-testid="no-model">
            No node offers a model whose config.json is known: paste one above.
          </p>
        )}
        {reply && (
          <div class={error ? "stale" : ""}>
            <Results reply={reply} />
          </div>
        )}
        <Command words={estimateCommand(state, model?.path ?? "")} />
      </div>
    </>
  );
}

function Precision(props: { name: string; title: string; value: string; fault?: string; set: (p: string) => void }) {
  return (
    <SelectField
      name={props.name}
      title={props.title}
      value={props.value}
      fault={props.fault}
      options={[{ value: "", title: "as config.json says" }, ...tables.precisions.map((p) => ({ value: p, title: p }))]}
      onInput={props.set}
    />
  );
}

interface ConfigProps {
  value: string;
  long: boolean;
  fault?: string;
  set: (text: string) => void;
}

function Config({ value, long, fault, set }: ConfigProps) {
  const hint = long
    ? "too long for the address: a link to this page does not hold it"
    : "of a model that no node has; instead of the model above";
  const frame = { name: "config", title: "config.json", fault, hint };
  return (
    <Labelled {...frame} wide>
      <textarea
        {...controlProps(frame)}
        rows={3}
        spellcheck={false}
        value={value}
        placeholder='{"model_type": "qwen3_moe", "num_hidden_layers": 48, ...}'
        onInput={(event) => set(compact(event.currentTarget.value))}
      />
    </Labelled>
  );
}

const restMs = 200;

/** The answer to what is asked for, once typing has rested. What was answered last stays until something newer came. */
function useEstimate(request: Record<string, unknown> | null): { reply?: EstimateReply; error?: ApiError } {
  const [answer, set] = useState<{ reply?: EstimateReply; error?: ApiError }>({});
  const body = request && JSON.stringify(request);

  useEffect(() => {
    if (body === null) return set({});
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      const result = await post<EstimateReply>("estimate", JSON.parse(body), stop.signal);
      if (stop.signal.aborted) return;
      set((old) => (result.ok ? { reply: result.value } : { reply: old.reply, error: result.error }));
    }, restMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [body]);
  return answer;
}

const tiles: [id: string, title: string][] = [
  ["floor_ms", "Time at least"],
  ["floor_tokens_per_s", "Rate at most"],
  ["smbu", "S-MBU"],
  ["smfu", "S-MFU"],
  ["bytes", "Bytes"],
  ["flops", "Operations"],
];

function Results({ reply }: { reply: EstimateReply }) {
  return (
    <>
      <p data-testid="estimate-of">
        <b>{reply.family}</b>: {scaled(reply.parameters)} parameters, {scaled(reply.active_parameters)} active;{" "}
        {reply.moe_layers} of {reply.layers} layers with {reply.experts} experts, top-{reply.top_k}; kept in{" "}
        {reply.precision}, cache in {reply.cache_precision}
        {reply.device && (
          <>
            ; on {reply.devices} × {reply.device}
            {reply.bandwidth_gb_s !== undefined && `, ${short(reply.bandwidth_gb_s)} GB/s`}
            {reply.tflops !== undefined && `, ${short(reply.tflops)} TFLOP/s ${reply.compute ?? ""}`}
            {reply.bound && `; bound by ${reply.bound}`}
          </>
        )}
      </p>
      <dl class="tiles">
        {tiles.map(([id, title]) => (
          <Tile key={id} title={title} figure={estimated(reply, id)} />
        ))}
      </dl>
      <Parts reply={reply} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Figures">
        <table>
          <caption>Figures</caption>
          <thead>
            <tr>
              <th scope="col">figure</th>
              <th scope="col">value</th>
              <th scope="col">range</th>
              <th scope="col">basis</th>
            </tr>
          </thead>
          <tbody>
            {reply.figures.map((f) => (
              <tr key={f.id}>
                <th scope="row">{f.id}</th>
                <td>{f.value === undefined ? <span class="soft">– ({f.reason})</span> : <Value figure={f} />}</td>
                <td>{rangeOf(f)}</td>
                <td>{f.basis}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ul class="soft" data-testid="notes">
        {reply.notes.map((n) => (
          <li key={n}>{n}</li>
        ))}
      </ul>
    </>
  );
}

function rangeOf(figure: Figure): string {
  if (figure.low === undefined || figure.high === undefined) return "";
  return `${amount(figure, figure.low)} to ${amount(figure, figure.high)}`;
}

function Value({ figure }: { figure: Figure }) {
  const text = amount(figure, figure.value!);
  return figure.invalid ? (
    <span class="invalid" tabIndex={0} data-tip={"Invalid: " + figure.reason}>
      <s>{text}</s>
      <span class="away-from-eyes"> invalid: {figure.reason}</span>
    </span>
  ) : (
    <>{text}</>
  );
}

function Tile({ title, figure }: { title: string; figure: Figure | undefined }) {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <span class="big">{figure?.value === undefined ? "–" : <Value figure={figure} />}</span>
        <small class="soft">
          {figure?.value === undefined ? figure?.reason : figure.invalid ? figure.reason : rangeOf(figure)}
        </small>
      </dd>
    </div>
  );
}

function Parts({ reply }: { reply: EstimateReply }) {
  const most = { bytes: 0, flops: 0 };
  for (const p of reply.parts) {
    most.bytes += p.bytes;
    most.flops += p.flops;
  }
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="By part" data-testid="parts">
      <table>
        <caption>By part</caption>
        <thead>
          <tr>
            <th scope="col">part</th>
            <th scope="col">bytes</th>
            <th scope="col" class="portion" aria-hidden="true" />
            <th scope="col">operations</th>
            <th scope="col" class="portion" aria-hidden="true" />
          </tr>
        </thead>
        <tbody>
          {reply.parts
            .filter((p) => p.bytes > 0 || p.flops > 0)
            .map((p) => (
              <tr key={p.id}>
                <th scope="row" data-tip={p.text} tabIndex={0}>
                  {p.id}
                </th>
                <td>{scaled(p.bytes)}B</td>
                <td class="portion">
                  <Bar share={p.bytes / most.bytes} />
                </td>
                <td>{scaled(p.flops)}FLOP</td>
                <td class="portion">
                  <Bar share={p.flops / most.flops} />
                </td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function Bar({ share }: { share: number }) {
  return (
    <span class="bar" aria-hidden="true">
      <i style={{ width: `${100 * (share || 0)}%` }} />
    </span>
  );
}
