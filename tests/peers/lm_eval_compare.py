#!/usr/bin/env python3
"""Compare lm-eval's samples with our run of the same task: texts to the byte, log-likelihoods, every verdict.

  lm_eval_compare.py NAME RUN.jsonl SAMPLES.jsonl

RUN.jsonl is what `moecap run export` writes, SAMPLES.jsonl what lm-eval logs: a line for each sample and filter.
The model is the same on both sides, so nothing but the last bits of a sum may differ.
"""
import json
import sys

SCORE_DIFFERENCE_MAX = 1e-6


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def metric_name(metric, record):
    return metric if record["filter"] == "none" else f"{metric},{record['filter']}"


def differences(record, sample):
    """What lm-eval's record and our sample do not agree about."""
    answer, verdicts = sample["answer"], {v["metric"]: v for v in sample["verdicts"]}
    if answer["scores"]:
        theirs = [float(r[0][0]) for r in record["resps"]]
        ours = [s["log_likelihood"] for s in answer["scores"]]
        if len(theirs) != len(ours) or max(abs(a - b) for a, b in zip(theirs, ours)) > SCORE_DIFFERENCE_MAX:
            yield f"log-likelihoods {theirs}, ours {ours}"
    elif record["resps"][0][0] != answer["text"]:
        yield f"answer {record['resps'][0][0]!r}, ours {answer['text']!r}"
    for metric in record["metrics"]:
        ours = verdicts[metric_name(metric, record)]["score"]
        if record[metric] != ours:
            yield f"{metric_name(metric, record)} {record[metric]}, ours {ours}"


def main():
    name, run, samples = sys.argv[1:]
    ours = {r["sample"]["answer"]["ordinal"]: r["sample"] for r in read_lines(run) if r["kind"] == "sample"}
    records = read_lines(samples)
    seen = {r["doc_id"] for r in records}
    wrong = [(r["doc_id"], text) for r in records for text in differences(r, ours[r["doc_id"]])]
    for doc_id, text in wrong[:5]:
        print(f"lm-eval: {name}, sample {doc_id}: {text}", file=sys.stderr)
    if not seen or seen != set(ours):
        sys.exit(f"lm-eval: {name}: {len(seen)} samples, we have {len(ours)}")
    metrics = sorted({(m, r["filter"]) for r in records for m in r["metrics"]})
    means = [f"{m} {f} {sum(r[m] for r in records if r['filter'] == f) / len(seen):.4f}" for m, f in metrics]
    equal = len(seen) - len({doc_id for doc_id, _ in wrong})
    print(f"  {name}: {equal} of {len(seen)} samples equal; {'; '.join(means)}")
    sys.exit(1 if wrong else 0)


main()
