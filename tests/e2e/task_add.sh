#!/bin/sh
# shellcheck disable=SC2119
# task add: data of any length, what Python writes and JSON does not have, examples that only some runs ask for.
. tests/e2e/lib.sh

start_suite --no-tasks
tasks=$state/given
mkdir "$tasks"
# make_task NAME TEMPLATE
make_task() {
    cat >"$tasks/$1.yaml" <<YAML
task: $1
output_type: generate_until
test_split: test
fewshot_split: train
samples_file: $1.jsonl
fewshot_file: pool.jsonl
doc_to_text: "$2"
doc_to_target: "{{answer}}"
num_fewshot: 0
generation_kwargs: {until: ["\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match}]
YAML
}
python3 - "$tasks" <<'PY'
import json, sys
def write(name, count, length):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as out:
        for i in range(count):
            out.write(json.dumps({"text": f"{i} " + "x" * length, "answer": str(i)}) + "\n")
write("long", 60, 900_000)
write("pool", 10, 500_000)
write("short", 3, 3)
PY
# 54 MB of samples and 5 MB of examples; a message holds 8 MiB
make_task long '{{text[:20]}}'
expect 0 moecap task add "$tasks/long.yaml"
says 'task long: 60 samples'

# a template that fails only for examples is found now, and not by the first run with --num-fewshot
make_task short '{{text}}{{1 // (300000 - text|length) if text|length > 100 else 1}}'
expect 0 moecap task add "$tasks/short.yaml"
make_task short '{{text}}{{text.nosuch.deeper if text|length > 100}}'
expect 3 moecap task add "$tasks/short.yaml"
says 'few-shot document 1 ("line 1")'

# a byte order mark and NaN are read as Python reads them; a pipe is refused at once
make_task mark '{{text}}'
printf '\357\273\277{"text": "a", "answer": "b"}\n' >"$tasks/mark.jsonl"
expect 0 moecap task add "$tasks/mark.yaml"
printf '{"text": "NaN", "answer": "b"}\n{"text": "a", "score": [1, NaN], "answer": "b"}\n' >"$tasks/mark.jsonl"
expect 0 moecap task add "$tasks/mark.yaml"
rm "$tasks/mark.jsonl"
mkfifo "$tasks/mark.jsonl"
expect 3 timeout 10 "$bin/moecap" task add "$tasks/mark.yaml"
says 'mark.jsonl'
# what no suite can mend has no hint to start one
rm "$tasks/mark.jsonl"
ln -s mark.jsonl "$tasks/mark.jsonl"
expect 3 moecap task add "$tasks/mark.yaml"
says 'Too many levels of symbolic links'
[ "${out#*moecap up}" = "$out" ] || fail "a hint that does not help: $out"
