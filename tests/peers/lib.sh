# shellcheck shell=sh disable=SC2154 # variables of test.sh, of tests/e2e/lib.sh and of the peer's file
# For test.sh: virtual environments outside the tree, servers that start, become ready and end.
#
# A peer is a file NAME.sh beside this one. It says (all but peer_kind and peer_start also for clients):
#   peer_title       what it is, for the report
#   peer_packages    lines of arguments to pip, in order; they are also the stamp of what is installed
#   peer_disk_mb     what it needs in the cache folder
#   peer_fixup       what pip cannot do; optional
#   peer_needs       prints why it cannot run on this machine, or nothing; optional
# engines:  peer_kind, peer_model (prints what to serve), peer_start MODEL PORT (becomes the server), peer_served MODEL
#           (prints the name in requests), peer_scores=no if it has no log-likelihoods, peer_more MODEL (further checks),
#           peer_probe (lines that `moecap engine check` must print)
# clients:  peer_check URL (against our endpoint)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/moecap/peers
python=${MOECAP_PEERS_PYTHON:-python3}
here=$root/tests/peers

say() { echo "peers: $*"; }

# ---- what this machine can do ----

cpu_has() { grep -qw "$1" /proc/cpuinfo; }

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

memory_free_mb() { awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo; }

# Prints why the peer cannot run here, or nothing.
why_not() {
    "$python" -c 'import venv, ensurepip' 2>/dev/null || { echo "$python has no venv module"; return; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$python is older than 3.10"; return; }
    [ "$(memory_free_mb)" -ge "${peer_memory_mb:-1000}" ] ||
        { echo "$(memory_free_mb) MB of memory are free, ${peer_memory_mb:-1000} are needed"; return; }
    if ! is_installed && [ "$(free_mb "$cache")" -lt "$((peer_disk_mb + 1000))" ]; then
        echo "$(free_mb "$cache") MB of disk are free, $((peer_disk_mb + 1000)) are needed"
        return
    fi
    peer_needs
}

peer_needs() { :; }
peer_fixup() { :; }
peer_more() { :; }

# ---- installing ----

is_installed() { [ "$(cat "$venv/moecap-installed" 2>/dev/null)" = "$(peer_packages)" ]; }

# pip's own words go to a log; it is enough to read when something fails.
install_peer() {
    is_installed && return 0
    say "$name: installing into $venv (about $peer_disk_mb MB)"
    rm -rf "$venv"
    "$python" -m venv "$venv" >"$venv.log" 2>&1 || return 1
    peer_packages >"$state/packages"
    while read -r line; do
        # shellcheck disable=SC2086 # a line of arguments
        nice -n 10 "$venv/bin/pip" install --quiet --disable-pip-version-check $line \
            >>"$venv.log" 2>&1 </dev/null || return 1
    done <"$state/packages"
    peer_fixup >>"$venv.log" 2>&1 || return 1
    peer_packages >"$venv/moecap-installed"
}

version_of() { "$venv/bin/python" -c 'import importlib.metadata as m, sys; print(m.version(sys.argv[1]))' "$1"; }

site_packages() { "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }

# ---- servers ----

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

answers() { curl -sf -m 10 -o /dev/null "$1"; }

# start_server SECONDS COMMAND...: in a process group of its own, so that its workers end with it.
start_server() {
    limit_s=$1
    shift
    port=$(free_port)
    server_url=http://127.0.0.1:$port
    export root venv
    setsid sh -c ". '$here/lib.sh'; . '$here/$name.sh'; peer_start \"\$@\"" sh "$1" "$port" \
        >"$state/$name.log" 2>&1 &
    server=$!
    until_s=$(($(date +%s) + limit_s))
    until answers "$server_url/v1/models" && answers "$server_url${peer_ready:-/health}"; do
        kill -0 "$server" 2>/dev/null || { say "$name ended before it was ready"; return 1; }
        [ "$(date +%s)" -lt "$until_s" ] || { say "$name was not ready after $limit_s s"; return 1; }
        sleep 1
    done
}

stop_server() {
    [ -n "${server:-}" ] || return 0
    kill -- "-$server" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "-$server" 2>/dev/null || break
        sleep 0.1
    done
    kill -s KILL -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# Servers that are ready may still not be able: a head size without a kernel ends vLLM at its first request.
warm_up() { # URL, model
    curl -sf -m 300 -o "$state/warm-up.json" "$1/v1/completions" -H 'Content-Type: application/json' \
        -d "{\"model\": \"$2\", \"prompt\": \"Question: 1 + 1\", \"max_tokens\": 4, \"temperature\": 0}" ||
        { say "$name: the first request failed"; return 1; }
}
