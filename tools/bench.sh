#!/bin/sh
# Runs the benches in bench/: each prints one table of ratios taken in the same run.
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-}
[ $# -eq 0 ] || shift
for script in bench/*.sh; do
    name=$(basename "$script" .sh)
    case $name in *"$wanted"*) ;; *) continue ;; esac
    echo "== bench $name"
    "$script" "$@"
done
