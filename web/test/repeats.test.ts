import assert from "node:assert/strict";
import { test } from "node:test";
import { byRepeat, isRepeated } from "../src/lib/repeats.ts";
import type { RunProgress } from "../src/lib/types.ts";

const run = (evaluation_id: string, task: string, repeat: number, queued_at_ms = 1) =>
  ({ evaluation_id, task, repeat, queued_at_ms }) as RunProgress;

test("a run is named by its repeat where its evaluation has several of the task", () => {
  const runs = [run("a", "gsm", 0), run("a", "gsm", 1), run("a", "choice", 0), run("b", "gsm", 0)];
  assert.deepEqual(
    runs.map((r) => isRepeated(r, runs)),
    [true, true, false, false],
  );
});

test("repeats stand in their order, evaluations as they came", () => {
  const [late, second, first] = [run("b", "gsm", 0, 2), run("a", "gsm", 1), run("a", "gsm", 0)];
  assert.deepEqual([late, second, first].sort(byRepeat), [first, second, late]);
});
