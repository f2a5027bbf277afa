#!/bin/sh
# Every C file of more than 80 lines opens with its idea: a comment of at least eight words before the first line of
# code. What the hardest files must say beyond that (guarantees, locks, interleavings) is a reviewer's business.
set -eu
cd "$(dirname "$0")/../.."
git ls-files -co --exclude-standard -- 'lib/*.[ch]' 'services/*.[ch]' 'cli/*.[ch]' 'kernels/*.[ch]' 'bench/*.[ch]' 'tests/*.[ch]' \
    'tools/protoc-gen-moecap/*.[ch]' | while read -r file; do
    [ ! -e "$file" ] || printf '%s\n' "$file"
done | xargs awk '
    function judge() {
        if (lines > 80 && words < 8) {
            print file ": " lines " lines, and nothing says what it is about"
            bad = 1
        }
    }
    FNR == 1 { judge(); file = FILENAME; lines = words = 0; opening = /^\/\*/ }
    {
        lines = FNR
        if (opening) words += NF
        if (opening && /\*\//) opening = 0
    }
    END { judge(); exit bad }'
