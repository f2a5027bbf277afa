#!/bin/sh
# An engine that the node starts by a command of its own configuration: evaluated, kept for the next run, stopped with the
# node. The command at hand is our own endpoint.
# shellcheck disable=SC2119
. tests/e2e/lib.sh
MOECAP_INFERENCE_EXTERNAL_COMMAND_MOE_GEN="exec $bin/moecap model serve $root/models/moecap-tiny --port \$MOECAP_PORT"
export MOECAP_INFERENCE_EXTERNAL_COMMAND_MOE_GEN
MOECAP_INFERENCE_EXTERNAL_REFUSED_S_MAX=1 # five leases wait for a server that is not there
export MOECAP_INFERENCE_EXTERNAL_REFUSED_S_MAX
start_suite

expect 0 moecap submit --engine moe-gen --model moecap-tiny --task gsm-mini --limit 20 --batch-size 4 --watch
id=$(moecap submit --engine moe-gen --model moecap-tiny --task gsm-mini --limit 10 --batch-size 2 --quiet)
expect 0 moecap watch "$id"
run=$(run_ids "$id")
expect 0 moecap run show "$run"
says 'timing boundary http'
says 'note        the server was started by the node, with OMP_'
says 'resident memory is'
[ "$(cat "$state"/logs/*.log | grep -c 'event=server_started')" = 1 ] || fail "the second run started a server again"

# a URL that is given is used instead, by a node that could not start the engine, too
expect 1 moecap submit --engine moe-gen --url http://127.0.0.1:9 --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'could not connect to http://127.0.0.1:9'
expect 1 moecap submit --engine ktransformers --url http://127.0.0.1:9 --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'could not connect to http://127.0.0.1:9'

# no node has a command for another kind: its run waits, and says which setting is missing
expect 0 moecap submit --engine ktransformers --model moecap-tiny --task gsm-mini --limit 5
says 'no connected node has a command that starts engine "ktransformers": set external_command_ktransformers of a node'
expect 0 moecap cancel "$(echo "$out" | grep -o 'eval-[0-9a-z-]*' | head -1)"

# of two nodes only the one with the command gets such a run
scheduler=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"scheduler".*"address":"\([^"]*\)".*/\1/p')
env -u MOECAP_INFERENCE_EXTERNAL_COMMAND_MOE_GEN "$bin/moecap-inference" --scheduler "$scheduler" --name plain \
    --models "$root/models" --state "$state/plain" >"$state/logs/plain.log" 2>&1 &
plain=$!
companions=$plain
wait_for 20 sh -c "'$bin/moecap' node list | grep -q plain"
ids=
for i in 1 2 3 4; do
    ids="$ids $(moecap submit --engine moe-gen --model moecap-tiny --task gsm-mini --limit 3 --note "two nodes $i" --quiet)"
done
for id in $ids; do
    expect 0 moecap watch "$id"
done
kill "$plain"
wait "$plain" 2>/dev/null || true
companions=
expect 3 moecap submit --engine vllm --model moecap-tiny --task gsm-mini --limit 5
says 'needs --url'

# a node that is killed takes its server with it
started() { sed -n 's/.*event=server_started engine=moe-gen pid=\([0-9]*\).*/\1/p' "$state"/logs/*.log; }
lives() { grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; }
expect 0 moecap submit --engine moe-gen --model moecap-tiny --task gsm-mini --limit 5 --note killed --watch
server=$(started | tail -1)
lives "$server" || fail "the server is not kept after a run"
kill -9 "$(pid_of node-1)"
for _ in $(seq 200); do # past the 10 s after which it is killed
    lives "$server" || break
    sleep 0.1
done
lives "$server" && fail "a server outlived its killed node"
expect 0 moecap submit --engine moe-gen --model moecap-tiny --task gsm-mini --limit 5 --note again --watch

server=$(started | tail -1)
lives "$server" || fail "no server runs"
expect 0 moecap down
for _ in $(seq 200); do # past the 10 s after which it is killed
    lives "$server" || exit 0
    sleep 0.1
done
fail "a server outlived its node"
