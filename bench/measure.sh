#!/bin/sh
# The measures of a large run: evidence read and figures computed on one core, against PostgreSQL's \copy of the same
# rows to nowhere, in the same run. Best of the rounds.
#
#   bench/measure.sh [--samples N] [--passes N] [--rounds N]
#
# What must hold with 100,000 samples and 1,000,000 passes: at most 3 s, and at most 5 times \copy.
set -eu
cd "$(dirname "$0")/.."

samples=100000
passes=1000000
rounds=3
while [ $# -gt 0 ]; do
    case $1 in
    --samples) samples=$2 ;;
    --passes) passes=$2 ;;
    --rounds) rounds=$2 ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
bin=build/release/bin
[ -x "$bin/bench-measure" ] || { echo "bench: build it first: ./run build release"; exit 1; }
psql=$(find /usr/lib/postgresql -name psql -path '*/bin/*' 2>/dev/null | sort -V | tail -1)
[ -n "$psql" ] || psql=$(command -v psql) || { echo "skip: measure: psql not found"; exit 0; }

work=$(mktemp -d /tmp/moecap-bench.XXXXXX)
chmod 711 "$work"
store=
clean_up() {
    if [ -n "$store" ] && kill "$store" 2>/dev/null; then wait "$store" || true; fi
    rm -rf "$work"
}
trap clean_up EXIT INT TERM
"$bin/moecap-store" --embedded "$work/postgres" --listen 127.0.0.1:0 --ready-file "$work/ready" 2>"$work/log" &
store=$!
until [ -s "$work/ready" ]; do
    kill -0 "$store" || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
sql() { "$psql" -X -q -v ON_ERROR_STOP=1 -h "$work/postgres/run" -U moecap postgres "$@"; }

# the rows of bench_measure.c; nothing else of the run is needed to copy them
sql >/dev/null <<SQL
SET search_path TO moecap;
SET session_replication_role TO replica; -- no foreign keys: there is no run
INSERT INTO sample (run_no, ordinal, shard, fence, uid, completed, error, finish_reason, prompt_tokens, output_tokens,
    submitted_us, first_token_us, last_token_us, ended_us, itl_us, prompt, text, reasoning, output_ids, escaped)
  SELECT 1, i, 0, 1, '0123456789abcdef', true, '', 'stop', 120, 10, i * 1000::bigint, i * 1000::bigint + 6000, i * 1000::bigint + 51000,
    i * 1000::bigint + 51010, '{5000,5001,5002,5003,5004,5005,5006,5007,5008}', '', '', '', '{}', false
  FROM generate_series(0, $samples - 1) i;
INSERT INTO verdict (run_no, ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated)
  SELECT 1, i, 'acc', '1', 'correct', '42', '', 1, false, false FROM generate_series(0, $samples - 1) i;
INSERT INTO pass (run_no, shard, seq, item, fence, phase, sequences, tokens, context_sum, duration_ns, started_us,
    distinct_experts, weight_bytes, kv_bytes, flops, warm_up)
  SELECT 1, 0, i / 256, i % 256, 1, 2, 64, 64, 6400, 5000000, i * 5000::bigint, '{90,91,92,93,94,95,96,97}', 900000000, 1000000,
    1e9, false FROM generate_series(0, $passes - 1) i;
VACUUM ANALYZE;
SQL

cat >"$work/copy.sql" <<'SQL'
SET search_path TO moecap;
\copy (SELECT ordinal, uid, completed, error, finish_reason, prompt_tokens, output_tokens, submitted_us, first_token_us, last_token_us, ended_us, itl_us FROM sample WHERE run_no = 1) TO '/dev/null'
\copy (SELECT ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated FROM verdict WHERE run_no = 1) TO '/dev/null'
\copy (SELECT phase, sequences, tokens, context_sum, duration_ns, started_us, distinct_experts, weight_bytes, kv_bytes, flops, warm_up FROM pass WHERE run_no = 1) TO '/dev/null'
SQL

copy_s() {
    for _ in $(seq "$rounds"); do
        began=$(date +%s%N)
        sql -f "$work/copy.sql"
        echo "$began $(date +%s%N)"
    done | awk '{ took = ($2 - $1) / 1e9; if (!best || took < best) best = took } END { print best }'
}

measure_s() {
    for _ in $(seq "$rounds"); do "$bin/bench-measure" "$samples" "$passes"; done |
        awk '/^all_s / { if (!best || $2 < best) best = $2 } END { print best }'
}

copy=$(copy_s)
ours=$(measure_s)
awk -v copy="$copy" -v ours="$ours" -v samples="$samples" -v passes="$passes" 'BEGIN {
    printf "%d samples, %d passes\n", samples, passes
    printf "%-28s %8.2f s\n", "\\copy of the rows", copy
    printf "%-28s %8.2f s   at most 3\n", "read and measured", ours
    printf "%-28s %8.2f x   at most 5\n", "ratio", ours / copy
}'
