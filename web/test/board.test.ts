import assert from "node:assert/strict";
import { test } from "node:test";
import { bestOf, leaders } from "../src/board/best.ts";
import { cautionsOf, changeText, pairedText } from "../src/board/compare.tsx";
import { columnsFor, fitted } from "../src/board/columns.ts";
import { toCsv } from "../src/board/csv.ts";
import { boardPath, refreshed } from "../src/board/data.ts";
import { choicesOf } from "../src/board/facets.ts";
import { moved } from "../src/board/keys.ts";
import { isDeclared, partText, rowsOf } from "../src/board/rows.ts";
import { parseSearch } from "../src/board/search.ts";
import { formatRanges, formatSort, parseRanges, parseSort, pressSort, schema, toggled } from "../src/board/state.ts";
import { nameOf, summarize } from "../src/board/summary.ts";
import { scrollFor, windowOf } from "../src/board/window.ts";
import { readState } from "../src/lib/urlstate.ts";
import { groupsOf } from "../src/views/run/figures.tsx";
import type { BoardRow, Run } from "../src/lib/types.ts";
import { columnsOf, figure, rows, run } from "./fixture.ts";

const at = (ids: ReadonlySet<string> | undefined) => [...(ids ?? [])].join("");

test("any term of the search line is enough, and a term is a pattern", () => {
  const search = parseSearch(" qwen ; int[48]; ");
  assert.ok(search.matches("Qwen3-30B") && search.matches("x int4 y") && !search.matches("int2"));
  assert.ok(parseSearch(" ; ").matches("anything"));
});

test("a term that is no pattern is searched as it stands", () => {
  const search = parseSearch("model (v2; a[");
  assert.deepEqual(search.plain, ["model (v2", "a["]);
  assert.ok(search.matches("Model (V2)") && !search.matches("model v2"));
});

// An engine that goes back would take years for each of them.
test("no term takes longer than its text and its own length allow", () => {
  const text = "a".repeat(3000) + "!";
  const endless = [
    "(a+)+$",
    "(a|aa)*b",
    "(?:a?){40}b",
    ".?".repeat(40) + "§",
    "(.*)*(.*)*(.*)*z",
    "((a*)*)*b",
    "(a|a|a)+c",
  ];
  for (const term of endless) {
    assert.deepEqual(parseSearch(term).plain, [], term);
    assert.ok(!parseSearch(term).matches(text), term);
  }
  assert.deepEqual(parseSearch("(a{50}){50}").plain, ["(a{50}){50}"]); // too large for a search line
  assert.deepEqual(parseSearch("(int4|int8).*b\\d+;qwen[*+]{2};\\)+").plain, []);
});

test("a term means what a regular expression means", () => {
  const terms = (
    "a|bc  ^a.c$  a+b*c?  (ab|c)+d  [a-c]x  [^a-c]x  a{2}b  a{1,2}b  a{2,}b  \\d+\\w\\s?  \\bab\\b  (?:ab)+?c  a\\.b  [\\d.-]+z  " +
    "x*  (a?)*b  (a|b)*abb  A.C  [A-C]x  a||b  \\Ba  [^\\s]y  (^a|b$)"
  ).split(/\s\s+/);
  const texts = [
    "",
    "a",
    "abc",
    "ABC",
    "aab",
    "aaab",
    "bcx",
    "dx",
    "ax",
    "1a b",
    "ab c",
    "xab",
    "a.b",
    "1.5-z",
    "abd",
    "cabd",
  ];
  texts.push("abababb", "12_ ", "zy y", "b", "ba", "aAaB");
  for (const term of terms)
    for (const text of texts)
      assert.equal(parseSearch(term).matches(text), new RegExp(term, "i").test(text), `${term} in "${text}"`);
});

test("what another kind of engine is needed for is searched as text", () => {
  const others = ["(a)\\1", "(?=a)", "(?<!b)a", "a**", "*a", "[b", "a)", "\\q", "{2}", "a{9,2}", "a\\"];
  for (const term of others) {
    assert.deepEqual(parseSearch(term).plain, [term]);
    assert.ok(parseSearch(term).matches(`x${term}y`) && !parseSearch(term).matches("xaay"));
  }
});

test("pressing a head: best first, the other way, not at all", () => {
  const press = (keys: string[], id: string, firstDesc: boolean, add = false) =>
    formatSort(pressSort(parseSort(keys), id, firstDesc, add));
  assert.deepEqual(press([], "acc", true), ["-acc"]);
  assert.deepEqual(press(["-acc"], "acc", true), ["acc"]);
  assert.deepEqual(press(["acc"], "acc", true), []);
  assert.deepEqual(press(["-acc", "ttft"], "ttft", false), ["ttft"]);
  assert.deepEqual(press(["-acc"], "ttft", false, true), ["-acc", "ttft"]);
  assert.deepEqual(press(["-acc", "ttft"], "acc", true, true), ["acc", "ttft"]);
  assert.deepEqual(press(["acc", "ttft"], "acc", true, true), ["ttft"]);
});

test("a key stands in the order once", () =>
  assert.deepEqual(parseSort(["-a", "a", "", "b"]), [
    { id: "a", desc: true },
    { id: "b", desc: false },
  ]));

test("bounds come back as they were; empty ones are none", () => {
  const texts = ["accuracy:50..", "exact_match,strict:..0.5", "x:-1..1e3"];
  assert.deepEqual(formatRanges(parseRanges(texts)), ["accuracy:50..", "exact_match,strict:..0.5", "x:-1..1000"]);
  assert.deepEqual(parseRanges(["accuracy:..", "accuracy", "a:1..z", ""]), [{ id: "a", min: 1, max: null }]);
});

test("a count beside a choice is what choosing it would show", () => {
  const kind = { model: "tiny", engine: "native", precision: "bf16", runs: 1 };
  const data = [
    { ...kind, task: "x" },
    { ...kind, task: "y", precision: "int8" },
    { ...kind, task: "y", runs: 1200 },
  ];
  const state = readState(schema, new URLSearchParams("task=x&precision=bf16"));
  assert.deepEqual(
    choicesOf(data, state, "task").map((c) => [c.value, c.count, c.chosen]),
    [
      ["x", 1, true],
      ["y", 1200, false],
    ],
  );
  assert.deepEqual(
    choicesOf(data, state, "precision").map((c) => [c.value, c.count]),
    [
      ["bf16", 1],
      ["int8", 0],
    ],
  );
});

test("runs that were asked different questions do not compare", () => {
  const data = rows(
    { id: "a", acc: 0.5, ttft: 9 },
    { id: "b", acc: 0.6, ttft: 3 },
    { id: "c", acc: 0.9, ttft: 1, setting: ["3-shot", "chat"] },
  );
  const best = bestOf(data, columnsOf(data));
  assert.equal(at(best.get("accuracy")), "b");
  assert.equal(at(best.get("ttft_ms_p50")), "b");
  assert.equal(summarize(data)!.best.id, "b");
  assert.deepEqual(cautionsOf(data), [
    "These runs were not asked the same question; samples, prompts, generation or the task's version differ.",
  ]);
  assert.deepEqual(cautionsOf(data.slice(0, 2)), []);
});

test("a partial run never leads, and says how much it is", () => {
  const data = rows(
    { id: "a", acc: 0.5, ttft: 9 },
    { id: "b", acc: 0.6, ttft: 3 },
    { id: "c", acc: 1, ttft: 1, of: 600 },
  );
  const best = bestOf(data, columnsOf(data));
  assert.equal(at(best.get("accuracy")), "b");
  assert.equal(at(best.get("ttft_ms_p50")), "b");
  assert.equal(summarize(data)!.best.id, "b");
  assert.deepEqual(data.map(partText), ["", "", "100 of 600"]);
});

test("times over http and in the engine do not compare; answers do", () => {
  const data = rows(
    { id: "a", acc: 0.5, ttft: 48, boundary: "http" },
    { id: "b", acc: 0.6, ttft: 9 },
    { id: "c", acc: 0.7, ttft: 0.5 },
    { id: "d", acc: 0.4, ttft: 52, boundary: "http" },
  );
  const best = bestOf(data, columnsOf(data));
  assert.equal(at(best.get("accuracy")), "c");
  assert.equal(at(best.get("ttft_ms_p50")), "ac");
  assert.ok(cautionsOf(data)[0]!.startsWith("Times were taken at different places (http, engine)"));
});

test("what a server is, is somebody's word", () => {
  const [ours, theirs] = rows({ id: "a" }, { id: "b", engine: "vllm", url: "http://h:1" });
  assert.deepEqual(
    [isDeclared(ours!, "engine"), isDeclared(theirs!, "engine"), isDeclared(theirs!, "model")],
    [false, true, false],
  );
});

test("nobody leads in accuracy whom another one's interval reaches", () => {
  const wide = { acc: 0.6, low: 0.5, high: 0.7 };
  const data = rows({ id: "a", ...wide }, { id: "b", acc: 0.65, low: 0.55, high: 0.75 }, { id: "c", acc: 0.1 });
  assert.equal(at(bestOf(data, columnsOf(data)).get("accuracy")), "");
});

test("what is not the task's own stands in a run's name, in the sentence and in CSV", () => {
  const setting = ["3-shot", "T 0.8"];
  const data = rows(
    { id: "a", acc: 0.5, setting },
    { id: "b", acc: 0.6, setting: [...setting, "http"], question: "gsm3-shot,T 0.8" },
  );
  assert.equal(nameOf(data[0]!), "tiny, bf16, batch 1, 3-shot, T 0.8");
  assert.equal(summarize(data)!.setting, "3-shot, T 0.8");
  assert.ok(toCsv(data, []).includes("b,3-shot; T 0.8; http,100,100"));
});

test("the best is best of its task, in the column's direction", () => {
  const data = rows(
    { id: "a", acc: 0.5, ttft: 9 },
    { id: "b", acc: 0.6, ttft: 3 },
    { id: "c", acc: 0.9, ttft: 1, task: "other" },
    { id: "d", acc: 0.8, task: "other" },
  );
  const best = bestOf(data, columnsOf(data));
  assert.equal(at(best.get("accuracy")), "bc");
  assert.equal(at(best.get("ttft_ms_p50")), "b");
});

test("nobody leads alone, among equals, without a direction, or without a model", () => {
  const equal = rows({ id: "a", acc: 0.5 }, { id: "b", acc: 0.5 });
  assert.equal(at(bestOf(equal, columnsOf(equal)).get("accuracy")), "");
  const crowd = rows(...["a", "b", "c", "d"].map((id) => ({ id, acc: 0.5 })), { id: "e", acc: 0.1 });
  assert.equal(at(bestOf(crowd, columnsOf(crowd)).get("accuracy")), "");
  const idle = rows(
    { id: "a", ttft: 5 },
    { id: "b", ttft: 0.01, engine: "null" },
    { id: "c", ttft: 1, state: "failed" },
    { id: "d", ttft: 0.02, marks: [{ id: "cached", text: "why", bad: true }] },
  );
  assert.equal(at(bestOf(idle, columnsOf(idle)).get("ttft_ms_p50")), "");
  assert.equal(bestOf(idle, columnsOf(idle)).has("batch"), false);
  const ttft = columnsOf(idle).find((c) => c.id === "ttft_ms_p50")!;
  assert.deepEqual(leaders(idle, ttft), []); // also side by side
});

test("marks of times, and those that only inform, leave a run in the comparison", () => {
  const unsettled = { id: "unsettled", text: "why", bad: true };
  const informs = { id: "failures", text: "why", bad: false };
  const data = rows({ id: "a", ttft: 5 }, { id: "b", ttft: 1, marks: [unsettled, informs] });
  assert.equal(at(bestOf(data, columnsOf(data)).get("ttft_ms_p50")), "b");
});

test("the summary speaks of the task with most runs, and of what can be told apart", () => {
  const data = rows(
    { id: "a", acc: 0.9, low: 0.8, high: 0.95, rate: 100 },
    { id: "b", acc: 0.7, low: 0.6, high: 0.79, rate: 300 },
    { id: "c", acc: 0.75, low: 0.6, high: 0.81, rate: 200 },
    { id: "d", acc: 1, task: "other" },
    { id: "e", acc: 1, engine: "null" },
  );
  const summary = summarize(data)!;
  assert.deepEqual(
    [summary.task, summary.runs, summary.best.id, summary.alike, summary.fastest?.row.id, summary.fastest?.times],
    ["gsm", 3, "a", 1, "b", 1.5],
  );
  assert.equal(summarize(rows({ id: "x" })), null);
});

test("CSV quotes what needs it, leaves the unknown empty, and names the run", () => {
  const data = rows({ id: "a", model: 'a "b", c', ttft: 1.5 }, { id: "b" });
  const columns = columnsOf(data).filter((c) => ["model", "ttft_ms_p50"].includes(c.id));
  const head =
    "model,run_id,setting,samples_total,task_samples,ttft_ms_p50,ttft_ms_p50_low,ttft_ms_p50_high,ttft_ms_p50_basis,ttft_ms_p50_reason";
  assert.deepEqual(toCsv(data, columns).split("\r\n").slice(0, 2), [head, '"a ""b"", c",a,,100,100,1.5,,,measured,']);
  assert.ok(toCsv(data, columns).includes("\r\ntiny,b,,100,100,,"));
});

test("CSV disarms formulas, also behind what cannot be seen, and shares stay shares", () => {
  const csv = (model: string) =>
    toCsv(
      rows({ id: "a", model }),
      columnsOf(rows({ id: "a" })).filter((c) => c.id === "model"),
    );
  for (const armed of ["=1", " =1", "\ufeff=1", "\u200b@x", "\uff1d1", "\n=1", "\tx", "\u3000-1"])
    assert.ok(csv(armed).includes(`"'${armed}"`), JSON.stringify(armed));
  for (const harmless of ["a=1", "\ufeffa", "1-1"]) assert.ok(csv(harmless).includes(`\r\n${harmless},`));
  const data = rows({ id: "a", acc: 0.75, low: 0.6, high: 0.8 });
  const accuracy = columnsOf(data).filter((c) => c.id === "accuracy");
  assert.equal(toCsv(data, accuracy).split("\r\n")[1], "a,,100,100,0.75,0.6,0.8,measured,");
});

test("only rows in sight are drawn, and the others keep their room", () => {
  assert.deepEqual(windowOf(0, 400, 40, 1000, 2), { first: 0, last: 12, before: 0, after: 988 * 40 });
  assert.deepEqual(windowOf(4000, 400, 40, 1000, 2), { first: 98, last: 112, before: 98 * 40, after: 888 * 40 });
  assert.deepEqual(windowOf(99999, 400, 40, 10, 2), { first: 10, last: 10, before: 400, after: 0 });
  assert.deepEqual(windowOf(0, 400, 40, 0), { first: 0, last: 0, before: 0, after: 0 });
});

test("scrolling to a row moves as little as it must", () => {
  assert.equal(scrollFor(5, 0, 400, 40, 76), 0);
  assert.equal(scrollFor(20, 0, 400, 40, 76), 21 * 40 + 76 - 400);
  assert.equal(scrollFor(2, 1000, 400, 40, 76), 80);
});

test("arrows move by a cell and stop at the edges", () => {
  const go = (key: string, row: number, col: number, ctrl = false) => moved(key, ctrl, { row, col }, 10, 5);
  assert.deepEqual(go("ArrowUp", 0, 2), { row: -1, col: 2 });
  assert.deepEqual(go("ArrowUp", -1, 2), { row: -1, col: 2 });
  assert.deepEqual(go("ArrowRight", 3, 4), { row: 3, col: 4 });
  assert.deepEqual(go("PageDown", 3, 1), { row: 9, col: 1 });
  assert.deepEqual(go("End", 3, 1), { row: 3, col: 4 });
  assert.deepEqual(go("End", 3, 1, true), { row: 9, col: 4 });
  assert.deepEqual(go("Home", 3, 1, true), { row: -1, col: 0 });
  assert.equal(go("a", 3, 1), null);
});

test("a change is in points for shares, in percent for the rest, and silent where there is none", () => {
  assert.equal(changeText(50, 53.25, true), " +3.3 points");
  assert.equal(changeText(200, 150, false), " −25 %");
  assert.equal(changeText(200, 203, false), " +1.5 %");
  assert.equal(changeText(0, 5, false), "");
  assert.equal(changeText(null, 5, false), "");
});

test("a word is in a list or it is not", () =>
  assert.deepEqual([toggled(["a"], "b"), toggled(["a", "b"], "a")], [["a", "b"], ["b"]]));

test("the board asks for the figures that it shows, sorts or bounds by, and for reports only when one is shown", () => {
  const path = (query: string, more?: Set<string>) => boardPath(readState(schema, new URLSearchParams(query)), more);
  assert.equal(path("cols=model,accuracy"), "board?figures=output_tokens_per_s&report=0&counts=1");
  assert.equal(
    path("cols=model&task=a,b%5C,c&precision=,f32"), // the empty precision is filtered here
    "board?figures=output_tokens_per_s&report=0&task=a%2Cb%5C%2Cc&counts=1",
  );
  assert.equal(
    path("cols=model&sort=-itl_ms_p99&range=wall_s:..3&all=1"),
    "board?figures=itl_ms_p99;output_tokens_per_s;wall_s&report=0&all=1&counts=1",
  );
  const strict = "cols=hardware,exact%5C,strict,nosuch";
  assert.equal(path(strict), "board?figures=output_tokens_per_s&counts=1");
  assert.equal(path(strict, new Set(["exact,strict"])), "board?figures=exact%2Cstrict;output_tokens_per_s&counts=1");
});

test("new runs stand first, and none is lost between the pages", () => {
  const old = { path: "p", rows: ["d", "c", "b", "a"].map((id) => run({ id })), counts: [], next: "x", count: 2 };
  const next = refreshed(old, { rows: ["e", "d"].map((id) => run({ id })), more: true, next_after: "y" });
  assert.deepEqual([next.rows.map((r) => r.run_id).join(""), next.next, next.count], ["edcba", "x", 2]);
  assert.deepEqual(
    refreshed(old, { rows: [run({ id: "a" })], more: false }).rows.map((r) => r.run_id),
    ["a"],
  );
});

test("a run's name leaves out what nobody declared", () => {
  const [declared, bare] = rows({ id: "a", precision: "int8", batch: 4 }, { id: "b", precision: "" });
  assert.equal(nameOf(declared!), "tiny, int8, batch 4");
  assert.equal(nameOf(bare!), "tiny, batch 1");
});

test("two runs on the same samples are compared in a sentence that says how sure it is", () => {
  const paired = {
    run_a: "a",
    run_b: "b",
    task: "gsm",
    metric: "acc",
    samples: 200,
    right_both: 95,
    right_a_only: 5,
    right_b_only: 15,
    wrong_both: 85,
    accuracy: {
      id: "d",
      reason: "",
      unit: "ratio",
      basis: "derived",
      invalid: false,
      value: 0.05,
      low: 0.005,
      high: 0.095,
    },
    p_exact: 0.0414,
    p_mid: 0.0266,
    detectable: 0.0626,
    lost: [],
    gained: [],
    figures: [],
  };
  assert.equal(
    pairedText(paired),
    "gains 15 and loses 5 of 200 samples: +5.0 points (95 % interval +0.5 to +9.5; McNemar p = 0.027). The runs differ.",
  );
  assert.ok(
    pairedText({ ...paired, p_mid: 0.4 }).includes("No evidence that one is better; 6.3 points would have been found"),
  );
});

test("a ratio of every run is no metric of a task, whatever interval it has", () => {
  const ratio = (id: string) => figure(id, { unit: "ratio", value: 0.5, low: 0.4, high: 0.6 });
  const data = rows({ id: "a", figures: [ratio("activated_share_prefill"), ratio("acc_norm")] });
  const column = (id: string) => columnsOf(data).find((c) => c.id === id)!;
  assert.equal(column("acc_norm").group, "Accuracy");
  assert.equal(column("acc_norm").better, "higher");
  assert.equal(column("activated_share_prefill").group, "More");
  assert.equal(column("activated_share_prefill").better, undefined);
});

test("models and loads are as wide as their longest text", () => {
  const closed = run({ id: "a" });
  const ramp = { ...closed, spec: { ...closed.spec, load: { rate_per_s: 3000, ramp_to_per_s: 12000 } } };
  const width = (of: BoardRow) => fitted([...columnsFor([of])], rowsOf([of])).find((c) => c.id === "batch")!.width;
  assert.ok(width(ramp) > width(closed) + 40);
});

test("a run's figures begin with its accuracy and times, whatever other groups there are", () => {
  const figures = [figure("rate_asked"), figure("energy_j"), figure("ttft_ms_p50"), figure("acc"), figure("run_cost")];
  const row = { ...run({ id: "a" }), figures };
  const found = groupsOf({ row } as unknown as Run).map(([group]) => group);
  assert.deepEqual(found, ["Accuracy", "Performance", "Cost", "Energy", "Load"]);
});
