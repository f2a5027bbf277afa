#!/bin/sh
# docs/traps.md: every trap of the predecessors has one row, and what its row names exists: a test by its function,
# or a file. A test whose name begins with trap_ stands in the row of its id.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -eu
cd "$(dirname "$0")/../.."
page=docs/traps.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0
complain() {
    echo "$page: $1"
    bad=1
}

for group in L:28 R:9 C:45 D:24 T:13 E:6; do
    number=1
    while [ "$number" -le "${group#*:}" ]; do
        echo "${group%:*}$number"
        number=$((number + 1))
    done
done | sort >"$dir/expected"
sed -n 's/^| \([LRCDTE][0-9]*\) |.*/\1/p' $page | sort >"$dir/rows"
diff "$dir/expected" "$dir/rows" >"$dir/difference" || complain "traps without a row (<), or twice or unknown (>): $(grep '^[<>]' "$dir/difference" | tr '\n' ' ')"

git grep -hoE '^static void [a-z0-9_]+\(void \*\*' -- 'tests/*.c' | sed 's/static void //; s/(.*//' | sort -u >"$dir/tests"
grep '^| [LRCDTE][0-9]* |' $page | while IFS='|' read -r _ id _ ours _; do
    id=$(echo "$id" | tr -d ' ')
    case $ours in
    ' Test: `'*) # the names in front of the remark
        for name in $(echo "$ours" | sed 's/(.*//' | grep -o '`[^`]*`' | tr -d '`'); do
            grep -qx -- "$name" "$dir/tests" || [ -f "$name" ] || echo "$id names $name, which is no test"
        done
        ;;
    ' Cannot: '*) ;;
    *) echo "$id says neither Test: nor Cannot:" ;;
    esac
done >"$dir/wrong"
[ ! -s "$dir/wrong" ] || complain "$(cat "$dir/wrong")"

grep '^trap_' "$dir/tests" | while read -r name; do
    id=$(echo "$name" | sed 's/^trap_\([a-z][0-9]*\)_.*/\1/' | tr '[:lower:]' '[:upper:]')
    grep "^| $id |" $page | grep -qF "\`$name\`" || echo "the row of $id does not name its test $name"
done >"$dir/unnamed"
[ ! -s "$dir/unnamed" ] || complain "$(cat "$dir/unnamed")"

[ $bad = 0 ] && echo "$(wc -l <"$dir/rows") traps, $(grep -c '^| [LRCDT][0-9]* |.*| Cannot: ' $page) of which cannot occur"
exit $bad
