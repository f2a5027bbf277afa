# shellcheck shell=sh disable=SC2034,SC2154
# A load tool against our endpoint: 40 streams, 4 at a time, of exact lengths.
peer_title="aiperf"
peer_package=aiperf
peer_disk_mb=1200
peer_packages() { echo "aiperf==0.13.0"; }

# It takes a folder for a tokenizer only by its bare name, and only while HF_HUB_OFFLINE is not set.
peer_check() {
    work=$state/aiperf
    mkdir -p "$work/moecap-tiny"
    cp "$model"/*.json "$work/moecap-tiny"
    requests_before=$(served_requests "$1")
    (cd "$work" && unset HF_HUB_OFFLINE && HOME=$work "$venv/bin/aiperf" profile --model moecap-tiny --url "$1" \
        --endpoint-type completions --streaming --tokenizer moecap-tiny --use-server-token-count \
        --synthetic-input-tokens-mean 64 --synthetic-input-tokens-stddev 0 --output-tokens-mean 48 \
        --output-tokens-stddev 0 --concurrency 4 --request-count 40 --extra-inputs ignore_eos:true --ui none \
        --artifact-dir out) >"$state/aiperf.log" 2>&1 || return 1
    [ "$(($(served_requests "$1") - requests_before))" = 40 ] || { say "aiperf: our own counter is not 40 higher"; return 1; }
    "$python" "$here/aiperf_check.py" "$work/out/profile_export_aiperf.json" "$work/out/profile_export.jsonl"
}

served_requests() { curl -sf "$1/metrics" | sed -n 's/^moecap_inference_outside_requests_total //p'; }
