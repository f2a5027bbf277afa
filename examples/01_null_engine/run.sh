#!/bin/sh
# shellcheck source=examples/common.sh
# Six hundred samples through every service, with an engine that answers at once: our own overhead.
. "$(dirname "$0")/../common.sh"
moecap submit --engine null --model none --task gsm-mini --batch-size 16 --watch
moecap board
