#!/bin/sh
# The load generator by itself: does an open loop of 2,000 requests a second against the null engine send what it was
# asked to, and what does it add to the tail of a server's times, beside h2load against the same server in the same run.
#
#   bench/load.sh [--rate R] [--seconds S] [--server-rate R]
#
# Goals: achieved / asked >= 0.999; the p99 of a request at most twice h2load's. h2load is of the package nghttp2-client;
# without it the comparison is skipped aloud.
set -eu
cd "$(dirname "$0")/.."

rate=2000
seconds=10
server_rate=100
while [ $# -gt 0 ]; do
    case $1 in
    --rate) rate=$2 ;;
    --seconds) seconds=$2 ;;
    --server-rate) server_rate=$2 ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
bin=${MOECAP_BIN_DIR:-build/release/bin}
[ -x "$bin/moecap" ] || { echo "bench: build it first: ./run build release"; exit 1; }

MOECAP_STATE=$(mktemp -d /tmp/moecap-bench.XXXXXX)
export MOECAP_STATE
chmod 711 "$MOECAP_STATE"
server=
stop_all() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    "$bin/moecap" down >/dev/null 2>&1 || true
    rm -rf "$MOECAP_STATE"
}
trap stop_all EXIT INT TERM

# A task with as many documents as a run needs.
requests=$((rate * seconds))
server_requests=$((server_rate * seconds))
sed -e 's/^task: .*/task: bench/' -e 's/fixed\.jsonl/bench.jsonl/' tasks/fixed.yaml >"$MOECAP_STATE/bench.yaml"
awk -v n="$requests" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\": \"%d\"}\n", i }' >"$MOECAP_STATE/bench.jsonl"

"$bin/moecap" up --detach --ports auto --models models --no-tasks >/dev/null
"$bin/moecap" task add "$MOECAP_STATE/bench.yaml" >/dev/null

# value FIGURE: of the run that was submitted last
figures() { "$bin/moecap" board --json --limit 1 >"$MOECAP_STATE/board.json"; }
value() {
    python3 - "$MOECAP_STATE/board.json" "$1" <<'PY'
import json, sys
row = json.loads(open(sys.argv[1]).readline())["rows"][0]
figure = next(f for f in row["figures"] if f["id"] == sys.argv[2])
print(figure.get("value", "nan"))
PY
}

"$bin/moecap" submit --engine null --model none --task bench --rate "$rate" --watch >/dev/null
figures
asked=$(value rate_asked)
achieved=$(value rate_achieved)
delay=$(value schedule_delay_ms_p99)
awk -v asked="$asked" -v achieved="$achieved" -v delay="$delay" 'BEGIN {
    printf "asked %.1f/s, achieved %.1f/s, ratio %.5f (goal 0.999)%s; schedule delay p99 %.3f ms\n", asked, achieved,
        achieved / asked, achieved / asked >= 0.999 ? "" : " MISSED", delay }'

command -v h2load >/dev/null || { echo "skip: h2load not found (package nghttp2-client): no comparison of tails"; exit 0; }

port=$((20000 + $$ % 20000))
MOECAP_NULL_TOKENS=1 MOECAP_NULL_DELAY_US=2000 "$bin/moecap-inference" --scheduler '' --models models --probe false \
    --serve-engine null --serve-model moecap-tiny --serve-concurrency 64 --openai-port "$port" >"$MOECAP_STATE/server.log" 2>&1 &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    curl -sf "http://127.0.0.1:$port/v1/models" >/dev/null && break
    sleep 0.3
done

echo '{"model": "moecap-tiny", "prompt": "0", "max_tokens": 1, "stream": true, "temperature": 0}' >"$MOECAP_STATE/body.json"
h2load --h1 -n "$server_requests" -c 20 --rps=$((server_rate / 20)) -d "$MOECAP_STATE/body.json" \
    -H 'content-type: application/json' --log-file="$MOECAP_STATE/h2load.log" \
    "http://127.0.0.1:$port/v1/completions" >"$MOECAP_STATE/h2load.txt"
"$bin/moecap" submit --engine openai --url "http://127.0.0.1:$port" --model moecap-tiny --task bench --limit "$server_requests" \
    --rate "$server_rate" --arrivals constant --max-tokens 1 --watch >/dev/null
figures
ours=$(value e2e_ms_p99)
# columns of the log: start in µs, status, time in µs
cut -f3 "$MOECAP_STATE/h2load.log" | sort -n |
    awk -v ours="$ours" '{ t[NR] = $1 / 1000 }
        END {
            theirs = t[int((NR - 1) * 0.99) + 1]
            printf "p99 of a request: ours %.3f ms, h2load %.3f ms, ratio %.2f (goal 2)%s\n", ours, theirs, ours / theirs,
                ours <= 2 * theirs ? "" : " MISSED"
        }'
