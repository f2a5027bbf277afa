# shellcheck shell=sh disable=SC2034,SC2154
# SGLang with its plain torch back end: slow, but its own scheduling, HTTP and routed experts. Its dependencies are CUDA's,
# so the wheel is installed without them, and then what the CPU path imports. sglang_shim/ stands in for the rest.
peer_title="SGLang"
peer_package=sglang
peer_disk_mb=3400
peer_memory_mb=4500
peer_kind=sglang
peer_start_s=600
peer_ready=/ready

peer_packages() {
    echo "torch==2.13.0"
    echo "transformers==5.19.0 numpy<2.4 fastapi uvicorn uvloop orjson msgspec pyzmq psutil requests aiohttp pydantic" \
        "python-multipart prometheus-client setproctitle partial_json_parser pybase64 pillow einops ipython interegular" \
        "llguidance<2 xgrammar==0.2.7 outlines_core lark compressed-tensors tiktoken sentencepiece blobfile openai anthropic" \
        "mistral_common gguf soundfile numba==0.65.0 ninja packaging cloudpickle scipy watchfiles zstandard xxhash datasets" \
        "openai-harmony easydict tqdm dill python-dateutil"
    echo "--no-deps sglang==0.5.23"
}

# transformers asks for torchvision's version before it imports the stand-in
peer_fixup() {
    info=$(site_packages)/torchvision-0.28.0.dist-info
    mkdir -p "$info" && printf 'Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n' >"$info/METADATA"
}

peer_probe() {
    printf '%s\n' 'kind sglang' 'completions yes' 'chat yes' 'usage yes' 'exact length yes' \
        'version 0.5.23' 'tried moecap-tiny, context of 1024' 'scoring yes' 'metrics yes'
}

peer_model() { echo "$root/models/moecap-tiny"; }
peer_served() { echo moecap-tiny; }

# Without a limit its KV cache takes most of the memory. Cached prefixes would be missing from the routed experts.
peer_start() {
    HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE PYTHONPATH=$here/sglang_shim exec "$venv/bin/python" -m sglang.launch_server \
        --model-path "$1" --served-model-name moecap-tiny --device cpu --host 127.0.0.1 --port "$2" \
        --max-total-tokens 16384 --max-running-requests 8 --disable-radix-cache --enable-metrics \
        --enable-return-routed-experts --dtype "${MOECAP_PEERS_DTYPE:-auto}"
}

# In float32 nothing but a true tie may differ, and the routed experts that it returns are those of our own engine.
peer_more() {
    export MOECAP_PEERS_DTYPE=float32
    serve_peer "$1" && peer_run "$state/routed.jsonl" --task gsm-mini --limit "$few" || return 1
    native_run native-f32 --task gsm-mini --precision f32 --limit "$few"
    compare native-f32 routed --near 0.01 >"$state/f32.json" && "$python" "$here/table.py" float32 "$state/f32.json" &&
        "$python" "$here/routing.py" "$state/native-f32.jsonl" "$state/routed.jsonl"
}
