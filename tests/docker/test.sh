#!/bin/sh
# The images and compose.yaml for real, on a Docker engine of the test's own: `./run test-docker`. Not part of `./run test`.
#
# Needs root, 6 GB of disk, a Docker engine's programs, compose and mmdebstrap. The engine has its own network namespace,
# data folder and socket; an engine that runs on the machine, its firewall and its images are not touched, and nothing is
# left behind. The base image is made from this machine's own package sources, so no registry is asked.
#
#   MOECAP_DOCKER_KEEP=DIR  keep the engine's data in DIR, so that the next test builds from its cache
#   MOECAP_DOCKER_STAY=1    stop before the tear-down and wait for Enter
# shellcheck disable=SC2046,SC2015 # lists of words; tests that end in fail
set -eu
cd "$(dirname "$0")/../.."
child=
compose_file=deploy/docker/compose.yaml
netns=moecap-docker-$$
project=moecaptest
built="store evaluator scheduler inference gateway tasks postgres"
nodes=3

skip() { echo "skip: $*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }
step() { echo "[$(($(date +%s) - began)) s] $*"; }

[ "$(id -u)" = 0 ] || skip "a private Docker engine needs root"
for program in dockerd docker mmdebstrap ip nsenter curl; do
    command -v $program >/dev/null || skip "$program is not installed"
done
began=$(date +%s)
work=$(mktemp -d /var/tmp/moecap-docker.XXXXXX)
data=${MOECAP_DOCKER_KEEP:-$work/data}
mkdir -p "$data"
DOCKER_HOST=unix://$work/docker.sock
DOCKER_BUILDKIT=0
COMPOSE_PROJECT_NAME=$project
MOECAP_SECRETS=$work/secrets
MOECAP_BASE=moecap-base:test
export DOCKER_HOST DOCKER_BUILDKIT COMPOSE_PROJECT_NAME MOECAP_SECRETS MOECAP_BASE
version=$(sed -n 's/^project(moecap VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)

# ---- the engine ----

start_engine() { # where: prefix of the command; then dockerd's flags
    rm -f "$work/docker.sock" "$work/docker.pid"
    "$@" --data-root "$data" --exec-root "$work/exec" -H "$DOCKER_HOST" --pidfile "$work/docker.pid" \
        >>"$work/dockerd.log" 2>&1 &
    tries=0
    until docker info >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { tail -20 "$work/dockerd.log" >&2; fail "the Docker engine did not start"; }
        sleep 0.1
    done
}

stop_engine() {
    [ -s "$work/docker.pid" ] || return 0
    pid=$(cat "$work/docker.pid")
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

tear_down() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    [ $status -eq 0 ] || [ ! -S "$work/docker.sock" ] || show_logs >&2
    if [ -S "$work/docker.sock" ]; then
        compose down -v --remove-orphans >/dev/null 2>&1 || true
    fi
    stop_engine
    # what a killed engine may leave mounted
    awk -v work="$work" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount || true
    ip netns del "$netns" 2>/dev/null || true
    rm -rf "$work"
    exit $status
}
trap tear_down EXIT INT TERM

# A long command, so that a signal is answered while it runs.
patiently() {
    "$@" &
    child=$!
    status=0
    wait $child || status=$?
    child=
    return $status
}

if command -v docker-compose >/dev/null; then
    compose() { docker-compose -f "$compose_file" "$@"; }
else
    compose() { docker compose -f "$compose_file" "$@"; }
fi
# One container of the command line serves all commands: each of its own would cost two seconds.
moecap() { docker exec "$cli" moecap "$@"; }
inside() { nsenter --net="/run/netns/$netns" "$@"; }
show_logs() {
    echo "--- containers and their last lines"
    docker ps -a --format '{{.Names}} {{.Status}}' || true
    compose logs --no-color --tail 15 2>/dev/null || true
}

# ---- images ----

# A minimal Debian of this machine's release, with what its package clients need to reach their sources.
make_base() {
    if docker image inspect "$MOECAP_BASE" >/dev/null 2>&1; then
        return 0
    fi
    # shellcheck disable=SC1091
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    sources=
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        if grep -qsE '^(deb|URIs)' "$file"; then sources="$sources $file"; fi
    done
    [ -n "$sources" ] || skip "no package sources found to make a base image from"
    # shellcheck disable=SC2086,SC2016 # a list of files; $1 is mmdebstrap's
    patiently mmdebstrap --quiet --variant=minbase --include=ca-certificates \
        --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
        --customize-hook='for f in /etc/npmrc /usr/etc/npmrc; do [ ! -f $f ] || install -D -m 644 $f "$1$f"; done' \
        "$release" "$work/base.tar" $sources
    docker import "$work/base.tar" "$MOECAP_BASE" >/dev/null
    rm "$work/base.tar"
}

# By the compose file's own build sections; only the network is the machine's, as this engine has no bridge. `tasks`
# builds the image of the command line.
build_images() {
    {
        echo "services:"
        for service in $built; do echo "  $service: {build: {network: host}}"; done
    } >"$work/build.yaml"
    for service in $built; do
        patiently compose -f "$work/build.yaml" build "$service" >"$work/build.log" 2>&1 ||
            { tail -40 "$work/build.log" >&2; fail "the image of $service could not be built"; }
        step "built the image of $service"
    done
}

# ---- checks ----

containers_of() { compose ps -q "$1"; }

# Ordinary user, read-only, no capabilities, limits: as the engine sees it, and tried from within.
check_contained() {
    for container in $(compose ps -q); do
        set -- $(docker inspect -f '{{.Name}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}' "$container")
        [ "$2 $3" = 'true [ALL]' ] || fail "$1: read-only $2, dropped capabilities $3"
        [ "$4" -gt 0 ] && [ "$5" -gt 0 ] || fail "$1 has no limits: memory $4, cpus $5"
        [ "$(docker inspect -f '{{.State.Running}}' "$container")" = true ] || continue # tasks has ended
        [ "$(docker exec "$container" id -u)" != 0 ] || fail "$1 runs as root"
        ! docker exec "$container" sh -c 'echo >/usr/bin/x' 2>/dev/null || fail "$1 can write to its root file system"
        docker exec "$container" grep -q '^CapEff:[[:space:]]*0*$' /proc/1/status || fail "$1 has capabilities"
        docker exec "$container" grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/1/status || fail "$1 may gain privileges"
    done
}

check_networks() {
    ! docker exec "$(containers_of gateway)" getent hosts postgres >/dev/null || fail "the gateway can see the database"
    docker exec "$(containers_of store)" getent hosts postgres >/dev/null || fail "the store cannot see the database"
    published=$(docker ps --format '{{.Ports}}' | grep -o '[0-9.:]*->[0-9]*' || true)
    [ "$published" = '127.0.0.1:7860->7860' ] || fail "published are: $published"
}

http_status() { inside curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$@"; }

check_gateway() {
    [ "$(http_status http://127.0.0.1:7860/healthz)" = 200 ] || fail "the gateway does not answer on its published port"
    [ "$(http_status http://127.0.0.1:7860/)" = 200 ] || fail "the gateway serves no page"
    [ "$(http_status -H 'Host: gateway' http://127.0.0.1:7860/api/v1/board)" = 200 ] || fail "Host: gateway is refused"
    [ "$(http_status -H 'Host: evil.example' http://127.0.0.1:7860/api/v1/board)" = 403 ] || fail "a foreign Host is served"
}

wait_nodes() { # count
    tries=0
    until [ "$(moecap node list --json | grep -o '"node_id":' | wc -l)" = "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || fail "not $1 nodes are connected: $(moecap node list)"
        sleep 1
    done
}

submit() { # batch size; prints "evaluation run"
    moecap submit --model moecap-tiny --task gsm-mini --precision int8 --batch-size "$1" --json |
        sed -n 's/.*"evaluation_id":"\([^"]*\)".*"run_id":"\([^"]*\)".*/\1 \2/p'
}

run_field() { moecap run show "$1" --json | grep -o "\"$2\":\"\{0,1\}[^\",}]*" | sed 's/.*://; s/"//' | sort -u; }

check_exactly_once() { # run
    counts=$(moecap run export "$1" | sed -n 's/.*"kind":"sample".*"answer":{"ordinal":\([0-9]*\).*/\1/p' | sort -n |
        uniq -c | awk '{ distinct++; all += $1 } END { print distinct + 0, all + 0 }')
    [ "$counts" = "600 600" ] || fail "run $1: distinct and all samples are $counts, not 600 600"
}

# ---- the test ----

step "engine for building"
start_engine dockerd --bridge=none --iptables=false --ip6tables=false --ip-forward=false
make_base
step "base image"
build_images
docker images --format '{{.Repository}} {{.Size}}' | grep '^moecap' | sort
stop_engine

ip netns add "$netns"
inside ip link set lo up
start_engine inside dockerd --bip 10.202.0.1/24 --default-address-pool base=10.203.0.0/16,size=24
step "engine for running, in a network of its own"
deploy/docker/make-secrets.sh "$MOECAP_SECRETS" >/dev/null
up_began=$(date +%s)
compose up -d --no-build --scale inference=$nodes >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "compose up"; }
step "compose up with $nodes nodes took $(($(date +%s) - up_began)) s"
check_contained
check_networks
check_gateway
compose run --rm -T moecap status 2>/dev/null | grep -q '^scheduler .*running' || fail "moecap status in a container"
cli=$(compose run -d --entrypoint sleep moecap infinity 2>/dev/null)
wait_nodes $nodes
moecap node list --json | grep -q '"cores":1,"memory_bytes":4294967296' || fail "a node does not know its limits"
step "contained, networks apart, page reachable, $nodes nodes connected"

evaluations=
runs=
for batch in 1 2 4; do
    set -- $(submit $batch)
    [ $# = 2 ] || fail "submit printed no ids"
    evaluations="$evaluations $1"
    runs="$runs $2"
done
last_run=$2
# a server on the engine's host, as a user may have one: evaluated under the name that containers know it by
docker run -d --name moecaptest_server --network host -v "$PWD/models:/models:ro" "moecap-inference:$version" \
    model serve /models/moecap-tiny --openai-host 0.0.0.0 --openai-port 8000 >/dev/null
tries=0
until moecap run show "$last_run" --json | grep -qE '"samples_answered":[1-9][0-9]'; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] || fail "run $last_run does not begin"
    sleep 0.5
done
victim_node=$(moecap run show "$last_run" --json | grep -o '"node":"[^"]*"' | head -1 | cut -d'"' -f4)
victim=$(docker ps -q --filter "name=inference" | while read -r id; do
    [ "$(docker inspect -f '{{.Config.Hostname}}' "$id")" != "$victim_node" ] || echo "$id"
done)
[ -n "$victim" ] || fail "no container is the node $victim_node"
# from outside, as a crash would: `docker kill` counts as a wish, after which no policy restarts
kill -9 "$(docker inspect -f '{{.State.Pid}}' "$victim")"
step "killed the node of run $last_run"
# shellcheck disable=SC2086 # a list of ids
moecap watch $evaluations >"$work/watch.log" || { cat "$work/watch.log" >&2; fail "not every run finished"; }
for run in $runs; do check_exactly_once "$run"; done
[ "$(docker inspect -f '{{.RestartCount}}' "$victim")" -ge 1 ] || fail "the killed node was not restarted"
used=$(for run in $runs; do moecap run show "$run" --json | grep -o '"node":"[^"]*"'; done | sort -u | wc -l)
[ "$used" -ge $nodes ] || fail "only $used nodes took part"
wait_nodes $nodes
moecap engine check http://host.docker.internal:8000 >"$work/check.log" || { cat "$work/check.log" >&2; fail "engine check"; }
compose run --rm -T moecap submit --engine openai --url http://host.docker.internal:8000 --model moecap-tiny --task gsm-mini \
    --batch-size 16 --watch >"$work/watch.log" 2>&1 || { cat "$work/watch.log" >&2; fail "the evaluation of a server"; }
docker rm -f moecaptest_server >/dev/null
moecap board
step "3 runs of 600 samples on $used nodes, one killed: nothing lost, nothing twice"

docker rm -f "$cli" >/dev/null
stop_began=$(date +%s)
compose stop >/dev/null 2>&1
step "compose stop took $(($(date +%s) - stop_began)) s"
for container in $(docker ps -aq); do
    set -- $(docker inspect -f '{{.Name}} {{.State.ExitCode}}' "$container")
    [ "$2" = 0 ] || fail "$1 ended with $2 when it was asked to stop"
done
compose up -d --no-build --scale inference=1 >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "compose up again"; }
[ "$(compose run --rm -T moecap board --json 2>/dev/null | grep -o '"run_id"' | wc -l)" = 4 ] || fail "the board lost runs over a restart"
step "stopped in good order, up again with its results"
if [ -n "${MOECAP_DOCKER_STAY:-}" ]; then
    echo "DOCKER_HOST=$DOCKER_HOST COMPOSE_PROJECT_NAME=$project netns $netns; Enter ends it"
    read -r _
fi
