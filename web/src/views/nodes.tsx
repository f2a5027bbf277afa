// The machines that are connected now: what each is, offers and does. Asked again every two seconds.
import "../style/nodes.css";
import type { ComponentChildren } from "preact";
import { bytes, counted, plural, short } from "../lib/format.ts";
import { useQueue } from "../lib/live.ts";
import { computeOf, enginesOf, powerOf, processorOf, throttledOf } from "../lib/machine.ts";
import { useResource } from "../lib/resource.ts";
import type { NodeEntry, NodeHardware, NodeModel, Nodes, RunProgress } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { Icon } from "../ui/icon.tsx";
import { RunAmount } from "../ui/runline.tsx";
import { Time } from "../ui/time.tsx";

const refreshMs = 2000;
const silentMs = 6000; // two beats missed (docs/config.md, node_timeout_ms)

export function NodesView() {
  const nodes = useResource<Nodes>("nodes", refreshMs);
  const { queue } = useQueue();

  if (nodes.error && !nodes.value) return <ErrorBox error={nodes.error} retry={nodes.reload} />;
  if (!nodes.value)
    return (
      <>
        <h1>Nodes</h1>
        <p class="soft">Loading…</p>
      </>
    );
  const list = [...nodes.value.nodes].sort((a, b) => a.hello.name.localeCompare(b.hello.name));
  const runs = new Map(queue?.entries.map((e) => [e.run.run_id, e.run]));
  return (
    <>
      <h1>Nodes</h1>
      <p class="soft" role="status">
        {plural(list.length, "node")} connected, {list.filter((n) => n.run_id).length} running
      </p>
      {nodes.error && <ErrorBox error={nodes.error} retry={nodes.reload} />}
      {list.length === 0 && (
        <div class="empty">
          <p>No node is connected, so submitted runs wait. Start one with the address of the scheduler:</p>
          <pre>moecap-inference --scheduler HOST:7861 --models DIRECTORY</pre>
        </div>
      )}
      <ul class="nodes" data-testid="nodes">
        {list.map((n) => (
          <Node key={n.node_id} node={n} run={runs.get(n.run_id)} />
        ))}
      </ul>
    </>
  );
}

function Node({ node, run }: { node: NodeEntry; run: RunProgress | undefined }) {
  const { hello } = node;
  const silent = node.last_beat_ms_ago > silentMs;
  const { runs, asks } = enginesOf(hello);
  const problems = hello.models.filter((m) => m.problem);
  return (
    <li class="node" data-testid="node">
      <header>
        <h2>{hello.name}</h2>
        <span class={"badge " + (silent ? "bad" : node.run_id ? "active" : "quiet")}>
          <Icon name={silent ? "warning" : node.run_id ? "play" : "clock"} />
          {silent ? "silent" : node.run_id ? "running" : "idle"}
        </span>
      </header>
      <p class="soft line">
        version {hello.version} · connected <Time ms={node.connected_at_ms} /> ·{" "}
        <span class={silent ? "bad" : ""}>last seen {beat(node.last_beat_ms_ago)} ago</span>
      </p>
      <Work node={node} run={run} />
      <Problems models={problems} />
      <dl class="facts">
        <Row name="Runs">
          <Chips words={runs} />
        </Row>
        {asks.length > 0 && (
          <Row name="Can ask">
            <span class="soft">servers that you run: {asks.join(", ")}</span>
          </Row>
        )}
        <Row name="Precisions">
          <Chips words={hello.precisions} />
        </Row>
        <Row name="Models">
          <Models models={hello.models.filter((m) => !m.problem)} anyPath={hello.any_model_path} />
        </Row>
        {hello.hardware && <Hardware hardware={hello.hardware} />}
        <Row name="OpenAI endpoint">
          {hello.endpoint ? <code>{hello.endpoint}</code> : <span class="soft">off</span>}
        </Row>
        <Row name="Address">
          {node.peer ? <code>{node.peer.replace(/^ipv[46]:/, "")}</code> : <span class="soft">unknown</span>}
        </Row>
      </dl>
    </li>
  );
}

function beat(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

function Row({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Work({ node, run }: { node: NodeEntry; run: RunProgress | undefined }) {
  if (!node.run_id) return null;
  return (
    <div class="work">
      <a href={"/runs/" + encodeURIComponent(node.run_id)}>{run ? `${run.model} on ${run.task}` : node.run_id}</a>
      {run && (
        <div class="how-far">
          <RunAmount run={run} />
        </div>
      )}
    </div>
  );
}

function Problems({ models }: { models: NodeModel[] }) {
  if (models.length === 0) return null;
  return (
    <ul class="problems">
      {models.map((m) => (
        <li key={m.path}>
          <Icon name="warning" />
          <span>
            <b>{m.name}</b> cannot be loaded: {m.problem}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Chips({ words }: { words: string[] }) {
  return words.length ? (
    <span class="chips">
      {words.map((w) => (
        <span key={w} class="chip">
          {w}
        </span>
      ))}
    </span>
  ) : (
    <span class="soft">none</span>
  );
}

function Models({ models, anyPath }: { models: NodeModel[]; anyPath: boolean }) {
  return (
    <>
      {models.length > 0 && (
        <ul class="plain">
          {models.map((m) => (
            <li key={m.path}>
              <a href={"/models/" + encodeURIComponent(m.name)}>{m.name}</a>{" "}
              <span class="soft">{[m.family, m.bytes && bytes(m.bytes)].filter(Boolean).join(", ")}</span>
            </li>
          ))}
        </ul>
      )}
      {anyPath && (
        <span class="soft">{models.length ? "and any directory, by its path" : "any directory, by its path"}</span>
      )}
      {!anyPath && models.length === 0 && <span class="soft">none</span>}
    </>
  );
}

function Hardware({ hardware: h }: { hardware: NodeHardware }) {
  const bandwidth = h.read_bandwidth_gb_s;
  return (
    <>
      {h.devices.length > 0 && (
        <Row name="Devices">
          {counted(h.devices)}
          {h.device_memory_bytes && ` (${bytes(h.device_memory_bytes)})`}
        </Row>
      )}
      <Row name="Processor">{processorOf(h)}</Row>
      <Row name="Memory">
        {h.memory_bytes ? bytes(h.memory_bytes) : "unknown"}
        {bandwidth !== undefined && `, read at ${short(bandwidth)} GB/s (measured)`}
      </Row>
      <Row name="Computes">{computeOf(h)}</Row>
      {powerOf(h).length > 0 && (
        <Row name="Power">
          <span data-testid="power">
            {powerOf(h).map((line) => (
              <div key={line}>{line}</div>
            ))}
          </span>
        </Row>
      )}
      {h.isa.length > 0 && (
        <Row name="Instructions">
          <Chips words={h.isa} />
        </Row>
      )}
      {(h.kernel || h.governor) && (
        <Row name="System">
          {[h.kernel, h.governor && `governor ${h.governor}`, throttledOf(h)].filter(Boolean).join(", ")}
        </Row>
      )}
    </>
  );
}
