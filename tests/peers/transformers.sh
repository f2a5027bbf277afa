# shellcheck shell=sh disable=SC2034,SC2154
# Hugging Face Transformers' own server. It answers to the model's folder as it was given, and to no other name.
peer_title="transformers serve"
peer_package=transformers
peer_disk_mb=1300
peer_memory_mb=2500
peer_kind=transformers
peer_scores=no
peer_start_s=300

peer_packages() {
    echo "torch==2.13.0"
    echo "transformers[serving]==5.24.0 accelerate==1.15.0"
}

peer_probe() {
    printf '%s\n' 'kind transformers' 'completions yes' 'chat yes' 'usage yes' 'exact length yes' \
        'scoring no' 'metrics no'
}

peer_model() { echo "$root/models/moecap-tiny"; }
peer_served() { echo "$1"; }

peer_start() {
    HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE exec "$venv/bin/transformers" serve "$1" \
        --host 127.0.0.1 --port "$2" --device "${MOECAP_PEERS_DEVICE:-cpu}"
}

# The same server with Accelerate's device map, which is another kind of engine.
peer_more() {
    export MOECAP_PEERS_DEVICE=auto
    peer_kind=accelerate
    serve_peer "$1" && peer_run "$state/accelerate.jsonl" --task gsm-mini --limit "$few" || return 1
    compare native-few accelerate >"$state/accelerate.json" && "$python" "$here/table.py" accelerate "$state/accelerate.json"
}
