import assert from "node:assert/strict";
import { test } from "node:test";
import { get, lastAnswer, post } from "../src/lib/api.ts";

type Reply = { status?: number; body: unknown; etag?: string; bytes?: number };

/** Answers every request with `reply`, and tells what was asked. */
function serve(reply: Reply | Error): { path: string; headers: Record<string, string> }[] {
  const asked: { path: string; headers: Record<string, string> }[] = [];
  globalThis.fetch = (async (path: string, options: RequestInit = {}) => {
    asked.push({ path, headers: options.headers as Record<string, string> });
    if (reply instanceof Error) throw reply;
    const { status = 200, body, etag = "", bytes = 100 } = reply;
    const headers = { ...(etag && { ETag: etag }), "Content-Length": String(bytes) };
    return new Response(status === 304 ? null : JSON.stringify(body), { status, headers });
  }) as typeof fetch;
  return asked;
}

test("an unchanged answer is the same object again", async () => {
  serve({ body: { rows: [1] }, etag: '"a"' });
  const first = await get("board?x");
  const asked = serve({ status: 304, body: null });
  const second = await get("board?x");
  assert.equal(asked[0]!.headers["If-None-Match"], '"a"');
  assert.ok(first.ok && second.ok && first.value === second.value);
  assert.equal(lastAnswer("board?x"), first.ok ? first.value : null);
});

test("a refusal is a value: code, words, field, status", async () => {
  serve({
    status: 400,
    body: { error: { code: "invalid_argument", message: "limit: must be a number", field: "spec.limit" } },
  });
  const reply = await post("evaluations", {});
  assert.deepEqual(reply, {
    ok: false,
    error: { code: "invalid_argument", message: "limit: must be a number", field: "spec.limit", status: 400 },
  });
});

test("an answer that is no JSON is an error with its status, not an exception", async () => {
  globalThis.fetch = (async () => new Response("<html>", { status: 502 })) as typeof fetch;
  const reply = await get<unknown>("nodes");
  assert.ok(!reply.ok && reply.error.status === 502 && reply.error.code === "internal");
});

test("what is kept of answers has a limit, and the latest is always kept", async () => {
  const mebibyte = 1024 * 1024;
  for (const name of ["one", "two", "three"]) {
    serve({ body: name, etag: `"${name}"`, bytes: 3 * mebibyte });
    await get(name);
  }
  assert.deepEqual([lastAnswer("one"), lastAnswer("two"), lastAnswer("three")], [undefined, "two", "three"]);
  serve({ body: "huge", etag: '"huge"', bytes: 20 * mebibyte });
  await get("huge");
  assert.deepEqual([lastAnswer("three"), lastAnswer("huge")], [undefined, "huge"]);
});
