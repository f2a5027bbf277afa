// The page's checks without a browser: node test.mjs [--dist DIR]. Types by tsc, the pure logic by node's own test
// runner, and with --dist the size of what a browser loads first.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const web = dirname(fileURLToPath(import.meta.url));
const firstLoadBytesMax = 90 * 1024;
let failed = 0;

function step(name, command, args) {
  const { status } = spawnSync(command, args, { cwd: web, stdio: "inherit" });
  if (status !== 0) failed = 1;
  console.log(`${status === 0 ? "ok" : "FAILED"}: ${name}`);
}

function logic() {
  const out = mkdtempSync(join(tmpdir(), "moecap-web."));
  const tests = readdirSync(join(web, "test")).filter((f) => f.endsWith(".test.ts"));
  if (tests.length === 0) throw new Error("there are no tests");
  try {
    buildSync({
      absWorkingDir: web,
      entryPoints: tests.map((f) => join("test", f)),
      outdir: out,
      bundle: true,
      platform: "node",
      format: "esm",
      outExtension: { ".js": ".mjs" },
      logLevel: "warning",
    });
    step("logic", process.execPath, ["--test", ...tests.map((f) => join(out, f.replace(/\.ts$/, ".mjs")))]);
  } finally {
    rmSync(out, { recursive: true });
  }
}

function budget(dist) {
  const scripts = [...readFileSync(join(dist, "index.html"), "utf8").matchAll(/<script[^>]* src="\/([^"]+)"/g)].map(
    (m) => m[1],
  );
  const bytes = scripts.reduce((sum, path) => sum + readFileSync(join(dist, path + ".gz")).length, 0);
  const fits = scripts.length > 0 && bytes <= firstLoadBytesMax;
  if (!fits) failed = 1;
  console.log(
    `${fits ? "ok" : "FAILED"}: first load is ${(bytes / 1024).toFixed(1)} KiB of script, compressed; the most is ${firstLoadBytesMax / 1024}`,
  );
}

step("types", process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "-p", "."]);
logic();
const flag = process.argv.indexOf("--dist");
if (flag > 0) budget(process.argv[flag + 1]);
process.exit(failed);
