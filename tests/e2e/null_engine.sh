#!/bin/sh
# shellcheck disable=SC2119
# A hundred samples through every service without a model: submit, watch, board, export, duplicate, cancel.
. tests/e2e/lib.sh
start_suite

expect 0 moecap submit --engine null --model none --task gsm-mini --limit 100 --batch-size 8 --seed 1 --watch
says 'finished  100/100'
id=$(moecap board --json | tr '{' '\n' | sed -n 's/.*"evaluation_id":"\([^"]*\)".*/\1/p' | head -1)
run=$(run_ids "$id")
[ "$(count_samples "$run")" = "100 100" ] || fail "the export has $(count_samples "$run") samples, not 100 100"
[ "$(figure "$run" attempted)" = "100.0" ] || fail "attempted is $(figure "$run" attempted)"
[ "$(figure "$run" completed)" = "100.0" ] || fail "completed is $(figure "$run" completed)"
[ -n "$(figure "$run" ttft_ms_p50)" ] || fail "TTFT is unknown: $(why_unknown "$run" ttft_ms_p50)"
[ -z "$(figure "$run" activated_experts_decode)" ] || fail "the null engine has no experts to activate"
[ -n "$(why_unknown "$run" activated_experts_decode)" ] || fail "an unknown figure has no reason"

expect 0 moecap run samples "$run" --limit 2
says 'experts are unknown: the null engine reports no routing'
says 'more: --after 1'
# the beginning of an id is enough, and an evaluation is not taken for a run
expect 0 moecap run show "$(echo "$run" | cut -c1-12)"
says "run         $run"
expect 0 moecap watch "$(echo "$id" | cut -c1-12)"
says 'finished  100/100'
expect 3 moecap run show "$id"
says 'is an evaluation; moecap board --all --evaluation'

# the same seed draws the same samples, another seed others
plan() {
    evaluation=$(moecap submit --engine null --model none --task gsm-mini --sampling 0.1 --seed "$1" --note "$2" --quiet)
    moecap watch "$evaluation" >/dev/null
    moecap run export "$(run_ids "$evaluation")" | sed -n 's/.*"answer":{"ordinal":\([0-9]*\).*/\1/p' | sort -n
}
first=$(plan 5 a)
[ "$(echo "$first" | wc -l)" = 60 ] || fail "a tenth of 600 samples is not $(echo "$first" | wc -l)"
[ "$first" = "$(plan 5 b)" ] || fail "seed 5 drew other samples the second time"
[ "$first" != "$(plan 6 a)" ] || fail "seeds 5 and 6 drew the same samples"
expect 0 moecap board --csv
says 'run_id,evaluation_id,task,repeat,state,reason,node,model,'
moecap down >/dev/null

# slow answers: a duplicate, the queue, a cancel within a second
MOECAP_NULL_DELAY_US=50000 start_suite
one=$(moecap submit --engine null --model none --task gsm-mini --batch-size 2 --quiet)
expect 0 moecap submit --engine null --model none --task gsm-mini --batch-size 2
says "$one is queued or running with this configuration already"
two=$(moecap submit --engine null --model none --task choice-mini-letter --batch-size 2 --priority 5 --quiet)
wait_for 20 sh -c "$bin/moecap queue | grep -q '1 running'"
expect 0 moecap queue
says 'a free node'
expect 0 moecap cancel "$two"
says 'cancelled'
expect 1 moecap watch "$two"
says 'cancelled'
started=$(date +%s%N)
expect 0 moecap cancel "$one" --reason 'enough seen'
idle() { moecap node list | grep -q nothing; }
wait_for 5 idle
took_ms=$((($(date +%s%N) - started) / 1000000))
echo "cancel to idle node: $took_ms ms"
[ $took_ms -lt 3000 ] || fail "the node was busy for $took_ms ms after the cancel"
expect 0 moecap cancel "$one"
says 'had already ended'
expect 0 moecap run show "$(run_ids "$one" || true)"
says 'cancelled: enough seen'

# repeats: two runs of one question, as an interval over runs and sample by sample
evaluation=$(moecap submit --engine null --model none --task gsm-mini --limit 40 --batch-size 4 --repeats 2 --quiet)
expect 0 moecap watch "$evaluation"
expect 0 moecap repeats "$evaluation"
says 'gsm-mini, 2 finished runs; three make an interval worth reading, five a winner:'
says '  requests_per_s'
# shellcheck disable=SC2046 # two ids
expect 0 moecap compare $(run_ids "$evaluation")
says 'differ      in nothing that was asked for'
says 'samples     40 of gsm-mini by exact_match,strict-match: both right '
says 'McNemar     p = 1 (exact), 1 (mid-p): no evidence that one is better than the other'
says '  requests_per_s'
run=$(run_ids "$evaluation" | tail -1)
expect 0 moecap run show "$run"
says 'mark        settled: after 8 of 40 requests'
expect 3 moecap compare "$run" run-none0000000000
says 'does not exist'
