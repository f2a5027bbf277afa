import assert from "node:assert/strict";
import { test } from "node:test";
import { choice, flag, list, number, readState, text, writeState } from "../src/lib/urlstate.ts";

const schema = {
  q: text(),
  sort: list(["model"]),
  all: flag(),
  batch: number(1, 0, 100),
  theme: choice(["a", "b"], "a"),
};
const read = (query: string) => readState(schema, new URLSearchParams(query));

test("an empty query is the default state, and the default state is an empty query", () => {
  assert.deepEqual(read(""), { q: "", sort: ["model"], all: false, batch: 1, theme: "a" });
  assert.equal(writeState(schema, read("")), "");
});

test("only what differs from its default is written, in the schema's order", () => {
  assert.equal(writeState(schema, { ...read(""), theme: "b", all: true, q: "x" }), "q=x&all=1&theme=b");
});

test("every state comes back as it was", () => {
  const states = [
    { ...read(""), q: "a;b & c=d%20+ü,\\" },
    { ...read(""), sort: [] },
    { ...read(""), sort: ["-acc", "exact_match,strict-match", "back\\slash"] },
    { ...read(""), batch: 0.25 },
  ];
  for (const state of states) assert.deepEqual(read(writeState(schema, state)), state);
});

test("what cannot be read is its default", () => {
  assert.deepEqual(read("batch=many&theme=c&all=yes&unknown=1"), { ...read(""), all: false });
  assert.equal(read("batch=101").batch, 1);
  assert.equal(read("batch=").batch, 1);
});
