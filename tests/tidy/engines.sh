#!/bin/sh
# docs/engines.md: every test and every file that its table of points names exists.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -eu
cd "$(dirname "$0")/../.."
page=docs/engines.md
bad=0
count=0
table=$(sed -n '/^## Each point/,$p' $page | grep '^| [0-9]')
[ "$(echo "$table" | wc -l)" = 22 ] || { echo "$page: the table has not 22 points"; bad=1; }
for name in $(echo "$table" | grep -o '`[a-z_]*`' | tr -d '`' | sort -u); do
    count=$((count + 1))
    grep -rqE "^static void $name\(" tests/unit tests/integration || { echo "$page: there is no test $name"; bad=1; }
done
for file in $(echo "$table" | grep -oE '`[a-z_/]+\.c`' | tr -d '`' | sort -u); do
    [ -n "$(git ls-files "$file" "*/$file")" ] || { echo "$page: there is no $file"; bad=1; }
done
[ $count -gt 20 ] || { echo "$page: no tests were found, this test reads the page wrongly"; bad=1; }
[ $bad = 0 ] && echo "$count tests: all there"
