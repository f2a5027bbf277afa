#!/bin/sh
# Does includes.sh catch what it is there for? Plants one include at a time in a copy of the tree's file list and expects
# it to be named, and expects silence about those that are allowed.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The rules, the headers that are named, and nothing else: a few files instead of the whole tree.
git ls-files -co --exclude-standard -- '*.h' '*.def' 'tests/tidy' | while read -r file; do
    [ -e "$file" ] || continue
    mkdir -p "$work/$(dirname "$file")"
    cp "$file" "$work/$file"
done
cd "$work"
git init -q .
failed=0

try() { # caught or allowed, file, include
    mkdir -p "$(dirname "$2")"
    printf '#include %s\n' "$3" >"$2"
    said=$(sh tests/tidy/includes.sh 2>&1 | grep -F "$2:" || true)
    rm "$2"
    case $1:$said in
    caught:?* | allowed:) ;;
    caught:) echo "not caught: #include $3 in $2"; failed=1 ;;
    *) echo "should be allowed: $said"; failed=1 ;;
    esac
}

try caught services/scheduler/planted.c '"../store/pg.h"'
try caught services/scheduler/planted.c '<store/pg.h>'
try caught services/scheduler/planted.c '"store/pg.h"'
try caught services/scheduler/planted.c '"../../services/store/pg.h"'
try caught services/scheduler/planted.c '"./../store/pg.h"'
try caught services/store/planted.c '"../scheduler/step.h"'
try caught services/evaluator/planted.c '"../../cli/command.h"'
try caught lib/http/planted.c '"../../services/store/pg.h"'
try caught lib/http/planted.c '<services/store/pg.h>'
try caught lib/http/planted.c '"jinja/jinja.h"'
try caught lib/base/planted.c '"log/log.h"'
try caught lib/base/planted.c '<log/log.h>'
try caught lib/base/planted.c '"../log/log.h"'
try caught kernels/cpu/planted.c '"base/err.h"'
try caught cli/planted.c '"model/model.h"'
try caught services/store/planted.c '<grpc/grpc.h>'
try caught services/scheduler/planted.c '<libpq-fe.h>'
try caught services/inference/planted.c '<curl/curl.h>'
try caught services/scheduler/step.c '"moecap/v1/store.pb-c.h"'
try caught services/evaluator/measure/planted.c '"moecap/v1/store.pb-c.h"'
try caught services/inference/native/planted.c '"moecap/v1/inference.pb-c.h"'
try caught lib/base/planted.c '"moecap/v1/common.pb-c.h"'
try allowed services/store/planted.c '"moecap/v1/store.pb-c.h"'
try allowed services/scheduler/planted.c '"step.h"'
try allowed services/store/planted.c '"../../lib/base/err.h"'
try allowed services/store/planted.c '"base/err.h"'
try allowed services/store/planted.c '<libpq-fe.h>'
try allowed lib/rpc/planted.c '<grpc/grpc.h>'
[ "$failed" = 0 ] || echo "(in a copy of $root)"
exit $failed
