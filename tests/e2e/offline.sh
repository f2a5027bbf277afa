#!/bin/sh
# The verbs that need no suite: model inspect, model forward, tokenize, grade.
. tests/e2e/lib.sh
model=$root/models/moecap-tiny

expect 0 moecap model inspect "$model"
says 'qwen3_moe'
says '4,452,032'
expect 0 moecap model inspect "$model" --json
says '4452032'
[ "$(echo '"Question: 2+2?"' | moecap tokenize "$model" | head -c 1)" = '[' ] || fail "tokenize printed no list"

# what a pass costs: from a folder or a config.json, with and without hardware; and what is refused
expect 0 moecap estimate --model "$model" --context 57
says 'qwen3_moe'
says 'no hardware was named'
expect 0 moecap estimate --model "$model/config.json" --hardware "8x H100-SXM" --batch 32 --context 512 --step-time 40ms --json
says '"id":"smbu","value":2.756'
says '"id":"kv_read"'
expect 0 moecap estimate --model "$model" --hardware H200 --context 512 --phase prefill
says 'bound by'
expect 2 moecap estimate --model "$model"
says 'context is missing'
expect 3 moecap estimate --model "$model" --hardware "RTX 99" --context 57
says 'unknown device "RTX 99"'

echo '[1, 2, 3, 4, 5]' >"$state/tokens.json"
expect 0 moecap model forward "$model" --tokens "$state/tokens.json" --logits "$state/logits.npy" \
    --experts "$state/experts.json" --greedy 4
[ "$(head -c 6 "$state/logits.npy" | tail -c 5)" = NUMPY ] || fail "logits.npy is no NumPy file"
# 5 tokens by 1024 vocabulary entries of 4 bytes, behind the header
[ "$(wc -c <"$state/logits.npy")" -ge 20480 ] || fail "logits.npy is too short"
grep -q '"greedy"' "$state/experts.json" || fail "experts.json holds no greedy continuation"

printf '%s\n' '{"id": 1, "text": "so #### 18", "gold": "#### 18"}' '{"id": 2, "text": "none", "gold": "#### 18"}' |
    moecap grade gsm8k --filter strict-match >"$state/verdicts.jsonl"
grep -q '"id": *1.*"correct"' "$state/verdicts.jsonl" || fail "grade: $(cat "$state/verdicts.jsonl")"
grep -q '"id": *2.*"wrong"' "$state/verdicts.jsonl" || fail "grade: $(cat "$state/verdicts.jsonl")"

# a seed gives the same schedule, byte for byte; another seed another one
moecap load --rate 5 --arrivals gamma --burstiness 0.5 --seed 1 --requests 1000 >"$state/schedule"
moecap load --rate 5 --arrivals gamma --burstiness 0.5 --seed 1 --requests 1000 | cmp - "$state/schedule" ||
    fail "the same seed gives another schedule"
if moecap load --rate 5 --arrivals gamma --burstiness 0.5 --seed 2 --requests 1000 | cmp -s - "$state/schedule"; then
    fail "another seed gives the same schedule"
fi
[ "$(wc -l <"$state/schedule")" = 1000 ] || fail "load printed $(wc -l <"$state/schedule") times"

mkdir "$state/broken"
cp "$model"/*.json "$state/broken/"
head -c 1000000 "$model/model.safetensors" >"$state/broken/model.safetensors"
if out=$(moecap model inspect "$state/broken" 2>&1); then :; fi
says 'model.safetensors'

# a model that cannot be loaded fails its run with the sentence, and the node stays up
moecap up --detach --ports auto --models "$state" --models "$root/models" --tasks "$root/tasks" --any-model-path >/dev/null
expect 1 moecap submit --model "$state/broken" --task gsm-mini --limit 5 --watch
says 'model.safetensors'
expect 0 moecap submit --model moecap-tiny --task gsm-mini --limit 5 --watch
