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

# a URL that is given is used instead, and other kinds have no command
expect 1 moecap submit --engine moe-gen --url http://127.0.0.1:9 --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'could not connect to http://127.0.0.1:9'
expect 1 moecap submit --engine ktransformers --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'this node has no command that starts one'
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
