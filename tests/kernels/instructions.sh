#!/bin/sh
# What the dispatch claims is in the object code: each level's own instructions are there, and no vector
# register beyond the baseline appears in any file that runs before the check.
set -eu
library=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v objdump >/dev/null || { echo "skip: objdump not found"; exit 77; }
[ "$(uname -m)" = x86_64 ] || { echo "skip: $(uname -m) has the plain C level only"; exit 77; }
(cd "$work" && ar x "$library")
bad=0

has() { # object, pattern
    objdump -d --no-show-raw-insn "$work/$1" | grep -qE "$2" || { echo "$1 has no $2"; bad=1; }
}

has isa_avx2.c.o 'vfmadd.*ymm'
has isa_avx2.c.o 'vpmaddwd.*ymm'
has isa_avx512.c.o 'vfmadd.*zmm'
has isa_avx512.c.o 'vpmaddwd.*zmm'
has isa_avx512_vnni.c.o 'vpdpwssd.*zmm'
has isa_avx512_bf16.c.o 'vdpbf16ps.*zmm'
for object in "$work"/*.o; do
    case $(basename "$object") in
    isa_avx2.c.o) beyond=zmm ;;
    isa_avx512*) continue ;;
    *) beyond='[yz]mm' ;;
    esac
    if objdump -d --no-show-raw-insn "$object" | grep -qE "%$beyond"; then
        echo "$(basename "$object") uses $beyond registers, which this level does not promise"
        bad=1
    fi
done
exit $bad
