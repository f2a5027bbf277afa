import assert from "node:assert/strict";
import { test } from "node:test";
import { costCommand, costKnobs, costPath, costSchema, type CostState, isChanged, saidOf } from "../src/lib/cost.ts";
import { readState, writeState } from "../src/lib/urlstate.ts";

const state = (more: Partial<CostState>): CostState => ({
  ...(readState(costSchema, new URLSearchParams()) as CostState),
  ...more,
});

test("the inputs of cost are the knobs of that group", () => {
  assert.equal(costKnobs.length, 10);
  assert.deepEqual(
    costKnobs.map((k) => k.path),
    costKnobs.map((k) => `cost.${k.id}`),
  );
});

test("what is typed is asked for and stands in the address; an empty field is not", () => {
  const some = state({ rent: " 2.16", pue: "" });
  assert.equal(costPath("run-1", some), "runs/run-1/cost?rent=2.16");
  assert.equal(costPath("run-1", state({})), "runs/run-1/cost");
  assert.equal(
    costPath("run-1", state({ tariff: "0.3", from: "defaults" })),
    "runs/run-1/cost?tariff=0.3&from=defaults",
  );
  assert.equal(writeState(costSchema, state({ rent: "2.16" })), "rent=2.16");
  assert.deepEqual(readState(costSchema, new URLSearchParams("rent=2.16&from=odd")), state({ rent: "2.16" }));
});

test("what is wrong is asked for as it is: the server says what is wrong with it", () => {
  assert.equal(costPath("run-1", state({ pue: "a&b" })), "runs/run-1/cost?pue=a%26b");
});

test("the same is said as a command", () => {
  const words = costCommand("run-1", state({ lifetime_hours: "26280", host_price: "0", from: "defaults" }));
  assert.deepEqual(words, ["moecap cost run-1", "--lifetime-hours 26280", "--host-price 0", "--defaults"]);
});

test("a change can be taken back only where there is one", () => {
  assert.equal(isChanged(state({})), false);
  assert.equal(isChanged(state({ tariff: "0" })), true);
  assert.equal(isChanged(state({ from: "defaults" })), true);
});

test("who says what an input is stands beside it", () => {
  const term = { id: "tariff", value: 0.15, unit: "USD/kWh", said: "TEASBench 2026", used: true };
  assert.equal(saidOf({ ...term, source: "default" }), "default: TEASBench 2026");
  assert.equal(saidOf({ ...term, source: "given", said: "given" }), "declared");
  assert.equal(saidOf({ ...term, source: "unknown", said: "", value: undefined }), "not known");
});
