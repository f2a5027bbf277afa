// One run: its samples, its evidence, and the addresses that lead to them.
import { createServer } from "node:http";
import { assert, scene } from "./stage.mjs";
import { api, cancel, slowly, submit, submitAndFinish } from "./suite.mjs";

const large = `/runs/${process.env.MOECAP_LARGE_RUN}`;
const samples = Number(process.env.MOECAP_SAMPLES ?? 10000);
const uid = (n) => `large-${String(n).padStart(5, "0")}`;
const sample = (page, n) => page.locator(`[data-testid="sample"][data-ordinal="${n}"]`);

scene("thousands of samples are turned page by page, and back", async (stage) => {
  const page = await stage.open(`${large}?show=samples`);
  await sample(page, 0).waitFor();
  assert.equal(await page.getByTestId("sample").count(), 50);
  await page.getByRole("button", { name: "Next page" }).click();
  await sample(page, 50).waitFor();
  await page.getByRole("button", { name: "Next page" }).click();
  await sample(page, 100).waitFor();
  assert.match(
    await page.getByTestId("pager").innerText(),
    new RegExp(`No\\. 100 to 149; ${samples.toLocaleString("en")} in the run`),
  );
  await page.reload();
  await sample(page, 100).waitFor();
  await page.goBack();
  await sample(page, 50).waitFor();
});

scene("a sample is found by its number, and its link opens it wherever it lies", async (stage) => {
  const last = samples - 1;
  const page = await stage.open(`${large}?show=samples`);
  await page.getByLabel("Sample no.").fill(String(last));
  await page.keyboard.press("Enter");
  await sample(page, last).getByTestId("sample-detail").waitFor();
  const link = await sample(page, last).getByRole("link", { name: "Link to this sample" }).getAttribute("href");
  const other = await stage.open(link);
  const detail = other.getByTestId("linked").getByTestId("sample-detail");
  await detail.waitFor();
  assert.match(await other.getByTestId("linked").innerText(), new RegExp(uid(last)));
  assert.match(await detail.getByTestId("prompt").innerText(), /How many pieces of fruit/);
  assert.match(await detail.getByTestId("answer").innerText(), /####/);
  assert.match(await detail.getByTestId("gold").innerText(), /sum/);
  assert.match(await detail.getByTestId("sample-times").innerText(), /Time to first token/);
  assert.match(await detail.getByTestId("routing").innerText(), /– \S/);
});

scene("samples are filtered by verdict and searched by their words; the address keeps both", async (stage) => {
  const page = await stage.open(`${large}?show=samples`);
  await page.getByRole("button", { name: "wrong", exact: true }).click();
  await page.getByLabel("Search in prompts and answers").fill("17 apples");
  await page.waitForURL(/search=17/);
  await sample(page, 0).waitFor({ state: "detached" });
  await sample(page, 17).waitFor();
  const prompts = await page.getByTestId("sample").count();
  await page.reload();
  await sample(page, 17).waitFor();
  assert.equal(await page.getByTestId("sample").count(), prompts);
  assert.equal(await page.getByRole("button", { name: "wrong", exact: true }).getAttribute("aria-pressed"), "true");
  assert.equal(await page.getByLabel("Search in prompts and answers").inputValue(), "17 apples");
  await page.getByRole("button", { name: "failed", exact: true }).click();
  await page.getByText("No sample is failed here.").waitFor();
});

scene(
  "nobody sees the reference of an unfinished run; when it has ended everybody does, without a reload",
  async (stage) => {
    const { evaluation_id: id, runs } = await submit({
      model: "gold",
      limit: 24,
      load: { concurrency: 4 },
      ...slowly(1),
    });
    try {
      const page = await stage.open(`/runs/${runs[0].run_id}?show=samples&sample=0`);
      await page.getByTestId("gold").filter({ hasText: "when the run has ended" }).waitFor();
      await page.locator('[data-testid="state"][data-state="finished"]').first().waitFor({ timeout: 30000 });
      await page.getByTestId("gold").filter({ hasText: "question" }).waitFor();
    } finally {
      await cancel(id);
    }
  },
);

scene("our engine's run shows its experts: by keyboard, by phase, and as a table", async (stage) => {
  const run = await submitAndFinish({ engine: "native", model: "moecap-tiny", precision: "f32", limit: 5 });
  const page = await stage.open(`/runs/${run}?show=experts`);
  const curve = page.getByTestId("curve-activation_batch_decode");
  await curve.locator("svg path.predicted").waitFor();
  assert.match(
    await curve.locator("svg").getAttribute("aria-label"),
    /points, from \d\.\d\d at \d\.\d\d tokens in the pass/,
  );
  assert.equal(await page.getByTestId("curves").locator("figure").count(), 6);
  const canvas = page.locator('[data-testid="heat"] canvas');
  await canvas.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.getByText("Layer 1, expert 1:").waitFor();
  await page.getByLabel("Phase").selectOption("decode");
  await page.waitForURL(/phase=decode/);
  await page.getByText("As a table").last().click();
  const rows = page.getByRole("region", { name: "Selections by layer and expert" }).locator("tbody tr");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 5);
  await page.getByRole("link", { name: "Samples" }).click();
  await sample(page, 0).getByRole("button").first().click();
  await sample(page, 0).getByTestId("routing").getByTestId("heat").waitFor();
  assert.match(page.url(), /sample=0/);
});

scene("figures stand in the board's groups, accuracy first", async (stage) => {
  const page = await stage.open(large);
  const heads = page.getByTestId("figures").locator("tr.group");
  await heads.first().waitFor(); // allInnerTexts does not wait for the run
  const groups = await heads.allInnerTexts();
  const places = ["Accuracy", "Performance", "Load", "Energy"].map((name) => groups.indexOf(name));
  assert.equal(places[0], 0, groups.join());
  assert.ok(!places.includes(-1), groups.join());
});

scene("a run that failed says why before anything else", async (stage) => {
  const server = createServer((request, reply) =>
    reply.writeHead(401, { "Content-Type": "application/json" }).end('{"error": {"message": "no key, no answer"}}'),
  );
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const run = await submitAndFinish({
    engine: "openai",
    model: "nobody",
    limit: 3,
    external: { url: `http://127.0.0.1:${server.address().port}` },
  });
  server.close();
  const page = await stage.open(`/runs/${run}`);
  assert.match(await page.getByTestId("outcome").innerText(), /Failed: .*401/);
  assert.equal(await page.getByTestId("headlines").count(), 0, "a row of dashes");
});

scene("a figure that is unknown tells its reason when the keyboard reaches it", async (stage) => {
  const page = await stage.open(large);
  await page.locator('[data-testid="headlines"] .dash').last().focus();
  await page.getByRole("tooltip").filter({ hasText: "No value: no layer with experts was reported" }).waitFor();
});

scene("latencies are drawn and told as a table", async (stage) => {
  const page = await stage.open(`${large}?show=latency`);
  const first = page.getByTestId("histogram").first();
  await first.locator("svg rect").first().waitFor();
  assert.match(await first.locator("svg").getAttribute("aria-label"), /p50 .*p90 .*p99/);
  await first.getByText("As a table").click();
  const counts = await first.locator("tbody td:nth-child(3)").allInnerTexts();
  const { row } = await api("runs/" + process.env.MOECAP_LARGE_RUN);
  const warmUp = row.figures.find((f) => f.id === "warm_up_requests").value;
  assert.equal(
    counts.reduce((sum, text) => sum + Number(text.replace(/,/g, "")), 0),
    samples - warmUp,
  );
  if (warmUp > 0) await page.getByText(`Without the first ${warmUp.toLocaleString("en")} requests`).waitFor();
});

scene("what to know of a run stands beside its figures, in words", async (stage) => {
  const run = await submitAndFinish({ model: "short", limit: 8 });
  const page = await stage.open(`/runs/${run}`);
  const marks = page.getByTestId("marks");
  await marks.getByText("8 of 40 requests needed").waitFor();
  assert.match(await marks.innerText(), /unsettled: /);
});

scene("prices are tried on a run without running it again; the address holds them", async (stage) => {
  stage.allow(/status of 400/); // what is typed may be wrong for a moment
  const run = await submitAndFinish({ model: "priced", limit: 8, cost: { rent: 2 } });
  const page = await stage.open(`/runs/${run}?show=cost`);
  const hour = page.getByTestId("cost-cost_per_hour");
  await hour.getByText("2.00").waitFor();
  await page.getByLabel("Rent of a device").fill("3.5");
  await hour.getByText("3.50").waitFor();
  await page.waitForURL(/rent=3\.5/);
  assert.match(await page.getByTestId("command").innerText(), /--rent 3\.5/);
  const other = await stage.open(page.url().slice(page.url().indexOf("/runs/")));
  await other.getByTestId("cost-cost_per_hour").getByText("3.50").waitFor();
  await page.getByLabel("PUE").fill("0.5");
  await page.getByTestId("fault-pue").getByText("0.5 is not from 1 to 10").waitFor();
  await hour.getByText("3.50").waitFor(); // what was known before stays
  await page.getByRole("button", { name: "Defaults" }).click();
  await page.waitForURL(/from=defaults/);
  assert.equal(await page.getByLabel("Rent of a device").inputValue(), "");
  await page.getByLabel("Price of a device").fill("10000");
  await page.getByLabel("Power of a device").fill("400");
  await page.getByTestId("hour").getByText("Energy").waitFor();
  await page.getByRole("button", { name: "As submitted" }).click();
  await hour.getByText("2.00").waitFor();
  assert.doesNotMatch(page.url(), /rent=|price=|from=/);
});
