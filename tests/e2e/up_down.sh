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
held=$other/held
exec 9>"$held" # a script's own file, such as a lock, is not the suite's to keep
expect 0 moecap --state "$other" up --detach --ports auto --nodes 2 --models "$root/models" --no-tasks
exec 9>&-
! find /proc/[0-9]*/fd -lname "$held" 2>/dev/null | grep -q . || fail "the suite keeps what its caller had open"
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

# the password of a PostgreSQL stands in the arguments of no process; this server never answers, so the store waits
other=$(mktemp -d /tmp/moecap-e2e.XXXXXX)
chmod 711 "$other"
python3 -c 'import socket, sys, time
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
open(sys.argv[1], "w").write(str(server.getsockname()[1]))
time.sleep(60)' "$other/port" &
companions="$companions $!"
wait_for 10 test -s "$other/port"
moecap --state "$other" up --detach --ports auto --no-tasks \
    --postgres "postgresql://u:hunter2@127.0.0.1:$(cat "$other/port")/x" >/dev/null 2>&1 &
store_starts() { pgrep -f "moecap-store.*$other" >/dev/null; }
wait_for 20 store_starts
! grep -la 'hunte[r]2' /proc/[0-9]*/cmdline 2>/dev/null || fail "a process shows the password of the database"
grep -qa 'hunte[r]2' "/proc/$(pgrep -f "moecap-store.*$other" | head -1)/environ" || fail "the store does not know the URI"
moecap --state "$other" down >/dev/null
rm -rf "$other"

# as the first process of a container: the orphan of a killed PostgreSQL is reaped, so that the store starts another
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    other=$(mktemp -d /tmp/moecap-e2e.XXXXXX)
    chmod 711 "$other"
    MOECAP_STATE=$other unshare --pid --fork --mount-proc "$bin/moecap" up --ports auto --nodes 0 --no-tasks >"$other/said" &
    container=$!
    wait_for 10 pgrep -P $container
    first=$(pgrep -P $container)
    companions="$companions $first" # unshare itself ignores the signal
    wait_for 60 grep -q 'the suite is ready' "$other/said"
    gateway=$(sed -n 's/^starting gateway: //p' "$other/said")
    killed=$(pgrep -f "postgres -D $other" | head -1)
    kill -9 "$killed"
    again() { pgrep -f "postgres -D $other" | head -1 | grep -vqx "$killed"; }
    ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$gateway/readyz")" = 200 ]; }
    wait_for 30 again
    wait_for 30 ready
    # shellcheck disable=SC2009 # pgrep does not show zombies by their state
    zombies=$(ps -o stat= --ppid "$first" | grep -c '^Z' || true)
    [ "$zombies" -eq 0 ] || fail "$zombies zombies wait for the first process"
    kill "$first"
    wait $container || true
    rm -rf "$other"
else
    echo "skip: no right to make a process namespace, so nothing is the first process of one"
fi
