import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted } from "../src/board/columns.ts";
import { type BoardState, schema } from "../src/board/state.ts";
import { makeTable } from "../src/board/table.ts";
import { readState } from "../src/lib/urlstate.ts";
import { columnsOf, figure, rows } from "./fixture.ts";

const data = rows(
  { id: "a", acc: 0.5, ttft: 30, precision: "int8" },
  { id: "b", acc: 0.9, precision: "bf16", model: "big" },
  { id: "c", acc: 0.9, ttft: 10, task: "mmlu", note: "night shift" },
  { id: "d", ttft: 20, engine: "vllm" },
);
const pick = makeTable(data, columnsOf(data));
const board = (query: string): BoardState => readState(schema, new URLSearchParams(query));
const ids = (query: string) =>
  pick(board(query))
    .rows.map((r) => r.id)
    .join("");

test("without a sort the server's order stays", () => assert.equal(ids(""), "abcd"));

test("unknown values come last whichever way a column is sorted", () => {
  assert.equal(ids("sort=ttft_ms_p50"), "cdab");
  assert.equal(ids("sort=-ttft_ms_p50"), "adcb");
});

test("a second key decides among equals", () => {
  assert.equal(ids("sort=-accuracy,-ttft_ms_p50"), "cbad");
  assert.equal(ids("sort=-accuracy,precision,model"), "bcad");
});

test("words sort as people count", () => {
  const many = rows({ id: "x", model: "m10" }, { id: "y", model: "m9" }, { id: "z", model: "M2" });
  assert.equal(
    makeTable(
      many,
      columnsOf(many),
    )(board("sort=model"))
      .rows.map((r) => r.id)
      .join(""),
    "zyx",
  );
});

test("a sort by a column that is not there changes nothing", () => assert.equal(ids("sort=nonsense"), "abcd"));

test("filters narrow, several values of one widen", () => {
  assert.equal(ids("precision=int8"), "a");
  assert.equal(ids("precision=int8,bf16&engine=native"), "abc");
  assert.equal(ids("engine=none"), "");
});

test("bounds are in the unit that is shown, both ends count, and what is unknown is outside", () => {
  assert.equal(ids("range=accuracy:50..89.9"), "a");
  assert.equal(ids("range=ttft_ms_p50:20.."), "ad");
  assert.equal(ids("range=ttft_ms_p50:..20,accuracy:1.."), "c");
  assert.equal(ids("range=ttft_ms_p50:x..y"), "abcd");
});

test("the search line looks into everything that names a run", () => {
  assert.equal(ids("q=night;big"), "bc");
  assert.equal(ids("q=VLLM"), "d");
});

test("pinned rows stand on top in the order of pinning, through every filter, and only there", () => {
  const picked = pick(board("pin=d,a&task=mmlu&q=nothing"));
  assert.deepEqual([picked.pinned.map((r) => r.id), picked.rows.map((r) => r.id)], [["d", "a"], []]);
  const open = pick(board("pin=c,gone&sort=-accuracy"));
  assert.deepEqual([open.pinned.map((r) => r.id), open.rows.map((r) => r.id)], [["c"], ["b", "a", "d"]]);
});

test("figures that the table does not know become columns", () => {
  const more = rows({
    id: "a",
    figures: [
      figure("joules", { unit: "J", value: 3 }),
      figure("exact", { unit: "ratio", value: 0.5, low: 0.4, high: 0.6 }),
    ],
  });
  const found = columnsOf(more).filter((c) => ["acc", "exact", "joules"].includes(c.id));
  assert.deepEqual(
    found.map((c) => [c.id, c.group, c.unit, c.value(more[0]!)]),
    [
      ["exact", "Accuracy", "%", 50],
      ["acc", "More", "ratio", null],
      ["joules", "More", "J", 3],
    ],
  );
});

test("the model's column fits its longest name, within bounds, and nothing else changes", () => {
  const widths = (name: string) => {
    const named = rows({ id: "a", model: name });
    return fitted([...columnsOf(named)], named).map((c) => c.width);
  };
  const usual = widths("tiny");
  assert.equal(widths("x".repeat(30))[0], 264);
  assert.equal(widths("x".repeat(300))[0], 320);
  assert.deepEqual(widths("x".repeat(30)).slice(1), usual.slice(1));
});
