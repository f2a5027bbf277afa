# shellcheck shell=sh
# For the scripts beside it: a separate suite that ends with the script, and checks that say what failed.
#
#     . tests/e2e/lib.sh
#     start_suite --nodes 2
#     moecap submit ...
set -eu

bin=${MOECAP_BIN_DIR:-build/dev/bin}
root=${MOECAP_SOURCE_DIR:-$PWD}
state=$(mktemp -d /tmp/moecap-e2e.XXXXXX)
chmod 711 "$state"
MOECAP_STATE=$state
export MOECAP_STATE
unset MOECAP_SERVER

companions= # processes of the script's own that end with it

# No script may run a command in front of this in its trap: $? is the status of the test, and would be that command's.
clean_up() {
    status=$?
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # a list of process ids
    [ -z "$companions" ] || kill $companions 2>/dev/null || true
    if [ $status -ne 0 ]; then
        echo "--- logs (warnings and errors)" >&2
        grep -hE 'level=(warn|error)' "$state"/logs/*.log 2>/dev/null | tail -40 >&2 || true
    fi
    "$bin/moecap" down >/dev/null 2>&1 || true
    rm -rf "$state"
    exit $status
}
trap clean_up EXIT INT TERM

moecap() { "$bin/moecap" "$@"; }

start_suite() {
    moecap up --detach --ports auto --models "$root/models" --tasks "$root/tasks" "$@" >/dev/null
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect STATUS COMMAND...: runs it, keeps what it says in $out, checks the exit status.
expect() {
    wanted=$1
    shift
    got=0
    out=$("$@" 2>&1) || got=$?
    [ "$got" = "$wanted" ] || fail "$* ended with $got, not $wanted: $out"
}

# says TEXT: the last `expect` said it.
says() {
    case $out in
    *"$1"*) ;;
    *) fail "expected \"$1\" in: $out" ;;
    esac
}

# The process id of a program of the suite.
pid_of() {
    moecap status --json | tr '{' '\n' | sed -n "s/.*\"name\":\"$1\".*\"pid\":\([0-9]*\).*/\1/p"
}

# wait_for SECONDS COMMAND...
wait_for() {
    until_s=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$until_s" ] || fail "waited too long for: $*"
        sleep 0.1
    done
}

# The value of a figure of a run; empty when it is unknown.
figure() {
    moecap run show "$1" --json | tr '{' '\n' | sed -n "s/.*\"id\":\"$2\".*\"value\":\([-0-9.eE+]*\).*/\1/p"
}

# The reason why a figure is unknown.
why_unknown() {
    moecap run show "$1" --json | tr '{' '\n' | sed -n "s/.*\"id\":\"$2\".*\"reason\":\"\([^\"]*\)\".*/\1/p"
}

# run_ids EVALUATION
run_ids() {
    moecap watch "$1" --json | tail -1 | tr '{' '\n' | sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p'
}

# Numbers of distinct samples and of all samples in an export, as "distinct all".
count_samples() {
    moecap run export "$1" | sed -n 's/.*"kind":"sample".*"answer":{"ordinal":\([0-9]*\).*/\1/p' |
        sort -n | uniq -c | awk '{ distinct++; all += $1 } END { print distinct + 0, all + 0 }'
}
