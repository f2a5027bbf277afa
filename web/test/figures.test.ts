import assert from "node:assert/strict";
import { test } from "node:test";
import { intervalBar, intervalText, reasonOf, valueOf, wordOf } from "../src/lib/figures.ts";
import { bytes, counted, duration, parameters, percent, plural, short } from "../src/lib/format.ts";
import type { Figure } from "../src/lib/types.ts";

const figure = (more: Partial<Figure>): Figure => ({
  id: "x",
  reason: "",
  unit: "ms",
  basis: "measured",
  invalid: false,
  ...more,
});

test("unknown and invalid figures have no value that counts", () => {
  assert.equal(valueOf(undefined), null);
  assert.equal(valueOf(figure({ reason: "no decode" })), null);
  assert.equal(valueOf(figure({ value: 3, invalid: true, reason: "too good" })), null);
  assert.equal(valueOf(figure({ value: 0 })), 0);
});

test("what is unknown always has a reason", () => {
  assert.equal(reasonOf(undefined), "not measured");
  assert.equal(reasonOf(figure({ reason: "interrupted" })), "interrupted");
});

test("an interval bar lies where the interval lies and stays on its axis", () => {
  assert.deepEqual(intervalBar(0.25, 0.5, 0, 1), { left: 25, width: 25 });
  assert.deepEqual(intervalBar(-1, 2, 0, 1), { left: 0, width: 100 });
  assert.deepEqual(intervalBar(2, 3, 0, 1), { left: 100, width: 0 });
  assert.deepEqual(intervalBar(15, 20, 10, 30), { left: 25, width: 25 });
  assert.deepEqual(intervalBar(0, 1, 1, 1), { left: 0, width: 0 });
  assert.deepEqual(intervalBar(NaN, 1, 0, 1), { left: 0, width: 0 });
});

test("an interval says its ends in the figure's unit, shares in percent", () => {
  assert.equal(
    intervalText(figure({ value: 0.4, low: 0.31, high: 0.5, unit: "ratio" }), true),
    "95 % interval: 31.0 to 50.0 %",
  );
  assert.equal(intervalText(figure({ value: 4, low: 3, high: 5 }), false), "95 % interval: 3.00 to 5.00 ms");
  assert.equal(intervalText(figure({ value: 4 }), false), "");
});

test("numbers have three digits that mean something", () => {
  assert.deepEqual([0, 0.0123, 1.234, 12.34, 99.96, 123.4, 12345, 1.5e8, 1e-6].map(short), [
    "0",
    "0.0123",
    "1.23",
    "12.3",
    "100.0",
    "123",
    "12,345",
    "1.50e+8",
    "1.00e-6",
  ]);
  assert.equal(percent(0.4567), "45.7");
});

test("sizes, times and counts read as people write them", () => {
  assert.deepEqual([512, 2048, 5 * 1024 ** 3].map(bytes), ["512 B", "2.00 KiB", "5.00 GiB"]);
  assert.deepEqual([30.5e9, 3.3e9, 1_200_000].map(parameters), ["30.5 B", "3.3 B", "1.2 M"]);
  assert.deepEqual([20, 12_000, 61_000, 3_720_000].map(duration), ["20 ms", "12 s", "1 min 1 s", "1 h 2 min"]);
  assert.deepEqual([plural(1, "run"), plural(1000, "run")], ["1 run", "1,000 runs"]);
});

test("equal names are counted", () => {
  assert.equal(counted(["H100", "L4", "H100"]), "2x H100, L4");
  assert.equal(counted([]), "");
});

test("a value that nobody measured says whose word it rests on", () => {
  assert.equal(wordOf(figure({ value: 3, basis: "measured" })), "");
  assert.equal(wordOf(figure({ value: 3, basis: "derived" })), "");
  assert.ok(/submitter/.test(wordOf(figure({ value: 3, basis: "declared" }))));
  assert.ok(/data sheet/.test(wordOf(figure({ value: 3, basis: "nameplate" }))));
});
