#!/bin/sh
# shellcheck source=examples/common.sh
# The shipped model at bf16 and int8 on the same samples: does quantisation cost accuracy? what does it gain?
. "$(dirname "$0")/../common.sh"
for precision in bf16 int8; do
    moecap submit --model moecap-tiny --task gsm-mini --precision $precision --batch-size 4 --limit 200 --watch
done
moecap board
