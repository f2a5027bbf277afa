#!/bin/sh
# protoc-gen-moecap against golden output, and what it refuses.
#
#     test_plugin.sh PLUGIN            compares
#     test_plugin.sh PLUGIN --accept   takes today's output as golden
set -eu
plugin=$1
here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bad=0

generate() { # FILE.proto
    protoc -I "$here/proto" --plugin=protoc-gen-moecap="$plugin" --moecap_out="$out" "$1"
}

refuses() { # FILE.proto SENTENCE
    if generate "$1" 2>"$out/stderr"; then
        echo "$1 was accepted"
        bad=1
    elif ! grep -qF "$2" "$out/stderr"; then
        echo "$1: the refusal should say: $2"
        cat "$out/stderr"
        bad=1
    elif [ -e "$out/${1%.proto}.rpc.c" ]; then
        echo "$1: refused, yet written"
        bad=1
    fi
}

generate golden.proto
[ "${2-}" != --accept ] || cp "$out"/golden.rpc.[ch] "$here/golden/"
for file in golden.rpc.h golden.rpc.c; do
    diff -u "$here/golden/$file" "$out/$file" || bad=1
done
# the names it spells are those that protoc-gen-c makes
protoc -I "$here/proto" --c_out="$out" golden.proto
${CC:-cc} -std=gnu17 -Wall -Wextra -Werror -fsyntax-only -I "$here/../../../lib" -I "$out" \
    "$out/golden.rpc.c" || bad=1

refuses recursive.proto \
    'recursive.proto: message moecap.test.Tree can hold itself through moecap.test.Tree.children'
refuses recursive_map.proto \
    'message moecap.test.Outer can hold itself through moecap.test.Outer.Inner.ByNameEntry.value'
refuses recursive_import.proto 'message google.protobuf.Value can hold itself through'
# shellcheck disable=SC2016 # backquotes of the sentence
refuses optional.proto \
    'field moecap.test.Outer.Figures.watts is `optional`, which protobuf-c cannot do; write oneof opt_watts'
exit $bad
