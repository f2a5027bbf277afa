#!/bin/sh
# Every key of qwen3_moe that changes the computation, against the float64 reference.
set -eu
cd "$(dirname "$0")/../../.."
tools=${MOECAP_SHARED:-../shared}/tools
if [ ! -f "$tools/ref_forward.py" ]; then
    echo "skip: $tools/ref_forward.py not found; set MOECAP_SHARED"
    exit 77
fi
if ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    echo "skip: /usr/bin/python3 has no numpy"
    exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/integration/native/variants.py \
    "$MOECAP_BIN_DIR/moecap-inference" "$tools" "$@"
