#!/bin/sh
# shellcheck disable=SC2119,SC2154
# What a node measures of its machine reaches the list of nodes, a run's figures and the board; declared peaks make
# figures declared; hardware that is not known is told at submit.
. tests/e2e/lib.sh
start_suite

between() { # what, value, low, high
    awk -v v="$2" -v low="$3" -v high="$4" 'BEGIN { exit !(v != "" && v > low && v <= high) }' ||
        fail "$1 is \"$2\", not from $3 to $4"
}
basis() { moecap run show "$1" --json | tr '{' '\n' | sed -n "s/.*\"id\":\"$2\".*\"basis\":\"\([a-z]*\)\".*/\1/p"; }

expect 0 moecap node list
says ' GB/s; f32 '
expect 0 moecap node probe --json
says '"read_bandwidth_gb_s":'

evaluation=$(moecap submit --model moecap-tiny --task gsm-mini --limit 32 --batch-size 4 --quiet)
expect 0 moecap watch "$evaluation"
run=$(run_ids "$evaluation")
between smfu_prefill_attainable "$(figure "$run" smfu_prefill_attainable)" 0 1
between smfu_decode_attainable "$(figure "$run" smfu_decode_attainable)" 0 1
[ "$(basis "$run" attainable_gb_per_s)" = measured ] || fail "what the node attained is not measured"
# The shipped model fits in most caches: its bandwidth is then invalid, and says so.
case $(why_unknown "$run" smbu_decode_attainable) in
'' | *'fits in the last-level cache'* | *'attained when its node started'*) ;;
*) fail "smbu_decode_attainable: $(why_unknown "$run" smbu_decode_attainable)" ;;
esac
expect 0 moecap board
says 'S-MBU'

evaluation=$(moecap submit --model moecap-tiny --task gsm-mini --limit 32 --batch-size 4 --peak-bandwidth 1e6 \
    --peak-flops 1000 --quiet)
expect 0 moecap watch "$evaluation"
run=$(run_ids "$evaluation")
[ "$(basis "$run" smfu_decode)" = declared ] || fail "a declared peak gives a figure that is \"$(basis "$run" smfu_decode)\""
between smfu_decode "$(figure "$run" smfu_decode)" 0 1

server="--engine vllm --url http://127.0.0.1:9 --model x --task gsm-mini --dry-run"
# shellcheck disable=SC2086 # a list of options
expect 0 moecap submit $server --hardware "8x H100 NVL"
says 'warning: hardware: unknown device "8x H100 NVL"'
# shellcheck disable=SC2086
expect 0 moecap submit $server --hardware "8x H100-SXM" --tensor-parallel 8
case $out in *'hardware:'*) fail "hardware that is known is doubted: $out" ;; esac
