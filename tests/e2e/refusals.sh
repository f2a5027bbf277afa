#!/bin/sh
# shellcheck disable=SC2119
# What a user does wrong is named: field, value, what would be accepted; and nothing is lost by it.
. tests/e2e/lib.sh

expect 4 moecap board
says 'no suite runs here'
says 'hint: moecap up --detach'
expect 2 moecap frobnicate
says 'unknown command "frobnicate"'
expect 2 moecap submit --model x
says 'needs --model and at least one --task'
expect 2 moecap submit --model x --task y --batch-size many
says '--batch-size "many" is not a whole number from 1 to 4096, e.g. 4'
expect 3 moecap submit --model x --task y --priority 4294967296
says '--priority 4294967296 is not from -100 to 100'
expect 2 moecap submit --no-such-option
says 'unknown option --no-such-option'
expect 0 moecap submit --help
says 'moecap submit --model moecap-tiny --task gsm-mini'

start_suite

expect 3 moecap submit --model moecap-tiny --task gsm-mni
says 'task "gsm-mni" is unknown, did you mean "gsm-mini"? known: '
says 'known: choice-mini'
expect 3 moecap submit --model moecap-tyni --task gsm-mini
says 'model "moecap-tyni" is unknown'
says 'known: moecap-tiny'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --precision fp3
says 'precision "fp3" is unknown'
says 'known: f32, bf16, int8'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --engine nativ
says 'did you mean "native"?'
: >"$state/empty.csv"
expect 3 moecap submit --engine openai --url http://127.0.0.1:1 --model m --task gsm-mini --activation-profile "$state/empty.csv"
says 'empty.csv" is empty'
# every wrong value at once, by the name of its option
expect 3 moecap submit --model moecap-tiny --task gsm-mini --batch-size 0 --sampling 2 --temperature 1000 --limit -3
says '--batch-size 0 is not from 1 to 4096'
says '--sampling 2 is not above 0 and up to 1'
says '--temperature 1000 is not from 0 to 100'
says '--limit -3 is not from 0 to 4294967295'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --batch-size 99999999999999999999
says '--batch-size 99999999999999999999 is not from 1 to 4096'
expect 2 moecap submit --model moecap-tiny --task gsm-mni --seed abc
says '--seed "abc" is not a whole number'
says 'task "gsm-mni" is unknown'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --rate 5 --batch-size 4
says '--rate excludes --batch-size'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --priority 500
says '--priority 500 is not from -100 to 100'
says 'hint: moecap help submit'
expect 3 moecap submit --model x --engine vllm --task gsm-mini
says '--engine "vllm" needs --url'
expect 3 moecap submit --model x --engine vllm --task gsm-mini --url http:///x
says '--url "http:///x" names no host'
expect 3 moecap submit --model x --engine vllm --task gsm-mini --url http://h:99999
says '--url "http://h:99999" has a port that is not from 1 to 65535'
expect 3 moecap submit --model x --engine vllm --task gsm-mini --url http://169.254.169.254
says 'is link-local'
expect 3 moecap submit --model moecap-tiny --task gsm-mini --precision fp8
says 'precision "fp8" is not one that engine "native" computes in'
expect 0 moecap submit --model moecap-tiny --task gsm-mini,choice-mini --precision bfloat16 --dry-run
says 'choice-mini, '
expect 3 moecap submit --engine null --model none --task gsm-mini --note "$(printf 'caf\351')"
says 'note is not UTF-8'
expect 3 moecap watch run-doesnotexist
says 'does not exist'
expect 3 moecap cancel run-doesnotexist
says 'run "run-doesnotexist" does not exist'
expect 3 moecap run show run-doesnotexist
says 'run-doesnotexist'
expect 3 moecap task show nothing
says 'task "nothing" does not exist'

# accepted, but nobody can run it: said at once
expect 0 moecap submit --model moecap-tiny --device cuda --task gsm-mini --dry-run
says 'nothing runs yet: no connected node with engine "native" and precision "bf16" has 1 CUDA device'

# help says the same in both orders
[ "$(moecap help grade)" = "$(moecap grade --help)" ] || fail "help grade is not grade --help"

# a dry run plans and queues nothing
expect 0 moecap submit --model moecap-tiny --task gsm-mini --limit 7 --repeats 2 --dry-run
says 'gsm-mini, 7 samples (repeat 2 of 2)'
expect 0 moecap queue
says '0 waiting, 0 running'
expect 0 moecap board
says 'the board is empty'

# a task that cannot be rendered is refused when it is added, with the document
printf '{"id": "a", "question": "1+1?", "answer": "#### 2"}\n{"id": "b", "answer": "#### 2"}\n' >"$state/bad.jsonl"
expect 3 moecap task add "$root/tasks/gsm-mini.yaml" --data "$state/bad.jsonl"
says 'question'
printf '{"id": "a"\n' >"$state/bad.jsonl"
expect 3 moecap task add "$root/tasks/gsm-mini.yaml" --data "$state/bad.jsonl"
says "bad.jsonl:1 is not a JSON object"
: >"$state/empty.yaml"
expect 3 moecap task add "$state/empty.yaml"
says 'the file is empty'
expect 3 moecap task add "$state/none.yaml"
says 'none.yaml'

# a run that finishes without an answer is a failure
expect 1 moecap submit --model moecap-tiny --task gsm-mini --num-fewshot 32 --limit 2 --watch
says 'no sample completed; the first failed with: the prompt has '

# what no node can run is accepted, with the command that takes it back
expect 0 moecap submit --model moecap-tiny --device cuda --task gsm-mini --limit 3
says 'warning: moecap cancel eval-'
