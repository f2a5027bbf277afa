// What a pass costs, without running it.
import { assert, scene } from "./stage.mjs";

scene("a model of a node is estimated, and the address is the form", async (stage) => {
  const page = await stage.open("/estimate?hardware=H100-SXM&context=512");
  const view = page.getByTestId("estimate");
  await view.getByTestId("parts").waitFor();
  const text = await view.innerText();
  for (const word of ["qwen3_moe", "H100-SXM-80GB", "bound by memory", "experts", "kv_read", "no step time was given"])
    assert.ok(text.includes(word), `no "${word}" in ${text}`);
  await page.getByLabel("Step time, s").fill("0.01");
  await page.waitForFunction(() => location.search.includes("step=0.01"));
  await page.waitForFunction(() => !document.querySelector("main").innerText.includes("no step time was given"));
});

scene("what is wrong stands beside its field", async (stage) => {
  stage.allow(/400|404/);
  const page = await stage.open("/estimate?hardware=RTX+99&context=512");
  await page.getByTestId("fault-hardware").waitFor();
  assert.match(await page.getByTestId("fault-hardware").innerText(), /unknown device "RTX 99"/);
});
