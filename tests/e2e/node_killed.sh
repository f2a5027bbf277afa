#!/bin/sh
# shellcheck disable=SC2119
# A node killed with SIGKILL in the middle of a run is replaced, and the run finishes without losing or
# repeating a finished sample. Its timings, interrupted, are unknown and say so.
. tests/e2e/lib.sh
MOECAP_NULL_DELAY_US=2000
export MOECAP_NULL_DELAY_US
start_suite

evaluation=$(moecap submit --engine null --model none --task gsm-mini --batch-size 4 --quiet)
run=$(moecap submit --engine null --model none --task gsm-mini --batch-size 4 --json |
    sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p')
some_stored() { moecap run show "$run" --json | grep -qE '"samples_answered":[1-9][0-9]'; }
wait_for 30 some_stored
kill -9 "$(pid_of node-1)"
before=$(moecap run show "$run" --json | sed -n 's/.*"samples_answered":\([0-9]*\).*/\1/p')
[ "$before" -lt 600 ] || fail "the run was over before the node could be killed"

expect 0 moecap watch "$evaluation"
says 'finished'
[ "$(count_samples "$run")" = "600 600" ] || fail "distinct and all samples are $(count_samples "$run"), not 600 600"
attempts=$(moecap run show "$run" --json | grep -o '"fence":' | wc -l)
[ "$attempts" -ge 2 ] || fail "the run had $attempts attempt, so nothing was replaced"
[ -z "$(figure "$run" ttft_ms_p50)" ] || fail "an interrupted run shows a TTFT"
case $(why_unknown "$run" ttft_ms_p50) in
*interrupted*) ;;
*) fail "the reason is \"$(why_unknown "$run" ttft_ms_p50)\", not interrupted" ;;
esac
moecap status | grep -E '^node-1 .* running +[1-9]' >/dev/null || fail "the supervisor did not restart the node"
echo "killed after $before of 600 samples; $attempts attempts; nothing lost, nothing twice"
