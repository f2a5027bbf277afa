#!/bin/sh
# shellcheck disable=SC2119
# Tasks as people bring them: what the harness reads is added, what is not is refused with what to do.
. tests/e2e/lib.sh

dir=$state/tasks-of-others
mkdir -p "$dir/sub"
start_suite

head='output_type: generate_until
test_split: test
doc_to_text: "Q: {{question}}\nA:"
doc_to_target: answer
metric_list: [{metric: exact_match}]'

# Examples that the YAML itself holds are the pool.
cat >"$dir/inline.yaml" <<YAML
task: inline
$head
samples_file: plain.jsonl
num_fewshot: 2
fewshot_config:
  sampler: first_n
  samples:
    - {question: one, answer: "1"}
    - {question: two, answer: "2"}
YAML
echo '{"question": "three", "answer": "3"}' >"$dir/plain.jsonl"
expect 0 moecap task add "$dir/inline.yaml"
expect 0 moecap task show inline
says '2-shot'
expect 0 moecap submit --engine null --model m --task inline --watch
expect 3 moecap submit --engine null --model m --task inline --num-fewshot 3
says '2'

# What Python's json reads.
printf 'task: python\n%s\nsamples_file: python.jsonl\n' "$head" >"$dir/python.yaml"
printf '\357\273\277{"question": "a", "answer": "1", "score": NaN}\n{"question": "b", "answer": "2", "x": -Infinity}\n' \
    >"$dir/python.jsonl"
expect 0 moecap task add "$dir/python.yaml"
expect 0 moecap submit --engine null --model m --task python --watch

# Long documents, and a pool that is larger than a message (15 MB): added, and asked.
python3 - "$dir" <<'PYTHON'
import json, sys
with open(sys.argv[1] + "/long.jsonl", "w") as f:
    for i in range(20):
        f.write(json.dumps({"question": f"{i} " + "x" * 900000, "answer": "1"}) + "\n")
with open(sys.argv[1] + "/pool.jsonl", "w") as f:
    for i in range(1000):
        f.write(json.dumps({"question": f"{i} " + "x" * 15000, "answer": "1"}) + "\n")
PYTHON
printf 'task: long\n%s\nsamples_file: long.jsonl\nfewshot_file: pool.jsonl\nfewshot_split: train\n' "$head" >"$dir/long.yaml"
expect 0 moecap task add "$dir/long.yaml"
expect 0 moecap submit --engine null --model m --task long --num-fewshot 2 --limit 4 --watch

# A template that fails for an example only is found when the task is added.
printf 'task: bad\n%s\nsamples_file: plain.jsonl\nfewshot_file: bad.jsonl\nfewshot_split: train\n' "$head" >"$dir/bad.yaml"
echo '{"answer": "3"}' >"$dir/bad.jsonl"
expect 3 moecap task add "$dir/bad.yaml"
says 'few-shot document 1 ("line 1")'

printf 'include: ../base.yaml\ntask: up\n' >"$dir/sub/up.yaml"
expect 3 moecap task add "$dir/sub/up.yaml"
says 'copy that file beside this one and write "include: base.yaml"'
echo ok
