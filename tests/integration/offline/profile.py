#!/usr/bin/python3
"""`moecap profile` against the ids that `moecap model forward` gives: what a batch's decode steps chose is
computed here from each answer alone, and must be what the files say. Also what the recorders before us did
wrong, each by the id of docs/traps.md: trap_r1, r2, r3, r4, r5, r7, r8, and l3."""
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
MOECAP = os.path.join(os.environ.get("MOECAP_BIN_DIR", ROOT + "/build/dev/bin"), "moecap")
MODEL = os.path.join(ROOT, "models/moecap-tiny")
LIMIT = 20  # a batch of 16 and one of 4
PRECISION = "f32"
bad = []


def moecap(*words, stdin=None):
    return subprocess.run([MOECAP, *map(str, words)], input=stdin, capture_output=True, text=True, cwd=ROOT)


def check(what, is_true, more=""):
    if not is_true:
        bad.append(what)
        print(f"{what}: {more}")


# ---- each answer alone ----

def forward(folder, tokens, greedy):
    """The greedy continuation, and the ids by layer and token."""
    path = os.path.join(folder, "tokens.json")
    experts = os.path.join(folder, "experts.json")
    with open(path, "w") as out:
        json.dump(tokens, out)
    done = moecap("model", "forward", MODEL, "--tokens", path, "--precision", PRECISION, "--greedy", greedy, "--experts", experts)
    assert done.returncode == 0, done.stderr
    with open(experts) as got:
        result = json.load(got)
    return result["greedy"], [layer and layer["experts"] for layer in result["layers"]]


def ended_at(ids, stops, eos):
    """How many tokens the answer has: up to its end token, or the one that completes a stop string."""
    prefixes = "\n".join(json.dumps(ids[: n + 1]) for n in range(len(ids)))
    texts = moecap("tokenize", MODEL, "--decode", stdin=prefixes + "\n").stdout.splitlines()
    for n, text in enumerate(texts):
        if ids[n] in eos or any(stop in json.loads(text) for stop in stops):
            return n + 1
    return len(ids)


def answers(folder):
    """For each prompt the ids of its decode steps: [step][layer] -> experts."""
    lines = [json.loads(line) for line in moecap("render", "gsm-mini", "--limit", LIMIT).stdout.splitlines()]
    check("render's head", lines[0] == {"task": "gsm-mini", "output_type": "generate_until", "prompts": LIMIT}, lines[0])
    with open(os.path.join(MODEL, "generation_config.json")) as config:
        eos = json.load(config)["eos_token_id"]
    eos = eos if isinstance(eos, list) else [eos]
    texts = "\n".join(json.dumps(line["text"]) for line in lines[1:])
    prompts = [json.loads(line) for line in moecap("tokenize", MODEL, stdin=texts + "\n").stdout.splitlines()]
    found = []
    for line, prompt in zip(lines[1:], prompts):
        greedy, _ = forward(folder, prompt, line["max_tokens"])
        fed = greedy[: ended_at(greedy, line["stop"], eos) - 1]  # the last token is never fed
        _, layers = forward(folder, prompt + fed, 0)
        found.append([[layer[len(prompt) + step] for layer in layers if layer] for step in range(len(fed))])
    return found


def expected(found, batch):
    """The mean of distinct experts over layers and steps, and the selections by layer and expert."""
    distinct, records, counts = 0, 0, {}
    for first in range(0, len(found), batch):
        rows = found[first : first + batch]
        for step in range(max(map(len, rows))):
            alive = [row[step] for row in rows if step < len(row)]
            for layer in range(len(alive[0])):
                chosen = [expert for row in alive for expert in row[layer]]
                for expert in chosen:
                    counts[layer, expert] = counts.get((layer, expert), 0) + 1
                distinct += len(set(chosen))
                records += 1
    return distinct / records, counts


# ---- the files ----

def rows_of(path):
    with open(path) as file:
        return list(csv.reader(file))


def profile(out, batch, *more):
    return moecap("profile", "--model", MODEL, "--batch-size", batch, "--task", "gsm-mini", "--limit", LIMIT,
                  "--precision", PRECISION, "--output", out, *more)


def counts_in(path):
    rows = rows_of(path)
    check("heading of the counts", rows[0] == ["layer_id"] + [f"expert_{e}" for e in range(16)], rows[0])
    check("a line for each layer", [row[0] for row in rows[1:]] == ["0", "1", "2", "3", "4"], path)
    return {(layer, expert): int(n) for layer, row in enumerate(rows[1:]) for expert, n in enumerate(row[1:]) if n != "0"}


def check_batch(out, found, batch):
    done = profile(out, batch, "--json")
    check(f"batch {batch}", done.returncode == 0, done.stderr)
    mean, counts = expected(found, batch)
    said = json.loads(done.stdout)
    check(f"batch {batch}: mean", abs(said["average_activated_experts"] - mean) < 1e-9, (said, mean))
    path = f"{out}/activation_profiling_expert_count/models/moecap-tiny_dataset_gsm-mini_bs{batch}_expert_counts.csv"
    check(f"batch {batch}: the files it names", said["expert_counts"] == path and os.path.exists(said["results"]), said)
    check(f"batch {batch}: counts", counts_in(path) == counts)
    # two for each token in every layer: no padding (R2), no sequence that has ended (R3), no prompt (R1)
    check(f"batch {batch}: selections", sum(counts.values()) == 5 * 2 * sum(map(len, found)))
    return mean


def check_results(out, means):
    path = f"{out}/activation_profiling_results/models/moecap-tiny.csv"
    rows = rows_of(path)
    check("heading once", rows[0] == ["dataset", "batch_size", "average_activated_experts"] and len(rows) == 3, rows)
    for row, (batch, mean) in zip(rows[1:], means.items()):
        check("line of a batch", row[:2] == ["gsm-mini", str(batch)] and abs(float(row[2]) - mean) < 1e-9, row)
    # trap_r7: the same again replaces its line
    profile(out, 1)
    check("trap_r7_a_second_profile_replaces_its_line", sorted(rows_of(path)) == sorted(rows), rows_of(path))
    with open(path, "w") as other:
        other.write("something else\n")
    done = profile(out, 1)
    check("a file that is no profile", done.returncode == 3 and "is no profile" in done.stderr, done.stderr)
    check("a file that is no profile stays", rows_of(path) == [["something else"]])


def check_names(out):
    done = profile(out, 4, "--tp", 2, "--name", "some-org/some-model")
    path = f"{out}/activation_profiling_expert_count/some-org/some-model_dataset_gsm-mini_bs4_tp2_expert_counts.csv"
    check("names", done.returncode == 0 and os.path.exists(path), done.stderr)
    done = moecap("profile", "--model", "moecap-tiny", "--batch-size", 2, "--task", "gsm-mini", "--limit", 2, "--output", out)
    check("a shipped model by its name", os.path.exists(f"{out}/activation_profiling_results/models/moecap-tiny.csv"), done.stderr)
    hub = os.path.join(out, "models--Qwen--Tiny-MoE/snapshots")
    os.makedirs(hub)
    shutil.copytree(MODEL, hub + "/0123abcd")
    done = moecap("profile", "--model", hub + "/0123abcd", "--batch-size", 2, "--task", "gsm-mini", "--limit", 2, "--output", out)
    check("a cache of the hub", os.path.exists(f"{out}/activation_profiling_results/Qwen/Tiny-MoE.csv"), done.stderr)


def check_refusals(out):
    for words, status, text in (
        (["--task", "gsm-mini", "--batch-size", 0, "--model", MODEL], 2, "--batch-size 0 is not from 1 to 4096"),
        (["--task", "gsm-mini", "--batch-size", 1], 2, "pass --model DIR, --task NAME and --batch-size N"),
        (["--task", "nosuch", "--batch-size", 1, "--model", MODEL], 3, 'there is no task "nosuch"'),
        (["--task", "choice-mini", "--batch-size", 1, "--model", MODEL], 3, "nothing is decoded"),
        (["--task", "gsm-mini", "--batch-size", 1, "--model", "/nowhere"], 3, '"/nowhere'),
        (["--task", "gsm-mini", "--batch-size", 1, "--model", MODEL, "--name", "../x"], 2, '"../x" is not accepted'),
    ):
        done = moecap("profile", *words, "--output", out)
        check(f"refused with {text}", done.returncode == status and text in done.stderr, (done.returncode, done.stderr))
    program = os.path.join(os.path.dirname(MOECAP), "moecap-inference")
    early = '{"task":"t","output_type":"generate_until","prompts":2}\n{"text":"a","max_tokens":4,"stop":[]}\n'
    done = subprocess.run([program, "profile", "--model", MODEL, "--batch-size", "1", "--prompts", "-", "--output", out],
                          input=early, capture_output=True, text=True)
    check("prompts that end early", done.returncode == 3 and "the prompts end early: 1 of 2" in done.stderr, done.stderr)


def check_interrupt(out):
    """Whatever ends it, no half a file is left."""
    child = subprocess.Popen([MOECAP, "profile", "--model", MODEL, "--batch-size", "1", "--task", "gsm-mini", "--output", out],
                             cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    child.wait()
    left = [f for _, _, files in os.walk(out) for f in files]
    done_before = child.returncode == 0  # on a fast machine
    check("interrupted", done_before or left == [], (child.returncode, left))


with tempfile.TemporaryDirectory() as folder:
    found = answers(folder)
    out = folder + "/out"
    check_results(out, {batch: check_batch(out, found, batch) for batch in (1, 16)})
    check_names(folder + "/names")
    check_refusals(folder + "/refused")
    check_interrupt(folder + "/interrupted")
sys.exit(1 if bad else 0)
