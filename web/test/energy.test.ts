import assert from "node:assert/strict";
import { test } from "node:test";
import { columns } from "../src/board/columns.ts";
import { powerOf } from "../src/lib/machine.ts";

test("every column of measured energy has its twin without idle power, and less is better", () => {
  const energy = columns.filter((c) => c.group === "Energy");
  const measured = energy.filter((c) => !/_(above_idle|nameplate)$/.test(c.id) && c.id !== "power_w_idle");
  for (const c of measured) assert.ok(energy.some((twin) => twin.id === c.id + "_above_idle"));
  assert.ok(measured.length >= 9 && energy.every((c) => c.better === "lower" && !c.standard));
});

test("a node says which sources of power work and why others do not; an older one says nothing", () => {
  const hardware = { isa: [], devices: [] };
  assert.deepEqual(powerOf(hardware), []);
  const power = [
    { source: "nvml", works: false, reason: "there is no NVIDIA driver here", devices: "" },
    { source: "rapl", works: true, reason: "", devices: "package-0, dram-0" },
  ];
  assert.deepEqual(powerOf({ ...hardware, power }), [
    "nvml: there is no NVIDIA driver here",
    "rapl: package-0, dram-0",
  ]);
});
