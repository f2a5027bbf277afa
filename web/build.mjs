// Builds the page: node build.mjs [--out DIR]. Writes index.html, assets with hashed names, a .gz beside each, and
// files.txt, one line a file (address, caching, path), from which the gateway's build embeds them
// (tools/cmake/embed.cmake). CMake gives --out, so that every build directory has its own.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const web = dirname(fileURLToPath(import.meta.url));
const flag = process.argv.indexOf("--out");
const out = flag > 0 ? process.argv[flag + 1] : join(web, "dist");

const version = /project\(moecap VERSION ([0-9.]+)/.exec(readFileSync(join(web, "../CMakeLists.txt"), "utf8"))[1];

// The theme is a script of its own: it runs before the first paint, the page after.
async function bundle() {
  const result = await build({
    absWorkingDir: web,
    entryPoints: { main: "src/main.tsx", theme: "src/theme.ts" },
    outdir: out,
    write: false,
    bundle: true,
    format: "esm",
    target: ["es2022"],
    minify: true,
    legalComments: "none",
    entryNames: "assets/[name]-[hash]",
    metafile: true,
    logLevel: "warning",
    sourcemap: false,
    define: { MOECAP_VERSION: JSON.stringify(version) },
  });
  return result.outputFiles.map((file) => ({
    name: basename(file.path),
    bytes: Buffer.from(file.contents),
    inputs: result.metafile.inputs,
  }));
}

// What the licences of the packages in the bundle ask for: their text travels with it.
function notices(inputs) {
  const names = [
    ...new Set(
      Object.keys(inputs)
        .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
        .filter(Boolean),
    ),
  ].sort();
  return names
    .map((name) => {
      const root = join(web, "node_modules", name);
      const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
      return `${name} ${version} (${license})\n\n${licenceOf(root, name)}`;
    })
    .join("\n\n----\n\n");
}

function licenceOf(root, name) {
  for (const file of ["LICENSE", "LICENSE.md", "license"])
    try {
      return readFileSync(join(root, file), "utf8").trim();
    } catch {
      /* the next name */
    }
  throw new Error(`${name} is in the bundle and has no licence file`);
}

function put(rows, address, path, bytes, caching) {
  mkdirSync(dirname(join(out, path)), { recursive: true });
  writeFileSync(join(out, path), bytes);
  writeFileSync(join(out, path + ".gz"), gzipSync(bytes, { level: 9 }));
  rows.push([address, caching, path].join(" "));
}

const files = await bundle();
const address = (start, end) =>
  "/assets/" + files.find((f) => f.name.startsWith(start + "-") && f.name.endsWith(end)).name;
const html = readFileSync(join(web, "index.html"), "utf8")
  .replace("%theme%", address("theme", ".js"))
  .replace("%style%", address("main", ".css"))
  .replace("%main%", address("main", ".js"));
const rows = [];
rmSync(out, { recursive: true, force: true });
put(rows, "/", "index.html", Buffer.from(html), "check");
for (const file of files) put(rows, "/assets/" + file.name, "assets/" + file.name, file.bytes, "forever");
put(rows, "/assets/licences.txt", "assets/licences.txt", Buffer.from(notices(files[0].inputs)), "check");
writeFileSync(join(out, "files.txt"), rows.join("\n") + "\n");
