#!/bin/sh
# shellcheck disable=SC2119
# Scheduler, store and evaluator killed with SIGKILL in the middle of a run: the suite goes on by itself.
. tests/e2e/lib.sh
MOECAP_NULL_DELAY_US=2000
export MOECAP_NULL_DELAY_US
start_suite

for program in scheduler store evaluator; do
    evaluation=$(moecap submit --engine null --model none --task gsm-mini --limit 300 --batch-size 4 --note "$program" --seed "$(date +%N | sed 's/^0*//')" --quiet)
    running() { moecap queue | grep -q '1 running'; }
    wait_for 30 running
    sleep 0.3
    kill -9 "$(pid_of $program)"
    restarted() { moecap status | grep -qE "^$program .* running +[1-9]"; }
    wait_for 60 restarted
    expect 0 moecap watch "$evaluation"
    run=$(run_ids "$evaluation")
    [ "$(count_samples "$run")" = "300 300" ] || fail "$program killed: distinct and all samples are $(count_samples "$run")"
    echo "$program killed and restarted: 300 samples, none lost, none twice"
done

# and the supervisor itself: down still ends everything that it had started
kill -9 "$(moecap status --json >/dev/null; sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$state/runtime.json" | head -1)"
sleep 1
moecap down >/dev/null 2>&1 || true
if pgrep -f "$state" >/dev/null; then
    fail "still running after down: $(pgrep -af "$state")"
fi
