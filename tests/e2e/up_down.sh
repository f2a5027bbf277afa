#!/bin/sh
# shellcheck disable=SC2119
# up, status, down: twice in a row, two suites side by side, exactly what was started is ended.
. tests/e2e/lib.sh

start_suite
expect 0 moecap status
says 'scheduler'
expect 3 moecap up --detach --ports auto
says 'a suite already runs in'
other=$(mktemp -d /tmp/moecap-e2e.XXXXXX)
chmod 711 "$other"
expect 0 moecap --state "$other" up --detach --ports auto --nodes 2 --models "$root/models" --no-tasks
expect 0 moecap --state "$other" node list
says '2 connected'
expect 0 moecap --state "$other" down
rm -rf "$other"
expect 0 moecap status
expect 0 moecap down
expect 4 moecap status
expect 4 moecap down
says 'no suite runs in'
! pgrep -f "$state/" >/dev/null || fail "still running: $(pgrep -af "$state/")"
start_suite
expect 0 moecap task list
says 'gsm-mini'
says '600'
expect 0 moecap admin config scheduler
says 'attempts_max = 5'
expect 0 moecap admin metrics store
echo "$out" | grep -q '^moecap_store_calls_total [1-9]' || fail "the store counts no calls: $out"
! moecap run show no-such-run >/dev/null 2>&1 || fail "a run that does not exist was shown"
moecap admin metrics store | grep -q '^moecap_store_calls_failed_total [1-9]' || fail "a failed call is not counted"
