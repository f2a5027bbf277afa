#!/bin/sh
# Formats C files with clang-format 14: those that changed against HEAD, or with --all every one.
# With --check nothing is written; the status is 1 when a file would change.
set -eu
cd "$(dirname "$0")/.."

format=clang-format
command -v clang-format-14 >/dev/null && format=clang-format-14
"$format" --version | grep -q 'version 14\.' || {
    echo "fmt: skipped, clang-format 14 is wanted and this is: $("$format" --version)" >&2
    exit 0
}
mode=-i
list='git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard'
for argument; do
    case $argument in
    --check) mode='--dry-run --Werror' ;;
    --all) list='git ls-files' ;;
    *) echo "fmt: unknown argument \"$argument\"" >&2; exit 2 ;;
    esac
done
files=$(eval "$list" | grep -E '\.[ch]$' | grep -v '/golden/' | sort -u || true)
[ -n "$files" ] || exit 0
# shellcheck disable=SC2086 # lists of words
exec "$format" $mode $files
