import assert from "node:assert/strict";
import { test } from "node:test";
import {
  amount,
  compact,
  estimateCommand,
  estimateSchema,
  fitsAddress,
  type EstimateState,
  modelsOf,
  requestOf,
  scaled,
} from "../src/lib/estimate.ts";
import type { Figure, Nodes } from "../src/lib/types.ts";
import { readState, writeState } from "../src/lib/urlstate.ts";

const state = (query: string) => readState(estimateSchema, new URLSearchParams(query)) as EstimateState;

test("the address holds the form, and only what differs from an empty one", () => {
  const query = "hardware=8x+H100-SXM&batch=32&step=0.04";
  assert.equal(writeState(estimateSchema, state(query)), query);
  assert.equal(writeState(estimateSchema, state("phase=odd&context=1024")), "");
});

test("what is typed is asked for as a number where it is one", () => {
  assert.deepEqual(requestOf(state("batch=32&activated=7.5&step=&hardware=H200"), "{}"), {
    model_config: "{}",
    phase: "decode",
    batch: 32,
    context_tokens: 1024,
    activated: 7.5,
    hardware: "H200",
  });
  assert.equal(requestOf(state("batch=many"), "{}")["batch"], "many");
  assert.equal(requestOf(state("mla=absorbed"), "{}")["absorbed"], true);
});

test("the same is said as a command", () => {
  const words = estimateCommand(state("hardware=8x+H100-SXM&step=0.04&phase=prefill&cached=10"), "/models/tiny");
  assert.equal(
    words.join(" "),
    'moecap estimate --model /models/tiny --hardware "8x H100-SXM" --phase prefill --batch 1 --context 1024 ' +
      "--cached 10 --step-time 0.04",
  );
  assert.ok(estimateCommand(state(""), "")[0]!.endsWith("config.json"));
});

test("of the nodes' models those with a config.json are offered, each once", () => {
  const model = (name: string, config?: string) => ({ name, path: "/" + name, problem: "", config });
  const nodes = {
    nodes: [
      { hello: { models: [model("b", "{}"), model("a", "{}")] } },
      { hello: { models: [model("b", "{}"), model("c")] } },
    ],
  } as unknown as Nodes;
  assert.deepEqual(
    modelsOf(nodes).map((m) => m.name),
    ["a", "b"],
  );
  assert.deepEqual(modelsOf(undefined), []);
});

test("numbers are short and have their unit", () => {
  assert.equal(scaled(435_654_437_000), "435.7 G");
  assert.equal(scaled(12), "12 ");
  assert.equal(amount({ unit: "ratio" } as Figure, 0.4064), "40.64 %");
  assert.equal(amount({ unit: "bytes" } as Figure, 2.303e9), "2.303 GB");
  assert.equal(amount({ unit: "tokens/s" } as Figure, 1969.1), "1,969 tokens/s");
});

test("what has no room in the address is not put there", () => {
  assert.ok(fitsAddress('{"a":1}'));
  assert.ok(!fitsAddress('"'.repeat(2001)));
});

test("a config.json loses its blanks; what is none stays as it is", () => {
  assert.equal(compact('{ "a": 1 }'), '{"a":1}');
  assert.equal(compact("{ nonsense"), "{ nonsense");
});
