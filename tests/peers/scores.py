#!/usr/bin/env python3
"""Compare log-likelihoods of another server with our own engine's, option by option.

  scores.py NATIVE.jsonl PEER.jsonl

Both are what `moecap run export` writes, of a task that scores options. bfloat16 sums differ, most in options that
neither side would choose, so the scores themselves are only printed. The chosen option must be the same where ours
is ahead by more than a near tie, and the accuracy must lie in our 95 % interval.
"""
import json
import sys

NEAR_NATS = 0.25


def read_run(path):
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    row = next(r["run"]["row"] for r in records if r["kind"] == "run")
    accuracy = next(f for f in row["figures"] if f["id"] == "acc")
    answers = {r["sample"]["answer"]["uid"]: r["sample"]["answer"] for r in records if r["kind"] == "sample"}
    return accuracy, answers


def scores(answer):
    return [s["log_likelihood"] for s in answer["scores"]]


def best(values):
    return values.index(max(values))


def lead(values):
    first, second = sorted(values, reverse=True)[:2]
    return first - second


def main():
    (accuracy, ours), (their_accuracy, theirs) = map(read_run, sys.argv[1:])
    failed = [a["error"] for a in theirs.values() if a["status"] != "completed"]
    if failed or not theirs:
        sys.exit(f"scores: {len(failed)} of {len(theirs)} samples failed: {failed[:1]}")
    pairs = [(scores(ours[uid]), scores(answer)) for uid, answer in theirs.items()]
    other = [lead(a) for a, b in pairs if best(a) != best(b)]
    widest = max(abs(x - y) for a, b in pairs for x, y in zip(a, b))
    of_chosen = max(abs(a[best(a)] - b[best(a)]) for a, b in pairs)
    print(f"  scoring: {len(pairs) - len(other)} of {len(pairs)} samples choose the same option, {len(other)} near ties; "
          f"accuracy {their_accuracy['value']:.1%}, ours {accuracy['value']:.1%}; scores differ by up to {of_chosen:.3f} "
          f"in the chosen option, {widest:.3f} in any")
    if other and max(other) >= NEAR_NATS:
        sys.exit(f"scores: another option where ours is ahead by {max(other):.3f}")
    if not accuracy["low"] <= their_accuracy["value"] <= accuracy["high"]:
        sys.exit("scores: the accuracy is outside our interval")


main()
