#!/usr/bin/env python3
"""What aiperf saw of our endpoint: every request served, to the token, with times that can be.

  aiperf_check.py profile_export_aiperf.json profile_export.jsonl
"""
import json
import sys

REQUESTS, PROMPT, OUTPUT = 40, 64, 48


def check(what, ok, seen):
    if not ok:
        sys.exit(f"aiperf: {what}: {seen}")


def check_request(metrics):
    value = {name: m["value"] for name, m in metrics.items()}
    counts = value["usage_prompt_tokens"], value["usage_completion_tokens"]
    check("token counts of a request", counts == (PROMPT, OUTPUT), counts)
    times = value["time_to_first_token"], value["request_latency"]
    check("the first token comes before the end", 0 < times[0] <= times[1], times)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        total = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as lines:
        requests = [json.loads(line) for line in lines]
    failed = [r["error"] for r in requests if r.get("error")]
    check("requests that failed", not failed, failed[:3])
    check("requests", len(requests) == total["request_count"]["avg"] == REQUESTS, len(requests))
    for request in requests:
        check_request(request["metrics"])
    print(f"  {REQUESTS} requests of {PROMPT} and {OUTPUT} tokens, none failed, counts exact; "
          f"TTFT p50 {total['time_to_first_token']['p50']:.1f} ms, "
          f"time per token p50 {total['inter_token_latency']['p50']:.2f} ms, "
          f"{total['output_token_throughput']['avg']:.0f} tokens/s")


main()
