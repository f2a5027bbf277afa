#!/bin/sh
# What every program that serves promises (lib/service), tried on the evaluator, which needs no neighbour.
set -eu

bin=${MOECAP_BIN_DIR:-build/dev/bin}
dir=$(mktemp -d /tmp/moecap-service.XXXXXX)
pid=
clean_up() {
    status=$?
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    rm -rf "$dir"
    exit $status
}
trap clean_up EXIT INT TERM
program=$bin/moecap-evaluator

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# expect STATUS TEXT COMMAND...: exit status, and what it says
expect() {
    wanted=$1 text=$2
    shift 2
    got=0
    out=$("$@" 2>&1) || got=$?
    [ "$got" = "$wanted" ] || fail "$* ended with $got, not $wanted: $out"
    case $out in *"$text"*) ;; *) fail "expected \"$text\" of $*: $out" ;; esac
}
start() { # flags...
    rm -f "$dir/ready"
    "$program" --listen 127.0.0.1:0 --ready-file "$dir/ready" "$@" 2>"$dir/log" &
    pid=$!
    tries=0
    until [ -s "$dir/ready" ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "not ready: $(cat "$dir/log")"
        sleep 0.05
    done
    address=$(cat "$dir/ready")
}
stop() { # signal
    kill "-$1" "$pid"
    status=0
    wait "$pid" || status=$?
    pid=
    [ $status = 0 ] || fail "SIG$1 ended it with $status: $(cat "$dir/log")"
}

expect 0 'usage: moecap-evaluator [flags]' "$program" --help
expect 0 'usage: moecap-evaluator [flags]' "$program" -h
expect 0 'moecap-evaluator ' "$program" --version
expect 0 '# Settings of moecap-evaluator' "$program" --print-config
expect 2 'unknown argument "--nonsense"' "$program" --nonsense
expect 2 '--listen needs a value' "$program" --listen
expect 2 'could not open' "$program" --config "$dir/none.conf"
expect 2 'log level "loud" is not' "$program" --log loud
expect 2 'log level "loud" is not' env MOECAP_LOG=loud "$program"

# the sample, with every line uncommented, is a file that the program takes
"$program" --print-config | sed -n 's/^# \([a-z_]* = .*\)/\1/p' >"$dir/sample.conf"
start --config "$dir/sample.conf"
grep -q "event=ready address=$address" "$dir/log" || fail "no ready line: $(cat "$dir/log")"

# whether it is well, as a container asks
expect 0 'serving' "$program" --check "$address"
expect 1 'not serving: 127.0.0.1:1: ' "$program" --check 127.0.0.1:1
expect 2 '--check needs an address' "$program" --check

# a second one on the same address is a sentence, not a crash
expect 1 'event=start_failed' "$program" --listen "$address"
case $out in *"$address"*) ;; *) fail "the sentence does not name $address: $out" ;; esac

stop TERM
grep -q 'event=stopping signal=15' "$dir/log" || fail "no stopping line"
grep -q 'event=stopped ok=1' "$dir/log" || fail "no stopped line"
start
stop INT

# it does not outlive the program that started it
cat >"$dir/parent.sh" <<PARENT
"$program" --listen 127.0.0.1:0 --ready-file "$dir/child" --die-with-parent 2>"$dir/log" &
echo \$! >"$dir/pid"
while :; do sleep 1; done
PARENT
sh "$dir/parent.sh" &
parent=$!
until [ -s "$dir/child" ]; do sleep 0.05; done
kill -9 $parent
wait $parent 2>/dev/null || true
child=$(cat "$dir/pid")
tries=0
while [ -d "/proc/$child" ] && ! grep -q '^State:.*Z' "/proc/$child/status" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || fail "it outlived its parent"
    sleep 0.05
done
echo "help, refusals, settings, ready file, two signals, a dead parent: as promised"

# A start that reads what never answers ends when it is told to: here a pipe in the place of the node's cache.
mkdir "$dir/models" "$dir/state"
cp -r models/moecap-tiny "$dir/models/"
mkfifo "$dir/state/model-digests"
"$bin/moecap-inference" --scheduler "" --models "$dir/models" --state "$dir/state" --probe false 2>"$dir/log" &
pid=$!
sleep 1
kill -TERM "$pid"
tries=0
while kill -0 "$pid" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 400 ] || fail "SIGTERM does not end a start that is stuck: $(cat "$dir/log")"
    sleep 0.05
done
status=0
wait "$pid" || status=$?
pid=
[ $status = 1 ] || fail "a stuck start ended with $status: $(cat "$dir/log")"
grep -q 'its start does not end' "$dir/log" || fail "no word about it: $(cat "$dir/log")"
