// Live views: queue, evaluation and run while they change, in one tab and in two, and when the
// server goes away under them.
import { assert, scene } from "./stage.mjs";
import { cancel, crash, slowly, submit, submitAndFinish, takeGatewayAway } from "./suite.mjs";

const connectionLost = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING/;

const line = (page, run) => page.locator(`[data-testid="runline"][data-run="${run}"]`);
const doneOf = async (place) => Number(await place.getByRole("progressbar").getAttribute("aria-valuenow"));

/** Two nodes: of four runs, two work and two wait. */
async function withFour(body, seconds = 2) {
  const reply = await submit({
    model: "queued",
    tasks: ["gsm-mini", "choice-mini-letter"],
    repeats: 2,
    load: { concurrency: 8 },
    submitter: "tester",
    ...slowly(seconds),
  });
  try {
    await body(reply);
  } finally {
    await cancel(reply.evaluation_id);
  }
}

async function grows(place) {
  const before = await doneOf(place);
  for (let i = 0; i < 150 && (await doneOf(place)) <= before; i++) await new Promise((next) => setTimeout(next, 100));
  assert.ok((await doneOf(place)) > before, `still ${before} samples`);
}

scene("the queue shows what works, how far, what waits and for what", (stage) =>
  withFour(async ({ runs }) => {
    const page = await stage.open("/queue");
    const working = page.getByTestId("active").getByTestId("runline"),
      waiting = page.getByTestId("waiting").getByTestId("runline");
    await working.nth(1).waitFor();
    await waiting.nth(1).waitFor();
    assert.match(await waiting.first().innerText(), /waiting for a free node/);
    assert.match(await waiting.first().innerText(), /by tester/);
    await grows(line(page, runs[0].run_id));
  }),
);

scene("a run that no node can run stands apart, and what has finished is below", async (stage) => {
  const done = await submitAndFinish({ model: "seen-in-the-queue", limit: 4 });
  const { evaluation_id: id, runs } = await submit({ engine: "native", model: "/nobody/has/this", limit: 1 });
  try {
    const page = await stage.open("/queue");
    const blocked = page.getByTestId("blocked").locator(`[data-run="${runs[0].run_id}"]`);
    await blocked.getByText("blocked: no connected node").waitFor();
    assert.equal(await page.getByTestId("waiting").count(), 0);
    await page.getByTestId("queue-sum").getByText("of these 1 blocked").waitFor();
    await page.getByTestId("finished").locator(`a[href="/runs/${done}"]`).waitFor();
  } finally {
    await cancel(id);
  }
});

scene("a run is cancelled from the queue, after a question that can be answered with no", (stage) =>
  withFour(async ({ runs }) => {
    const page = await stage.open("/queue");
    const last = line(page, runs[3].run_id);
    await last.getByTestId("cancel").click();
    await page.getByRole("button", { name: "Keep running" }).click();
    assert.equal(await last.count(), 1);
    await last.getByTestId("cancel").click();
    await page
      .getByTestId("cancel-dialog")
      .getByLabel(/Reason/)
      .fill("seen enough");
    await page.getByTestId("cancel-yes").click();
    await last.waitFor({ state: "detached" });
    await page.getByText("Cancelled.").waitFor();
    const other = await stage.open(`/runs/${runs[3].run_id}`);
    assert.match(await other.getByTestId("outcome").innerText(), /Cancelled: seen enough/);
  }),
);

scene("the gateway goes away under the queue: a banner says so, and the queue continues when it is back", (stage) =>
  withFour(async ({ runs }) => {
    stage.allow(connectionLost);
    const page = await stage.open("/queue");
    await grows(line(page, runs[0].run_id));
    const giveBack = await takeGatewayAway();
    try {
      await page.getByTestId("away").waitFor();
      assert.equal(await line(page, runs[0].run_id).count(), 1, "what was shown is gone");
    } finally {
      giveBack();
    }
    await page.getByTestId("away").waitFor({ state: "detached", timeout: 30000 });
    await grows(line(page, runs[0].run_id));
  }, 3),
);

scene("the scheduler crashes under queue and evaluation: both go on by themselves", (stage) =>
  withFour(async ({ evaluation_id: id, runs }) => {
    const queue = await stage.open("/queue"),
      evaluation = await stage.open(`/evaluations/${id}`);
    await grows(line(queue, runs[0].run_id));
    await crash("scheduler");
    await Promise.all([queue, evaluation].map((page) => grows(line(page, runs[0].run_id))));
    assert.equal(await evaluation.getByTestId("error").count(), 0);
  }),
);

scene("two tabs follow one evaluation through a restart of the gateway to its end", async (stage) => {
  stage.allow(connectionLost);
  const { evaluation_id: id, runs } = await submit({
    model: "two-tabs",
    limit: 64,
    load: { concurrency: 8 },
    ...slowly(1),
  });
  const one = await stage.open(`/evaluations/${id}`),
    two = await stage.open(`/runs/${runs[0].run_id}`);
  await grows(line(one, runs[0].run_id));
  await two.getByTestId("live").waitFor();
  const giveBack = await takeGatewayAway();
  await Promise.all([one, two].map((tab) => tab.getByTestId("away").waitFor())).finally(giveBack);
  await one.locator('[data-testid="evaluation-sum"][data-ended="true"]').waitFor({ timeout: 60000 });
  await two.locator('[data-testid="state"][data-state="finished"]').first().waitFor({ timeout: 60000 });
  await two.getByTestId("figures").waitFor();
});
