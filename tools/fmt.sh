#!/bin/sh
# Formats C with clang-format 14 and the page's files with the prettier of tests/web: those that changed against HEAD,
# or with --all every one. With --check nothing is written; the status is 1 when a file would change.
set -eu
cd "$(dirname "$0")/.."
check=
list='git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard'
for argument; do
    case $argument in
    --check) check=1 ;;
    --all) list='git ls-files' ;;
    *) echo "fmt: unknown argument \"$argument\"" >&2; exit 2 ;;
    esac
done
failed=0

chosen() { eval "$list" | grep -E "$1" | grep -vE '/golden/|/tables\.ts$' | sort -u || true; }

format_c() {
    files=$(chosen '\.[ch]$')
    [ -n "$files" ] || return 0
    format=clang-format
    command -v clang-format-14 >/dev/null && format=clang-format-14
    "$format" --version | grep -q 'version 14\.' || {
        echo "fmt: C is skipped, clang-format 14 is wanted and this is: $("$format" --version)" >&2
        return 0
    }
    mode=-i
    [ -z "$check" ] || mode='--dry-run --Werror'
    # shellcheck disable=SC2086 # lists of words
    "$format" $mode $files
}

format_page() {
    files=$(chosen '^(web|tests/web)/.*\.(ts|tsx|mjs|css)$')
    [ -n "$files" ] || return 0
    command -v npm >/dev/null || {
        echo "fmt: the page is skipped, npm is not there" >&2
        return 0
    }
    mkdir -p build
    cmake "-DWEB=$PWD/tests/web" -DNPM=npm "-DSTAMP=$PWD/build/fmt.stamp" -P tools/cmake/npm_ci.cmake
    mode=--write
    [ -z "$check" ] || mode=--check
    # shellcheck disable=SC2086
    tests/web/node_modules/.bin/prettier $mode --log-level warn $files
}

format_c || failed=1
format_page || failed=1
exit $failed
