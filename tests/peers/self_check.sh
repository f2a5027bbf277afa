#!/bin/sh
# The comparisons of test.sh find what is planted. Needs nothing from PyPI, so it is part of ./run test.
# shellcheck disable=SC2119,SC2154
. tests/e2e/lib.sh
. tests/peers/lib.sh
start_suite
"$bin/moecap" model serve "$root/models/moecap-tiny" --port 0 >"$state/serve.log" 2>&1 &
companions=$!
wait_for 30 grep -q 'http://127' "$state/serve.log"
url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$state/serve.log" | head -1)

run_of() { # FILE, TASK, OPTIONS...
    file=$state/$1
    id=$(moecap submit --model moecap-tiny --task "$2" --limit 40 --batch-size 4 --quiet)
    moecap watch "$id" >/dev/null
    moecap run export "$(run_ids "$id")" >"$file"
}

# planted FILE, SED EXPRESSION: a copy that differs.
planted() {
    sed "$2" "$state/$1" >"$state/planted.jsonl"
    ! cmp -s "$state/$1" "$state/planted.jsonl" || fail "nothing was planted by $2"
}

compare() { "$python" "$here/compare.py" --native "$state/run.jsonl" --peer "$state/planted.jsonl" --endpoint "$url" "$@"; }

run_of run.jsonl gsm-mini
cp "$state/run.jsonl" "$state/planted.jsonl"
expect 0 compare
says '"samples": 40'
says '"equal": 40'
planted run.jsonl '/"uid":"gsm-mini-0001"/s/#### 15/#### 16/'
expect 1 compare
says 'gsm-mini-0001 differs'
expect 0 compare --near 1000
says '"near_ties": 1'
planted run.jsonl '/"uid":"gsm-mini-0003"/s/"status":"completed","error":""/"status":"failed","error":"planted"/'
expect 1 compare
says 'gsm-mini-0003 failed: planted'
planted run.jsonl '/"kind":"run"/s/"exact_match,strict-match","value":[0-9.]*/"exact_match,strict-match","value":0.5/'
expect 1 compare
says 'outside our interval'

routing() { "$python" "$here/routing.py" "$state/run.jsonl" "$state/planted.jsonl"; }
cp "$state/run.jsonl" "$state/planted.jsonl"
expect 1 routing
says "its source is {'engine'}"
planted run.jsonl 's/"source":"engine"/"source":"server per request"/'
expect 0 routing
says '40 of 40 samples equal'
says '0 of '
planted run.jsonl 's/"source":"engine"/"source":"server per request"/; s/"prefill":\[[0-9]*,[0-9]*,/"prefill":[9,9,/'
expect 1 routing
says 'too many differ'
planted run.jsonl '/"uid":"gsm-mini-0005"/s/"routing":.*,"verdicts"/"routing":null},"verdicts"/'
expect 1 routing
says '1 of 40 samples have none'

expect 1 "$python" "$here/exact_length.py" "$state/run.jsonl" 40
says 'answers have not 40 tokens'
run_of choice.jsonl choice-mini
scores() { "$python" "$here/scores.py" "$state/choice.jsonl" "$state/planted.jsonl"; }
cp "$state/choice.jsonl" "$state/planted.jsonl"
expect 0 scores
says '40 of 40 samples choose the same option'
planted choice.jsonl '/"uid":"choice-mini-0000"/s/"log_likelihood":-5.38[0-9]*/"log_likelihood":0.1/'
expect 1 scores
says 'another option where ours is ahead'

expect 0 "$python" "$here/to_gguf.py" "$root/models/moecap-tiny" "$state/tiny.gguf"
[ "$(head -c 4 "$state/tiny.gguf")" = GGUF ] || fail "the file does not begin as GGUF"
[ "$(wc -c <"$state/tiny.gguf")" -gt 8900000 ] || fail "the weights are not in it"
mkdir "$state/other"
cp "$root/models/moecap-tiny"/*.json "$root/models/moecap-tiny"/*.safetensors "$state/other"
sed -i 's/"Regex": *"/&x|/' "$state/other/tokenizer.json"
expect 1 "$python" "$here/to_gguf.py" "$state/other" "$state/other.gguf"
says 'llama.cpp has no name for this tokenizer'
