// The API's replies as the page reads them: field names of proto/moecap/v1. What is unknown is absent.
import type { tables } from "./tables.ts";

export interface Figure {
  id: string;
  value?: number;
  reason: string;
  unit: string;
  basis: string;
  low?: number;
  high?: number;
  certified?: number; // of a percentile: the true one is at most this, with 99 % confidence
  invalid: boolean;
}

/** What a reader must know beside the figures, and the sentence why. */
export interface Mark {
  id: string;
  text: string;
  bad: boolean;
}

export type RunState = (typeof tables.run_states)[number];

export interface Spec {
  model: string;
  revision: string;
  engine: string;
  precision: string;
  tasks: string[];
  load?: {
    concurrency?: number;
    rate_per_s?: number;
    replay?: string;
    arrivals?: string;
    burstiness?: number;
    ramp_to_per_s?: number;
    ramp_s?: number;
    input_tokens?: number;
    output_tokens?: number;
  };
  hardware?: { description: string; device: string; device_count?: number } | null;
  parallelism?: { tensor?: number; pipeline?: number; data?: number; expert?: number } | null;
  generation?: {
    max_tokens?: number;
    temperature?: number;
    top_p?: number;
    top_k?: number;
    ignore_eos: boolean;
  } | null;
  num_fewshot?: number;
  limit?: number;
  sampling?: number;
  repeats?: number;
  seed: number;
  prompt_format: string;
  activation_profile?: string;
  external?: { url: string; served_model: string; model_config: string; api_key_env: string } | null;
  submitter: string;
  priority: number;
  note: string;
}

export interface NodeHardware {
  cpu?: string;
  cores?: number;
  memory_bytes?: number;
  isa: string[];
  devices: string[];
  device_memory_bytes?: number;
  read_bandwidth_gb_s?: number;
  kernel?: string;
  governor?: string;
  sockets?: number;
  numa_nodes?: number;
  last_level_cache_bytes?: number;
  compute?: { precision: string; gflop_per_s: number }[];
  throttle_events?: number;
  probe_load?: number;
  known_as?: string;
  power?: PowerSource[]; // absent: of an older node
}

export interface PowerSource {
  source: string;
  works: boolean;
  reason: string;
  devices: string;
}

/** What one device drew over the run; without a device: why nobody knows it of that kind. */
export interface EnergyReading {
  device: string;
  kind: string;
  source: string;
  validity: string;
  reason: string;
  joules?: number;
  seconds: number;
  watts_min?: number;
  watts_max?: number;
  limit_watts?: number;
  idle_watts?: number;
  idle_unknown: string;
  model: string;
}

export interface ShardReport {
  engine_version?: string;
  timing_boundary: string;
  started_wall_ms?: number;
  moe_layers?: number;
  experts?: number;
  top_k?: number;
  model_sha256?: string;
  model_family?: string;
  parameters?: number;
  active_parameters?: number;
  hardware?: NodeHardware;
  threads?: number;
  isa?: string;
  load_average: number;
  retries: number;
  notes: string[];
  routing_unknown?: string;
  routing_source?: string;
  energy?: EnergyReading[]; // absent: of an older node
}

export interface BoardRow {
  run_id: string;
  evaluation_id: string;
  spec: Spec;
  task: string;
  repeat: number;
  state: RunState;
  reason: string;
  node: string;
  report?: ShardReport;
  figures: Figure[];
  queued_at_ms: number;
  ended_at_ms?: number;
  config_hash: string;
  headline_metric: string;
  marks?: Mark[]; // absent, as all that follow: of an older server
  samples_total?: number;
  question?: string; // figures compare inside one question only
  setting?: string[]; // what differs from the task's own: "3-shot", "T 0.8"
  task_samples?: number; // more than samples_total: a partial run
  timing_boundary?: string; // times compare inside one boundary only
}

/** How many runs there are of a kind, of all that the server has. */
export interface BoardCount extends Record<"model" | "task" | "engine" | "precision", string> {
  runs: number;
}

export interface Board {
  rows: BoardRow[];
  counts?: BoardCount[];
  more: boolean;
  next_after?: string;
}

export interface Attempt {
  attempt: number;
  shard: number;
  fence: number;
  node: string;
  started_at_ms: number;
  ended_at_ms?: number;
  outcome: string;
}

export interface Histogram {
  id: string;
  lowest: number;
  growth: number;
  counts: number[];
}

export interface Curve {
  id: string;
  x_unit: string;
  y_unit: string;
  x: number[];
  y: number[];
  reference: number[]; // empty: nothing to compare with
}

export interface TaskInfo {
  name: string;
  version: string;
  output_type: string;
  split: string;
  num_fewshot: number;
  metrics: string[];
  description: string;
  samples: number;
  definition: string; // JSON; empty where a reply leaves it out
  definition_sha256: string;
  data_sha256: string;
}

export interface Tasks {
  tasks: TaskInfo[];
}

export interface Run {
  row: BoardRow;
  task?: TaskInfo;
  attempts: Attempt[];
  histograms: Histogram[];
  curves?: Curve[]; // absent: of an older server
  samples_total: number;
  samples_answered: number;
  samples_graded: number;
  cost?: CostBasis | null;
}

export interface CostTerm {
  id: string;
  value?: number;
  unit: string;
  source: "given" | "measured" | "table" | "default" | "unknown";
  said: string;
  used: boolean;
}

/** What the figures of cost rest on. */
export interface CostBasis {
  device: string;
  devices: number;
  rented: boolean;
  sharing: string;
  terms: CostTerm[];
}

export interface CostReply {
  figures: Figure[];
  basis: CostBasis;
}

export interface Timing {
  submitted_us: number;
  sent_us?: number;
  started_us?: number;
  first_token_us?: number;
  last_token_us?: number;
  ended_us: number;
  itl_us: number[];
}

export interface Score {
  log_likelihood: number;
  tokens: number;
  greedy: boolean;
}

export interface LayerRouting {
  layer: number;
  prefill: number[];
  decode: number[];
} // by expert; empty: none chosen
export interface SampleRouting {
  source: string;
  experts: number;
  top_k: number;
  layers: LayerRouting[];
}

export interface ExpertCount {
  phase: (typeof tables.phases)[number];
  layer: number;
  batch_bucket?: number;
  counts: number[];
}
export interface ExpertCounts {
  counts: ExpertCount[];
}

export interface SampleAnswer {
  ordinal: number;
  uid: string;
  status: string;
  error: string;
  prompt: string;
  text: string;
  reasoning: string;
  finish_reason: string;
  prompt_tokens?: number;
  output_tokens?: number;
  cached_tokens?: number;
  timing?: Timing | null;
  scores: Score[];
  routing?: SampleRouting | null;
}

export interface Verdict {
  ordinal: number;
  metric: string;
  version: string;
  kind: string;
  extracted: string;
  reason: string;
  score: number;
  unanswered: boolean;
  truncated: boolean;
}

export interface Sample {
  answer: SampleAnswer;
  verdicts: Verdict[];
  doc_json: string;
  escaped: boolean;
  fence: number;
}

export interface Samples {
  samples: Sample[];
  next_after?: number;
}

export interface RunProgress {
  run_id: string;
  task: string;
  repeat: number;
  state: RunState;
  reason: string;
  samples_total: number;
  samples_answered: number;
  samples_graded: number;
  node: string;
  phase: string;
  output_tokens_per_s?: number;
  queued_at_ms: number;
  started_at_ms?: number;
  ended_at_ms?: number;
  attempts: number;
  model: string;
  precision: string;
  engine: string;
  concurrency?: number;
  evaluation_id: string;
}

export interface Event {
  id: number;
  at_ms: number;
  run_id: string;
  kind: string;
  text: string;
}
export interface Events {
  events: Event[];
  next_after?: number;
}

export interface Progress {
  evaluation_id: string;
  runs: RunProgress[];
  ended: boolean;
}

export interface QueueEntry {
  run: RunProgress;
  submitter: string;
  priority: number;
  position: number;
  waiting_for: string;
}

export interface Queue {
  entries: QueueEntry[];
  queued: number;
  running: number;
}

export interface NodeModel {
  name: string;
  path: string;
  family?: string;
  sha256?: string;
  bytes?: number;
  problem: string;
  context_tokens?: number; // prompt and answer together
  config?: string; // text of its config.json
}

export interface EstimateReply {
  family: string;
  layers: number;
  moe_layers: number;
  experts: number;
  top_k: number;
  parameters: number;
  active_parameters: number;
  precision: string;
  cache_precision: string;
  device?: string;
  devices: number;
  bandwidth_gb_s?: number;
  tflops?: number;
  compute?: string;
  source?: string;
  bound?: string;
  tokens: number;
  parts: { id: string; text: string; bytes: number; flops: number }[];
  figures: Figure[];
  notes: string[];
}

export interface NodeEntry {
  node_id: string;
  connected_at_ms: number;
  last_beat_ms_ago: number;
  run_id: string;
  peer?: string;
  hello: {
    name: string;
    version: string;
    engines: string[];
    url_engines?: string[]; // absent: of an older node
    precisions: string[];
    models: NodeModel[];
    hardware?: NodeHardware;
    endpoint: string;
    any_model_path: boolean;
  };
}

export interface Nodes {
  nodes: NodeEntry[];
}

export interface EngineChoice {
  name: string;
  needs_url: boolean;
  nodes: number;
  offered: boolean;
}
export interface ModelChoice {
  name: string;
  family?: string;
  problem: string;
  bytes?: number;
  context_tokens?: number;
  nodes: number;
}
export interface TaskChoice {
  name: string;
  description: string;
  output_type: string;
  samples: number;
  num_fewshot: number;
  fewshot_samples: number;
}
export interface SubmitLimits {
  concurrency_max: number;
  repeats_max: number;
  priority_min: number;
  priority_max: number;
}

export interface Info {
  version: string;
  engines: string[];
  precisions: string[];
  tasks: string[];
  models: string[];
  prompt_formats: string[];
  started_at_ms: number;
  engine_choices: EngineChoice[];
  model_choices: ModelChoice[];
  task_choices: TaskChoice[];
  devices: string[];
  limits: SubmitLimits;
  defaults: Spec;
  nodes: number;
  tasks_missing: string;
}

export interface PlannedRun {
  run_id: string;
  task: string;
  repeat: number;
  samples: number;
}

export interface SubmitReply {
  evaluation_id: string;
  config_hash: string;
  runs: PlannedRun[];
  duplicate: boolean;
  warnings: string[];
  no_node: boolean;
}
