// The machines.
import { assert, scene } from "./stage.mjs";
import { cancel, slowly, submit } from "./suite.mjs";

scene("every node shows what it is, what it offers and what it does", async (stage) => {
  const { evaluation_id: id, runs } = await submit({ model: "on-a-node", ...slowly(10) });
  try {
    const page = await stage.open("/nodes");
    await page.getByTestId("node").nth(1).waitFor();
    await page.locator(`[data-testid="node"] a[href="/runs/${runs[0].run_id}"]`).waitFor();
    const text = await page.getByTestId("nodes").innerText();
    for (const word of [
      "node-1",
      "node-2",
      "moecap-tiny",
      "native",
      "int8",
      "Memory",
      "last seen",
      "running",
      "idle",
      "servers that you run: openai",
    ])
      assert.ok(text.includes(word), `no "${word}" in ${text}`);
  } finally {
    await cancel(id);
  }
});
