#!/bin/sh
# Many idle nodes and many waiting runs: the scheduler's share of a core, and how long a submission takes.
#
#   bench/queue.sh [--bin FOLDER] [--nodes N] [--runs N]
#
# What must hold with 1,000 nodes and 100,000 runs: below 0.10 of a core; p99 of a submission at most 20 ms.
set -eu
cd "$(dirname "$0")/.."

bin=build/release/bin
nodes=1000
runs=100000
while [ $# -gt 0 ]; do
    case $1 in
    --bin) bin=$2 ;;
    --nodes) nodes=$2 ;;
    --runs) runs=$2 ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
if [ ! -x "$bin/moecap" ] || [ ! -x "$bin/bench-queue" ]; then
    echo "bench: build it first: ./run build release"
    exit 1
fi

MOECAP_STATE=$(mktemp -d /tmp/moecap-bench.XXXXXX)
export MOECAP_STATE
chmod 711 "$MOECAP_STATE"
stop_all() {
    "$bin/moecap" down >/dev/null 2>&1 || true
    rm -rf "$MOECAP_STATE"
}
trap stop_all EXIT INT TERM
# shellcheck disable=SC3045 # every shell of Debian has it
ulimit -n 65536 2>/dev/null || true
MOECAP_SCHEDULER_NODES_MAX=4096 "$bin/moecap" up --detach --ports auto --nodes 0 --models models --tasks tasks >/dev/null
# the two lines behind the scheduler's name
address=$(sed -n '/"name": "scheduler"/,/}/s/.*"address": "\([^"]*\)".*/\1/p' "$MOECAP_STATE/runtime.json")
pid=$(sed -n '/"name": "scheduler"/,/}/s/.*"pid": \([0-9]*\).*/\1/p' "$MOECAP_STATE/runtime.json")
"$bin/bench-queue" "$address" "$pid" "$nodes" "$runs"
