// What a node says of its machine, in words: the Nodes page and a run's provenance say it alike.

import { bytes, plural, short } from "./format.ts";
import { tables } from "./tables.ts";
import type { NodeEntry, NodeHardware } from "./types.ts";

/** What a node can run by itself, and the kinds of server that it can only ask: somebody else runs them. */
export function enginesOf({ engines, url_engines }: NodeEntry["hello"]): { runs: string[]; asks: string[] } {
  const asked = (word: string) => tables.engines.some((e) => e.word === word && e.server && !e.started);
  return {
    runs: engines.filter((word) => !asked(word)),
    asks: [...new Set([...engines.filter(asked), ...(url_engines ?? [])])],
  };
}

export function processorOf(h: NodeHardware): string {
  const parts = [
    h.cpu || "unknown",
    h.cores && plural(h.cores, "core"),
    h.sockets && h.sockets > 1 && plural(h.sockets, "socket"),
    h.numa_nodes && h.numa_nodes > 1 && plural(h.numa_nodes, "NUMA node"),
    h.last_level_cache_bytes && `${bytes(h.last_level_cache_bytes)} of last-level cache`,
  ];
  return parts.filter(Boolean).join(", ");
}

/** What matrix multiplication attained when the node started, and whether it was busy then. */
export function computeOf(h: NodeHardware): string {
  if (!h.compute?.length) return "not measured";
  const rates = h.compute.map((r) => `${r.precision} ${short(r.gflop_per_s)}`).join(", ");
  const busy = h.probe_load !== undefined && h.probe_load > 0.5 * (h.cores ?? 1);
  return `${rates} GFLOP/s, measured${busy ? ` at a load of ${short(h.probe_load!)}: an idle machine attains more` : ""}`;
}

export function throttledOf(h: NodeHardware): string {
  if (h.throttle_events === undefined) return "";
  return h.throttle_events === 0 ? "never throttled" : `throttled ${h.throttle_events} times since it started`;
}

/** Who tells what the machine draws, and why others cannot; of an older node nothing is known. */
export function powerOf(h: NodeHardware): string[] {
  return (h.power ?? []).map((p) => `${p.source}: ${p.works ? p.devices : p.reason}`);
}
