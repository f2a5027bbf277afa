#!/bin/sh
# The load generator by itself: does an open loop of 2,000 requests a second against the null engine send what it was
# asked to, and what does it add to the tail of a server's times, beside h2load against the same server in the same run.
#
#   bench/load.sh [--rate R] [--seconds S] [--server-rate R] [--rounds N]
#
# Goals: achieved / asked >= 0.999; what the p99 of a request adds to the server's own time, the fastest request that
# h2load saw, at most twice h2load's. Ours counts from when a request was due, h2load's from when it sent it. Both take
# turns; the median round counts. h2load is of the package nghttp2-client; without it the comparison is skipped aloud.
set -eu
cd "$(dirname "$0")/.."

rate=2000
seconds=10
server_rate=100
rounds=3
while [ $# -gt 0 ]; do
    case $1 in
    --rate) rate=$2 ;;
    --seconds) seconds=$2 ;;
    --server-rate) server_rate=$2 ;;
    --rounds) rounds=$2 ;;
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
if "value" not in figure or figure.get("invalid"):
    sys.exit("bench: no %s: %s" % (sys.argv[2], figure.get("reason")))
print(figure["value"])
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
up=
for _ in $(seq 100); do
    curl -sf "http://127.0.0.1:$port/v1/models" >"$MOECAP_STATE/models.json" && up=yes && break
    sleep 0.1
done
[ -n "$up" ] || { echo "bench: the server did not start:"; cat "$MOECAP_STATE/server.log"; exit 1; }

# Requests at equal distances, as ours: connections open one after another, else all of them send at the same instant.
# Columns of the log: start in us, status, time in us.
echo '{"model": "moecap-tiny", "prompt": "0", "max_tokens": 1, "stream": true, "temperature": 0}' >"$MOECAP_STATE/body.json"
h2load_round() {
    rm -f "$MOECAP_STATE/h2load.log"
    h2load --h1 -n "$server_requests" -c 20 -r 1 --rate-period="$((1000 / server_rate))ms" --rps=$((server_rate / 20)) \
        -d "$MOECAP_STATE/body.json" -H 'content-type: application/json' --log-file="$MOECAP_STATE/h2load.log" \
        "http://127.0.0.1:$port/v1/completions" >"$MOECAP_STATE/h2load.txt"
    awk '$2 == 200 { print $3 / 1000 }' "$MOECAP_STATE/h2load.log" | sort -n >"$MOECAP_STATE/times"
    [ "$(wc -l <"$MOECAP_STATE/times")" -ge $((server_requests * 99 / 100)) ] ||
        { echo "bench: requests of h2load failed:" >&2; cat "$MOECAP_STATE/h2load.txt" >&2; exit 1; }
    awk '{ t[NR] = $1 } END { print t[int((NR - 1) * 0.99) + 1], t[1] }' "$MOECAP_STATE/times"
}

# Of all requests, as h2load's: the figures leave out those before the run settled.
our_round() {
    "$bin/moecap" submit --engine openai --url "http://127.0.0.1:$port" --model moecap-tiny --task bench --limit "$server_requests" \
        --rate "$server_rate" --arrivals constant --max-tokens 1 --no-audit --watch >"$MOECAP_STATE/watch.txt"
    run=$(sed -n 's/^ *\(run-[a-z0-9]*\) .*/\1/p' "$MOECAP_STATE/watch.txt" | head -1)
    "$bin/moecap" run export "$run" >"$MOECAP_STATE/export.jsonl"
    python3 - "$MOECAP_STATE/export.jsonl" "$server_requests" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
times = [row["sample"]["answer"]["timing"] for row in rows if row["kind"] == "sample"]
if len(times) != int(sys.argv[2]):
    sys.exit("bench: %d of %s requests were answered" % (len(times), sys.argv[2]))
def p99(values):
    return sorted(values)[int((len(values) - 1) * 0.99)] / 1000
print(p99([t["ended_us"] - t["submitted_us"] for t in times]), p99([t["sent_us"] - t["submitted_us"] for t in times]))
PY
}

for round in $(seq "$rounds"); do
    theirs=$(h2load_round)
    ours=$(our_round)
    echo "$theirs $ours" | tee -a "$MOECAP_STATE/rounds" | awk -v round="$round" '{
        printf "round %d: p99 of a request: h2load %.3f ms (fastest %.3f), ours %.3f ms (schedule delay p99 %.3f)\n",
            round, $1, $2, $3, $4 }'
done
# median COLUMN
median() { cut -d' ' -f"$1" "$MOECAP_STATE/rounds" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
fastest=$(cut -d' ' -f2 "$MOECAP_STATE/rounds" | sort -n | head -1)
awk -v theirs="$(median 1)" -v ours="$(median 3)" -v fastest="$fastest" 'BEGIN {
    theirs -= fastest
    ours -= fastest
    printf "added p99, median round: ours %.3f ms, h2load %.3f ms, ratio %.2f (goal 2)%s\n", ours, theirs, ours / theirs,
        ours <= 2 * theirs ? "" : " MISSED" }'
awk -v cores="$(nproc)" '$1 > cores { printf "the host was busy (load %s, %d cores): tails are of its neighbours, too\n", $1, cores }' \
    /proc/loadavg
