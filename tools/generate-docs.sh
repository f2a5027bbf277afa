#!/bin/sh
# shellcheck disable=SC2016 # backquotes are Markdown here
# Writes the documents and samples that come from tables: docs/config.md, docs/counters.md, docs/cli.md,
# docs/moecap.1, docs/moecap.bash, the table in docs/metrics.md, deploy/config/*.conf and web/src/lib/tables.ts.
#
#   tools/generate-docs.sh [BIN]           from the programs in BIN (build/dev/bin)
#   tools/generate-docs.sh --check [BIN]   change nothing; status 1 when a file is not current
set -eu
cd "$(dirname "$0")/.."

check=no
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
bin=${1:-build/dev/bin}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$out/docs" "$out/deploy/config" "$out/web/src/lib"
services="scheduler inference evaluator store gateway"

made='Made from the tables by `tools/generate-docs.sh`; do not edit.'
{
    printf '# Settings\n\n%s\n\n' "$made"
    printf 'As a flag (`--name-with-dashes VALUE`), in the environment, or in a file (`--config FILE`): in this\norder, then the default. Read once, at the start. `deploy/config/` has a sample of each file.\n'
    for service in $services; do echo; "$bin/moecap-$service" --print-docs; done
} >"$out/docs/config.md"
{
    printf '# Counters\n\n%s\n\n' "$made"
    printf '`moecap admin metrics PROGRAM` prints them as Prometheus reads them; the gateway serves all of them at\n`/metrics`, each with the label `service`, those of a node (as sent with its last beat) with the label `node` as well.\n'
    for service in $services; do echo; "$bin/moecap-$service" --print-counters; done
} >"$out/docs/counters.md"
for service in $services; do
    "$bin/moecap-$service" --print-config >"$out/deploy/config/$service.conf"
done
# the table between the marks of docs/metrics.md
"$bin/moecap-evaluator" measures >"$out/figures"
awk -v table="$out/figures" '
    /<!-- \/figures -->/ { skip = 0 }
    !skip { print }
    /<!-- figures -->/ { while ((getline line < table) > 0) print line; skip = 1 }' docs/metrics.md >"$out/docs/metrics.md"
rm "$out/figures"
"$bin/moecap" help --markdown >"$out/docs/cli.md"
"$bin/moecap" help --man >"$out/docs/moecap.1"
"$bin/moecap" help --bash-completion >"$out/docs/moecap.bash"
"$bin/moecap-tables" >"$out/web/src/lib/tables.ts"

status=0
for file in $(cd "$out" && find . -type f | sort); do
    file=${file#./}
    if [ "$check" = no ]; then
        mkdir -p "$(dirname "$file")"
        cp "$out/$file" "$file"
    elif ! cmp -s "$out/$file" "$file"; then
        echo "$file is not current; run tools/generate-docs.sh" >&2
        diff -u "$file" "$out/$file" | head -20 >&2 || true
        status=1
    fi
done
exit $status
