#!/bin/sh
# shellcheck disable=SC2119
# The API is what docs/openapi.json says: every path, parameter and status, on a suite that runs; and the
# examples of docs/api.md work.
. tests/e2e/lib.sh
python=/usr/bin/python3
"$python" -c 'import jsonschema' 2>/dev/null || { echo "skip: $python has no jsonschema; install python3-jsonschema"; exit 77; }
MOECAP_GATEWAY_WATCHERS_MAX=4
export MOECAP_GATEWAY_WATCHERS_MAX
start_suite
url=$(moecap status --json | tr '{' '\n' | sed -n 's/.*"name":"gateway","address":"\([^"]*\)".*/\1/p')
# one to compare with, then the one that is looked at
moecap submit --model moecap-tiny --precision bf16 --task gsm-mini --limit 8 --batch-size 4 --max-tokens 40 --watch >/dev/null
out=$(moecap submit --model moecap-tiny --precision f32 --task gsm-mini --limit 8 --batch-size 4 --max-tokens 40 --watch --json)

# the examples of the page, with the ids of a run that is there
id=$(echo "$out" | grep -o '"evaluation_id":"[^"]*"' | head -1 | cut -d'"' -f4)
run=$(run_ids "$id")
awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' docs/api.md |
    sed "s#http://127.0.0.1:7860#$url#; s/eval-k3v5n7x2m4p8q9wz/$id/; s/run-b7d4g2h9j5k8m3np/$run/" >"$state/examples"
[ "$(grep -c '^curl ' "$state/examples")" -ge 15 ] || fail "docs/api.md has lost its examples"
{
    echo 'curl() { command curl --fail-with-body --show-error --max-time 60 "$@"; }'
    cat "$state/examples"
} >"$state/examples.sh"
(cd "$state" && sh -eu examples.sh >examples.out) || fail "an example of docs/api.md: $(tail -c 600 "$state/examples.out")"

"$python" tests/e2e/openapi.py "$url" "$(pid_of store)"
