#!/bin/sh
# Servers that cheat, over HTTP: each is caught by its own mark, and an honest one has none of the audit's. How often
# the audit is right is unit.audit's business; here its probes meet real sockets.
# shellcheck disable=SC2119,SC2154
. tests/e2e/lib.sh
python=$(command -v python3) || { echo "skip: python3 not found"; exit 77; }
mkfifo "$state/in"
"$python" tests/e2e/servers.py <"$state/in" >"$state/servers" &
companions=$!
exec 3>"$state/in" # held open until the end
start_suite
wait_for 20 grep -q quick "$state/servers"

audit="no-model not-what-was-declared samples-missing other-requests failures blank-answers degenerate-answers lengths counts
    skipped-experts cached early-first-token held-back faster-while-timed other-answers"
marks_of() { # server: the audit's bad marks of a run on it
    url=$(sed -n "s/^$1 //p" "$state/servers")
    id=$(moecap submit --engine openai --url "$url" --model m --task gsm-mini --limit 24 --batch-size 4 --note "$1" --quiet)
    moecap watch "$id" >/dev/null
    moecap run show "$(run_ids "$id")" --json | tr '{' '\n' | sed -n 's/^"id":"\([a-z-]*\)","text":.*"bad":true.*/\1/p' |
        while read -r mark; do
            for known in $audit; do [ "$mark" != "$known" ] || echo "$mark"; done
        done | sort | tr '\n' ' '
}
check() { # server, its marks; a machine that does other things may blur one run's times, not those of three
    for _ in 1 2 3; do
        found=$(marks_of "$1")
        [ "$found" != "$2" ] || return 0
    done
    fail "$1: marked \"$found\", not \"$2\""
}
check honest ''
check cached 'cached '
check padded 'counts '
check early 'early-first-token '
check held 'held-back '
check blank 'blank-answers '
check quick 'faster-while-timed other-answers '
