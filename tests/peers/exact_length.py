#!/usr/bin/env python3
"""Every answer of a run must have exactly so many tokens, by the server's own count.

  exact_length.py RUN.jsonl TOKENS
"""
import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        answers = [r["sample"]["answer"] for r in map(json.loads, lines) if r["kind"] == "sample"]
    wanted = int(sys.argv[2])
    wrong = [(a["uid"], a["output_tokens"], a["error"]) for a in answers if a["output_tokens"] != wanted]
    if wrong or not answers:
        sys.exit(f"exact length: {len(wrong)} of {len(answers)} answers have not {wanted} tokens: {wrong[:3]}")
    print(f"  exact length: {len(answers)} of {len(answers)} answers have {wanted} tokens")


main()
