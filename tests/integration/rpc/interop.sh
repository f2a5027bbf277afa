#!/bin/sh
# Another gRPC against ours: a client in Python (Debian's python3-grpcio) and a server of lib/rpc.
#
#     interop.sh PEER      the program built from peer.c
set -eu
peer=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
python=/usr/bin/python3

if ! $python -c 'import grpc, google.protobuf' 2>/dev/null; then
    echo "skip: $python has no grpc; install python3-grpcio and python3-protobuf"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
protoc -I "$root/tests/proto" -I "$root/proto" --python_out="$work" echo.proto \
    grpc/health/v1/health.proto google/rpc/status.proto
mkfifo "$work/in"
"$peer" serve 127.0.0.1:0 <"$work/in" >"$work/port" &
server=$!
exec 3>"$work/in" # held open until the end; closing it ends the server
tries=0
while [ ! -s "$work/port" ] && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
status=0
$python "$here/interop.py" "127.0.0.1:$(cat "$work/port")" "$work" 3>&- || status=1
exec 3>&-
wait $server || status=1
exit $status
