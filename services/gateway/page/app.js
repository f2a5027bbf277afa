// The page: board, one run, submit, queue, nodes. No build step: what is here is what runs. The hash is the
// state, so that every view has an address. All text from the server goes in as text, never as HTML.
"use strict";

const main = document.getElementById("main");
let live = null;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

function show(...children) {
  main.replaceChildren(...children);
}

async function api(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const response = await fetch("/api/v1/" + path, options);
  const json = await response.json();
  if (!response.ok) throw new Error(json.error ? json.error.message : response.statusText);
  return json;
}

// ---- the board ----

const columns = [
  { title: "model", value: (r) => r.spec.model },
  { title: "engine", value: (r) => r.spec.engine },
  { title: "precision", value: (r) => r.spec.precision },
  { title: "task", value: (r) => r.task },
  { title: "batch", number: true, value: (r) => (r.spec.load && r.spec.load.concurrency) || null },
  { title: "accuracy %", number: true, figure: (r) => r.headline_metric, scale: 100, digits: 1, interval: true },
  { title: "TTFT p50 ms", number: true, figure: () => "ttft_ms_p50", digits: 1 },
  { title: "TPOT p50 ms", number: true, figure: () => "tpot_ms_p50", digits: 2 },
  { title: "output tok/s", number: true, figure: () => "output_tokens_per_s", digits: 0 },
  { title: "prefill tok/s", number: true, figure: () => "prefill_tokens_per_s", digits: 0 },
  { title: "experts, prefill", number: true, figure: () => "activated_experts_prefill", digits: 2 },
  { title: "experts, decode", number: true, figure: () => "activated_experts_decode", digits: 2 },
];

function figureOf(row, id) {
  return row.figures.find((f) => f.id === id);
}

function valueOf(row, column) {
  if (column.value) return column.value(row);
  const figure = figureOf(row, column.figure(row));
  return figure && figure.value !== undefined && !figure.invalid ? figure.value * (column.scale || 1) : null;
}

// An unknown figure is a dash with its reason; never a zero.
function unknownCell(figure) {
  const reason = figure ? (figure.invalid ? "invalid: " : "") + figure.reason : "not measured";
  return make("td", { class: "number unknown", title: reason, tabindex: "0", "aria-label": "unknown: " + reason }, "–");
}

function cell(row, column) {
  const value = valueOf(row, column);
  if (column.figure && value === null) return unknownCell(figureOf(row, column.figure(row)));
  if (!column.figure) return make("td", { class: column.number ? "number" : null }, value === null ? "" : String(value));
  const figure = figureOf(row, column.figure(row));
  const text = value.toFixed(column.digits);
  if (!column.interval || figure.low === undefined) return make("td", { class: "number" }, text);
  const bar = make("i", {});
  bar.style.left = figure.low * 100 + "%";
  bar.style.width = (figure.high - figure.low) * 100 + "%";
  return make("td", { class: "number", title: `95 %: ${(figure.low * 100).toFixed(1)} to ${(figure.high * 100).toFixed(1)}` },
    text, make("span", { class: "interval", "aria-hidden": "true" }, bar));
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null); // unknown goes last, whichever way
  return typeof a === "number" ? a - b : String(a).localeCompare(String(b));
}

async function boardView(parameters) {
  const rows = (await api("board")).rows;
  const sort = Number(parameters.get("sort") ?? -1);
  const down = parameters.get("down") === "1";
  const words = (parameters.get("q") || "").toLowerCase().split(";").map((w) => w.trim()).filter(Boolean);
  const matches = rows.filter((r) => {
    const text = [r.spec.model, r.spec.engine, r.spec.precision, r.task, r.run_id].join(" ").toLowerCase();
    return words.length === 0 || words.some((w) => text.includes(w));
  });
  if (sort >= 0 && sort < columns.length) {
    matches.sort((a, b) => {
      const x = valueOf(a, columns[sort]), y = valueOf(b, columns[sort]);
      const order = compare(x, y);
      return x === null || y === null ? order : down ? -order : order;
    });
  }
  const head = make("tr", {}, ...columns.map((c, i) =>
    make("th", { class: c.number ? "number" : null, "aria-sort": sort === i ? (down ? "descending" : "ascending") : null },
      make("button", { onclick: () => go("board", { sort: i, down: sort === i && !down ? 1 : 0, q: parameters.get("q") }) }, c.title))),
    make("th", {}, "run"));
  const search = make("input", { type: "search", value: parameters.get("q") || "", placeholder: "model; task; precision",
    "aria-label": "search, several words with ;", onchange: (e) => go("board", { q: e.target.value, sort: parameters.get("sort"), down: parameters.get("down") }) });
  show(make("p", {}, search, " ", make("span", { class: "soft" }, `${matches.length} of ${rows.length} runs`)),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...matches.map((r) =>
      make("tr", {}, ...columns.map((c) => cell(r, c)), make("td", {}, make("a", { href: "#run?id=" + r.run_id }, r.run_id))))))));
}

// ---- one run ----

function keyValues(pairs) {
  return make("table", {}, make("tbody", {}, ...pairs.map(([k, v]) => make("tr", {}, make("th", {}, k), make("td", {}, v)))));
}

function sampleView(s) {
  const verdicts = s.verdicts.map((v) => `${v.metric}: ${v.kind}${v.extracted ? " (" + v.extracted + ")" : ""}${v.reason ? ", " + v.reason : ""}`).join("\n");
  return make("details", {}, make("summary", {}, `${s.answer.uid}: ${s.verdicts.length ? s.verdicts[0].kind : s.answer.status}`),
    make("pre", {}, s.answer.prompt + s.answer.text), make("pre", { class: "soft" }, verdicts + (s.doc_json ? "\n" + s.doc_json : "")));
}

async function runView(parameters) {
  const id = parameters.get("id") || "";
  const run = await api("runs/" + encodeURIComponent(id));
  const row = run.row;
  const samples = make("div", {});
  const more = make("button", { onclick: () => load() }, "more samples");
  let after = null;
  async function load() {
    const verdict = parameters.get("verdict") || "";
    const page = await api(`runs/${encodeURIComponent(id)}/samples?limit=25&verdict=${verdict}` + (after === null ? "" : "&after=" + after));
    samples.append(...page.samples.map(sampleView));
    after = page.next_after;
    more.hidden = after === undefined;
  }
  const figures = make("table", {}, make("tbody", {}, ...row.figures.map((f) => make("tr", {}, make("td", {}, f.id),
    f.value === undefined ? unknownCell(f) : make("td", { class: "number" }, f.value.toPrecision(6)), make("td", {}, f.unit), make("td", { class: "soft" }, f.basis + (f.reason ? ": " + f.reason : ""))))));
  show(make("h2", {}, row.run_id), keyValues([
    ["state", row.state + (row.reason ? ": " + row.reason : "")], ["model", row.spec.model], ["engine", row.spec.engine], ["precision", row.spec.precision],
    ["task", `${row.task}, ${run.samples_answered} of ${run.samples_total} answered, ${run.samples_graded} graded`],
    ["configuration", row.config_hash], ["attempts", run.attempts.map((a) => `${a.attempt} on ${a.node}: ${a.outcome || "going on"}`).join("; ")]]),
    make("h3", {}, "Figures"), make("div", { class: "scroll" }, figures),
    make("h3", {}, "Samples"),
    make("p", {}, ...["", "correct", "wrong"].map((v) => make("a", { href: `#run?id=${id}&verdict=${v}` }, (v || "all") + " "))), samples, more);
  await load();
}

// ---- submit ----

function choice(name, title, options) {
  return make("label", {}, title, make("select", { name }, ...options.map((o) => make("option", { value: o }, o))));
}

function input(name, title, value, type) {
  return make("label", {}, title, make("input", { name, value, type: type || "text", min: type === "number" ? 0 : null }));
}

function specOf(form) {
  const v = Object.fromEntries(new FormData(form));
  return { model: v.model, engine: v.engine, precision: v.precision, tasks: [v.task], load: { concurrency: Number(v.batch) },
    limit: Number(v.limit), seed: Number(v.seed), prompt_format: v.format, submitter: v.submitter };
}

async function submitView() {
  const info = await api("info");
  const message = make("p", { role: "status" });
  async function send(event, dry) {
    event.preventDefault();
    message.className = "";
    try {
      const reply = await api("evaluations", { spec: specOf(form), dry_run: dry });
      const runs = reply.runs.map((r) => `${r.task}, ${r.samples} samples`).join("; ");
      message.textContent = (dry ? "Would run: " : reply.duplicate ? "Already queued or running: " : "Queued: ") + runs + (reply.warnings.length ? ". Warning: " + reply.warnings.join("; ") : "");
      if (!dry) follow(reply.evaluation_id, progress);
    } catch (error) {
      message.className = "error";
      message.textContent = error.message;
    }
  }
  const progress = make("div", {});
  const form = make("form", { onsubmit: (e) => send(e, false) },
    choice("model", "model", info.models), choice("task", "task", info.tasks), choice("engine", "engine", info.engines), choice("precision", "precision", ["bf16", "int8", "f32"]),
    input("batch", "batch size", "4", "number"), input("limit", "first N samples (0 = all)", "0", "number"), input("seed", "seed", "0", "number"),
    choice("format", "prompt format", info.prompt_formats), input("submitter", "your name", ""),
    make("button", { type: "button", onclick: (e) => send(e, true) }, "Check"), make("button", { type: "submit" }, "Submit"));
  show(form, message, progress);
}

function progressRow(run) {
  const bar = make("i", {});
  bar.style.width = (run.samples_total ? (100 * run.samples_answered) / run.samples_total : 0) + "%";
  return make("tr", {}, make("td", {}, make("a", { href: "#run?id=" + run.run_id }, run.run_id)), make("td", {}, run.model), make("td", {}, run.precision), make("td", {}, run.task),
    make("td", {}, make("span", { class: "bar", role: "progressbar", "aria-valuenow": run.samples_answered, "aria-valuemax": run.samples_total, "aria-label": run.task }, bar)),
    make("td", { class: "number" }, `${run.samples_answered}/${run.samples_total}`), make("td", {}, run.state + (run.phase ? ", " + run.phase : "") + (run.reason ? ": " + run.reason : "")));
}

function follow(id, place) {
  stopLive();
  live = new EventSource("/api/v1/watch/" + encodeURIComponent(id));
  const update = (event) => place.replaceChildren(make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, ...JSON.parse(event.data).runs.map(progressRow)))));
  live.onmessage = update;
  live.addEventListener("end", (event) => { update(event); stopLive(); });
}

function stopLive() {
  if (live) live.close ? live.close() : clearInterval(live);
  live = null;
}

// ---- queue and nodes: asked every two seconds ----

function every(refresh) {
  const timer = setInterval(() => refresh().catch(() => {}), 2000);
  live = { close: () => clearInterval(timer) };
  return refresh();
}

function queueView() {
  return every(async () => {
    const queue = await api("queue");
    show(make("p", {}, `${queue.queued} waiting, ${queue.running} running`), make("div", { class: "scroll" }, make("table", {}, make("tbody", {},
      ...queue.entries.map((e) => { const row = progressRow(e.run); row.append(make("td", {}, e.waiting_for ? "waits for: " + e.waiting_for : "")); return row; })))));
  });
}

function nodesView() {
  return every(async () => {
    const nodes = (await api("nodes")).nodes;
    show(make("p", {}, `${nodes.length} connected`), make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...["node", "engines", "precisions", "models", "works on"].map((t) => make("th", {}, t)))),
      make("tbody", {}, ...nodes.map((n) => make("tr", {}, make("td", {}, n.hello.name), make("td", {}, n.hello.engines.join(", ")), make("td", {}, n.hello.precisions.join(", ")),
        make("td", {}, n.hello.models.map((m) => m.name).join(", ")), make("td", {}, n.run_id || "nothing")))))));
  });
}

// ---- addresses ----

const views = { board: boardView, run: runView, submit: submitView, queue: queueView, nodes: nodesView };

function go(view, parameters) {
  const kept = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  location.hash = view + "?" + new URLSearchParams(kept);
}

async function route() {
  const [name, query] = (location.hash.slice(1) || "board").split("?");
  stopLive();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === "#" + name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    await (views[name] || boardView)(new URLSearchParams(query || ""));
  } catch (error) {
    show(make("p", { class: "error", role: "alert" }, error.message));
  }
}

window.addEventListener("hashchange", route);
route();
