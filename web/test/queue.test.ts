import assert from "node:assert/strict";
import { test } from "node:test";
import { partsOf, remainingMs } from "../src/lib/queue.ts";
import type { QueueEntry, RunProgress } from "../src/lib/types.ts";

const run = (more: Partial<RunProgress> = {}) =>
  ({ state: "running", samples_answered: 10, samples_total: 40, started_at_ms: 1000, ...more }) as RunProgress;
const entry = (position: number, waiting_for = "") => ({ run: run(), position, waiting_for }) as QueueEntry;

test("what no connected node can run stands apart from what waits for its turn", () => {
  const { active, waiting, blocked } = partsOf([
    entry(2, "a free node"),
    entry(3, 'no connected node has engine "vllm" (connected: native)'),
    entry(1, "a free node"),
    entry(0),
  ]);
  assert.deepEqual(
    [active, waiting, blocked].map((part) => part.map((e) => e.position)),
    [[0], [1, 2], [3]],
  );
});

test("the time that is left follows from the samples that are answered, and is unknown without some", () => {
  assert.equal(remainingMs(run(), 3000), 6000);
  assert.equal(remainingMs(run({ samples_answered: 40 }), 3000), 0);
  assert.equal(remainingMs(run({ samples_answered: 2 }), 3000), undefined);
  assert.equal(remainingMs(run({ started_at_ms: undefined }), 3000), undefined);
  assert.equal(remainingMs(run({ state: "grading" }), 3000), undefined);
  assert.equal(remainingMs(run(), 500), 0, "a viewer's clock that is behind");
});
