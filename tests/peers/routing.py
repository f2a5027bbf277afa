#!/usr/bin/env python3
"""Compare the routing that another server reports for its samples with that of our own engine.

  routing.py NATIVE.jsonl PEER.jsonl

Both are what `moecap run export` writes, of runs in float32, since bfloat16 moves a selection in five hundred. Answers
with other texts went another way and are left out, and counted. Of the others every count of every expert
in every layer and phase must be ours; one selection in ten thousand may differ, where two experts tie.
"""
import json
import sys

MOVED_SHARE_MAX = 1e-4


def read_answers(path):
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return {r["sample"]["answer"]["uid"]: r["sample"]["answer"] for r in records if r["kind"] == "sample"}


def counts(answer):
    """(layer, phase, expert) -> how often it was chosen."""
    return {(layer["layer"], phase, expert): count for layer in answer["routing"]["layers"]
            for phase in ("prefill", "decode") for expert, count in enumerate(layer[phase])}


def moved(ours, theirs):
    """Selections that went to another expert. The same ones are counted on both sides, so half the difference."""
    a, b = counts(ours), counts(theirs)
    return sum(abs(a.get(key, 0) - b.get(key, 0)) for key in a.keys() | b.keys()) // 2, sum(a.values())


def main():
    ours, theirs = map(read_answers, sys.argv[1:])
    without = [uid for uid, answer in theirs.items() if not answer["routing"]]
    if without or not theirs:
        sys.exit(f"routing: {len(without)} of {len(theirs)} samples have none, such as {without[:3]}")
    source = {answer["routing"]["source"] for answer in theirs.values()}
    if source != {"server per request"}:
        sys.exit(f"routing: its source is {source}")
    pairs = [moved(ours[uid], answer) for uid, answer in theirs.items() if answer["text"] == ours[uid]["text"]]
    wrong, total = sum(m for m, _ in pairs), sum(t for _, t in pairs)
    print(f"  routing: {sum(m == 0 for m, _ in pairs)} of {len(pairs)} samples equal in every expert, layer and phase; "
          f"{wrong} of {total} selections differ; {len(theirs) - len(pairs)} left out, whose texts differ")
    if not pairs or wrong > total * MOVED_SHARE_MAX or len(pairs) < 0.9 * len(theirs):
        sys.exit("routing: too many differ")


main()
