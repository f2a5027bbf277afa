#!/bin/sh
# Real servers evaluated by us, and real clients against our endpoint; see docs/peers.md.
#
#   tests/peers/test.sh [NAME ...]      all of them without a name
#
# Installs what it needs from PyPI below $XDG_CACHE_HOME/moecap/peers. What cannot run on this machine is skipped with
# its reason. Status 1 when a peer that ran did not do as it should, 77 when all were skipped.
# shellcheck disable=SC2119,SC2154,SC1090 # variables and functions come from the files that are read
all_peers="transformers sglang llamacpp vllm openai-client lm-eval aiperf"
case ${1:-} in
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    echo "names: $all_peers"
    exit 0
    ;;
esac
. tests/e2e/lib.sh
. tests/peers/lib.sh
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $all_peers
for name; do
    [ -f "$here/$name.sh" ] || fail "there is no peer \"$name\"; names: $all_peers"
done

model=$root/models/moecap-tiny
limit=${MOECAP_PEERS_LIMIT:-600}
few=60 # samples of the shorter checks
mkdir -p "$cache"
: >"$state/table"

# The endpoint of ours that clients are run against, and that says how clear a greedy choice was.
serve_ours() {
    "$bin/moecap" model serve "$model" --port 0 --concurrency 4 >"$state/serve.log" 2>&1 &
    companions=$!
    wait_for 60 grep -q 'http://127' "$state/serve.log"
    our_url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$state/serve.log" | head -1)
}

# evaluate FILE OPTIONS...: one run to its end; its export is the file.
evaluate() {
    export=$1
    shift
    id=$(moecap submit --quiet "$@") || return 1
    moecap watch "$id" >"$state/watch.log" 2>&1 || { tail -3 "$state/watch.log"; return 1; }
    moecap run export "$(run_ids "$id")" >"$export"
}

# native_run NAME OPTIONS...: the same for our own engine; later steps name the file.
native_run() {
    export=$1
    shift
    evaluate "$state/$export.jsonl" --engine native --model moecap-tiny --batch-size 4 "$@" ||
        fail "the native run failed"
}

# peer_run FILE OPTIONS...: the same for the server that runs.
peer_run() {
    export=$1
    shift
    evaluate "$export" --engine "$peer_kind" --url "$server_url" --model moecap-tiny --served-model "$served" \
        --model-config "$model/config.json" --batch-size 4 --note "$name" "$@"
}

compare() { # OURS, THEIRS, further options
    first=$1 second=$2
    shift 2
    "$python" "$here/compare.py" --native "$state/$first.jsonl" --peer "$state/$second.jsonl" --endpoint "$our_url" "$@"
}

# What `moecap engine check` says of it before anyone submits must be what the peer's file knows.
check_probe() {
    moecap engine check "$server_url" --model "$served" >"$state/probe" 2>&1 || { cat "$state/probe"; return 1; }
    sed 's/  */ /g' "$state/probe" >"$state/probe.words"
    peer_probe >"$state/probe.wanted"
    while read -r words; do
        grep -q "^$words" "$state/probe.words" || { cat "$state/probe"; say "engine check does not say \"$words\""; return 1; }
    done <"$state/probe.wanted"
    echo "  engine check: $(wc -l <"$state/probe.wanted") of its answers are as they should be"
}

# The first samples as chats, through the server's own template.
check_chat() {
    peer_run "$state/$name-chat.jsonl" --task gsm-mini --chat --limit "$few" &&
        compare native-chat "$name-chat" >"$state/chat.json" &&
        "$python" "$here/table.py" chat "$state/chat.json"
}

# Stop strings: some servers leave them in the text.
check_stop() {
    peer_run "$state/$name-stop.jsonl" --task gsm-mini-stop --limit "$few" &&
        compare native-stop "$name-stop" >"$state/stop.json" &&
        "$python" "$here/table.py" "stop strings" "$state/stop.json"
}

check_exact_length() {
    peer_run "$state/length.jsonl" --task gsm-mini --ignore-eos --max-tokens 40 --limit 12 &&
        "$python" "$here/exact_length.py" "$state/length.jsonl" 40
}

# Options by log-likelihood; a server that cannot tell it must end the run with a sentence.
check_scoring() {
    if [ "${peer_scores:-yes}" = yes ]; then
        peer_run "$state/scores.jsonl" --task choice-mini --limit "$few" &&
            "$python" "$here/scores.py" "$state/native-choice.jsonl" "$state/scores.jsonl"
        return
    fi
    expect 1 moecap submit --engine "$peer_kind" --url "$server_url" --model moecap-tiny --served-model "$served" \
        --task choice-mini --limit 5 --watch
    says 'score' && say "$name: scoring is refused: $(echo "$out" | grep -m 1 score | cut -c1-160)"
}

# serve_peer MODEL: the server, ready and able; what it took is $ready_s, its name for the model $served.
serve_peer() {
    began=$(date +%s)
    start_server "$peer_start_s" "$1" || return 1
    ready_s=$(($(date +%s) - began))
    served=$(peer_served "$1")
    warm_up "$server_url" "$served"
}

check_engine() {
    given=$(peer_model) && serve_peer "$given" || return 1
    peer_run "$state/$name.jsonl" --task gsm-mini --limit "$limit" && compare native "$name" >"$state/$name.json" || return 1
    "$python" "$here/table.py" row "$peer_title" "$(version_of "$peer_package")" "$ready_s" "$state/$name.json" \
        >>"$state/table"
    check_probe && check_chat && check_stop && check_exact_length && check_scoring || return 1
    stop_server
    peer_more "$given"
}

# One peer, in a shell of its own: what its file defines must not outlive it.
run_peer() (
    venv=$cache/$name
    . "$here/$name.sh"
    reason=$(why_not)
    [ -z "$reason" ] || { say "$name: skipped: $reason"; exit 77; }
    if ! install_peer; then
        say "$name: skipped: it could not be installed: $(grep -v WARNING "$venv.log" | tail -1)"
        exit 77
    fi
    say "$name: $peer_title $(version_of "$peer_package")"
    trap stop_server EXIT # the server has a session of its own: Ctrl-C does not reach it
    trap 'exit 130' INT TERM
    if [ -n "${peer_kind:-}" ]; then check_engine; else peer_check "$our_url"; fi
)

# What our own engine answers, which every server is held against.
run_natives() {
    sed 's/^task: .*/task: gsm-mini-stop/; s/until: .*/until: ["=", "\\n"]/' "$root/tasks/gsm-mini.yaml" >"$state/stop.yaml"
    moecap task add "$state/stop.yaml" --data "$root/tasks/gsm-mini.jsonl" \
        --fewshot "$root/tasks/gsm-mini.train_shots.jsonl" >/dev/null
    native_run native --task gsm-mini --limit "$limit"
    native_run native-few --task gsm-mini --limit "$few"
    native_run native-stop --task gsm-mini-stop --limit "$few"
    native_run native-chat --task gsm-mini --chat --limit "$few"
    native_run native-choice --task choice-mini --limit "$few"
}

start_suite
serve_ours
run_natives

failed=0 skipped=0
for name; do
    status=0
    run_peer || status=$?
    case $status in
    0) say "$name: passed" ;;
    77) skipped=$((skipped + 1)) ;;
    *)
        failed=$((failed + 1))
        say "$name: FAILED"
        tail -20 "$state/$name.log" 2>/dev/null || true
        ;;
    esac
done
echo
[ ! -s "$state/table" ] || { "$python" "$here/table.py" head; cat "$state/table"; }
[ "$failed" = 0 ] || fail "$failed of $# peers"
[ "$skipped" -lt $# ] || exit 77
