#!/bin/sh
# The store of this build against that of another one: microseconds a sample for each step of a run, driven over gRPC
# (bench_store.c). Both run in turn, each on a new private server, and the best of the rounds counts, so that what else
# the machine does meets both. One table of ratios; a ratio above 1 means that this build is faster.
#
#   bench/store.sh --against FOLDER [--rounds N] [--samples N]
#
# FOLDER holds the programs of the other build (another clone's build/release/bin).
set -eu
cd "$(dirname "$0")/.."

against=
rounds=3
samples=60000
while [ $# -gt 0 ]; do
    case $1 in
    --against) against=$2 ;;
    --rounds) rounds=$2 ;;
    --samples) samples=$2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
ours=build/release/bin
[ -x "$ours/bench-store" ] || { echo "bench: build it first: ./run build release"; exit 1; }
[ -n "$against" ] || { echo "skip: store: name another build with --against FOLDER"; exit 0; }
[ -x "$against/moecap-store" ] || { echo "bench: $against has no moecap-store" >&2; exit 1; }

work=$(mktemp -d /tmp/moecap-bench.XXXXXX)
chmod 711 "$work"
store=
clean_up() {
    if [ -n "$store" ] && kill "$store" 2>/dev/null; then wait "$store" || true; fi
    rm -rf "$work"
}
trap clean_up EXIT INT TERM
: >"$work/figures"

measure() { # side, folder of programs
    mkdir "$work/$1"
    "$2/moecap-store" --embedded "$work/$1/postgres" --listen 127.0.0.1:0 --ready-file "$work/$1/ready" \
        2>"$work/$1/log" &
    store=$!
    until [ -s "$work/$1/ready" ]; do
        kill -0 "$store" || { cat "$work/$1/log" >&2; exit 1; }
        sleep 0.1
    done
    "$ours/bench-store" "$(sed -n 1p "$work/$1/ready")" "$samples" | sed "s/ / $1 /" >>"$work/figures"
    kill "$store"
    wait "$store" || true
    store=
    rm -rf "${work:?}/$1"
}

round=0
while [ $round -lt "$rounds" ]; do
    measure ours $ours
    measure theirs "$against"
    round=$((round + 1))
done
awk '
    !(($1, $2) in best) || $3 < best[$1, $2] { best[$1, $2] = $3 }
    !($1 in seen) { seen[$1] = 1; order[++n] = $1 }
    END {
        printf "%-10s %12s %12s %8s\n", "us/sample", "this", "other", "ratio"
        for (i = 1; i <= n; i++)
            printf "%-10s %12.2f %12.2f %7.2fx\n", order[i], best[order[i], "ours"], best[order[i], "theirs"],
                best[order[i], "theirs"] / (best[order[i], "ours"] + 0.005)
    }' "$work/figures"
