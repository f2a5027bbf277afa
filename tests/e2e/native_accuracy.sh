#!/bin/sh
# shellcheck disable=SC2086,SC2119
# The shipped model through our own engine scores what its card says, within the card's intervals.
. tests/e2e/lib.sh
start_suite

# task, options, figure, lowest and highest accuracy (the card's 95 % interval, bfloat16)
check() {
    evaluation=$(moecap submit --model moecap-tiny --task "$1" --batch-size 8 --quiet $2)
    expect 0 moecap watch "$evaluation"
    run=$(run_ids "$evaluation")
    accuracy=$(figure "$run" "$3")
    echo "$1 $2: $accuracy (card: $4 to $5)"
    awk -v a="$accuracy" -v low="$4" -v high="$5" 'BEGIN { exit !(a != "" && a >= low && a <= high) }' ||
        fail "$1 $2: accuracy \"$accuracy\" is not from $4 to $5"
}
strict=exact_match,strict-match
check gsm-mini "--precision bf16" $strict 0.875 0.923
bf16=$run
check gsm-mini "--precision int8" $strict 0.875 0.923
int8=$run
check gsm-mini "--precision f32" $strict 0.875 0.923
check gsm-mini "--chat" $strict 0.870 0.919
check choice-mini "--precision bf16" acc 0.844 0.898
choice=$run
check choice-mini "--precision int8" acc 0.844 0.898
check choice-mini "--chat" acc 0.835 0.890
check choice-mini-letter "" exact_match,letter 0.844 0.898
check gsm-mini "--num-fewshot 3" $strict 0.839 0.893
check choice-mini "--num-fewshot 3" acc 0.830 0.885

# through every service: the routing of the samples sums to that of the run
expect 0 moecap run samples "$run" --limit 3
says '/16'
if command -v python3 >/dev/null && command -v curl >/dev/null; then
    gateway=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"gateway".*"address":"\([^"]*\)".*/\1/p')
    moecap run export "$run" >"$state/run.jsonl"
    curl -sf "$gateway/api/v1/runs/$run/experts" >"$state/experts.json" || fail "the gateway has no experts of $run"
    python3 - "$state/run.jsonl" "$state/experts.json" <<'PYTHON' || fail "the samples' routing is not the run's"
import collections, json, sys
samples, run = collections.Counter(), collections.Counter()
for line in open(sys.argv[1]):
    row = json.loads(line)
    if row["kind"] == "sample":
        for layer in row["sample"]["answer"]["routing"]["layers"]:
            for phase in "prefill", "decode":
                for expert, count in enumerate(layer.get(phase, [])):
                    samples[phase, layer.get("layer", 0), expert] += count
for row in json.load(open(sys.argv[2]))["counts"]:
    for expert, count in enumerate(row["counts"]):
        run[row["phase"].lower().replace("phase_", ""), row.get("layer", 0), expert] += int(count)
assert sum(run.values()) > 0 and +samples == +run, (sum(samples.values()), sum(run.values()))
print(f"{sum(run.values())} choices of experts, the same by sample and by run")
PYTHON
else
    echo "skip: python3 or curl not found, the routing of samples is not compared with the run's"
fi

moecap run show "$run" | grep -q 'engine ' || fail "run show says nothing of the engine"

figure_of() { # of the table in $out
    echo "$out" | awk -v id="$1" '$1 == id { print $2 }'
}
# two precisions on the same prompts: some selections moved, and their loads are nearly the same
expect 0 moecap routing "$bf16" "$int8"
says 'jaccard is of the 4 busiest experts'
says 'moved most:'
[ "$(figure_of routing_samples_moved)" != 0 ] || fail "int8 moved no selection: $out"
awk -v j="$(figure_of routing_jensen_shannon_prefill)" 'BEGIN { exit !(j > 0 && j < 0.01) }' || fail "the loads differ: $out"
awk -v c="$(figure_of accuracy_change)" 'BEGIN { exit !(c > -0.05 && c < 0.05) }' || fail "the accuracy moved: $out"
# two tasks: their loads, and why there is no drift
expect 0 moecap routing "$bf16" "$choice"
[ "$(figure_of routing_moved_prefill)" = - ] || fail "two tasks have no drift: $out"
says 'unavailable: the runs are of two tasks'
