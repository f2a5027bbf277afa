#!/bin/sh
# No built files, no large files, no third-party data: only what belongs to a known room.
set -eu
cd "$(dirname "$0")/../.."
bad=0
git ls-files -co --exclude-standard | while read -r file; do
    case $file in
    *.o | *.a | *.so | *.pyc | *.log | *~ | *.orig | *.rej) echo "$file should not be in the tree"; exit 1 ;;
    models/*) continue ;;
    esac
    [ ! -f "$file" ] || [ "$(wc -c <"$file")" -le 1048576 ] || { echo "$file is over 1 MiB"; exit 1; }
done || bad=1
exit $bad
