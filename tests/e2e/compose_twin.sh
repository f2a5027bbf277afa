#!/bin/sh
# The suite as deploy/docker/compose.yaml starts it, as processes of this machine: the same programs with the same
# environment and arguments (tests/compose/read.py takes them from the file), on the image's own PostgreSQL with its
# password file, with three nodes. Only what a container would give is put in place of it: names of services become
# addresses, mounted folders become folders. One node is killed in the middle of its run.
. tests/e2e/lib.sh
for needed in /usr/bin/python3 curl; do
    command -v $needed >/dev/null || { echo "skip: $needed not found"; exit 77; }
done
/usr/bin/python3 -c 'import yaml' 2>/dev/null || { echo "skip: python3-yaml not found"; exit 77; }

nodes=3
read_file() { /usr/bin/python3 tests/compose/read.py "$@"; }
mkdir "$state/logs" "$state/pids" "$state/ready" "$state/postgres"
: >"$state/addresses.sed"

clean_up() {
    status=$?
    trap - EXIT INT TERM
    if [ $status -ne 0 ]; then
        echo "--- logs (warnings and errors)" >&2
        grep -hE 'level=(warn|error)|FATAL|moecap' "$state"/logs/*.log 2>/dev/null | grep -v level=info | tail -40 >&2 || true
    fi
    for file in "$state"/pids/*; do
        [ ! -s "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null || true
    done
    rm -rf "$state"
    exit $status
}

# ---- from what a container sees to what a process sees ----

# NAME:PORT of a service that has started becomes its address; mounted files and folders become ours.
translated() {
    sed -f "$state/addresses.sed" -e "s#/run/secrets/#$state/secrets/#" -e "s#=/models\$#=$root/models#" \
        -e "s#=/tmp/moecap\$#=$state/$1.state#" -e 's/^0\.0\.0\.0:[0-9]*$/127.0.0.1:0/' \
        -e 's/^127\.0\.0\.1:78[0-9]*$/127.0.0.1:0/' -e 's/^0\.0\.0\.0$/127.0.0.1/'
}

variables() { awk 'NR > 1 && $0 == "--" { exit } NR > 1' "$state/$1.process"; }
arguments() { sed '1,/^--$/d' "$state/$1.process"; }

# start SERVICE NAME [ARGUMENT...]: a process of the service's image, with its environment and nothing else.
start() {
    service=$1 name=$2
    shift 2
    read_file process "$service" >"$state/$name.raw"
    translated "$name" <"$state/$name.raw" >"$state/$name.process"
    program=$(head -n 1 "$state/$name.process")
    rm -f "$state/ready/$name"
    # shellcheck disable=SC2046 # lists of words
    env -i PATH="$PATH" MOECAP_NULL_DELAY_US=2000 $(variables "$name") "$bin/$program" $(arguments "$name") "$@" \
        --ready-file "$state/ready/$name" >"$state/logs/$name.log" 2>&1 &
    echo $! >"$state/pids/$name"
    wait_for 30 test -s "$state/ready/$name"
}

# Others know the service by its name and the port of its image.
publish() { # service name, ready file
    port=$(sed -n 's/^0\.0\.0\.0:\([0-9]*\)$/\1/p' "$state/$1.raw")
    printf 's#=%s:%s$#=%s#\n' "$1" "$port" "$(cat "$state/ready/$1")" >>"$state/addresses.sed"
}

# A port that is free and stays so while the cluster is made: below those that the kernel gives to connections.
free_port() {
    /usr/bin/python3 -c 'import random, socket
while True:
    port = random.randrange(15000, int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0]))
    try:
        socket.create_server(("127.0.0.1", port)).close()
        break
    except OSError:
        continue
print(port)'
}

# The image's entry point, as the user that it has there: PostgreSQL refuses root.
start_postgres() {
    port=$(free_port)
    cp "$root/deploy/docker/postgres.sh" "$state/moecap-postgres"
    as=
    if [ "$(id -u)" = 0 ]; then
        chown postgres: "$state/postgres"
        as="setpriv --reuid=postgres --regid=postgres --init-groups"
    fi
    $as env PGDATA="$state/postgres/data" PGSOCKETS="$state/postgres" PGPASSWORD_FILE="$state/secrets/postgres_password" \
        sh "$state/moecap-postgres" -p "$port" -c listen_addresses=127.0.0.1 >"$state/logs/postgres.log" 2>&1 &
    echo $! >"$state/pids/postgres"
    wait_for 60 grep -q 'ready to accept connections' "$state/logs/postgres.log"
    echo "s#@postgres:5432#@127.0.0.1:$port#" >>"$state/addresses.sed"
}

start_service() {
    case $1 in
    postgres) start_postgres ;;
    tasks) # a task that ends, by the command line
        read_file process tasks | translated tasks >"$state/tasks.process"
        # shellcheck disable=SC2046
        env -i $(variables tasks) "$bin/moecap" $(arguments tasks) >"$state/logs/tasks.log" ;;
    inference) # a container's host name is its node's name; these processes share one
        for node in $(seq $nodes); do start inference "inference-$node" --name "inference-$node"; done ;;
    gateway) start gateway gateway --http-port 0 ;;
    *) start "$1" "$1" && publish "$1" ;;
    esac
}

# As compose stops it: SIGTERM (the image's STOPSIGNAL for PostgreSQL), and its grace period.
stop() { # name, signal, seconds
    pid=$(cat "$state/pids/$1")
    kill "-$2" "$pid"
    until_s=$(($(date +%s) + $3))
    while kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; do
        [ "$(date +%s)" -lt "$until_s" ] || fail "$1 was still there $3 s after SIG$2"
        sleep 0.1
    done
    rc=0
    wait "$pid" || rc=$?
    [ $rc = 0 ] || fail "$1 ended with $rc when it was asked to stop"
    rm "$state/pids/$1"
}

# ---- the test ----

chmod 711 "$state"
"$root/deploy/docker/make-secrets.sh" "$state/secrets" >/dev/null
chmod 711 "$state/secrets" # a container mounts the file alone
order=$(read_file order)
for service in $order; do
    start_service "$service"
done
MOECAP_SERVER=$(cat "$state/ready/scheduler")
export MOECAP_SERVER
url=$(cat "$state/ready/gateway")

# the database wanted the password: without it nobody comes in
expect 1 env -i PATH="$PATH" "$bin/moecap-store" --listen 127.0.0.1:0 --connect-ms-max 1 \
    --postgres "$(sed -n 's/^MOECAP_STORE_POSTGRES=//p' "$state/store.process")"
says 'no password supplied'
expect 0 moecap admin config store
says 'postgres_password_file = '

# the page under the names that the file allows, and under no other
status_of() { curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "$@"; }
for host in gateway localhost 127.0.0.1; do
    [ "$(status_of -H "Host: $host:7860" "$url/api/v1/board")" = 200 ] || fail "Host $host is refused"
done
[ "$(status_of -H 'Host: scheduler:7860' "$url/api/v1/board")" = 403 ] || fail "a name that is not listed was served"

# our own engine on one of the nodes
expect 0 moecap submit --model moecap-tiny --task choice-mini-letter --limit 8 --batch-size 2 --watch
says 'finished'

# three runs on three nodes; the node of the last is killed, and started again as `restart: unless-stopped` would
evaluations=
runs=
for batch in 2 3 4; do
    expect 0 moecap submit --engine null --model none --task gsm-mini --batch-size $batch --json
    evaluations="$evaluations $(echo "$out" | sed -n 's/.*"evaluation_id":"\([^"]*\)".*/\1/p')"
    run=$(echo "$out" | sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p')
    runs="$runs $run"
done
some_stored() { moecap run show "$run" --json | grep -qE '"samples_answered":[1-9][0-9]'; }
wait_for 30 some_stored
victim=$(moecap run show "$run" --json | sed -n 's/.*"node":"\(inference-[0-9]*\)".*/\1/p' | head -1)
[ -n "$victim" ] || fail "no node is named in run $run: $(moecap run show "$run" --json)"
kill -9 "$(cat "$state/pids/$victim")"
before=$(moecap run show "$run" --json | sed -n 's/.*"samples_answered":\([0-9]*\).*/\1/p')
[ "$before" -lt 600 ] || fail "the run was over before its node could be killed"
start inference "$victim" --name "$victim"

# shellcheck disable=SC2086 # a list of ids
expect 0 moecap watch $evaluations
used=
for run in $runs; do
    [ "$(count_samples "$run")" = "600 600" ] || fail "run $run: distinct and all samples are $(count_samples "$run"), not 600 600"
    used="$used $(moecap run show "$run" --json | grep -o '"node":"[^"]*"' | tr '\n' ' ')"
done
distinct=$(echo "$used" | tr ' ' '\n' | grep . | sort -u | wc -l)
[ "$distinct" = $nodes ] || fail "$distinct nodes took part, not $nodes: $used"
attempts=$(moecap run show "$run" --json | grep -o '"fence":' | wc -l)
[ "$attempts" -ge 2 ] || fail "the run had $attempts attempt, so nothing was replaced"

grace=$(read_file field store stop_grace_period)
for name in gateway inference-1 inference-2 inference-3 scheduler evaluator store; do
    stop $name TERM "${grace%s}"
done
stop postgres INT "${grace%s}"
echo "$nodes nodes, one killed after $before of 600 samples, $attempts attempts; nothing lost, nothing twice; all stopped within $grace"
