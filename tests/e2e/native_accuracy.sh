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
check gsm-mini "--precision int8" $strict 0.875 0.923
check gsm-mini "--precision f32" $strict 0.875 0.923
check gsm-mini "--chat" $strict 0.870 0.919
check choice-mini "--precision bf16" acc 0.844 0.898
check choice-mini "--precision int8" acc 0.844 0.898
check choice-mini "--chat" acc 0.835 0.890
check choice-mini-letter "" exact_match,letter 0.844 0.898
check gsm-mini "--num-fewshot 3" $strict 0.80 0.93
check choice-mini "--num-fewshot 3" acc 0.80 0.91

moecap run show "$run" | grep -q 'engine ' || fail "run show says nothing of the engine"
