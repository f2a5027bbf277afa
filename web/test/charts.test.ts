import assert from "node:assert/strict";
import { test } from "node:test";
import { busiest, orderOf, ratioOf, rowsOfRun, rowsOfSample, unused } from "../src/lib/heat.ts";
import { niceTop } from "../src/lib/curve.ts";
import { bucketsOf, logPlace, logTicks, microseconds } from "../src/lib/histogram.ts";

const counts = [
  { phase: "prefill" as const, layer: 1, batch_bucket: 1, counts: [1, 0, 3, 0] },
  { phase: "prefill" as const, layer: 0, batch_bucket: 4, counts: [2, 2, 2, 2] },
  { phase: "decode" as const, layer: 1, batch_bucket: 4, counts: [0, 0, 5, 0] },
];

test("selections are summed over what was not asked to be apart, layers in order", () => {
  assert.deepEqual(
    rowsOfRun(counts, "both", "").map((r) => [r.layer, r.counts]),
    [
      [0, [2, 2, 2, 2]],
      [1, [1, 0, 8, 0]],
    ],
  );
  assert.deepEqual(
    rowsOfRun(counts, "decode", "").map((r) => r.counts),
    [[0, 0, 5, 0]],
  );
  assert.deepEqual(
    rowsOfRun(counts, "prefill", "4").map((r) => r.layer),
    [0],
  );
});

test("an expert's load is told against an even share", () => {
  const [even, skewed] = rowsOfRun(counts, "both", "");
  assert.equal(ratioOf(even!, 3), 1);
  assert.deepEqual(busiest(skewed!), { expert: 2, ratio: 8 / 2.25 });
  assert.equal(unused(skewed!), 2);
  assert.deepEqual(orderOf(skewed!, "load"), [2, 0, 1, 3]);
});

test("a sample's empty phase counts as nothing chosen", () => {
  const rows = rowsOfSample([{ layer: 3, prefill: [1, 1], decode: [] }], 2, "both");
  assert.deepEqual(
    rows.map((r) => [r.layer, r.counts]),
    [[3, [1, 1]]],
  );
  assert.equal(ratioOf(rowsOfSample([{ layer: 3, prefill: [1, 1], decode: [] }], 2, "decode")[0]!, 0), 0);
});

test("empty buckets at the ends are left away", () => {
  const buckets = bucketsOf({ id: "x", lowest: 1, growth: 2, counts: [0, 3, 0, 1, 0] });
  assert.deepEqual(buckets, [
    { from: 2, to: 4, count: 3 },
    { from: 4, to: 8, count: 0 },
    { from: 8, to: 16, count: 1 },
  ]);
  assert.deepEqual(bucketsOf({ id: "x", lowest: 1, growth: 2, counts: [0, 0] }), []);
});

test("ticks are round and as many as fit", () => {
  assert.deepEqual(logTicks(90, 520, 5), [100, 200, 300, 500]);
  assert.deepEqual(logTicks(1, 1e6, 4).length <= 4, true);
  assert.equal(logPlace(10, 1, 100), 0.5);
});

test("times are said in the unit that reads best", () => {
  assert.deepEqual([12, 1500, 2.5e6].map(microseconds), ["12.0 µs", "1.50 ms", "2.50 s"]);
});

test("an axis ends at a number whose quarters people read", () => {
  assert.deepEqual([0, 0.7, 1, 3.2, 8.4, 12, 16, 97].map(niceTop), [1, 0.8, 1, 4, 10, 20, 20, 100]);
});
