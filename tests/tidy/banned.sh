#!/bin/sh
# Functions that have a safer one, and habits that the house does not want, in the product's sources.
set -eu
cd "$(dirname "$0")/../.."
bad=0
sources=$(git ls-files -co --exclude-standard -- 'lib/*.[ch]' 'services/*.[ch]' 'cli/*.[ch]' 'kernels/*.[ch]' \
    'tools/protoc-gen-moecap/*.[ch]')

refuse() { # pattern, why
    # shellcheck disable=SC2086 # a list of files
    if grep -nE "$1" $sources; then
        echo "  ^ $2" >&2
        bad=1
    fi
}

refuse '[^_a-zA-Z](strcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat|strtok)\(' 'use cap_buf, snprintf or cap_arena_printf'
refuse '[^_a-zA-Z](atoi|atol|atof)\(' 'use strtol and friends and check the end'
refuse '[^_a-zA-Z](rand|srand|drand48|random)\(\)' 'use base/rand.h'
refuse '[^_a-zA-Z](localtime|gmtime|ctime|asctime|strerror_r)\(' 'not thread-safe: use the _r form or base/clock.h'
refuse '[^_a-zA-Z](system|popen|fork|vfork)\(' 'gRPC forbids fork; use posix_spawn'
refuse '[^_a-zA-Z]alloca\(' 'the stack has no limit that fails with a sentence'
refuse 'typedef (struct|enum|union) [a-z_]+ *\{' 'no typedef for structs'
refuse '(TODO|FIXME|XXX|HACK)' 'finish it, or file an issue'
exit $bad
