# shellcheck shell=sh disable=SC2034,SC2154
# llama.cpp's own HTTP server out of the wheel xllamacpp; nothing is compiled. The shipped model is converted to GGUF.
peer_title="llama.cpp (xllamacpp)"
peer_package=xllamacpp
peer_disk_mb=150
peer_memory_mb=1000
peer_kind=llamacpp
peer_scores=no
peer_start_s=120

peer_packages() { echo "xllamacpp==2026.10.11549"; }

peer_needs() { cpu_has avx2 || echo "its library needs AVX2"; }

peer_probe() {
    printf '%s\n' 'kind llamacpp' 'completions yes' 'chat yes' 'usage yes' 'exact length yes' \
        'tried moecap-tiny, context of 1024' 'scoring no' 'seed yes' 'metrics yes'
}

peer_model() {
    "$python" "$here/to_gguf.py" "$root/models/moecap-tiny" "$state/moecap-tiny.gguf" >&2
    echo "$state/moecap-tiny.gguf"
}
peer_served() { echo moecap-tiny; }

# Threads that spin while they wait collapse on cores shared with anything else.
peer_start() {
    OMP_WAIT_POLICY=PASSIVE exec "$venv/bin/python" "$here/llamacpp_serve.py" "$1" "$2" moecap-tiny 4 1024
}

# A server that dies in the middle of a run: the run ends soon, with the reason.
peer_more() {
    serve_peer "$1" || return 1
    id=$(moecap submit --engine llamacpp --url "$server_url" --model moecap-tiny --task gsm-mini --note death \
        --batch-size 2 --quiet) || return 1
    for _ in $(seq 300); do
        [ "$(grep -c 'launch_slot_' "$state/$name.log")" -lt 20 ] || break
        sleep 0.1
    done
    kill -s KILL -- "-$server"
    moecap watch "$id" >"$state/death" 2>&1 && { say "$name: a run whose server died has succeeded"; return 1; }
    tail -2 "$state/death" | cut -c1-200 | sed 's/^/  death: /'
}
