#!/bin/sh
# Another server evaluated over OpenAI's HTTP: the one at hand is our own endpoint, in a process of its own.
# shellcheck disable=SC2119
. tests/e2e/lib.sh
MOECAP_INFERENCE_EXTERNAL_REFUSED_S_MAX=1 # five leases wait for a server that is not there
export MOECAP_INFERENCE_EXTERNAL_REFUSED_S_MAX
start_suite
"$bin/moecap" model serve "$root/models/moecap-tiny" --port 0 --concurrency 4 >"$state/serve.log" 2>&1 &
server=$!
companions=$server
url=
for _ in $(seq 300); do
    url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$state/serve.log" | head -1)
    [ -z "$url" ] || break
    sleep 0.1
done
[ -n "$url" ] || fail "the server did not start: $(cat "$state/serve.log")"

# what it can do is told before anyone submits
expect 0 moecap engine check "$url"
says 'kind          openai, for this is a moecap node'
says 'completions   yes: 16 tokens in 17 chunks'
says 'exact length  yes: 32 tokens, asked for 32'
says 'scoring       yes'
says "moecap submit --engine openai --url $url --model moecap-tiny --task gsm-mini"
expect 0 moecap engine check "$url" --kind vllm --json
says '"guess":"openai"'
expect 3 moecap engine check "$url" --model no-such
says 'the server offers "moecap-tiny", not "no-such"'
expect 3 moecap engine check "$url/v1/chat"
says "the URL is the server's base, with or without /v1"
expect 4 moecap engine check http://127.0.0.1:9
says 'could not connect to'
expect 2 moecap engine check

# the accuracy is that of the same model in our own process
id=$(moecap submit --engine openai --url "$url" --model moecap-tiny --task gsm-mini --limit 120 --batch-size 4 --quiet)
expect 0 moecap watch "$id"
run=$(run_ids "$id")
[ "$(count_samples "$run")" = "120 120" ] || fail "the export has $(count_samples "$run") samples, not 120 120"
native=$(moecap submit --engine native --model moecap-tiny --task gsm-mini --limit 120 --batch-size 4 --quiet)
moecap watch "$native" >/dev/null
over_http=$(figure "$run" exact_match,strict-match)
in_process=$(figure "$(run_ids "$native")" exact_match,strict-match)
[ -n "$over_http" ] || fail "the accuracy over HTTP is unknown"
[ "$over_http" = "$in_process" ] || fail "accuracy over HTTP $over_http, in our own process $in_process"
expect 0 moecap run show "$run"
says 'threads -, timing boundary http'
[ -n "$(figure "$run" ttft_ms_p50)" ] || fail "TTFT is unknown: $(why_unknown "$run" ttft_ms_p50)"
[ -z "$(figure "$run" activated_experts_decode)" ] || fail "experts cannot be seen over HTTP"
[ -n "$(why_unknown "$run" activated_experts_decode)" ] || fail "an unknown figure has no reason"

# the server was audited, and one that is taken for another is told
moecap run show "$run" --json | grep -q '"kind":"count"' || fail "the report holds no audit"
id=$(moecap submit --engine vllm --url "$url" --model moecap-tiny --task gsm-mini --limit 20 --no-audit --quiet)
expect 0 moecap watch "$id"
expect 0 moecap run show "$(run_ids "$id")"
says 'not-what-was-declared'
says 'the run is of engine vllm, and the server is a node of moecap'
says 'the submission asked for no audit'

# log-likelihoods over HTTP pick the same answers
id=$(moecap submit --engine openai --url "$url" --model moecap-tiny --task choice-mini --limit 60 --batch-size 4 --quiet)
expect 0 moecap watch "$id"
native=$(moecap submit --engine native --model moecap-tiny --task choice-mini --limit 60 --batch-size 4 --quiet)
moecap watch "$native" >/dev/null
over_http=$(figure "$(run_ids "$id")" acc)
in_process=$(figure "$(run_ids "$native")" acc)
[ -n "$over_http" ] || fail "the accuracy of choices over HTTP is unknown"
[ "$over_http" = "$in_process" ] || fail "choices over HTTP $over_http, in our own process $in_process"

# what cannot work fails with a sentence
expect 1 moecap submit --engine llamacpp --url "$url" --model moecap-tiny --task choice-mini --limit 5 --watch
says 'cannot score continuations'
expect 1 moecap submit --engine openai --url "$url" --model no-such --task gsm-mini --limit 5 --watch
says 'the server offers "moecap-tiny", not "no-such": use the server'\''s name as --model, or as --served-model'
says ' no-such openai gsm-mini b1: '
id=$(moecap submit --engine openai --url "$url" --model no-such --task gsm-mini --limit 5 --top-k 3 --quiet)
expect 1 moecap watch "$id"
expect 0 moecap run show "$(run_ids "$id")"
says ', top-k 3'
says 'none: the run failed'
expect 3 moecap submit --engine openai --url "$url" --model moecap-tiny --task gsm-mini --api-key-env PGPASSWORD
says 'is not the name of a variable for keys'
expect 1 moecap submit --engine openai --url "$url" --model moecap-tiny --task gsm-mini --limit 5 \
    --api-key-env MOECAP_KEY_NONE --watch
says 'the node has no environment variable MOECAP_KEY_NONE'
kill "$server"
wait "$server" 2>/dev/null || true
expect 1 moecap submit --engine openai --url "$url" --model moecap-tiny --task gsm-mini --limit 5 --note gone --watch
says 'engine openai: '
