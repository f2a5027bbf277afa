#!/bin/sh
# docs/openapi.json is what tools/openapi/generate.py makes of the messages and the paths today.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
"$python" -c 'import google.protobuf, yaml' 2>/dev/null || {
    echo "skip: $python has no protobuf or yaml; install python3-protobuf and python3-yaml"
    exit 77
}
exec "$python" tools/openapi/generate.py --check
