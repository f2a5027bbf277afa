#!/bin/sh
# Fails for files over 800 lines, and for lines over 100 columns, which the formatter leaves alone in comments.
# Reports functions over 70 lines, the longest first, and the medians.
set -eu
cd "$(dirname "$0")/../.."
bad=0
sources=$(git ls-files -co --exclude-standard -- 'lib/*.[ch]' 'services/*.[ch]' 'cli/*.[ch]' 'kernels/*.[ch]' \
    'tools/protoc-gen-moecap/*.[ch]')
for file in $sources; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 800 ]; then
        echo "$file has $lines lines; look for the phase to split by"
        bad=1
    fi
done
# shellcheck disable=SC2086 # a list of files
if LC_ALL=C.UTF-8 grep -nE '^.{101,}$' $sources; then
    echo "these lines are over 100 columns"
    bad=1
fi
command -v ctags >/dev/null || { echo "skip: ctags not found, function sizes not measured"; exit $bad; }
# shellcheck disable=SC2086 # a list of files
ctags --languages=C --kinds-C=f --fields=+ne -x --_xformat='%{line} %{end} %F:%n %N' -f - $sources 2>/dev/null |
    awk '$2 >= $1 { print $2 - $1 + 1, $3, $4 }' | sort -rn |
    awk '{ size[NR] = $1; if ($1 > 70) print $1 " lines  " $2 " " $3 }
         END { if (NR) print NR " functions, median " size[int((NR + 1) / 2)] ", p90 " size[int(NR / 10) + 1] " lines" }'
exit $bad
