#!/bin/sh
# packages.sh BIN OUT: for each program in BIN, the Debian packages of the libraries it is linked with, one a line in
# OUT/PROGRAM. Asked of dpkg, since names differ between releases (libcurl4, libcurl4t64).
set -eu
bin=$1
out=$2
mkdir -p "$out"

owner() { # the library's package; a file may be registered with or without the /usr before /lib
    for path in "$1" "${1#/usr}" "/usr$1"; do
        dpkg-query -S "$path" 2>/dev/null && return 0
    done
    echo "packages.sh: no package owns $1" >&2
    return 1
}

for program in "$bin"/moecap*; do
    name=$(basename "$program")
    for library in $(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        path=$(ldd "$program" | awk -v name="$library" '$1 == name { print $3 } $1 ~ "/" name "$" { print $1 }')
        owner "$path" | sed 's/:.*//'
    done | sort -u >"$out/$name"
    [ -s "$out/$name" ] || { echo "packages.sh: $program names no libraries" >&2; exit 1; }
done
