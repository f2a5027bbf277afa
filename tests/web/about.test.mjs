// Pages that explain a name: a task, a model.
import { assert, scene } from "./stage.mjs";
import { submitAndFinish } from "./suite.mjs";

scene("a run leads to its task: what is asked, what is right, and the task's runs", async (stage) => {
  const run = await submitAndFinish({ model: "leads-to-its-task", limit: 3 });
  const page = await stage.open(`/runs/${run}`);
  await page.getByRole("heading", { level: 1 }).getByRole("link", { name: "gsm-mini" }).click();
  await page.waitForURL(/\/tasks\/gsm-mini$/);
  await page.getByTestId("task-about").getByText("Word problems of one to three steps").waitFor();
  assert.match(await page.getByTestId("doc_to_text").innerText(), /Question: \{\{question\}\}/);
  await page.getByTestId("finished").locator(`a[href="/runs/${run}"]`).waitFor();
  await page.getByRole("link", { name: "Submit an evaluation" }).click();
  await page.locator('input[name="task-gsm-mini"]:checked').waitFor();
});

scene("a model's page has its shape by its latest run, and what nodes have of it", async (stage) => {
  const run = await submitAndFinish({ engine: "native", model: "moecap-tiny", precision: "f32", limit: 2 });
  const page = await stage.open("/nodes");
  await page.getByTestId("node").first().getByRole("link", { name: "moecap-tiny", exact: true }).click();
  await page.waitForURL(/\/models\/moecap-tiny$/);
  await page.getByText("Experts for a token (top-k)").waitFor();
  await page.getByRole("link", { name: "its latest run" }).waitFor();
  await page.getByRole("heading", { name: "On node-1" }).waitFor();
  const text = await page.locator("main").innerText();
  for (const word of ["qwen3_moe", "tokens", "Layers with experts"]) assert.ok(text.includes(word), `no "${word}"`);
  assert.doesNotMatch(text, /Experts of a layer\s+unknown/);
  await page.getByTestId("finished").locator(`a[href="/runs/${run}"]`).waitFor();
});

scene("a name that nobody knows is told in words", async (stage) => {
  const page = await stage.open("/tasks/no-such-task");
  await page.getByText('This suite has no task "no-such-task"').waitFor();
  const model = await stage.open("/models/" + encodeURIComponent("Qwen/none"));
  await model.getByText("no connected node").waitFor();
  await model.getByText("None yet.").waitFor();
});
