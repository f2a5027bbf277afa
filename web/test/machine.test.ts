import assert from "node:assert/strict";
import { test } from "node:test";
import { enginesOf } from "../src/lib/machine.ts";
import type { NodeEntry } from "../src/lib/types.ts";

const hello = (engines: string[], url_engines?: string[]) => ({ engines, url_engines }) as NodeEntry["hello"];

test("what a node runs stands apart from the servers that it can only ask", () => {
  const node = hello(["native", "null", "openai", "vllm", "moe-gen"], ["openai", "vllm", "moe-gen", "ktransformers"]);
  assert.deepEqual(enginesOf(node), {
    runs: ["native", "null", "moe-gen"],
    asks: ["openai", "vllm", "moe-gen", "ktransformers"],
  });
  assert.deepEqual(enginesOf(hello(["native", "vllm"])), { runs: ["native"], asks: ["vllm"] }, "an older node");
});
