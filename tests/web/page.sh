#!/bin/sh
# The page in a real browser, against a suite of its own: main.mjs holds the tests.
#
#     tests/web/page.sh [PATTERN]      only the tests whose sentence has PATTERN
#     MOECAP_PICTURES=DIR              keep a picture of every page of a test that fails
# shellcheck disable=SC2119,SC2154
. tests/e2e/lib.sh
for program in node npm "${MOECAP_CHROMIUM:-/usr/bin/chromium}"; do
    command -v "$program" >/dev/null || { echo "skip: $program not found"; exit 77; }
done

cmake "-DWEB=$root/tests/web" -DNPM=npm "-DSTAMP=$state/npm.stamp" -P tools/cmake/npm_ci.cmake

# Half a millisecond a token: quick runs are quick, and one that asks for thousands of tokens takes its time.
MOECAP_NULL_DELAY_US=500 start_suite --nodes 2
started=$(date +%s)
MOECAP_LARGE_RUN=$(tests/web/seed.sh "${MOECAP_ROWS:-1000}" "${MOECAP_SAMPLES:-10000}")
export MOECAP_LARGE_RUN
echo "# seeded in $(($(date +%s) - started)) s"
MOECAP_BIN_DIR=$bin node --test-reporter=spec --test-name-pattern="${1:-.}" tests/web/main.mjs
