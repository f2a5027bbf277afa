#!/bin/sh
# shellcheck disable=SC2119
# The load of a run: exact lengths on the shipped model and on a server, an open loop by a replay, sweeps and a search.
. tests/e2e/lib.sh
start_suite

# The run of the last `expect ... --watch`.
run_of_last() {
    printf '%s\n' "$out" | sed -n 's/^ *\(run-[a-z0-9]*\) .*/\1/p' | head -1
}

# How many samples of an export have FIELD: VALUE.
samples_with() {
    moecap run export "$1" | grep '"kind":"sample"' | grep -c "\"$2\":$3[,}]" || true
}

# is_sound RUN FIGURE: known, and not invalid.
is_sound() {
    if [ -z "$(figure "$1" "$2")" ] || [ -n "$(why_unknown "$1" "$2")" ]; then
        fail "$2 of $1: \"$(figure "$1" "$2")\" $(why_unknown "$1" "$2")"
    fi
}

# Prompts and answers have exactly the lengths that were asked for, and there is no accuracy.
expect 0 moecap submit --model moecap-tiny --task fixed --input-tokens 48 --output-tokens 6 --limit 12 --batch-size 4 --watch
run=$(run_of_last)
[ "$(samples_with "$run" prompt_tokens 48)" = 12 ] || fail "$(samples_with "$run" prompt_tokens 48) of 12 prompts have 48 tokens"
[ "$(samples_with "$run" output_tokens 6)" = 12 ] || fail "$(samples_with "$run" output_tokens 6) of 12 answers have 6 tokens"
[ "$(why_unknown "$run" accuracy)" = "random text: no answer is right or wrong" ] || fail "accuracy: $(why_unknown "$run" accuracy)"
is_sound "$run" e2e_ms_mean
expect 3 moecap submit --model moecap-tiny --task fixed --dry-run
says '--input-tokens'

# A server has no tokenizer that we could ask. By its usage alone they have the lengths, too, on a vocabulary of 1,024.
"$bin/moecap" model serve "$root/models/moecap-tiny" --port 0 --concurrency 4 >"$state/serve.log" 2>&1 &
companions=$!
wait_for 30 grep -q 'http://127' "$state/serve.log"
url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$state/serve.log" | head -1)
expect 0 moecap submit --engine openai --url "$url" --model moecap-tiny --task fixed --input-tokens 200 --output-tokens 4 \
    --limit 20 --batch-size 4 --no-audit --watch
run=$(run_of_last)
[ "$(samples_with "$run" prompt_tokens 200)" = 20 ] || fail "$(samples_with "$run" prompt_tokens 200) of 20 prompts have 200 tokens"
is_sound "$run" e2e_ms_mean

# A replay needs a time for every sample, and its rate is told: 39 gaps of 10 ms.
awk 'BEGIN { for (i = 0; i < 40; i++) print 1700000000 + i * 0.01 }' >"$state/times"
expect 3 moecap submit --engine null --model none --task gsm-mini --replay "$state/times" --dry-run
says 'has 40 times'
expect 0 moecap submit --engine null --model none --task gsm-mini --replay "$state/times" --limit 40 --watch
run=$(run_of_last)
figure "$run" rate_asked | awk '{ exit !($1 > 99.9 && $1 < 100.1) }' || fail "rate_asked $(figure "$run" rate_asked)"
is_sound "$run" rate_achieved

# A sweep is checked as a whole before anything is queued, and ends with its table.
expect 3 moecap submit --engine null --model none --task gsm-mini --limit 10 --sweep concurrency=1,2,5000
says '--batch-size 5000 is not from 1 to 4096'
expect 0 moecap queue
case $out in *gsm-mini*) fail "half a sweep was queued: $out" ;; esac
expect 0 moecap submit --engine null --model none --task gsm-mini --limit 70 --sweep concurrency=1,2,4 --slo e2e=10s --watch
says 'SLO met %'
says 'highest batch-size at which 99 % of the requests meet the objective: 4'

# A search runs both bounds, and nothing between them when the upper one meets the objective.
expect 0 moecap submit --engine null --model none --task gsm-mini --limit 70 --search concurrency=1..8 --slo e2e=10s
says 'highest batch-size at which 99 % of the requests meet the objective: 8'
