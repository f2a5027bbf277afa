#!/bin/sh
# A knob of an evaluation is a row of lib/spec/spec.def and whoever makes use of it: no file between the submitter and
# the node names it (docs/adding-a-knob.md). Counted for knobs that scheduler, command line and page only pass on; the
# others have consumers there, such as the scheduler's choice of samples.
set -eu
cd "$(dirname "$0")/../.."
way="cli/cmd_submit_rpc.c cli/commands.c cli/cmd.h lib/spec/*.[ch] services/scheduler services/gateway web/src/lib/spec.ts web/src/views/submit.tsx
    web/src/views/submit tools"
bad=0
count=0
for field in generation.temperature generation.top_p generation.top_k generation.ignore_eos parallelism.tensor \
    parallelism.pipeline external.served_model; do
    grep -q "\"$field\"" lib/spec/spec.def || { echo "lib/spec/spec.def has no row $field, this test reads it wrongly"; bad=1; }
    flag=$(sed -n "s/.*\"$field\", [A-Z]*, \"\([a-z-]*\)\".*/\1/p" lib/spec/spec.def)
    for word in "${field#*.}" "$flag"; do
        # shellcheck disable=SC2086 # a list of files
        if git grep -nwF -e "$word" -- $way; then
            echo "  ^ names the knob $field; say it in lib/spec/spec.def" >&2
            bad=1
        fi
    done
    count=$((count + 1))
done
# A knob of sampling travels in Prompt: one that nobody copies there would be accepted, hashed, and without effect.
# shellcheck disable=SC2013 # names, without blanks
for field in $(sed -n 's/^KNOB([a-z_]*, "generation\.\([a-z_]*\)".*/\1/p' lib/spec/spec.def); do
    for reader in proto/moecap/v1/inference.proto services/evaluator/render.c services/inference/node/stream.c; do
        grep -qw "$field" "$reader" || {
            echo "generation.$field is a row of lib/spec/spec.def, and $reader does not pass it on: nothing makes use of it" >&2
            bad=1
        }
    done
done
[ $bad = 0 ] && echo "$count knobs: 0 files on the way name one (8 or 9 did, each, before there was a table)"
exit $bad
