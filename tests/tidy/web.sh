#!/bin/sh
# The page: text is text, nothing is made code at run time, files stay short.
set -eu
cd "$(dirname "$0")/../.."
bad=0
sources=$(git ls-files -co --exclude-standard -- 'web/src/*' 'web/*.html')

refuse() { # pattern, why
    # shellcheck disable=SC2086 # a list of files
    if grep -nE "$1" $sources; then
        echo "  ^ $2" >&2
        bad=1
    fi
}

refuse 'innerHTML|outerHTML|insertAdjacentHTML|document\.write' 'text from the server goes in as text'
refuse '[^a-zA-Z.]eval\(|new Function\(|set(Timeout|Interval)\("' 'nothing becomes code at run time'
refuse '<script>|<style| style="| on[a-z]+="' 'the policy forbids inline scripts and styles'
refuse '@ts-(ignore|nocheck|expect-error)' 'say what the type is'
refuse '(TODO|FIXME|XXX|HACK)' 'finish it, or file an issue'
for file in $sources; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 500 ]; then
        echo "$file has $lines lines; one idea a file, at most 500"
        bad=1
    fi
done
exit $bad
