#!/bin/sh
# shellcheck source=examples/common.sh
# A task is a YAML and a JSONL: added, checked sample by sample, then run like any other.
. "$(dirname "$0")/../common.sh"
moecap task add "$here/doubling.yaml"
moecap task show doubling
moecap submit --model moecap-tiny --task doubling --watch
moecap run export "$(moecap board --json | sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p')" | cut -c 1-300 | head -3
moecap board
