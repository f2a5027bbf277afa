// Where a result comes from: what was asked, what was declared, what ran, on what, and the digests that say so.
import { costKnobs, machineOf, saidOf } from "../../lib/cost.ts";
import { bytes, counted, duration, parameters, plural, short } from "../../lib/format.ts";
import { computeOf, powerOf, processorOf, throttledOf } from "../../lib/machine.ts";
import { loadSentence } from "../../lib/load.ts";
import { useResource } from "../../lib/resource.ts";
import { type KnobId, otherKnobs } from "../../lib/spec.ts";
import type { CostBasis, Events, NodeHardware, Run, ShardReport, Spec } from "../../lib/types.ts";
import { Card, code, type Fact, or } from "../../ui/card.tsx";
import { ErrorBox } from "../../ui/errorbox.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Time } from "../../ui/time.tsx";

export function Provenance({ run }: { run: Run }) {
  const { row, task } = run;
  return (
    <div class="cards">
      <Card title="Configuration" facts={configuration(row.spec)} />
      <Declared spec={row.spec} />
      <Card title="What ran" facts={whatRan(row.report, row.node)}>
        {row.report && row.report.notes.length > 0 && <Notes notes={row.report.notes} />}
      </Card>
      <Card title={row.spec.external?.url ? "Client machine" : "Machine"} facts={machine(row.report)} />
      {run.cost && <Card title="Cost was counted with" facts={pricedWith(run.cost)} />}
      <Card
        title="Task"
        facts={[
          ["Name", <a href={"/tasks/" + encodeURIComponent(row.task)}>{row.task}</a>],
          ["Version", or(task?.version, "unknown")],
          ["Split", or(task?.split, "unknown")],
          ["Kind", or(task?.output_type, "unknown")],
          ["Task default (few-shot)", or(task?.num_fewshot, "unknown")],
          ["Samples", `${run.samples_total.toLocaleString("en")} of ${(task?.samples ?? 0).toLocaleString("en")}`],
          ["Definition", code(task?.definition_sha256)],
          ["Data", code(task?.data_sha256)],
        ]}
      />
      <Card
        title="Times and digests"
        facts={[
          ["Queued", <Time ms={row.queued_at_ms} />],
          ["Ended", row.ended_at_ms ? <Time ms={row.ended_at_ms} /> : or("", "not yet")],
          ["Configuration", code(row.config_hash)],
          ["Weights", code(row.report?.model_sha256)],
          ["Run", code(row.run_id)],
          ["Evaluation", code(row.evaluation_id)],
        ]}
      />
      <History id={row.run_id} />
    </div>
  );
}

const eventsMax = 200;

function History({ id }: { id: string }) {
  const events = useResource<Events>(`runs/${encodeURIComponent(id)}/events?limit=${eventsMax}`);
  return (
    <section class="card">
      <h2>What happened</h2>
      {events.error && <ErrorBox error={events.error} retry={events.reload} />}
      {events.value && (
        <ol class="plain history" data-testid="history">
          {events.value.events.map((e) => (
            <li key={e.id}>
              <span class="soft">
                <Time ms={e.at_ms} seconds />
              </span>
              <span>
                <b>{e.kind}</b> {e.text}
              </span>
            </li>
          ))}
        </ol>
      )}
      {events.value?.next_after !== undefined && (
        <p class="soft">
          And more; <code>/api/v1/runs/{id}/events</code> has all.
        </p>
      )}
    </section>
  );
}

function pricedWith(basis: CostBasis): Fact[] {
  return [
    ["Machine", machineOf(basis)],
    ...basis.terms.flatMap((term): Fact[] => {
      const knob = costKnobs.find((k) => k.id === term.id);
      if (!term.used || !knob) return [];
      const value = term.value === undefined ? "unknown" : `${short(term.value)} ${term.unit}`.trim();
      return [
        [
          knob.label,
          <>
            {value} <span class="soft">{saidOf(term)}</span>
          </>,
        ],
      ];
    }),
  ];
}

function configuration(spec: Spec): Fact[] {
  const g = spec.generation,
    own = "task default";
  return [
    ["Model", spec.model],
    ["Revision", or(spec.revision, "not given")],
    ["Engine", spec.engine],
    ["Precision", or(spec.precision, "not declared")],
    ["Load", loadSentence(spec)],
    ["Samples", samplesOf(spec)],
    ["Repeats", spec.repeats || 1],
    ["Seed", spec.seed],
    ["Few-shot examples", or(spec.num_fewshot, own)],
    ["Prompt format", spec.prompt_format || "text"],
    ["Max tokens", g?.max_tokens ? plural(g.max_tokens, "token") : or("", own)],
    ["Temperature", or(g?.temperature, own)],
    ["Top p", or(g?.top_p, "off")],
    ["Top k", g?.top_k ? g.top_k : or("", "off")],
    ["Ignore end-of-sequence", g?.ignore_eos ? "yes: always generates max tokens" : "no"],
    ["Submitter", spec.submitter],
    ["Priority", spec.priority],
    ["Note", or(spec.note, "none")],
    ...otherKnobs(spec, told),
  ];
}

/** Knobs that these cards tell in words of their own; a knob that is not here is told by its row of the table. */
const told: readonly KnobId[] = [
  ...(["model", "tasks", "engine", "precision", "concurrency", "limit", "sampling", "fewshot"] as const),
  ...(["max_tokens", "temperature", "top_p", "top_k", "ignore_eos", "seed", "repeats", "format"] as const),
  ...(["priority", "submitter", "note", "revision", "hardware", "device", "tensor", "pipeline", "data"] as const),
  ...(["rate", "arrivals", "burstiness", "ramp_to", "ramp_s", "replay"] as const),
  ...(["expert", "url", "served_model", "model_config", "activation_profile", "key_env", "device_count"] as const),
];

function samplesOf(spec: Spec): string {
  const share = spec.sampling === undefined ? "" : `a random ${short(spec.sampling * 100)} %`;
  return (
    [spec.limit ? `the first ${spec.limit.toLocaleString("en")}` : "", share].filter(Boolean).join(", of these ") ||
    "all"
  );
}

/** Of a CSV with a head. */
function batchSizes(csv: string | undefined) {
  const rows = (csv ?? "").split("\n").filter((line) => line.trim()).length - 1;
  return rows > 0 ? `experts at ${plural(rows, "batch size")}` : or("", "none");
}

/** What nobody measured: the submitter said it. */
function Declared({ spec }: { spec: Spec }) {
  const { external: e, parallelism: p, hardware: h } = spec;
  if (!e?.url && !h?.description && !h?.device) return null;
  const ways = p
    ? (
        [
          ["tensor", p.tensor],
          ["pipeline", p.pipeline],
          ["data", p.data],
          ["expert", p.expert],
        ] as const
      ).filter(([, n]) => (n ?? 1) > 1)
    : [];
  return (
    <Card
      title="Declared by the submitter"
      facts={[
        ["Server", code(e?.url)],
        ["Model name on the server", or(e?.served_model, "same as the model")],
        ["Hardware", or(h?.description || h?.device, "not declared")],
        ["Parallelism", ways.length ? ways.map(([name, n]) => `${name} ${n}`).join(", ") : "none"],
        ["Activation profile", batchSizes(spec.activation_profile)],
        ["config.json", e?.model_config ? `${bytes(e.model_config.length)} of text` : or("", "not declared")],
      ]}
    />
  );
}

function whatRan(report: ShardReport | undefined, node: string): Fact[] {
  if (!report)
    return [
      ["Report", <span class="soft">none: no node has finished a part of this run</span>],
      ["Node", or(node, "none yet")],
    ];
  const unknown = "unknown";
  return [
    ["Node", or(node, unknown)],
    ["Engine version", or(report.engine_version, unknown)],
    [
      "Timing",
      report.timing_boundary === "engine"
        ? "inside the engine"
        : report.timing_boundary === "http"
          ? "over HTTP"
          : unknown,
    ],
    ["Model family", or(report.model_family, unknown)],
    [
      "Experts",
      report.experts && report.moe_layers && report.top_k
        ? `${report.experts} in each of ${plural(report.moe_layers, "layer")}, ${report.top_k} chosen per token`
        : or("", unknown),
    ],
    [
      "Parameters",
      report.parameters === undefined
        ? or("", unknown)
        : `${parameters(report.parameters)}, ${report.active_parameters === undefined ? "active unknown" : parameters(report.active_parameters) + " used per token"}`,
    ],
    ["Threads", report.threads || or("", unknown)],
    ["Kernels", or(report.isa, unknown)],
    ["Retries", `${report.retries} requests repeated before their first byte`],
    ...(report.routing_source ? [["Routing of", report.routing_source] as Fact] : []),
    ...(report.routing_unknown ? [["Routing", report.routing_unknown] as Fact] : []),
  ];
}

function Notes({ notes }: { notes: string[] }) {
  return (
    <ul class="notes">
      {notes.map((n) => (
        <li key={n}>
          <Icon name="info" />
          <span>{n}</span>
        </li>
      ))}
    </ul>
  );
}

function machine(report: ShardReport | undefined): Fact[] {
  const h: NodeHardware | undefined = report?.hardware;
  if (!h) return [["Hardware", <span class="soft">not reported</span>]];
  return [
    [
      "Devices",
      h.devices.length
        ? `${counted(h.devices)}${h.device_memory_bytes ? ` (${bytes(h.device_memory_bytes)})` : ""}`
        : "no GPU",
    ],
    ["Processor", processorOf(h)],
    ["Table of devices", h.known_as || "not in it"],
    ["Memory", h.memory_bytes ? bytes(h.memory_bytes) : "unknown"],
    [
      "Read bandwidth",
      h.read_bandwidth_gb_s === undefined ? or("", "not measured") : `${short(h.read_bandwidth_gb_s)} GB/s, measured`,
    ],
    ["Computes", computeOf(h)],
    ["Power", or(powerOf(h).join("; "), "unknown")],
    ["Instructions", or(h.isa.join(", "), "unknown")],
    ["Kernel", or(h.kernel, "unknown")],
    ["Governor", or([h.governor, throttledOf(h)].filter(Boolean).join(", "), "unknown")],
    ["Host load (1 min), at the end", short(report!.load_average)],
  ];
}

export function Attempts({ run }: { run: Run }) {
  if (run.attempts.length === 0) return null;
  return (
    <>
      <h2>Attempts</h2>
      {run.attempts.length > 1 && (
        <p class="soft">
          More than one attempt: answered samples are not asked again, and times of different attempts are not mixed.
        </p>
      )}
      <div class="scroll">
        <table class="attempts" data-testid="attempts">
          <thead>
            <tr>
              <th scope="col" class="number">
                No.
              </th>
              <th scope="col">Node</th>
              <th scope="col">Started</th>
              <th scope="col" class="number">
                Took
              </th>
              <th scope="col">Outcome</th>
            </tr>
          </thead>
          <tbody>
            {run.attempts.map((a) => (
              <tr key={`${a.shard}-${a.fence}`}>
                <td class="number">{a.attempt}</td>
                <td>{a.node}</td>
                <td>
                  <Time ms={a.started_at_ms} />
                </td>
                <td class="number">{a.ended_at_ms ? duration(a.ended_at_ms - a.started_at_ms) : "–"}</td>
                <td class="wrap">{a.outcome || "in progress"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
