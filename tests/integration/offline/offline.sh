#!/bin/sh
# model inspect and tokenize as a user sees them: output, sentences, exit statuses.
set -eu
cd "$(dirname "$0")/../../.."
program=${MOECAP_BIN_DIR:-build/dev/bin}/moecap-inference
tiny=models/moecap-tiny
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

# expect NAME STATUS TEXT: what ran last ended so and printed TEXT (in $tmp/out or $tmp/err)
expect() {
    if [ "$status" != "$2" ] || ! grep -qF -- "$3" "$tmp/out" "$tmp/err"; then
        echo "$1: status $status, wanted $2 and \"$3\""
        cat "$tmp/out" "$tmp/err"
        bad=1
    fi
}
try() {
    status=0
    "$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}
feed() { # TEXT ARGUMENTS...
    text=$1
    shift
    status=0
    printf '%s' "$text" | "$program" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
}

try model inspect $tiny
expect inspect 0 "4,452,032 in total, 1,011,392 active per token"
try model inspect $tiny --json --values
expect inspect-json 0 '"active":1011392'
expect inspect-json 0 '"problems":[]'
[ "$(wc -l <"$tmp/out")" = 1 ] || { echo "inspect-json: not one object a line"; bad=1; }
try model inspect --json /nowhere
expect inspect-json-nowhere 3 '{"error":{"code":"not_found","message":"there is no \"/nowhere\""}}'
try model inspect --json --vlaues $tiny
expect inspect-json-usage 2 '{"error":{"code":"invalid_argument","message":"\"--vlaues\" is not accepted here"}}'
try tokenize /nowhere --json
expect tokenize-json 3 '{"error":{"code":"not_found"'
try model forward --json $tiny
expect forward-json 2 '{"error":{"code":"invalid_argument","message":"a model directory and --tokens are needed"}}'
try engine check --json --kind nosuch http://127.0.0.1:9
expect check-json 3 '{"error":{"code":"not_found","message":"there is no kind \"nosuch\"'

cp -r $tiny "$tmp/model"
printf '\300\177' | dd of="$tmp/model/model.safetensors" bs=1 seek=4000000 conv=notrunc 2>/dev/null
try model inspect "$tmp/model" --values
expect inspect-nan 1 "holds NaN at row"
head -c 5000000 $tiny/model.safetensors >"$tmp/model/model.safetensors"
try model inspect "$tmp/model"
expect inspect-truncated 1 "it is truncated or damaged"
sed 's/"model_type": "qwen3_moe"/"model_type": "llama"/' $tiny/config.json >"$tmp/model/config.json"
try model inspect "$tmp/model"
expect inspect-family 1 'architecture "llama" is not supported, supported: qwen3_moe'
printf '\357\273\277{"model_type": "nemotron_h", "time_step_limit": [0.0, Infinity, NaN]}' >"$tmp/model/config.json"
try model inspect "$tmp/model"
expect inspect-infinity 1 'architecture "nemotron_h" is not supported, supported: qwen3_moe'
# names that others wrote do nothing on a terminal: escapes, overwriting, the direction of writing
printf '{"model_type": "x\\u001b[2Jy\\u202ez\\rw\\nproblems    none", "num_hidden_layers": 2, "num_experts": 4}' \
    >"$tmp/model/config.json"
try model inspect "$tmp/model"
expect inspect-escapes 1 'architecture "x?[2Jy?z?w?problems    none" is not supported'
expect inspect-shape 1 'shape       x?[2Jy?z?w?problems    none, 2 layers, 4 experts'
! grep -q "$(printf '\033')" "$tmp/out" || { echo "inspect-escapes: an escape came through"; bad=1; }
try model inspect "$tmp/model" --json
expect inspect-escapes-json 1 'x\u001B[2Jy\u202ez\rw\nproblems    none'
try model inspect "$(printf '/nowhere\033[31m')"
expect inspect-escape-argument 3 'there is no "/nowhere?[31m"'
# what Python's json writes and reads: the length that transformers writes for "no limit", infinity
cp -r $tiny "$tmp/python"
sed 's/^{/{"model_max_length": 1000000000000000019884624838656, "x": Infinity,/' $tiny/tokenizer_config.json \
    >"$tmp/python/tokenizer_config.json"
try model inspect "$tmp/python"
expect inspect-python-json 0 "problems    none"
feed '"a b"' tokenize "$tmp/python"
expect tokenize-python-json 0 "[64, 295]"
# whatever lies in the place of a file, nothing waits for it
for file in config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json chat_template.jinja; do
    rm -rf "$tmp/pipes"
    cp -r $tiny "$tmp/pipes"
    rm -f "$tmp/pipes/$file"
    mkfifo "$tmp/pipes/$file"
    status=0
    timeout 10 "$program" model inspect "$tmp/pipes" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
    expect "inspect-pipe-$file" 1 "is not a regular file"
done
try model inspect /nowhere
expect inspect-nowhere 3 'there is no "/nowhere"'
try model inspect
expect inspect-usage 2 "usage: moecap model inspect DIR"
try model
expect model-alone 2 'needs a verb: inspect, forward, serve'
try engine
expect engine-alone 2 'needs a verb: check'
! grep -q ',$' "$tmp/err" || { echo "engine-alone: a comma at the end"; bad=1; }
try model --help
expect model-help 0 'verbs: inspect, forward, serve'
try model serve --help
expect serve-help 0 "usage: moecap model serve DIR"
try model serve "$tmp/nope" --port 0 --state "$tmp/state"
expect serve-nowhere 1 "there is no \\\"$tmp/nope"

feed '"Hello"
"a b<|im_end|>"
' tokenize $tiny
expect tokenize 0 "[64, 295, 1023]"
feed '"last line without an end"' tokenize $tiny
expect tokenize-last 0 "["
feed '"fine"
{oops
' tokenize $tiny
expect tokenize-line 3 "line 2: it is not JSON"
feed '12' tokenize $tiny
expect tokenize-kind 3 "line 1: it is not a JSON string"
feed '[64, 295, 1023]' tokenize $tiny --decode
expect decode 0 '"a b"'
feed '[64, 295, 1023]' tokenize $tiny --decode --special
expect decode-special 0 '"a b<|im_end|>"'
try tokenize /nowhere
expect tokenize-nowhere 3 'could not open "/nowhere/tokenizer.json"'
exit $bad
