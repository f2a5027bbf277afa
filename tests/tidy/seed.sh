#!/bin/sh
# docs/from-the-seed.md: what its tables call ours (every column but the first) exists: flags, commands, figures, links.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -eu
cd "$(dirname "$0")/../.."
bin=${MOECAP_BIN_DIR:-build/dev/bin}
page=docs/from-the-seed.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0

ours() { # the words in back quotes behind the first column
    grep '^| ' $page | sed 's/^| [^|]* |//' | grep -o '`[^`]*`' | tr -d '`'
}
complain() {
    echo "$page: $1"
    bad=1
}

"$bin/moecap" help --markdown >"$dir/moecap"
for program in inference scheduler store evaluator gateway; do
    "$bin/moecap-$program" --help
done >"$dir/programs"
"$bin/moecap-evaluator" measures >"$dir/figures"

ours | grep -oE -- '--[a-z][a-z-]*' | sort -u >"$dir/flags"
while read -r flag; do
    grep -qE -- "(^|[^a-z-])$flag([^a-z-]|\$)" "$dir/moecap" "$dir/programs" || complain "no program has $flag"
done <"$dir/flags"
ours | grep -E '^moecap [a-z]' | sed -E 's/^moecap ([a-z]+( (show|export|list|add|inspect|config))?).*/\1/' | sort -u >"$dir/commands"
while read -r command; do
    grep -qE "^## moecap $command\$" "$dir/moecap" || grep -qE "^  moecap $command" "$dir/moecap" ||
        complain "there is no command moecap $command"
done <"$dir/commands"
ours | grep -E '^[a-z]+(_[a-z0-9]+)+$' | sort -u >"$dir/names"
while read -r name; do
    grep -qF "\`$name\`" "$dir/figures" || complain "there is no figure $name"
done <"$dir/names"
grep -oE '\]\([a-z-]+\.md\)' $page | tr -d '])(' | sort -u >"$dir/links"
while read -r link; do
    [ -f "docs/$link" ] || complain "there is no docs/$link"
done <"$dir/links"
# Every flag of the seed is on the page, where the notes on it are at hand.
seed=${MOECAP_SHARED:-/nonexistent}/reference/upstream.md
if [ -f "$seed" ]; then
    awk '/^## 1\./ { on = 1 } /^## 3\./ { on = 0 } on' "$seed" | grep -oE -- '--[a-zA-Z][a-zA-Z_-]*' | sort -u >"$dir/theirs"
    while read -r flag; do
        grep -qF -- "$flag" $page || complain "says nothing of the seed's $flag"
    done <"$dir/theirs"
else
    echo "skip: MOECAP_SHARED has no notes on the seed; that its flags are all here was not checked"
fi
for found in flags commands names links; do
    [ -s "$dir/$found" ] || complain "no $found were found: this test reads the page wrongly"
done
[ $bad = 0 ] && echo "$(wc -l <"$dir/flags") flags, $(wc -l <"$dir/commands") commands, $(wc -l <"$dir/names") figures: all there"
exit $bad
