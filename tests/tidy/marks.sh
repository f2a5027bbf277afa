#!/bin/sh
# docs/metrics.md: every mark that the evaluator gives has a row in the table of marks, and every row is of such a mark.
set -eu
cd "$(dirname "$0")/../.."
page=docs/metrics.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

git ls-files 'services/evaluator/*.c' | xargs cat | tr -s '\n\t ' ' ' |
    grep -oE 'eval_mark\( ?[a-z]+, "[a-z-]+"' | sed 's/.*"\(.*\)"/\1/' | sort -u >"$dir/given"
sed -n '/^## Marks/,/^## Intervals/s/^| \([a-z][a-z, -]*\) |.*/\1/p' $page | tr ',' '\n' | tr -d ' ' |
    grep -vx mark | sort -u >"$dir/rows"
[ -s "$dir/given" ] || { echo "no eval_mark is found"; exit 1; }
if ! diff "$dir/given" "$dir/rows" >"$dir/difference"; then
    echo "$page: marks without a row (<), rows of no mark (>): $(grep '^[<>]' "$dir/difference" | tr '\n' ' ')"
    exit 1
fi
echo "$(wc -l <"$dir/rows") marks"
