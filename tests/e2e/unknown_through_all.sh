#!/bin/sh
# One run whose node tells nothing but its answers, and one whose numbers are all 0: unknown stays unknown and 0 stays 0
# in store, JSON, CSV, on the command line and on the page.
# shellcheck disable=SC2119,SC2154
. tests/e2e/lib.sh
python=/usr/bin/python3
$python -c 'import grpc, google.protobuf' 2>/dev/null || {
    echo "skip: $python has no grpc; install python3-grpcio and python3-protobuf"
    exit 77
}
mkdir "$state/gen"
protoc -I "$root/proto" --python_out="$state/gen" moecap/v1/common.proto moecap/v1/inference.proto moecap/v1/evaluator.proto \
    moecap/v1/scheduler.proto
start_suite
scheduler=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"scheduler","address":"\([^"]*\)".*/\1/p')
gateway=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"gateway","address":"\([^"]*\)".*/\1/p')

run_with() { # kind of answers
    mkfifo "$state/$1"
    $python tests/e2e/bare_node.py "$scheduler" "$state/gen" "$1" <"$state/$1" >"$state/$1.log" 2>&1 &
    companions="$companions $!"
    exec 3>"$state/$1" # held open until the run has ended
    wait_for 20 sh -c "MOECAP_STATE=$state $bin/moecap node list | grep -q bare-node"
    id=$(moecap submit --model bare --task gsm-mini --limit 3 --note "$1" --quiet)
    moecap watch "$id" >/dev/null || fail "$1: $(moecap watch "$id"; cat "$state/$1.log")"
    exec 3>&-
    run_ids "$id"
}
bare=$(run_with bare)
wait_for 20 sh -c "! MOECAP_STATE=$state $bin/moecap node list | grep -q bare-node"
zero=$(run_with zero)

show() { # address, file: the page as it is after its scripts
    "$browser" --headless --no-sandbox --disable-gpu --virtual-time-budget=10000 --user-data-dir="$state/browser" \
        --dump-dom "$gateway$1" >"$2" 2>"$state/browser.log" || fail "no page $1: $(cat "$state/browser.log")"
}
browser=${MOECAP_CHROMIUM:-/usr/bin/chromium}
pages=
if command -v "$browser" >/dev/null; then
    show / "$state/board.html"
    show "/runs/$bare" "$state/run.html"
    pages="$state/board.html $state/run.html"
else
    echo "note: $browser not found; the page was not looked at"
fi
# shellcheck disable=SC2086 # two files or none
$python tests/e2e/unknown.py "$gateway" "$bare" "$zero" $pages || fail "what is unknown is not null, or what is 0 not 0"

# the command line: a place among what is unavailable, below the reason, and no row with a value
expect 0 moecap run show "$bare"
says 'exact_match,strict-match'
for figure in ttft_ms_p50 tpot_ms_mean output_tokens_per_s activated_experts_decode decode_gb_per_s wall_s; do
    echo "$out" | sed '/^unavailable:/,$d' | grep -qw "$figure" && fail "$figure has a row: $(echo "$out" | grep -w "$figure")"
    echo "$out" | sed '1,/^unavailable:/d' | grep -qE "^    (.*, )?$figure(,|$)" || fail "$figure is not among what is unavailable"
done
expect 0 moecap board
echo "$out" | grep -E "^bare .*$bare" | grep -qE ' 0\.0 \[.*\]( \([^)]*\))? +- +- +- ' || fail "the board shows: $out"
