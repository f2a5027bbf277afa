#!/bin/sh
# The suite without a model, this build against another one: samples a second of the null engine from submit to the last
# figure, and the board's reply. Both builds run in turn, several times, and the best of each counts, so that what else
# the machine does meets both. One table of ratios; a ratio above 1 means that this build is faster.
#
#   bench/suite.sh --against FOLDER [--rounds N] [--repeats N]
#
# FOLDER holds the programs of the other build (another clone's build/release/bin).
set -eu
cd "$(dirname "$0")/.."

against=
rounds=3
repeats=20
while [ $# -gt 0 ]; do
    case $1 in
    --against) against=$2 ;;
    --rounds) rounds=$2 ;;
    --repeats) repeats=$2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
ours=build/release/bin
[ -x "$ours/moecap" ] || { echo "bench: build it first: ./run build release"; exit 1; }
[ -n "$against" ] || { echo "skip: suite: name another build with --against FOLDER"; exit 0; }
[ -x "$against/moecap" ] || { echo "bench: $against has no moecap" >&2; exit 1; }
command -v curl >/dev/null || { echo "skip: suite: curl not found"; exit 0; }

work=$(mktemp -d /tmp/moecap-bench.XXXXXX)
chmod 711 "$work"
stop_all() {
    for side in ours theirs; do
        bin=$ours
        [ $side = ours ] || bin=$against
        MOECAP_STATE=$work/$side "$bin/moecap" down >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap stop_all EXIT INT TERM
: >"$work/figures"

now_ns() { date +%s%N; }

# One side's round: figures as "NAME SIDE VALUE", larger is better.
measure() { # side, folder of programs
    MOECAP_STATE=$work/$1
    export MOECAP_STATE
    "$2/moecap" up --detach --ports auto --models models --tasks tasks >/dev/null
    for concurrency in 1 64; do
        begun=$(now_ns)
        "$2/moecap" submit --engine null --model none --task gsm-mini --repeats "$repeats" \
            --batch-size $concurrency --watch >/dev/null 2>&1
        echo "samples_per_s_at_$concurrency $1 $((600 * repeats * 1000000000 / ($(now_ns) - begun)))" >>"$work/figures"
    done
    gateway=$(sed -n 's/.*"address": "\(http:[^"]*\)".*/\1/p' "$MOECAP_STATE/runtime.json")
    begun=$(now_ns)
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        curl -sf "$gateway/api/v1/board" -o /dev/null
    done
    echo "board_replies_per_s $1 $((20 * 1000000000 / ($(now_ns) - begun)))" >>"$work/figures"
    "$2/moecap" down >/dev/null
}

round=0
while [ $round -lt "$rounds" ]; do
    measure ours $ours
    measure theirs "$against"
    round=$((round + 1))
done
awk '
    $3 > best[$1, $2] { best[$1, $2] = $3 }
    !($1 in seen) { seen[$1] = 1; order[++n] = $1 }
    END {
        printf "%-22s %10s %10s %8s\n", "best of the rounds", "this", "other", "ratio"
        for (i = 1; i <= n; i++)
            printf "%-22s %10d %10d %7.2fx\n", order[i], best[order[i], "ours"], best[order[i], "theirs"],
                best[order[i], "ours"] / best[order[i], "theirs"]
    }' "$work/figures"
