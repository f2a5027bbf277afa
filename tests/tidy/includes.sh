#!/bin/sh
# Checks every #include of the product against boundaries.txt, thirdparty.txt and computes.txt: quoted, in angle
# brackets or with dots in its path. includes_check.sh plants wrong ones and expects each to be named.
set -eu
cd "$(dirname "$0")/../.."

headers=$(git ls-files -co --exclude-standard -- '*.h' '*.def')
git ls-files -co --exclude-standard -- 'lib/*.[ch]' 'services/*.[ch]' 'cli/*.[ch]' 'kernels/*.[ch]' \
    'tools/protoc-gen-moecap/*.[ch]' | xargs grep -nE '^ *# *include' /dev/null |
    headers=$headers awk -v boundaries=tests/tidy/boundaries.txt -v thirdparty=tests/tidy/thirdparty.txt \
        -v computes=tests/tidy/computes.txt '
    function load(file, keys, values,   line, at, n) {
        while ((getline line < file) > 0) {
            if (line ~ /^#/ || line !~ /[^ ]/) continue
            at = match(line, / *:( |$)/)
            n++
            keys[n] = substr(line, 1, at - 1)
            values[n] = " " substr(line, at + RLENGTH) " "
        }
        return n
    }
    # the longest directory of the table that holds this file
    function owner(file,   i, best) {
        best = 0
        for (i = 1; i <= rows; i++)
            if (index(file, dir[i] "/") == 1 && (!best || length(dir[i]) > length(dir[best]))) best = i
        return best
    }
    function complain(text) { print text; bad = 1 }
    function dir_of(path) { sub(/\/[^\/]*$/, "", path); return path }
    # A name without a folder stands beside the file, or an include path found it elsewhere: then in a folder that
    # may be included. What no folder of the tree holds is generated.
    function check_bare(file, line, name, o,   n, i, at) {
        if ((dir_of(file) "/" name) in tracked) return
        n = split(places[name], at, " ")
        for (i = 1; i <= n; i++)
            if (dir[owner(at[i] "/" name)] == dir[o] || index(may[o], " " last_part(dir[owner(at[i] "/" name)]) " ")) return
        if (n) complain(file ":" line ": " dir[o] " may not include \"" name "\" of " places[name])
    }
    function last_part(path) { sub(/.*\//, "", path); return path }
    # "services/store/../scheduler/x.h" is "services/scheduler/x.h"
    function straighten(path) {
        while (sub(/\/\.\//, "/", path)) ;
        while (sub(/[^\/]+\/\.\.\//, "", path)) ;
        return path
    }
    # A path with dots means one file of the tree: its folder is judged, not what the path is called.
    function check_dots(file, line, name, o,   path, d) {
        path = straighten(dir_of(file) "/" name)
        d = dir[owner(path)]
        if (d != dir[o] && index(may[o], " " last_part(d) " ") == 0)
            complain(file ":" line ": " dir[o] " may not include \"" name "\", which is " path)
    }
    # <store/append.h> finds our own header as "store/append.h" does
    function is_ours(name) {
        return (name in tracked) || (("services/" name) in tracked) || (("lib/" name) in tracked)
    }
    # Code that computes takes plain arguments: computes.txt lists it.
    function may_see_messages(file,   i) {
        if (file ~ /_(rpc|wire)\.[ch]$/) return 1
        for (i = 1; i <= plain_count; i++)
            if (file ~ plain[i]) return 0
        return 1
    }
    BEGIN {
        n = split(ENVIRON["headers"], header, "\n")
        for (i = 1; i <= n; i++) {
            tracked[header[i]] = 1
            places[last_part(header[i])] = places[last_part(header[i])] " " dir_of(header[i])
        }
        rows = load(boundaries, dir, may)
        parties = load(thirdparty, pattern, allowed)
        while ((getline line < computes) > 0)
            if (line !~ /^#/ && line ~ /[^ ]/) plain[++plain_count] = "^" line
    }
    {
        split($0, part, ":")
        file = part[1]
        if (!match($0, /["<][^">]+[">]/)) next
        name = substr($0, RSTART + 1, RLENGTH - 2)
        quoted = substr($0, RSTART, 1) == "\"" || is_ours(name)
        o = owner(file)
        if (!o) { complain(file ": no row of boundaries.txt covers this directory"); next }
        for (i = 1; i <= parties; i++)
            if (name ~ pattern[i]) {
                ok = 0
                n = split(allowed[i], a, " ")
                for (k = 1; k <= n; k++) if (index(file, a[k] "/") == 1) ok = 1
                if (!ok && name !~ /\.(pb-c|rpc)\.h$/) complain(file ":" part[2] ": may not name <" name ">")
            }
        if (!quoted) next
        if (name ~ /\.(pb-c|rpc)\.h$/) {
            if (index(may[o], " gen ") == 0) complain(file ":" part[2] ": may not see wire types (" name ")")
            else if (!may_see_messages(file))
                complain(file ":" part[2] ": code that computes takes plain arguments, not wire types (" name ")")
            next
        }
        if (name ~ /(^|\/)\.\.?\//) { check_dots(file, part[2], name, o); next }
        if (name !~ /\//) { check_bare(file, part[2], name, o); next }
        top = name
        sub(/\/.*/, "", top)
        base = dir[o]
        sub(/.*\//, "", base)
        if (top == base) next                        # its own directory
        if (top == "services" || top == "lib") { top2 = name; sub(/^[^\/]*\//, "", top2); sub(/\/.*/, "", top2); top = top2 }
        if (index(may[o], " " top " ") == 0 && !own(file, name, dir[o]))
            complain(file ":" part[2] ": " dir[o] " may not include \"" name "\"")
    }
    # "native/session.h" from services/inference: a room of the same service
    function own(file, name, d,   path) {
        path = d "/" name
        if ((getline line < path) >= 0) { close(path); return 1 }
        path = "services/" name
        return index(path, d "/") == 1
    }
    END { exit bad }'
