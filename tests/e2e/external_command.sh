#!/bin/sh
# An engine that the node starts by a command of its own configuration: evaluated, kept for the next run, stopped with the
# node. The command at hand is our own endpoint.
. tests/e2e/lib.sh
MOECAP_INFERENCE_EXTERNAL_COMMAND_MOE_GEN="exec '$bin/moecap' model serve '$root/models/moecap-tiny' --port \$MOECAP_PORT"
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
says 'note        the server was started by the node, with OMP_WAIT_POLICY=PASSIVE'
says 'resident memory is'
[ "$(grep -h 'event=server_started' "$state"/logs/*.log | wc -l)" = 1 ] || fail "the second run started a server again"

# a URL that is given is used instead, and other kinds have no command
expect 1 moecap submit --engine moe-gen --url http://127.0.0.1:9 --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'could not connect to http://127.0.0.1:9'
expect 1 moecap submit --engine ktransformers --model moecap-tiny --task gsm-mini --limit 5 --watch
says 'this node has no command that starts one'
expect 3 moecap submit --engine vllm --model moecap-tiny --task gsm-mini --limit 5
says 'needs external.url'

pids=$(sed -n 's/.*event=server_started engine=moe-gen pid=\([0-9]*\).*/\1/p' "$state"/logs/*.log)
expect 0 moecap down
for pid in $pids; do
    kill -0 -- "-$pid" 2>/dev/null && fail "a server outlived its node"
done
exit 0
