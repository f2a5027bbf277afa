#!/bin/sh
# The examples do what their README says.
set -eu
root=${MOECAP_SOURCE_DIR:-$PWD}
for example in "$root"/examples/*/run.sh; do
    echo "== $(basename "$(dirname "$example")")"
    out=$("$example")
    echo "$out" | tail -3
    echo "$out" | grep -q finished || { echo "FAILED: no run finished: $out" >&2; exit 1; }
done
