#!/bin/sh
# House rules and static analysis over the whole tree; needs the dev preset configured.
set -eu
cd "$(dirname "$0")/.."
failed=0
step() { # name, command...
    name=$1
    shift
    echo "== $name"
    "$@" || { failed=1; echo "check: $name failed" >&2; }
}
own_sources() { git ls-files '*.c' | grep -vE '^(tests|bench)/'; }

step format tools/fmt.sh --all --check
step shell sh -c "shellcheck run .ci/run \$(git ls-files '*.sh')"
step tidy ctest --test-dir build/dev -L tidy --output-on-failure
# cppcheck knows neither the cleanup attribute (leaks) nor that outputs are set when a call succeeds
# (uninitvar); gcc, clang-tidy and the sanitizers look for both.
# shellcheck disable=SC2046 # a list of files
step cppcheck cppcheck --quiet -j2 --error-exitcode=1 --inline-suppr --std=c11 -Ilib \
    --enable=warning,portability --suppress=missingIncludeSystem --suppress=unknownMacro \
    --suppress=memleak --suppress=resourceLeak --suppress=uninitvar --suppress=legacyUninitvar \
    $(own_sources)
# shellcheck disable=SC2317 # called by step
tidy_all() { own_sources | xargs -P2 -n 8 clang-tidy -p build/dev --quiet 2>/dev/null; }
step clang-tidy tidy_all
exit $failed
