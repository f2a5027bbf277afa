#!/bin/sh
# The native engine against HF Transformers and the memory's read rate, on a synthetic model larger than
# the caches. One table of ratios taken in the same run.
#
#   bench/engine.sh [--python PYTHON] [--size small|mid] [--threads N] [--batches 1,4]
#
# PYTHON (or MOECAP_BENCH_PYTHON) is an interpreter that has torch and transformers; without one the
# comparison is skipped aloud. The model is made by ../shared/tools/make_moe.py (MOECAP_SHARED).
set -eu
cd "$(dirname "$0")/.."

python=${MOECAP_BENCH_PYTHON:-python3}
size=small
threads=$(nproc)
batches=1,4
while [ $# -gt 0 ]; do
    case $1 in
    --python) python=$2 ;;
    --size) size=$2 ;;
    --threads) threads=$2 ;;
    --batches) batches=$2 ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done

tools=${MOECAP_SHARED:-../shared}/tools
work=build/bench/$size
[ -f "$tools/make_moe.py" ] || { echo "skip: $tools/make_moe.py not found; set MOECAP_SHARED"; exit 0; }
if [ ! -f "$work/hf/config.json" ]; then
    mkdir -p "$work"
    /usr/bin/python3 "$tools/make_moe.py" "$work" --size "$size" --formats hf >/dev/null
fi
bench=build/release/bin/bench-engine
[ -x "$bench" ] || { echo "bench: build it first: ./run build release"; exit 1; }

"$bench" "$work/hf" --threads "$threads" --batches "$batches" >"$work/ours.txt"
if "$python" -c 'import torch, transformers' 2>/dev/null; then
    "$python" bench/engine_hf.py "$work/hf" --threads "$threads" --batches "$batches" \
        >"$work/hf.txt" 2>"$work/hf.log" || { tail -5 "$work/hf.log" >&2; exit 1; }
else
    echo "skip: $python has no torch and transformers; name one that has with --python"
    : >"$work/hf.txt"
fi
"$bench" "$work/hf" --threads "$threads" --batches "$batches" >>"$work/ours.txt"

# Ours ran before and after the peer: the better of both, as for the peer the better of its two types.
awk '
    FILENAME ~ /hf\.txt$/ { key = $1 " " $3; if ($4 > peer[key]) { peer[key] = $4; type[key] = $2 } next }
    $1 == "isa" { isa = $2; threads = $4 }
    $1 == "probe" && $2 > probe { probe = $2 }
    $1 == "decode" || $1 == "prefill" {
        key = $1 " " $2 " " $3
        if (!(key in ours)) order[++n] = key
        if ($4 > ours[key]) { ours[key] = $4; rate[key] = $5 }
    }
    END {
        printf "isa %s, %d threads, memory read %.1f GB/s\n", isa, threads, probe
        printf "%-8s %-5s %6s %12s %14s %10s %8s\n", "what", "kept", "tokens", "tokens/s",
            "of read rate", "HF best", "ratio"
        for (i = 1; i <= n; i++) {
            split(order[i], p, " ")
            peer_key = p[1] " " p[3]
            share = p[1] == "decode" ? sprintf("%.0f %%", 100 * rate[order[i]] / probe) \
                                     : sprintf("%.0f GFLOP/s", rate[order[i]])
            if (peer_key in peer)
                printf "%-8s %-5s %6d %12.1f %14s %10.1f %7.2fx\n", p[1], p[2], p[3], ours[order[i]],
                    share, peer[peer_key], ours[order[i]] / peer[peer_key]
            else
                printf "%-8s %-5s %6d %12.1f %14s %10s %8s\n", p[1], p[2], p[3], ours[order[i]], share,
                    "-", "-"
        }
    }' "$work/hf.txt" "$work/ours.txt"
