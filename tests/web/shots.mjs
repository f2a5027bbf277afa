// Pictures of every view, at three widths and in every theme, of a suite that runs: for people to look at.
//
//     MOECAP_STATE=... node tests/web/shots.mjs FOLDER [PATTERN]     PATTERN picks by "view-theme-width"
import { mkdir } from "node:fs/promises";
import { newStage, quit, themes } from "./stage.mjs";
import { api, cancel, slowly, submit } from "./suite.mjs";

const [folder, pattern = "."] = process.argv.slice(2);
if (!folder) throw new Error("name a folder for the pictures");
const widths = [390, 900, 1440];

async function addresses() {
  const { rows } = await api("board?all=1&limit=1000&report=0&figures=attempted");
  const find = (fits) => rows.find((r) => r.state === "finished" && fits(r)) ?? rows[0];
  const native = find((r) => r.spec.engine === "native" && r.task === "gsm-mini"),
    choice = find((r) => r.spec.engine === "native" && r.task === "choice-mini");
  const large = find((r) => r.task === "large"),
    failed = rows.find((r) => r.state === "failed") ?? native;
  const busy = await submit({
    tasks: ["gsm-mini", "choice-mini-letter"],
    repeats: 2,
    ...slowly(4),
    load: { concurrency: 8 },
    submitter: "picture",
  });
  return {
    busy: busy.evaluation_id,
    views: {
      board: "/",
      submit: "/submit?tasks=gsm-mini&concurrency=4",
      submitserver: "/submit?engine=vllm&model=Qwen&concurrency=x&tasks=gsm-mini",
      queue: "/queue",
      nodes: "/nodes",
      evaluation: `/evaluations/${busy.evaluation_id}`,
      evaluationdone: `/evaluations/${choice.evaluation_id}`,
      run: `/runs/${native.run_id}`,
      failed: `/runs/${failed.run_id}`,
      running: `/runs/${busy.runs[0].run_id}`,
      samples: `/runs/${large.run_id}?show=samples`,
      sample: `/runs/${native.run_id}?show=samples&sample=1`,
      scored: `/runs/${choice.run_id}?show=samples&sample=1`,
      latency: `/runs/${native.run_id}?show=latency`,
      experts: `/runs/${native.run_id}?show=experts`,
      utilisation: `/runs/${native.run_id}?show=utilisation`,
      cost: `/runs/${native.run_id}?show=cost&price=5000&device_watts=200`,
      energy: `/runs/${native.run_id}?show=energy`,
      provenance: `/runs/${native.run_id}?show=provenance`,
      declared: `/runs/${failed.run_id}?show=provenance`,
    },
  };
}

const { busy, views } = await addresses();
await mkdir(folder, { recursive: true });
for (const theme of Object.keys(themes))
  for (const width of widths)
    for (const [name, address] of Object.entries(views)) {
      const file = `${name}-${theme.replace(" ", "")}-${width}`;
      if (!new RegExp(pattern).test(file)) continue;
      const stage = await newStage({ width, height: width < 500 ? 844 : 900, theme, reducedMotion: "reduce" });
      const page = await stage.open(address);
      await page.waitForTimeout(900);
      await page.screenshot({ path: `${folder}/${file}.png`, fullPage: true });
      for (const text of stage.complaints) console.log(`${file}: ${text}`);
      await stage.context.close();
    }
await cancel(busy);
await quit();
