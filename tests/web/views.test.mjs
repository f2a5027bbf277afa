// What every view owes, whatever it shows.
import { assert, scene } from "./stage.mjs";

const large = `/runs/${process.env.MOECAP_LARGE_RUN}`;
const views = {
  board: "/", submit: "/submit", "submit for a server": "/submit?engine=openai&concurrency=x", queue: "/queue", nodes: "/nodes",
  run: large, samples: `${large}?show=samples&sample=3`, latency: `${large}?show=latency`, experts: `${large}?show=experts`,
  provenance: `${large}?show=provenance`,
};

for (const [name, address] of Object.entries(views))
  scene(`${name} opens without an error, an exception or a breach of the content security policy`, async (stage) => {
    const page = await stage.open(address);
    await page.waitForLoadState("networkidle");
    assert.notEqual((await page.locator("main").innerText()).trim(), "");
  });
