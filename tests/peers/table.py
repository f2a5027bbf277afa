#!/usr/bin/env python3
"""What compare.py found, for people.

  table.py head                                         head of the table, in Markdown
  table.py row TITLE VERSION READY_S COMPARISON.json    a row of it
  table.py WHAT COMPARISON.json                         a line of its own
"""
import json
import sys

HEAD = ("engine", "version", "ready s", "samples", "accuracy", "ours", "our 95 %", "equal", "near ties", "wall s")


def row(cells):
    print("| " + " | ".join(cells) + " |")


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def near_ties(c):
    return f"{c['near_ties']} (widest {c['widest_near_tie']:.3f})" if c["near_ties"] else "0"


def main():
    what, *rest = sys.argv[1:]
    if what == "head":
        row(HEAD)
        row(["---"] * len(HEAD))
    elif what == "row":
        c = read(rest[3])
        row([*rest[:3], str(c["samples"]), f"{c['accuracy']:.1%}", f"{c['ours']:.1%}",
             f"{c['low']:.1%} – {c['high']:.1%}", str(c["equal"]), near_ties(c), f"{c['wall_s']:.1f}"])
    else:
        c = read(rest[0])
        print(f"  {what}: {c['equal']} of {c['samples']} answers equal, near ties {near_ties(c)}; "
              f"accuracy {c['accuracy']:.1%}, ours {c['ours']:.1%}")


main()
