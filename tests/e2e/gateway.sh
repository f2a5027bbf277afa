#!/bin/sh
# The JSON API and the page: read, submit, follow, refuse.
# shellcheck disable=SC2119
. tests/e2e/lib.sh
command -v curl >/dev/null || { echo "skip: curl not found"; exit 77; }
MOECAP_GATEWAY_HEARTBEAT_S=1 MOECAP_GATEWAY_WATCHERS_MAX=2
export MOECAP_GATEWAY_HEARTBEAT_S MOECAP_GATEWAY_WATCHERS_MAX
start_suite
url=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"gateway","address":"\([^"]*\)".*/\1/p')
[ -n "$url" ] || fail "moecap status names no gateway"

get() { curl -sS --max-time 60 "$@"; }
post() { curl -sS --max-time 60 -X POST -H 'Content-Type: application/json' "$@"; }
status_of() { curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "$@"; }

expect 0 get "$url/healthz"
says '"status":"serving"'
expect 0 get -H 'Host: 10.1.2.3:7860' "$url/readyz"
says '{"name":"scheduler","needed":true,"answers":true,"reason":""}'
says '"status":"ready"'
expect 0 get "$url/"
says '<title>moecap</title>'

# the bundle: its names come from the page, it is packed where that is taken, and kept for ever
script=$(echo "$out" | grep -o '/assets/main-[A-Z0-9]*\.js')
expect 0 get "$url$script"
says '/api/v1'
expect 0 get --compressed -D - -o "$state/script" -H 'Accept-Encoding: gzip' "$url$script"
says 'immutable'
says 'Content-Encoding: gzip'
[ "$(get "$url$script" | cksum)" = "$(cksum <"$state/script")" ] || fail "the packed script is another one"
[ "$(status_of "$url/runs/run-any?verdict=wrong")" = 200 ] || fail "a view's address is not served"
[ "$(status_of "$url/app.js")" = 404 ] || fail "a page that is not there is served"
browser='Accept: text/html,application/xhtml+xml,*/*;q=0.8'
[ "$(status_of -H "$browser" "$url/nothing")" = 404 ] || fail "an address without a page is not 404 for a browser"
[ "$(get -H "$browser" "$url/nothing" | cksum)" = "$(get "$url/" | cksum)" ] || fail "a browser astray gets no page"
case $(get -H "$browser" "$url/api/v1/nothing") in
    '{'*) ;;
    *) fail "the API answers a browser with something else than JSON" ;;
esac
expect 0 get "$url/api/v1/info"
says '"gsm-mini"'
says '{"name":"native","needs_url":false,"nodes":1,"offered":true}'
says '{"name":"vllm","needs_url":true,'
says '"defaults":{"model":"","revision":"","engine":"native","precision":"bf16"'
says '"concurrency_max":4096'
expect 0 get "$url/api/v1/tasks"
says '"samples":600'
expect 0 get "$url/api/v1/nodes"
says '"name":"node-1"'

# submit, follow by server-sent events, look at the results
expect 0 post -d '{"spec": {"engine": "null", "model": "none", "tasks": ["gsm-mini"], "limit": 40, "load": {"concurrency": 4}}}' "$url/api/v1/evaluations"
says '"samples":40'
id=$(echo "$out" | sed 's/.*"evaluation_id":"\([^"]*\)".*/\1/')
expect 0 get -N "$url/api/v1/watch/$id"
says 'event: end'
says '"state":"finished"'
run=$(run_ids "$id")
expect 0 get "$url/api/v1/board?task=gsm-mini"
says "\"run_id\":\"$run\""
expect 0 get "$url/api/v1/runs/$run"
says '"samples_graded":40'
expect 0 get "$url/api/v1/runs/$run/samples?limit=15"
says '"next_after":14'
expect 0 get "$url/api/v1/runs/$run/samples?limit=500&after=14"
[ "$(echo "$out" | grep -o '"uid":"gsm-mini-' | wc -l)" -eq 25 ] || fail "the second page has not 25 samples"
expect 0 get "$url/api/v1/runs/$run/experts"
says '"counts":[]'
# the lists page by page, and as CSV
expect 0 get "$url/api/v1/board?figures=exact_match,strict-match&report=0&limit=1"
says '"report":null'
[ "$(echo "$out" | grep -o '"basis"' | wc -l)" -eq 1 ] || fail "more than the headline figure: $out"
expect 0 get "$url/api/v1/board?state=queued"
says '"rows":[]'
expect 0 get "$url/api/v1/board?after=run-none"
says '"field":"after"'
expect 0 get "$url/api/v1/board?state=done"
says '"field":"state"'
expect 0 get "$url/api/v1/tasks?limit=1&definition=0"
says '"next_after":'
says '"definition":""'
next=$(curl -sS -D - -o /dev/null "$url/api/v1/tasks?limit=1&definition=0" | tr -d '\r' | sed -n 's/^Link: <\(.*\)>; rel="next"$/\1/p')
case $next in "/api/v1/tasks?limit=1&definition=0&after="*) ;; *) fail "no Link to the next page: $next" ;; esac
tasks=$(get "$url$next" | grep -o '"samples_file"' | wc -l)
[ "$tasks" -eq 1 ] || fail "the next page has $tasks tasks"
expect 0 get "$url/api/v1/nodes?limit=1"
says '"name":"node-1"'
expect 0 get "$url/api/v1/runs/$run/events?limit=2"
says '"kind":'
says '"next_after":'
expect 0 get "$url/api/v1/events?run=$run"
says 'grading -> finished'
expect 0 get "$url/api/v1/queue?order=position"
says '"queued":0'
expect 0 get "$url/api/v1/runs/$run/samples?search=GSM-MINI-&status=completed&limit=1"
says '"uid":"gsm-mini-'
for table in "board?all=1" "runs/$run/samples?limit=500" queue nodes tasks events; do
    case $table in *\?*) sign='&' ;; *) sign='?' ;; esac
    head=$(curl -sS -D "$state/head" "$url/api/v1/$table${sign}format=csv" | head -1 | tr -d '\r')
    grep -qi '^content-type: text/csv; charset=utf-8; header=present' "$state/head" || fail "$table is not CSV"
    grep -qi '^content-disposition: attachment; filename="moecap-[a-z]*.csv"' "$state/head" || fail "$table has no file name"
    grep -qi '^etag: ' "$state/head" || fail "$table as CSV has no ETag"
    case $head in *,*) ;; *) fail "$table has no header line: $head" ;; esac
done
expect 0 get "$url/api/v1/board?format=csv&figures=ttft_ms_p50;accuracy"
says "headline_metric,ttft_ms_p50,ttft_ms_p50_low,ttft_ms_p50_high,ttft_ms_p50_basis,ttft_ms_p50_reason,accuracy,"
says "$run,$id,gsm-mini,0,finished,,node-1,none,,null,"
# the same table from the command line, whole
[ "$(curl -sS "$url/api/v1/board?format=csv")" = "$(moecap board --csv)" ] || fail "two programs write two dialects of CSV"
# what cannot be asked for is a 400 that names the parameter, and never an empty answer
for wrong in format=xml format= state=done limit= all=yes "figures=ttft_ms_p50;nosuch" figures=ttft_p50_ms \
    after=nosuch counts=yes; do
    [ "$(status_of "$url/api/v1/board?$wrong")" = 400 ] || fail "$wrong is answered with $(status_of "$url/api/v1/board?$wrong")"
    expect 0 get "$url/api/v1/board?$wrong"
    says "\"field\":\"${wrong%%=*}\""
done
# several values of a filter, and what there is beside them
expect 0 get "$url/api/v1/board?task=nosuch,gsm-mini&engine=null&counts=1&report=0"
says "\"run_id\":\"$run\""
says '"counts":[{"model":"'
expect 0 get "$url/api/v1/board?task=gsm-mini%5C,nosuch" # one name with a comma
says '"rows":[]'
expect 0 get "$url/api/v1/board?figures=ttft_ms_p5"
says 'did you mean \"ttft_ms_p50\"'
# a file is whole: more samples than a page has
[ "$(curl -sS "$url/api/v1/runs/$run/samples?format=csv&status=completed" | grep -c "^[0-9]*,gsm-mini-")" -eq 40 ] ||
    fail "the samples as CSV are not all 40"
expect 0 get "$url/metrics"
says 'moecap_up{service="store"} 1'
says 'moecap_up{service="inference",node="node-1"} 1'
says 'moecap_scheduler_runs_finished_total{service="scheduler"} 1'
says 'moecap_inference_connected{service="inference",node="node-1"} 1'
# the format: HELP and TYPE once a name and before its series, no series twice
echo "$out" | awk '
    /^# (HELP|TYPE) / { if (seen[$2 $3]++) bad("twice: " $0); next }
    !/^moecap_[a-z0-9_]*\{[a-z]*="[^"]*"(,[a-z]*="[^"]*")*\} -?[0-9]+$/ { bad("no series: " $0) }
    { name = $0; sub(/\{.*/, "", name); series = $0; sub(/ [^ ]*$/, "", series)
      if (!seen["HELP" name] || !seen["TYPE" name]) bad("without HELP or TYPE: " $0)
      if (name != last && old[name]++) bad("not together: " name)
      if (known[series]++) bad("twice: " series)
      last = name }
    function bad(why) { print why; failed = 1; exit 1 }
    END { exit failed }' || fail "the counters are not in the text format"

# an unchanged reply is not sent twice
etag=$(curl -sS -D - -o /dev/null "$url/api/v1/board" | tr -d '\r' | sed -n 's/^ETag: //p')
[ "$(status_of -H "If-None-Match: $etag" "$url/api/v1/board")" = 304 ] || fail "the ETag was not honoured"
get "$url/api/v1/board" >"$state/plain"
get --compressed -D "$state/head" "$url/api/v1/board" | cmp - "$state/plain" || fail "packed, the board is another"
grep -qi '^content-encoding: gzip' "$state/head" || fail "a board for who takes gzip was not packed"

# refusals: status, code, field
expect 0 post -d '{"spec": {"model": "moecap-tiny", "tasks": ["gsm-mni"]}}' "$url/api/v1/evaluations"
says '"code":"not_found"'
says 'did you mean \"gsm-mini\"?'
says '"field":"spec.tasks[0]"'
# every wrong field by itself, also in a dry run: what a form marks
expect 0 post -d '{"dry_run": true, "spec": {"model": "moecap-tiny", "tasks": ["gsm-mini"], "repeats": 101, "num_fewshot": 60, "generation": {"max_tokens": 4096}}}' "$url/api/v1/evaluations"
says '"field":"spec.repeats"'
says '{"field":"spec.repeats","message":"repeats 101 is not from 1 to 100"}'
says '{"field":"spec.num_fewshot","message":"num_fewshot 60 is more than task \"gsm-mini\" has examples'
says '{"field":"spec.generation.max_tokens","message":"generation.max_tokens 4096 never fits: the context of model \"moecap-tiny\" is'
expect 0 post -d '{"dry_run": true, "spec": {"model": "moecap-tiny", "tasks": ["gsm-mini"]}, "dry_rum": true}' "$url/api/v1/evaluations"
says 'dry_rum: unknown field, did you mean \"dry_run\"?'
expect 0 get "$url/api/v1/board?modl=x"
says 'unknown parameter \"modl\", did you mean \"model\"?'
says '"field":"modl"'
expect 0 get "$url/api/v1/board?limit=1&limit=2"
says 'limit is given twice'
expect 0 get "$url/api/v1/board?model=%ff"
says 'model is not UTF-8 text without NUL'
expect 0 get "$url/api/v1/runs/$run/samples?verdict=maybe"
says '"field":"verdict"'
expect 0 post -d '{"spec": {"limit": "all"}}' "$url/api/v1/evaluations"
says 'limit \"all\" is not a whole number from 0 to 4294967295, e.g. 100'
says '"field":"spec.limit"'
# a value of the wrong kind ends nothing: the other wrong ones are told with it
expect 0 post -d '{"dry_run": true, "spec": {"model": "moecap-tiny", "engine": "vllm", "tasks": ["gsm-mni"], "limit": -3, "sampling": 7, "repeats": 1000, "seed": "abc", "load": {"concurrency": 99999}}}' "$url/api/v1/evaluations"
for field in tasks[0] limit sampling repeats seed load.concurrency external.url; do says "\"field\":\"spec.$field\""; done
expect 0 post -d '{"spec": ' "$url/api/v1/evaluations"
says 'the body is not JSON: line 1'
expect 0 get "$url/api/v1/runs/$run/samples?limit=0"
says '"field":"limit"'
[ "$(status_of "$url/api/v1/runs/run-none")" = 404 ] || fail "an unknown run is not 404"
[ "$(status_of "$url/api/v1/nothing")" = 404 ] || fail "an unknown path is not 404"
[ "$(status_of -H 'Host: evil.example' "$url/api/v1/board")" = 403 ] || fail "a foreign Host was served"
[ "$(status_of -X POST -H 'Content-Type: application/json' -H 'Origin: http://evil.example' -d '{}' "$url/api/v1/cancel")" = 403 ] ||
    fail "a foreign Origin may post"
[ "$(status_of -X POST -d '{}' "$url/api/v1/cancel")" = 415 ] || fail "a form may post"
[ "$(status_of -X POST -H 'Content-Type: application/jsonp' -d '{}' "$url/api/v1/cancel")" = 415 ] || fail "jsonp passes for JSON"
expect 0 get -X DELETE -D "$state/head" "$url/api/v1/board"
says '{"error":{"code":"unimplemented","message":"DELETE is not allowed for /api/v1/board"}}'
[ "$(status_of -X POST "$url/api/v1/board")" = 405 ] || fail "a POST to the board is not 405"
grep -qi '^allow: GET, HEAD, OPTIONS' "$state/head" || fail "405 does not say what is allowed"
grep -qi '^content-security-policy: ' "$state/head" || fail "405 has no policy"
expect 0 get -X POST -H 'Content-Type: application/json' -d '{}' "$url/api/v1/nothing"
says '"code":"not_found"'
[ "$(status_of -X OPTIONS "$url/api/v1/evaluations")" = 204 ] || fail "OPTIONS is not answered"
[ "$(status_of --head "$url/api/v1/board")" = 200 ] || fail "HEAD is not answered"
long=$(head -c 9000 /dev/zero | tr '\0' x)
expect 0 get "$url/api/v1/board?model=$long"
says '{"error":{"code":"resource_exhausted","message":"the path and query are larger than 8 KiB"}}'
[ "$(status_of "$url/api/v1/board?model=$long")" = 414 ] || fail "a long URL is not 414"
expect 0 get -H "X-Long: $long$long$long$long" "$url/api/v1/board"
says '"message":"the headers are larger than 32 KiB"'
[ "$(status_of -H "X-Long: $long$long$long$long" "$url/api/v1/board")" = 431 ] || fail "long headers are not 431"
head -c 2000000 /dev/zero | tr '\0' ' ' >"$state/large"
[ "$(status_of -X POST -H 'Content-Type: application/json' --data-binary "@$state/large" "$url/api/v1/evaluations")" = 413 ] ||
    fail "a body of 2 MB was taken"

# the queue live: the first message at once, a sign of life when nothing happens, a limit on readers
curl -sSN --max-time 6 "$url/api/v1/queue/watch" >"$state/live" 2>/dev/null &
first=$!
curl -sSN --max-time 6 "$url/api/v1/queue/watch" >/dev/null 2>&1 &
second=$!
begun() { grep -q '^data: {"entries":\[\]' "$state/live"; }
wait_for 5 begun
full() { [ "$(status_of "$url/api/v1/queue/watch")" = 429 ]; }
wait_for 5 full
expect 0 post -d '{"spec": {"model": "/no/node/has/it", "tasks": ["gsm-mini"]}}' "$url/api/v1/evaluations"
says '"no_node":true'
waits=$(echo "$out" | sed 's/.*"evaluation_id":"\([^"]*\)".*/\1/')
wait $first $second || true
expect 0 get "$url/api/v1/queue?format=csv"
says "$waits,1,queued,gsm-mini,0,/no/node/has/it,native,bf16,"
expect 0 post -d "{\"id\": \"$waits\"}" "$url/api/v1/cancel"
grep -q '^retry: 2000' "$state/live" || fail "the stream does not say when to come back"
grep -q '^: still here' "$state/live" || fail "a silent stream gives no sign of life: $(cat "$state/live")"
grep -q '"run_id":"run-' "$state/live" || fail "the queue was not seen to change: $(cat "$state/live")"
free() { [ "$(curl -sSN --max-time 1 -o /dev/null -w '%{http_code}' "$url/api/v1/queue/watch" 2>/dev/null)" = 200 ]; }
wait_for 5 free

# who does not answer is named
store=$(pid_of store)
kill -STOP "$store"
expect 0 get "$url/readyz"
says '"status":"not ready"'
says '"name":"store","needed":true,"answers":false,"reason":"'
[ "$(status_of "$url/readyz")" = 503 ] || fail "without a store we are ready"
expect 0 get "$url/metrics"
says 'moecap_up{service="store"} 0'
says 'moecap_up{service="evaluator"} 1'
kill -CONT "$store"

# the page's server comes back at its address, and so do the readers
kill -9 "$(pid_of gateway)"
back() { curl -sS --max-time 2 "$url/healthz" | grep -q serving; }
wait_for 30 back
