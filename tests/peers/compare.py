#!/usr/bin/env python3
"""Compare a run on another engine with the native run of the same samples, answer by answer.

  compare.py --native RUN.jsonl --peer RUN.jsonl --endpoint URL [--near NATS]

Both files are what `moecap run export` writes. Greedy answers of two engines part where the two likeliest
tokens lie closer than their arithmetic differs. So where two answers part, our own endpoint scores both
tokens after what they have in common: a gap under --near is a near tie, excluded and counted; a wider one
is a difference, and the comparison fails. It fails too when the peer's accuracy lies outside the native
run's 95 % interval, or a sample failed. Prints one JSON object.
"""
import argparse
import json
import sys
import urllib.request

METRIC = "exact_match,strict-match"
# how the shipped model ends a text and a chat: tokens of their own, in prompts too
END_OF_TEXT, END_OF_TURN, TURN = "<|endoftext|>", "<|im_end|>", "<|im_start|>"


def read_run(path):
    """The run's line, and its answers by uid."""
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    run = next(r["run"]["row"] for r in records if r["kind"] == "run")
    answers = {r["sample"]["answer"]["uid"]: r["sample"]["answer"] for r in records if r["kind"] == "sample"}
    return run, answers


def figure(run, name):
    return next((f for f in run["figures"] if f["id"] == name), {})


def score(endpoint, texts):
    """Tokens and their log-probabilities, for each text."""
    body = {"prompt": texts, "max_tokens": 0, "echo": True, "logprobs": 1}
    request = urllib.request.Request(f"{endpoint}/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        choices = json.load(reply)["choices"]
    return [list(zip(c["logprobs"]["tokens"], c["logprobs"]["token_logprobs"])) for c in choices]


def whole(prompt, answer):
    """Prompt and answer as the model saw and wrote them; an end by itself is a token, too."""
    end = END_OF_TURN if prompt.startswith(TURN) else END_OF_TEXT
    return prompt + answer["text"] + ("" if answer["finish_reason"] == "length" else end)


def parting(endpoint, ours, theirs):
    """Where the two answers part: the two tokens there and how much likelier ours is, in nats."""
    prompt = ours["prompt"]  # rendered; of a chat the peer's run knows only the messages
    a, b = score(endpoint, [whole(prompt, ours), whole(prompt, theirs)])
    for (token_a, score_a), (token_b, score_b) in zip(a, b):
        if token_a != token_b:
            return token_a, token_b, score_a - score_b
    return None


def compare(ours, theirs, endpoint, near):
    out = {"samples": 0, "equal": 0, "near_ties": [], "different": [], "failed": []}
    for uid, answer in theirs.items():
        out["samples"] += 1
        if answer["status"] != "completed":
            out["failed"].append({"uid": uid, "error": answer["error"]})
        elif answer["text"] == ours[uid]["text"]:
            out["equal"] += 1
        else:
            parted = parting(endpoint, ours[uid], answer)
            record = {"uid": uid, "ours": ours[uid]["text"], "theirs": answer["text"], "parted": parted}
            out["near_ties" if parted and parted[2] < near else "different"].append(record)
    return out


def summary(native, peer, result):
    theirs, ours = figure(peer, METRIC), figure(native, METRIC)
    gaps = [r["parted"][2] for r in result["near_ties"]]
    return {"samples": result["samples"], "accuracy": theirs.get("value"), "ours": ours["value"],
            "low": ours["low"], "high": ours["high"], "equal": result["equal"], "near_ties": len(gaps),
            "widest_near_tie": max(gaps, default=None), "different": len(result["different"]),
            "failed": len(result["failed"]), "wall_s": figure(peer, "wall_s").get("value")}


def complaints(line, result):
    if line["samples"] == 0:
        yield "the run has no samples"
    if line["accuracy"] is None or not line["low"] <= line["accuracy"] <= line["high"]:
        yield f"accuracy {line['accuracy']} is outside our interval {line['low']} to {line['high']}"
    for record in result["failed"][:3]:
        yield f"{record['uid']} failed: {record['error']}"
    for record in result["different"][:3]:
        yield f"{record['uid']} differs: {record}"


def main():
    parser = argparse.ArgumentParser()
    for name in ("--native", "--peer", "--endpoint"):
        parser.add_argument(name, required=True)
    parser.add_argument("--near", type=float, default=0.5)
    args = parser.parse_args()
    native, ours = read_run(args.native)
    peer, theirs = read_run(args.peer)
    result = compare(ours, theirs, args.endpoint, args.near)
    line = summary(native, peer, result)
    print(json.dumps(line))
    wrong = list(complaints(line, result))
    for text in wrong:
        print(f"compare: {text}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
