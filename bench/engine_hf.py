"""Speed of HF Transformers on a folder, in the lines that bench-engine prints: its own decode loop with
a KV cache, logits of the last token only, medians over steps; bf16 and f32, whichever is faster here.

  engine_hf.py DIR [--batches 1,4] [--threads N] [--prefill N] [--context N] [--steps N] [--rounds N]
"""
import argparse
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("dir")
    ap.add_argument("--batches", default="1,4")
    ap.add_argument("--dtypes", default="bfloat16,float32")
    for name, value in (("threads", 0), ("prefill", 512), ("context", 64), ("steps", 16), ("rounds", 2)):
        ap.add_argument("--" + name, type=int, default=value)
    a = ap.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    for dtype in a.dtypes.split(","):
        model = AutoModelForCausalLM.from_pretrained(a.dir, dtype=getattr(torch, dtype)).eval()
        with torch.inference_mode():
            for batch in map(int, a.batches.split(",")):
                print("decode", dtype, batch, round(batch / decode(model, a, batch), 2), flush=True)
            print("prefill", dtype, a.prefill, round(a.prefill / prefill(model, a), 2), flush=True)
        del model


def step(model, ids, cache):
    start = time.perf_counter()
    out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out, time.perf_counter() - start


def decode(model, a, batch):
    seconds = []
    for _ in range(a.rounds):
        out, _ = step(model, torch.randint(3, 1000, (batch, a.context)), None)
        for _ in range(a.steps):
            out, took = step(model, out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values)
            seconds.append(took)
    return statistics.median(seconds)


def prefill(model, a):
    ids = torch.randint(3, 1000, (1, a.prefill))
    return statistics.median(step(model, ids, None)[1] for _ in range(a.rounds + 1))


if __name__ == "__main__":
    sys.exit(main())
