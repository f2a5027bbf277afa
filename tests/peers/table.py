#!/usr/bin/env python3
"""Rows of the report, as Markdown: the head without arguments, else one row.

  table.py TITLE VERSION READY_S COMPARISON.json
"""
import json
import sys

HEAD = ("engine", "version", "ready s", "samples", "accuracy", "ours", "our 95 %", "equal", "near ties", "wall s")


def row(cells):
    print("| " + " | ".join(cells) + " |")


def main():
    if len(sys.argv) == 1:
        row(HEAD)
        row(["---"] * len(HEAD))
        return
    title, version, ready_s, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        c = json.load(file)
    tie = f" (widest {c['widest_near_tie']:.3f})" if c["near_ties"] else ""
    row([title, version, ready_s, str(c["samples"]), f"{c['accuracy']:.1%}", f"{c['ours']:.1%}",
         f"{c['low']:.1%} – {c['high']:.1%}", str(c["equal"]), f"{c['near_ties']}{tie}", f"{c['wall_s']:.1f}"])


main()
