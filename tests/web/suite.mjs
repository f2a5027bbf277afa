// The suite under test, as its command line shows it. page.sh has started it; MOECAP_STATE names it.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
export const moecapFolder = process.env.MOECAP_BIN_DIR ?? "build/dev/bin";

/** What `moecap ARGUMENTS` prints. Throws with its error text when it fails. */
export async function moecap(...args) {
  try {
    return (await run(`${moecapFolder}/moecap`, args, { maxBuffer: 64 << 20 })).stdout.trim();
  } catch (error) {
    throw new Error(`moecap ${args.join(" ")}: ${error.stderr || error.message}`);
  }
}

async function program(name) {
  const status = JSON.parse(await moecap("status", "--json"));
  const found = status.programs.find((p) => p.name === name);
  if (!found) throw new Error(`the suite has no ${name}`);
  return found;
}

let base;

/** The gateway's address, "http://127.0.0.1:PORT"; it keeps it over a restart. */
export async function gatewayUrl() {
  base ??= (await program("gateway")).address;
  return base;
}

export async function api(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(`${await gatewayUrl()}/api/v1/${path}`, options);
  const json = await response.json();
  if (!response.ok) throw new Error(`${path}: ${json.error.message}`);
  return json;
}

/** Queues an evaluation of the null engine; the reply, with the ids of its runs. */
export async function submit(spec) {
  const whole = { engine: "null", model: "none", tasks: ["gsm-mini"], load: { concurrency: 4 }, ...spec };
  return api("evaluations", { spec: whole });
}

/** An answer takes `seconds`: the null engine sleeps half a millisecond a token (page.sh sets that). */
export const slowly = (seconds) => ({ generation: { max_tokens: Math.round(seconds * 2000), ignore_eos: true } });

/** Queues, waits for the end, gives the id of its first run. */
export async function submitAndFinish(spec) {
  const reply = await submit(spec);
  await moecap("watch", reply.evaluation_id).catch(() => {}); // a failed run is an end as well
  return reply.runs[0].run_id;
}

export async function cancel(id) {
  await moecap("cancel", id).catch(() => {}); // it may have ended by itself
}

/** Ends a program as a crash does; the supervisor starts it again. */
export async function crash(name) {
  process.kill((await program(name)).pid, "SIGKILL");
}

/** Ends the gateway as a crash does and keeps it away until the function that comes back is called. */
export async function takeGatewayAway() {
  const runtime = JSON.parse(await readFile(`${process.env.MOECAP_STATE}/runtime.json`, "utf8"));
  const supervisor = runtime.supervisor.pid;
  const { pid } = await program("gateway");
  process.kill(supervisor, "SIGSTOP");
  process.kill(pid, "SIGKILL");
  return () => process.kill(supervisor, "SIGCONT");
}
