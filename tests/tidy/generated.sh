#!/bin/sh
# Documents and sample configurations that are made from tables are what the programs print today.
set -eu
cd "$(dirname "$0")/../.."
bin=${MOECAP_BIN_DIR:-build/dev/bin}
exec tools/generate-docs.sh --check "$bin"
