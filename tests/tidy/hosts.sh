#!/bin/sh
# No path of a machine and no registry's host name in any tracked file.
set -eu
cd "$(dirname "$0")/../.."
bad=0
if git grep -nIE '(^|[^A-Za-z0-9_./$}])/(work|farm|root)/[A-Za-z]' -- . ':!tests/tidy/hosts.sh'; then
    echo "  ^ write paths relative to the repository" >&2
    bad=1
fi
if git grep -nIE '"resolved": *"http' -- '*package-lock.json'; then
    echo "  ^ a lock file names a registry; .npmrc should have omit-lockfile-registry-resolved=true" >&2
    bad=1
fi
exit $bad
