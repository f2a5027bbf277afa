#!/bin/sh
# Fills the running suite (MOECAP_STATE) for tests of the page: ROWS rows on the board, in runs of a few samples, and one
# run of SAMPLES samples. All of it goes the way of every evaluation, with the null engine: about 100 runs and 5,000
# samples a second. Prints the id of the large run. `tests/web/seed.sh [ROWS [SAMPLES]]`
set -eu
rows=${1:-1000}
samples=${2:-10000}
moecap=${MOECAP_BIN_DIR:-build/dev/bin}/moecap
rows_each=50 # of an evaluation: two tasks, 25 repeats

folder=$(mktemp -d /tmp/moecap-seed.XXXXXX)
trap 'rm -rf "$folder"' EXIT

large_task() {
    cat >"$folder/large.yaml" <<'YAML'
task: large
description: ""
output_type: generate_until
samples_file: large.jsonl
doc_to_text: "Question: {{a}} apples and {{b}} pears lie on the table. How many pieces of fruit are there?\nAnswer:"
doc_to_target: "#### {{sum}}"
generation_kwargs:
  until: ["Question:"]
filter_list:
  - name: strict-match
    filter:
      - function: regex
        regex_pattern: "#### (\\-?[0-9]+)"
      - function: take_first
metric_list:
  - metric: exact_match
    regexes_to_ignore: ["(?s).*#### "]
metadata:
  version: 1
YAML
    awk -v n="$samples" 'BEGIN { for (i = 0; i < n; i++) {
        a = i % 50; b = i % 7; printf "{\"id\":\"large-%05d\",\"a\":%d,\"b\":%d,\"sum\":%d}\n", i, a, b, a + b } }' >"$folder/large.jsonl"
    "$moecap" task add "$folder/large.yaml" >/dev/null
}

submit() { "$moecap" submit --engine null --quiet "$@"; }

# Evaluations that differ in model, batch size and seed, as a board has them.
many_rows() {
    i=0
    while [ $((i * rows_each)) -lt "$rows" ]; do
        for model in Mixtral-8x7B Qwen3-30B-A3B OLMoE-1B-7B gpt-oss-20b DeepSeek-V2-Lite; do
            [ $((i * rows_each)) -lt "$rows" ] || break
            submit --model "$model" --task gsm-mini --task choice-mini --repeats $((rows_each / 2)) --limit $((2 + i % 5)) \
                --batch-size $((1 << i % 4)) --seed "$i"
            i=$((i + 1))
        done
    done
}

if [ "$rows" -gt 0 ]; then
    for evaluation in $(many_rows); do
        "$moecap" watch "$evaluation" >/dev/null
    done
fi
if [ "$samples" -gt 0 ]; then
    large_task
    evaluation=$(submit --model Mixtral-8x7B --task large --batch-size 64)
    "$moecap" watch "$evaluation" --json | tail -1 | tr '{' '\n' | sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p'
fi
