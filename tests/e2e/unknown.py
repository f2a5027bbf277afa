"""What is unknown is null with a reason, and what is 0 is 0, wherever it is read: JSON of samples, run and board, CSV, page.

    unknown.py GATEWAY BARE_RUN ZERO_RUN [BOARD.html RUN.html]      the page as a browser has made it
"""

import csv
import io
import json
import re
import sys
import urllib.request

gateway, bare, zero, *pages = sys.argv[1:]
# Of a run whose node tells nothing but its answers: what is known all the same.
KNOWN = {"accuracy", "exact_match,strict-match", "exact_match,flexible-extract", "attempted", "served", "completed", "failed", "unanswered"}
OPTIONAL = ["prompt_tokens", "output_tokens", "cached_tokens", "first_chunk_tokens"]
bad = []


def get(path):
    with urllib.request.urlopen(f"{gateway}/api/v1/{path}") as reply:
        return reply.read().decode()


def check(ok, *what):
    if not ok:
        bad.append(" ".join(str(w) for w in what))


def check_figures(figures, where):
    for figure in figures:
        known = figure["id"] in KNOWN
        check(("value" in figure) == known, where, figure)
        if not known:
            check(figure["reason"] and figure["basis"] == "unavailable", where, "has no reason:", figure)
            check("low" not in figure and "high" not in figure, where, "has an interval of nothing:", figure)


def check_samples():
    for run, is_zero in (bare, False), (zero, True):
        samples = json.loads(get(f"runs/{run}/samples?limit=3"))["samples"]
        check(len(samples) == 3, run, "has", len(samples), "samples")
        for answer in (s["answer"] for s in samples):
            for field in OPTIONAL[:3]:
                check(answer.get(field, "absent") == (0 if is_zero else "absent"), run, field, answer)
            check("first_chunk_tokens" not in answer, run, answer)
            timing = answer.get("timing")
            if is_zero:
                check(timing and timing["first_token_us"] == 0 and timing["ended_us"] == 0, run, timing)
            else:
                check(not timing or ("first_token_us" not in timing and "last_token_us" not in timing), run, timing)


def check_csv(rows):
    ids = [figure["id"] for figure in rows[bare]["figures"]]
    for line in csv.DictReader(io.StringIO(get("board?format=csv").lstrip("\ufeff"))):
        if line["run_id"] != bare:
            continue
        for name in ids:
            if name in line:
                check((line[name] != "") == (name in KNOWN), "CSV:", name, repr(line[name]))
        check(float(line["accuracy"] if "accuracy" in line else 0) == 0, "CSV: accuracy is", line.get("accuracy"))
        return
    bad.append("the CSV has no row of " + bare)


def words(path):
    """The texts of a page in order, between bars."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", "", open(path).read(), flags=re.S)
    return "|" + re.sub(r"[|\s]*\|[|\s]*", "|", re.sub(r"<[^>]+>", "|", text)) + "|"


def check_pages(board, run_page):
    table = words(run_page)
    for figure in run["row"]["figures"]:
        at = table.find(f"|{figure['id']}|")
        if at < 0:
            continue  # a metric of the task stands under its own title
        value = table[at + len(figure["id"]) + 2 :].split("|", 2)
        if figure["id"] in KNOWN:
            check(re.match(r"[0-9]", value[0]), "page:", figure["id"], value)
        else:
            check(value[0] == "–" and value[1].startswith("no value: "), "page:", figure["id"], value)
    check(table.count("|–|no value: ") > 60, "the run's page shows", table.count("|–|no value: "), "unknown figures")
    # what differs from the task's own setting stands between the two
    lines = re.split(r"\|bare\|(?:[^|]*\|)?gsm-mini\|", words(board))[1:]
    check(len(lines) == 2, "the board shows", len(lines), "runs")
    of_bare = [line for line in lines if "no value: no times" in line]
    of_zero = [line for line in lines if re.search(r"\|0\|–\|no value: no decode", line)]
    check(len(of_bare) == 1 and len(of_zero) == 1, "the board shows", lines)


rows = {row["run_id"]: row for row in json.loads(get("board"))["rows"]}
check_figures(rows[bare]["figures"], "board:")
run = json.loads(get(f"runs/{bare}"))
check_figures(run["row"]["figures"], "run:")
check(not run.get("histograms") and not run.get("curves"), "the run has histograms or curves of nothing")
for name, value in ("accuracy", 0), ("failed", 0), ("attempted", 3):
    found = [f for f in run["row"]["figures"] if f["id"] == name]
    check(found and found[0].get("value") == value, name, "is not", value, found)
zeros = {f["id"]: f.get("value", "absent") for f in rows[zero]["figures"]}
for name in "wall_s", "e2e_ms_mean":
    check(zeros[name] == 0, "zero run:", name, "is", zeros[name])
for name in "requests_per_s", "output_tokens_per_s":
    check(zeros[name] == "absent", "zero run:", name, "is", zeros[name])
check_samples()
check_csv(rows)
if pages:
    check_pages(*pages)
print("\n".join(bad[:20]) or f"{len(rows[bare]['figures'])} figures: {len(KNOWN)} known, the others null with a reason")
sys.exit(bool(bad))
