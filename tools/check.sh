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
# shellcheck disable=SC2046 # a list of files
step cppcheck cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -Ilib \
    --enable=warning,portability --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
    --suppress=unknownMacro $(own_sources)
# shellcheck disable=SC2046
step clang-tidy clang-tidy -p build/dev --quiet $(own_sources)
exit $failed
