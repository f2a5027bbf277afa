// What every view owes, whatever it shows.
import { after } from "node:test";
import { assert, cutTables, scene, seriousFindings, sidewaysScroll } from "./stage.mjs";
import { api, cancel, slowly, submit, submitAndFinish } from "./suite.mjs";

const large = `/runs/${process.env.MOECAP_LARGE_RUN}`;
let shown;

/** A finished run of our engine and an evaluation at work, made when the first view is looked at. */
function runs() {
  shown ??= (async () => {
    const own = await submitAndFinish({ engine: "native", model: "moecap-tiny", precision: "int8", limit: 6 });
    const busy = await submit({ tasks: ["gsm-mini", "choice-mini-letter"], repeats: 2, ...slowly(20) });
    const { row } = await api(`runs/${own}`);
    return { OWN: own, ITS_EVALUATION: row.evaluation_id, BUSY: busy.runs[0].run_id, EVALUATION: busy.evaluation_id };
  })();
  return shown;
}

const views = {
  "a board without rows": "/?q=nothing-is-called-this",
  "the submit form": "/submit?tasks=gsm-mini",
  "the submit form for a server": "/submit?engine=openai&concurrency=x&tasks=gsm-mini",
  "the queue": "/queue",
  "the nodes": "/nodes",
  "a task": "/tasks/choice-mini",
  "a model": "/models/moecap-tiny",
  "an estimate": "/estimate?hardware=8x+H200&batch=32&step=0.001",
  "an evaluation": "/evaluations/ITS_EVALUATION",
  "an evaluation at work": "/evaluations/EVALUATION",
  "a run": "/runs/OWN",
  "a run at work": "/runs/BUSY",
  "a run's samples": "/runs/OWN?show=samples&sample=2",
  "10,000 samples": `${large}?show=samples&sample=3`,
  "a run's latency": `${large}?show=latency`,
  "a run's experts": "/runs/OWN?show=experts",
  "a run's utilisation": "/runs/OWN?show=utilisation",
  "a run's cost": "/runs/OWN?show=cost&price=5000&device_watts=200",
  "a run's energy": "/runs/OWN?show=energy",
  "a run without a price": "/runs/OWN?show=cost",
  "a run without experts": `${large}?show=experts`,
  "a run's provenance": "/runs/OWN?show=provenance",
  "a run that does not exist": "/runs/run-none",
};

async function assertFit(page, theme) {
  assert.deepEqual(await seriousFindings(page), [], `in the ${theme} theme`);
}

for (const [name, address] of Object.entries(views))
  scene(
    `${name}: a quiet console, no table cut, WCAG AA in light, dark and high contrast, no sideways scrolling at 390 px`,
    async (stage) => {
      if (address.endsWith("run-none")) stage.allow(/status of 404/);
      const ids = await runs();
      const page = await stage.open(address.replace(/\b[A-Z_]{3,}\b/, (word) => ids[word]));
      await page.waitForTimeout(300); // what it asked for has come, or the next assertion says what has not
      assert.notEqual((await page.locator("main").innerText()).trim(), "");
      await assertFit(page, "light");
      assert.deepEqual(await cutTables(page), [], "tables that are wider than their frames");
      await page.emulateMedia({ colorScheme: "dark" });
      await assertFit(page, "dark");
      await page.getByTestId("theme").selectOption("contrast");
      await assertFit(page, "high-contrast dark");
      await page.emulateMedia({ colorScheme: "light" });
      await assertFit(page, "high-contrast light");
      await page.setViewportSize({ width: 390, height: 844 });
      await page.waitForTimeout(100);
      assert.ok(
        (await sidewaysScroll(page)) <= 0,
        `the page is ${await sidewaysScroll(page)} px wider than the window`,
      );
    },
    { theme: "light", reducedMotion: "reduce" },
  );

after(async () => {
  if (shown) await cancel((await shown).EVALUATION);
});
