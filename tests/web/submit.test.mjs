// The form: what it says while it is filled in, and what becomes of it.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { assert, scene, tabTo } from "./stage.mjs";
import { cancel, moecapFolder, slowly, submit, submitAndFinish } from "./suite.mjs";

const nullForm = "/submit?engine=null&model=none&tasks=gsm-mini";

async function planSays(page, text) {
  await page
    .locator('[data-testid="plan"][data-checking="false"]')
    .getByTestId("plan-sum")
    .filter({ hasText: text })
    .waitFor();
}

scene("an evaluation is submitted from the form, followed live to its end, and its run opened", async (stage) => {
  const page = await stage.open("/submit");
  await page.getByLabel("Engine").selectOption("null");
  await page.getByLabel("Model", { exact: true }).fill("form-test");
  await page.getByRole("checkbox", { name: /^gsm-mini/ }).check();
  await page.getByLabel("Batch size").fill("4");
  await page.getByLabel("First N samples").fill("40");
  await planSays(page, "1 run, 40 samples");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/evaluations\/eval-/);
  await page.locator('[data-testid="evaluation-sum"][data-ended="true"]').waitFor();
  await page.locator('[data-testid="runline"][data-state="finished"] a').first().click();
  await page.waitForURL(/\/runs\/run-/);
  await page.getByRole("heading", { level: 1, name: "form-test on gsm-mini" }).waitFor();
  assert.match(await page.getByTestId("headlines").innerText(), /Accuracy/);
});

scene("a wrong value is told beside its field while it is typed, and submitting leads to it", async (stage) => {
  const page = await stage.open(nullForm);
  const field = page.getByLabel("Batch size");
  await field.fill("5000");
  await page.getByTestId("fault-concurrency").filter({ hasText: "4096" }).waitFor();
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  await field.fill("many");
  await page.getByTestId("fault-concurrency").filter({ hasText: "whole number" }).waitFor();
  await page.getByLabel("Seed").focus();
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForFunction(() => document.activeElement?.id === "field-concurrency");
  assert.equal(new URL(page.url()).pathname, "/submit");
  await field.fill("8");
  await planSays(page, "1 run, 600 samples");
  assert.equal(await page.getByTestId("fault-concurrency").count(), 0);
});

scene("every wrong field is marked at once, each with its range", async (stage) => {
  const page = await stage.open(
    "/submit?tasks=gsm-mini&model=m&engine=vllm&concurrency=99999&limit=-3&sampling=7&repeats=1000&seed=abc",
  );
  const told = {
    concurrency: "99999 is not from 1 to 4096",
    limit: "-3 is not from 0 to",
    sampling: "7 is not above 0 and up to 1",
    repeats: "1000 is not from 1 to 100",
    seed: '"abc" is not a whole number from 0 to',
    url: 'engine "vllm" needs this, e.g. http://127.0.0.1:8000',
  };
  await page.getByTestId("fault-count").filter({ hasText: "6 fields need fixing" }).waitFor();
  for (const [field, text] of Object.entries(told))
    assert.ok((await page.getByTestId(`fault-${field}`).innerText()).includes(text), field);
});

scene("an empty form asks the server nothing and complains of nothing until it is submitted", async (stage) => {
  const page = await stage.open("/queue");
  page.on("request", (request) => assert.notEqual(request.method(), "POST", "an untouched form was sent"));
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Submit an evaluation" }).waitFor();
  await page.waitForTimeout(600); // a form at rest is checked after a quarter of a second
  page.removeAllListeners("request");
  await page.locator('[data-testid="plan"][data-checking="false"]').waitFor();
  assert.equal(await page.locator(".fault").count(), 0);
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByTestId("fault-tasks").filter({ hasText: "at least one task" }).waitFor();
});

scene("the command line that is shown plans the same configuration", async (stage) => {
  const page = await stage.open(nullForm);
  await page.getByRole("checkbox", { name: /^choice-mini 600|^choice-mini\b(?!-)/ }).check();
  await page.getByLabel("Batch size").fill("3");
  await page.getByLabel("Random share").fill("0.25");
  await page.getByLabel("Seed").fill("77");
  await page.getByLabel("Repeats").fill("2");
  await page.getByText("Metadata").click();
  await page.getByLabel("Note").fill('it\'s "quoted" & more');
  await page.getByText("Generation", { exact: true }).click();
  await page.getByLabel("Max tokens").fill("16");
  await page.getByRole("checkbox", { name: /^Ignore end-of-sequence/ }).check();
  await planSays(page, "4 runs, 600 samples");
  const hash = await page.getByTestId("config-hash").getAttribute("title");
  const command = await page.getByTestId("command").innerText();
  const { stdout } = await promisify(execFile)("sh", ["-c", `PATH=${moecapFolder}:$PATH; ${command} --dry-run --json`]);
  assert.equal(JSON.parse(stdout).config_hash, hash);
});

scene("fields of a server appear for an engine that needs its address, and only then", async (stage) => {
  const page = await stage.open(nullForm);
  assert.equal(await page.getByLabel("Address of the server").count(), 0);
  await page.getByLabel("Engine").selectOption("openai");
  await page.getByLabel("Address of the server").fill("not an address");
  await page.getByTestId("fault-url").filter({ hasText: "http://" }).waitFor();
  await page.getByLabel("Hardware").fill("8x H100-SXM");
  await page.getByLabel("Engine").selectOption("null");
  assert.equal(await page.getByLabel("Hardware").count(), 0);
});

scene("a half-filled form comes back from its address, and the way back does not lead through it", async (stage) => {
  const page = await stage.open("/queue");
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByLabel("Engine").selectOption("null");
  await page.getByLabel("Model", { exact: true }).fill("half");
  await page.getByLabel("First N samples").fill("12");
  await page.reload();
  assert.equal(await page.getByLabel("Model", { exact: true }).inputValue(), "half");
  assert.equal(await page.getByLabel("First N samples").inputValue(), "12");
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: "Queue" }).waitFor();
});

scene("a run is submitted again with changes", async (stage) => {
  const run = await submitAndFinish({
    model: "again",
    tasks: ["choice-mini"],
    limit: 7,
    seed: 3,
    load: { rate_per_s: 500 },
  });
  const page = await stage.open(`/runs/${run}`);
  await page.getByTestId("again").click();
  await page.waitForURL(/\/submit\?/);
  assert.equal(await page.getByLabel("Requests a second").inputValue(), "500");
  assert.equal(await page.getByLabel("Seed").inputValue(), "3");
  await page.getByLabel("Seed").fill("4");
  await planSays(page, "1 run, 7 samples");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.locator('[data-testid="evaluation-sum"][data-ended="true"]').waitFor();
});

scene("the form of a run plans that run's configuration to the last declared word", async (stage) => {
  const { runs, config_hash: hash } = await submit({
    engine: "vllm",
    model: "declared",
    precision: "fp8",
    tasks: ["gsm-mini", "choice-mini"],
    load: { concurrency: 16 },
    limit: 5,
    repeats: 2,
    sampling: 0.5,
    seed: 9,
    num_fewshot: 2,
    prompt_format: "chat",
    generation: { max_tokens: 64, temperature: 0.5, top_p: 0.9, top_k: 40, ignore_eos: true },
    hardware: { description: "8x H100-SXM, NVLink" },
    parallelism: { tensor: 8, expert: 2 },
    external: {
      url: "http://127.0.0.1:9",
      served_model: "name, with a comma",
      model_config: await readFile("models/moecap-tiny/config.json", "utf8"),
      api_key_env: "MOECAP_KEY_TEST",
    },
    revision: "main",
    note: "all of it",
    priority: -5,
  });
  try {
    const page = await stage.open(`/runs/${runs[0].run_id}`);
    await page.getByTestId("again").click();
    await page.locator(`[data-testid="config-hash"][title="${hash}"]`).waitFor();
    assert.ok(page.url().length < 1000, "config.json is in the address");
  } finally {
    await Promise.all(runs.map((run) => cancel(run.run_id)));
  }
});

scene("a configuration that is running already is shown, and not started again", async (stage) => {
  const first = await submit({ model: "twice", tasks: ["gsm-mini"], load: { concurrency: 2 }, ...slowly(20) });
  try {
    const page = await stage.open(
      "/submit?engine=null&model=twice&tasks=gsm-mini&concurrency=2&max_tokens=40000&ignore_eos=1",
    );
    await planSays(page, "1 run, 600 samples");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.waitForURL(/\/evaluations\//);
    assert.equal(await page.getByTestId("evaluation-id").innerText(), first.evaluation_id);
    await page.getByText("no new run was started").waitFor();
  } finally {
    await cancel(first.evaluation_id);
  }
});

scene("the form is filled in and submitted by the keyboard alone", async (stage) => {
  const page = await stage.open("/");
  await tabTo(page, 'nav a[href="/submit"]');
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Submit an evaluation" }).waitFor();
  await tabTo(page, "#field-engine");
  await page.keyboard.type("null");
  await tabTo(page, "#field-model");
  await page.keyboard.type("keys-only");
  await tabTo(page, 'input[name="task-gsm-mini"]');
  await page.keyboard.press("Space");
  await tabTo(page, "#field-limit");
  await page.keyboard.type("5");
  await planSays(page, "1 run, 5 samples");
  await page.keyboard.press("Enter");
  await page.locator('[data-testid="evaluation-sum"][data-ended="true"]').waitFor();
});
