// What every view owes, whatever it shows.
import { assert, scene } from "./stage.mjs";

const views = { board: "/", submit: "/submit", queue: "/queue", nodes: "/nodes" };

for (const [name, address] of Object.entries(views))
  scene(`${name} opens without an error, an exception or a breach of the content security policy`, async (stage) => {
    const page = await stage.open(address);
    await page.waitForLoadState("networkidle");
    assert.notEqual((await page.locator("main").innerText()).trim(), "");
  });
