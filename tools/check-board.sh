#!/bin/sh
# Does a board (moecap board --json) hold exactly what the demo expects? Says what is wrong.
#   gsm-mini: accuracy, TTFT, TPOT, throughput, cost and activated experts are known
#   choice-mini: accuracy and prefill throughput are known, TPOT is unknown because there is no decode
set -eu
board=$1

awk '
# one row of the JSON at a time, by the key that begins a row
function figure(row, id,   at, text) {
    at = index(row, "\"id\":\"" id "\"")
    if (!at) return "absent"
    text = substr(row, at)
    text = substr(text, 1, index(text, "}"))
    if (text ~ /"invalid":true/) return "invalid"
    if (match(text, /"value":-?[0-9.eE+-]+/)) return substr(text, RSTART + 8, RLENGTH - 8)
    if (match(text, /"reason":"[^"]*"/)) return "null:" substr(text, RSTART + 10, RLENGTH - 11)
    return "null:"
}
function wrong(text) { print "demo: " text > "/dev/stderr"; bad = 1 }
function known(row, name, id) { v = figure(row, id); if (v !~ /^-?[0-9]/) wrong(name ": " id " is " v) }
{ all = all $0 }
END {
    n = split(all, rows, "\"run_id\":")
    for (i = 2; i <= n; i++) {
        row = rows[i]
        match(row, /"task":"[^"]*"/);      task = substr(row, RSTART + 8, RLENGTH - 9)
        match(row, /"precision":"[^"]*"/); precision = substr(row, RSTART + 13, RLENGTH - 14)
        match(row, /"concurrency":[0-9]+/); batch = substr(row, RSTART + 14, RLENGTH - 14)
        match(row, /"state":"[^"]*"/);     state = substr(row, RSTART + 9, RLENGTH - 10)
        match(row, /"headline_metric":"[^"]*"/); headline = substr(row, RSTART + 19, RLENGTH - 20)
        name = task " " precision " batch " batch
        seen[name]++
        if (state != "finished") wrong(name " is " state)
        known(row, name, headline)
        if (task == "gsm-mini") {
            known(row, name, "ttft_ms_p50"); known(row, name, "tpot_ms_p50")
            known(row, name, "output_tokens_per_s")
            known(row, name, "cost_per_1m_output_tokens"); known(row, name, "cost_per_correct")
            known(row, name, "activated_experts_prefill"); known(row, name, "activated_experts_decode")
        } else {
            known(row, name, "prefill_tokens_per_s")
            if (figure(row, "tpot_ms_p50") != "null:no decode") wrong(name ": tpot_ms_p50 is " figure(row, "tpot_ms_p50") ", not null with the reason \"no decode\"")
        }
    }
    split("gsm-mini choice-mini", tasks, " "); split("bf16 int8", precisions, " "); split("1 4", batches, " ")
    for (t in tasks) for (p in precisions) for (b in batches) {
        name = tasks[t] " " precisions[p] " batch " batches[b]
        if (seen[name] != 1) wrong("the board has " seen[name] + 0 " rows of " name ", not 1")
        delete seen[name]
    }
    for (name in seen) wrong("unexpected row: " name)
    if (!bad) print "demo: the board holds exactly the 8 expected runs"
    exit bad
}' "$board"
