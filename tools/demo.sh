#!/bin/sh
# The main job, from nothing to the board: starts the suite in a state folder of its own, evaluates the
# shipped model on the shipped tasks at two precisions and two batch sizes, prints the board.
#
#   tools/demo.sh          leaves the suite running until Ctrl-C
#   tools/demo.sh --exit   ends by itself; status 0 only if the board holds exactly the expected runs
set -eu
cd "$(dirname "$0")/.."

bin=build/release/bin
# Not MOECAP_STATE: the folder is emptied first. For root the database runs as another user, who must
# be able to enter it, which a clone under /root does not allow.
state=build/demo
if [ "$(id -u)" -eq 0 ] && ! runuser -u nobody -- test -x "$PWD/build"; then
    state=/var/lib/moecap-demo
fi
leave=no
for argument; do
    case $argument in
    --exit) leave=yes ;;
    *) echo "demo: unknown argument \"$argument\"; --exit is the only one" >&2; exit 2 ;;
    esac
done

finish() {
    status=$?
    trap - EXIT INT TERM
    "$bin/moecap" --state "$state" down >/dev/null 2>&1 || true
    exit "$status"
}
trap finish EXIT INT TERM

# A demo starts from an empty board, so that what it prints is what it did.
"$bin/moecap" --state "$state" down >/dev/null 2>&1 || true
rm -rf "$state"
"$bin/moecap" --state "$state" up --detach --ports auto --models models

moecap() { "$bin/moecap" --state "$state" "$@"; }
# No table knows what this machine costs, so the demo declares a rent, and says so.
rent=${MOECAP_DEMO_RENT:-0.10}
ids=
for precision in bf16 int8; do
    for batch in 1 4; do
        id=$(moecap submit --model moecap-tiny --engine native --precision "$precision" \
            --task gsm-mini --task choice-mini --batch-size "$batch" --rent "$rent" --quiet)
        ids="$ids $id"
    done
done
# shellcheck disable=SC2086 # a list of ids
moecap watch $ids
moecap board
echo "Cost is at an example rent of $rent USD an hour for this machine."
[ "$leave" = yes ] || {
    echo
    echo "The page: $(sed -n 's/.*"address": "\(http:[^"]*\)".*/\1/p' "$state/runtime.json")"
    echo "The suite is running until Ctrl-C; in another terminal, with a RUN of the board:"
    echo "  $bin/moecap --state $state run show RUN            all its figures, and why it has marks"
    echo "  $bin/moecap --state $state cost RUN --rent USD     what it costs at your rent"
    while :; do sleep 3600 & wait $!; done
}
moecap board --json >"$state/board.json"
tools/check-board.sh "$state/board.json"
