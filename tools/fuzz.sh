#!/bin/sh
# Builds every target in tests/fuzz with libFuzzer, ASan and UBSan, and runs each for a while.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-30}
command -v clang >/dev/null || { echo "fuzz: clang is missing" >&2; exit 1; }
mkdir -p build
CC=clang cmake -G Ninja -S . -B build/fuzz -DCMAKE_BUILD_TYPE=Debug -DMOECAP_FUZZ=ON \
    -DMOECAP_SANITIZE=address,undefined >build/configure-fuzz.log || { cat build/configure-fuzz.log; exit 1; }
cmake --build build/fuzz --target fuzz-targets
for target in build/fuzz/fuzz/*; do
    if [ ! -x "$target" ] || [ ! -f "$target" ]; then continue; fi
    name=$(basename "$target")
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    seeds=tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    echo "== $name, $seconds s"
    # shellcheck disable=SC2086
    "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "$corpus" $seeds 2>"build/fuzz/$name.log" || {
        tail -40 "build/fuzz/$name.log" >&2
        exit 1
    }
    grep -E 'number_of_executed_units' "build/fuzz/$name.log" || true
done
