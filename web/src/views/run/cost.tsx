// What the run costs, with inputs that anyone may change: the result follows, nothing is stored, and the address
// holds every change.
import "../../style/cost.css";
import { useEffect, useState } from "preact/hooks";
import {
  costCommand,
  costKnobs,
  type CostKnob,
  costPath,
  type CostState,
  isChanged,
  machineOf,
  nothingGiven,
  saidOf,
} from "../../lib/cost.ts";
import { short } from "../../lib/format.ts";
import { type Resource, useResource } from "../../lib/resource.ts";
import { besideField } from "../../lib/spec.ts";
import type { CostBasis, CostReply, CostTerm, Figure, Run } from "../../lib/types.ts";
import { Command } from "../../ui/command.tsx";
import { ErrorBox } from "../../ui/errorbox.tsx";
import { TextField } from "../../ui/field.tsx";
import { FigureValue } from "../../ui/figure.tsx";
import { useRunState } from "./state.ts";

export function Cost({ run }: { run: Run }) {
  const [state, set] = useRunState();
  const id = run.row.run_id;
  const path = useRested(costPath(id, state));
  const asked = useResource<CostReply>(path);
  const reply = useLast(asked);
  const blamed = asked.error?.field;
  const isOfField = costKnobs.some((k) => k.id === blamed);

  if (asked.error && !isOfField && !reply) return <ErrorBox error={asked.error} retry={asked.reload} />;
  if (!reply) return <p class="soft">Loading…</p>;
  return (
    <div class="cost" data-testid="cost">
      <div class={asked.loading || asked.error ? "stale" : ""}>
        <Results reply={reply} />
      </div>
      {asked.error && !isOfField && <ErrorBox error={asked.error} retry={asked.reload} />}
      <section aria-label="Inputs">
        <h2>Inputs</h2>
        <p class="soft">
          {machineOf(reply.basis)}. An empty field is what it says in grey. Nothing is stored: the address of this page
          holds what you change.
        </p>
        <div class="fields">
          {costKnobs.map((knob) => {
            const term = reply.basis.terms.find((t) => t.id === knob.id);
            const name = knob.id as CostKnob;
            return (
              <TextField
                key={knob.id}
                name={knob.id}
                title={knob.label + (knob.unit && knob.unit !== "share" ? `, ${knob.unit}` : "")}
                value={state[name]}
                placeholder={placeholderOf(term, state[name])}
                hint={<Hint term={term} basis={reply.basis} help={knob.help} typed={state[name] !== ""} />}
                fault={blamed === knob.id ? besideField(knob.path, asked.error!.message) : undefined}
                onInput={(text) => set({ [name]: text } as Partial<CostState>, true)}
                numeric
              />
            );
          })}
        </div>
        <p class="buttons">
          <button
            type="button"
            disabled={!isChanged(state)}
            onClick={() => set({ ...nothingGiven, from: "run" })}
            data-tip="Take back every change"
          >
            As submitted
          </button>
          <button
            type="button"
            disabled={state.from === "defaults" && !isChanged({ ...state, from: "run" })}
            onClick={() => set({ ...nothingGiven, from: "defaults" })}
            data-tip="As if nobody had given any price"
          >
            Defaults
          </button>
        </p>
      </section>
      <Command words={costCommand(id, state)} />
    </div>
  );
}

const restMs = 200;

/** The address once typing has rested. */
function useRested(path: string): string {
  const [rested, set] = useState(path);
  useEffect(() => {
    const timer = setTimeout(() => set(path), restMs);
    return () => clearTimeout(timer);
  }, [path]);
  return rested;
}

/** What was answered last stays until something newer came, and while what is typed is wrong. */
function useLast({ value }: Resource<CostReply>): CostReply | undefined {
  const [last, set] = useState(value);
  useEffect(() => {
    if (value) set(value);
  }, [value]);
  return value ?? last;
}

function placeholderOf(term: CostTerm | undefined, typed: string): string {
  return term?.value === undefined || typed !== "" ? "" : short(term.value);
}

function Hint({
  term,
  basis,
  help,
  typed,
}: {
  term: CostTerm | undefined;
  basis: CostBasis;
  help: string;
  typed: boolean;
}) {
  if (!term) return null;
  if (!term.used && term.id === "rent") return <>{help}</>;
  if (!term.used) return <>without effect: the rent covers it</>;
  if (typed && term.source === "given") return <>{help}</>;
  return (
    <>
      {saidOf(term)}
      {term.source === "unknown" && basis.device && ` for ${basis.device}`}
    </>
  );
}

const tiles: [id: string, title: string][] = [
  ["cost_per_1m_output_tokens", "1M output tokens"],
  ["cost_per_1m_input_tokens", "1M input tokens"],
  ["cost_per_request", "Request"],
  ["cost_per_correct", "Right answer"],
  ["cost_per_hour", "Machine, by the hour"],
  ["run_cost", "This run"],
];

function Results({ reply }: { reply: CostReply }) {
  const figureOf = (id: string) => reply.figures.find((f) => f.id === id);
  return (
    <>
      <dl class="tiles" data-testid="costs" aria-live="polite">
        {tiles.map(([id, title]) => (
          <Tile key={id} id={id} title={title} figure={figureOf(id)} />
        ))}
      </dl>
      <p class="soft sharing">{sentence(reply.basis.sharing)}.</p>
      <Hour figures={reply.figures} rented={reply.basis.rented} />
    </>
  );
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function Tile({ id, title, figure }: { id: string; title: string; figure: Figure | undefined }) {
  const known = figure?.value !== undefined && !figure.invalid;
  return (
    <div class="tile" data-testid={"cost-" + id}>
      <dt>{title}</dt>
      <dd>
        <span class="big">
          <FigureValue figure={figure} />
        </span>
        {known && <span class="soft"> {figure.unit}</span>}
        {known ? <small class="soft">{figure.basis}</small> : <small class="soft">{figure?.reason}</small>}
      </dd>
    </div>
  );
}

const portions: [id: string, title: string][] = [
  ["cost_per_hour_devices", "Devices"],
  ["cost_per_hour_host", "Host"],
  ["cost_per_hour_energy", "Energy"],
];

/** What an hour is made of. */
function Hour({ figures, rented }: { figures: readonly Figure[]; rented: boolean }) {
  const valueOf = (id: string) => figures.find((f) => f.id === id)?.value;
  const total = valueOf("cost_per_hour");
  if (total === undefined || total <= 0 || rented) return null;
  return (
    <table class="hour" data-testid="hour">
      <caption>An hour of {short(total)} USD</caption>
      <tbody>
        {portions.map(([id, title]) => {
          const share = (valueOf(id) ?? 0) / total;
          return (
            <tr key={id}>
              <th scope="row">{title}</th>
              <td class="number">{short(valueOf(id) ?? 0)}</td>
              <td class="number soft">{(share * 100).toFixed(1)} %</td>
              <td class="portion" aria-hidden="true">
                <span class="bar">
                  <i style={{ width: `${share * 100}%` }} />
                </span>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
