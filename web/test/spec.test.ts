import assert from "node:assert/strict";
import { test } from "node:test";
import {
  besideField,
  commandOf,
  fieldOfPath,
  type Form,
  formOf,
  isToldEarly,
  knobs,
  localFaults,
  missing,
  schema,
  specOf,
} from "../src/lib/spec.ts";
import type { Spec } from "../src/lib/types.ts";
import { readState, writeState } from "../src/lib/urlstate.ts";

const own = { isServer: false, modelConfig: "" };
const server = { isServer: true, modelConfig: "" };
const form = (changes: Partial<Form>): Form => ({ ...(readState(schema, new URLSearchParams()) as Form), ...changes });

test("an empty field is left out, so that the server's default holds", () => {
  assert.deepEqual(specOf(form({}), own), {});
  assert.deepEqual(specOf(form({ model: "m", tasks: ["a", "b"], concurrency: "4" }), own), {
    model: "m",
    tasks: ["a", "b"],
    load: { concurrency: 4 },
  });
});

test("a number that is none goes as it was written, for the server to refuse by name", () => {
  assert.deepEqual(specOf(form({ limit: "ten", seed: "1e3", sampling: ".5" }), own), {
    limit: "ten",
    seed: 1000,
    sampling: 0.5,
  });
});

test("only one kind of load is sent, and only what the kind of engine knows", () => {
  const both = form({
    concurrency: "4",
    rate: "2.5",
    device: "cpu",
    hardware: "8x H100",
    url: "http://h:1",
    tensor: "8",
  });
  assert.deepEqual(specOf({ ...both, loop: "open" }, own), { load: { rate_per_s: 2.5 }, hardware: { device: "cpu" } });
  assert.deepEqual(specOf(both, server), {
    external: { url: "http://h:1" },
    load: { concurrency: 4 },
    hardware: { description: "8x H100" },
    parallelism: { tensor: 8 },
  });
});

test("a whole number that a browser would round is refused here", () => {
  assert.equal(localFaults(form({ seed: "9007199254740993" }), own)[0]?.field, "seed");
  assert.deepEqual(localFaults(form({ seed: "9007199254740991" }), own), []);
});

test("the path that a refusal names leads to its field", () => {
  assert.equal(fieldOfPath("spec.tasks[1]"), "tasks");
  assert.equal(fieldOfPath("spec.load.concurrency"), "concurrency");
  assert.equal(fieldOfPath("spec.external.model_config"), "model_config");
  assert.equal(fieldOfPath("spec.something.new"), null);
});

test("the command line says the same, quoted for a shell", () => {
  assert.deepEqual(
    commandOf(
      form({ engine: "null", model: "none", tasks: ["a", "b"], note: "it's a note", format: "chat", ignore_eos: true }),
      own,
    ),
    [
      "moecap submit",
      "--model none",
      "--task a",
      "--task b",
      "--engine null",
      "--ignore-eos",
      "--chat",
      "--note 'it'\\''s a note'",
    ],
  );
  assert.deepEqual(commandOf(form({ model: "m" }), { isServer: true, modelConfig: "{}" }), [
    "moecap submit",
    "--model m",
    "--model-config config.json",
  ]);
});

const spec: Spec = {
  model: "m",
  revision: "",
  engine: "null",
  precision: "",
  tasks: ["t"],
  load: { rate_per_s: 2 },
  generation: { max_tokens: 0, temperature: 0, top_k: 0, ignore_eos: false },
  hardware: { description: "", device: "", device_count: 0 },
  parallelism: { tensor: 0, pipeline: 0, data: 0, expert: 0 },
  limit: 0,
  sampling: 0.5,
  repeats: 1,
  seed: 7,
  prompt_format: "text",
  external: { url: "", served_model: "", model_config: "", api_key_env: "" },
  submitter: "anonymous",
  priority: 0,
  note: "",
};

test("a run's form submits what the run was, through the address and back", () => {
  const filled = { ...form({}), ...formOf(spec, "run-1") };
  const read = readState(schema, new URLSearchParams(writeState(schema, filled))) as Form;
  assert.deepEqual(read, filled);
  assert.deepEqual(specOf(read, own), {
    engine: "null",
    model: "m",
    tasks: ["t"],
    load: { rate_per_s: 2 },
    sampling: 0.5,
    seed: 7,
    generation: { temperature: 0 },
  });
});

test("a declared config.json stays out of the address; the run that holds it is named", () => {
  const declared = { ...spec, external: { ...spec.external!, model_config: "{}" } };
  assert.equal(formOf(declared, "run-1").config_from, "run-1");
  assert.equal(formOf(spec, "run-1").config_from, "");
});

test("what a form lacks is asked for by name, and nothing that it has", () => {
  assert.equal(missing(form({})), "Choose a model and a task.");
  assert.equal(missing(form({ model: "m" })), "Choose a task.");
  assert.equal(missing(form({ tasks: ["a"] })), "Choose a model.");
  assert.equal(missing(form({ model: "m", tasks: ["a"] })), "");
});

test("every knob of the table has a place in the form, in the specification and on the command line", () => {
  const example = (kind: string, text = "1") => (kind === "list" ? [text] : kind === "switch" ? true : text);
  for (const knob of knobs.filter((k) => k.kind !== "file")) {
    const around = { isServer: knob.when === "server", modelConfig: "" };
    const filled = {
      ...form({ [knob.id]: example(knob.kind, knob.example) }),
      loop: knob.when === "open_loop" ? ("open" as const) : ("closed" as const),
    };
    const value = knob.path.split(".").reduce<any>((part, name) => part?.[name], specOf(filled, around));
    assert.ok(value !== undefined, knob.path);
    assert.ok(commandOf(filled, around).join(" ").includes(`--${knob.flag}`), knob.flag);
    assert.equal(fieldOfPath(`spec.${knob.path}`), knob.id);
  }
});

test("a refusal is said beside its field without the field's path", () => {
  assert.equal(besideField("spec.tasks", "tasks is empty: name at least one task"), "empty: name at least one task");
  assert.equal(besideField("spec.limit", "limit -3 is not from 0 to 4294967295"), "-3 is not from 0 to 4294967295");
  assert.equal(
    besideField("spec.external.url", 'engine "vllm" needs external.url, e.g. http://127.0.0.1:8000'),
    'engine "vllm" needs this, e.g. http://127.0.0.1:8000',
  );
});

test("a chosen server without an address is told before anyone submits; an empty form is not", () => {
  const fault = { field: "url" as const, message: "" };
  assert.ok(isToldEarly(fault, form({ engine: "vllm" })));
  assert.ok(!isToldEarly(fault, form({})));
  assert.ok(!isToldEarly({ field: "model", message: "" }, form({ engine: "vllm" })));
  assert.ok(isToldEarly({ field: "limit", message: "" }, form({ limit: "-3" })));
});
