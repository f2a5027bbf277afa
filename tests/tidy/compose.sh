#!/bin/sh
# deploy/docker: what compose.yaml and the Dockerfile name exists, and docker-compose takes the file.
set -eu
cd "$(dirname "$0")/../.."
/usr/bin/python3 tests/compose/read.py check
file=deploy/docker/compose.yaml
if command -v docker-compose >/dev/null; then
    docker-compose -f $file config -q
    docker-compose -f $file config --services | grep -qx inference
elif docker compose version >/dev/null 2>&1; then
    docker compose -f $file config -q
else
    echo "skip: docker-compose not found, the file was read by our own test only"
fi
