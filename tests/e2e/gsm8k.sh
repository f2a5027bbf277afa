#!/bin/sh
# The YAML of gsm8k is shipped, its data are not: added from a file, all 1,319 rows can be run and graded.
# shellcheck disable=SC2119
. tests/e2e/lib.sh
data=${MOECAP_SHARED:-../shared}/data/graders
if [ ! -f "$data/gsm8k_test.jsonl" ]; then
    echo "skip: $data/gsm8k_test.jsonl not found; set MOECAP_SHARED"
    exit 77
fi
start_suite
expect 3 moecap submit --engine null --model none --task gsm8k
says 'task "gsm8k" is unknown'
expect 0 moecap task add "$root/tasks/gsm8k.yaml" --data "$data/gsm8k_test.jsonl" \
    --fewshot "$data/gsm8k_train_200.jsonl"
says '1319 samples, added'
expect 0 moecap task add "$root/tasks/gsm8k.yaml" --data "$data/gsm8k_test.jsonl" \
    --fewshot "$data/gsm8k_train_200.jsonl"
says 'unchanged'
expect 0 moecap submit --engine null --model none --task gsm8k --batch-size 16 --watch
says '1319/1319'
run=$(moecap board --json | tr '{' '\n' | sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p' | head -1)
[ "$(count_samples "$run")" = "1319 1319" ] || fail "samples: $(count_samples "$run")"
expect 0 moecap run show "$run"
says 'exact_match,flexible-extract'
