// Texts come from people and models: none of them is markup, and none widens the page.
import { assert, scene, sidewaysScroll } from "./stage.mjs";
import { api, submitAndFinish } from "./suite.mjs";

const longName = "a-name-without-a-single-place-to-break-it-".repeat(8);
const markup = `<img src=x onerror="document.title='hit'">`;

scene(
  "markup in names and notes is text, and the longest name widens no page",
  async (stage) => {
    const run = await submitAndFinish({
      model: markup + longName,
      limit: 1,
      note: markup + longName,
      submitter: "<b>bold</b>",
    });
    const { row } = await api(`runs/${run}`);
    for (const address of [
      `/runs/${run}`,
      `/runs/${run}?show=provenance`,
      `/evaluations/${row.evaluation_id}`,
      `/?q=${run}`,
      `/submit?engine=null&model=${encodeURIComponent(markup + longName)}`,
    ]) {
      const page = await stage.open(address);
      await page
        .getByText("<img src=x")
        .first()
        .waitFor({ state: "attached" })
        .catch(() => assert.ok(address.startsWith("/submit")));
      assert.doesNotMatch(await page.title(), /^hit/);
      assert.equal(await page.locator("img, b:text-is('bold')").count(), 0);
      assert.ok(
        (await sidewaysScroll(page)) <= 0,
        `${address} is ${await sidewaysScroll(page)} px wider than the window`,
      );
      await page.close();
    }
  },
  { width: 390 },
);

scene(
  "an address that leads nowhere is a page with the menu, and the longest one widens nothing",
  async (stage) => {
    stage.allow(/status of 404/);
    for (const address of ["/nothing", "/submit/x", "/" + "n".repeat(3000), "/runs/" + "r".repeat(3000)]) {
      const page = await stage.open(address);
      await page
        .getByText(/not found|no run|has no|does not exist/i)
        .first()
        .waitFor();
      await page.getByRole("link", { name: "Queue", exact: true }).waitFor();
      assert.ok((await sidewaysScroll(page)) <= 0, `${await sidewaysScroll(page)} px wider than the window`);
      await page.close();
    }
  },
  { width: 390 },
);
