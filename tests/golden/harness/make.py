#!/usr/bin/env python3
"""Our task files, documents and answers, put through EleutherAI's lm-evaluation-harness.

    make.py OUT.jsonl        writes the cases with what the harness (0.4.13 or later) makes of them
    make.py --check FILE     exits 1 where today's harness makes something else of them

unit.eval-harness holds our evaluator to the file. The inputs are ours; what the harness needs beyond
itself (data sets, metrics of other libraries) is replaced by stubs, as none of it is compared here.
"""
import json
import random
import sys
import tempfile
import types
from pathlib import Path


def stub(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module


class Anything:
    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return self

    def __getattr__(self, name):
        return Anything()


for missing in ("datasets", "evaluate", "sacrebleu", "sqlitedict", "dill", "pytablewriter", "sklearn"):
    try:
        __import__(missing)
    except ImportError:
        module = stub(missing)
        module.__getattr__ = lambda name: Anything  # type: ignore[method-assign]
try:
    import tqdm  # noqa: F401
except ImportError:
    stub("tqdm", tqdm=lambda items, **_: items)
sys.modules["datasets"].__version__ = "4.0.0"

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml
except ImportError as why:
    print(f"skip: lm_eval cannot be imported: {why}", file=sys.stderr)
    sys.exit(77)


class Split(list):
    """The rows of a split, as the harness sees a data set."""

    @property
    def features(self):
        return dict.fromkeys(self[0] if self else {})


class Local(ConfigurableTask):
    splits: dict = {}

    def download(self, dataset_kwargs=None, **kwargs):
        self.dataset = self.splits


def open_task(yaml_text, docs, pool, shots):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.yaml"
        path.write_text(yaml_text, encoding="utf-8")
        config = load_yaml(path)
    for key in ("tag", "samples_file", "fewshot_file"):
        config.pop(key, None)
    for metric in config.get("metric_list") or []:
        metric.setdefault("aggregation", "mean")
        metric.setdefault("higher_is_better", True)
    evaluated = config.get("test_split") or config.get("validation_split")
    shown = (config.get("fewshot_config") or {}).get("split") or config.get("fewshot_split")
    names = {evaluated: Split(docs)}
    for name in (shown, config.get("training_split"), config.get("validation_split")):
        if name and name not in names:
            names[name] = Split(pool)
    if shots is not None:
        config["num_fewshot"] = shots
    Local.splits = names
    return Local(config=config)


def turns(messages, **_):
    return [[m["role"], m["content"]] for m in messages]


def render(case):
    task = open_task(case["yaml"], case["docs"], case.get("pool", []), case.get("num_fewshot"))
    task.set_fewshot_seed(case.get("seed", 1234))
    chat = case.get("chat", False)
    prompts = []
    for doc in case["docs"]:
        context = task.fewshot_context(
            doc, task.config.num_fewshot or 0, apply_chat_template=chat, fewshot_as_multiturn=chat,
            chat_template=turns if chat else None, gen_prefix=task.doc_to_prefix(doc))
        requests = task.construct_requests(
            doc, context, apply_chat_template=chat, metadata=("t", 0, 1))
        requests = requests if isinstance(requests, list) else [requests]
        prompt = {"messages" if chat else "text": context}
        if task.OUTPUT_TYPE == "multiple_choice":
            prompt["continuations"] = [r.args[1] for r in requests]
        else:
            prompt["stop"] = requests[0].args[1]["until"]
        prompts.append(prompt)
    return {**case, "prompts": prompts}


def grade(case):
    """Each answer by each filter and metric; a choice's answer is [[log-likelihood, greedy], ...]."""
    task = open_task(case["yaml"], [g["doc"] for g in case["answers"]], case.get("pool", []), None)
    out = []
    for one in case["answers"]:
        if task.OUTPUT_TYPE == "multiple_choice":
            pairs = [tuple(pair) for pair in one["scores"]]
            requests = [Instance("loglikelihood", one["doc"], ("", ""), i, ("t", 0, 1)) for i in range(len(pairs))]
            for request, pair in zip(requests, pairs):
                request.resps = [pair]
        else:
            requests = [Instance("generate_until", one["doc"], ("", {}), 0, ("t", 0, 1))]
            requests[0].resps = list(one.get("texts") or [one["text"]])
        task._instances = requests
        task.apply_filters()
        columns = {}
        for name in requests[0].filtered_resps:
            results = [r.filtered_resps[name] for r in requests]
            scores = task.process_results(one["doc"], results)
            for metric, value in scores.items():
                column = metric if name == "none" else f"{metric},{name}"
                columns[column] = {"score": float(value)}
                if task.OUTPUT_TYPE != "multiple_choice":
                    shown = results[0]
                    shown = shown[0] if isinstance(shown, list) else shown
                    columns[column]["extracted"] = "" if shown is None else str(shown)
        out.append({**one, "columns": columns})
    return {**case, "answers": out}


# ---- the cases ----

PLAIN = "task: t\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"


def rows(count, name="p", **more):
    return [{"q": f"{name}{i} is?", "a": f"{i}", **more} for i in range(count)]


def render_cases():
    train = PLAIN + "fewshot_split: train\n"
    same = PLAIN + "fewshot_split: test\n"
    choice = ("task: t\ntest_split: test\nfewshot_split: train\noutput_type: multiple_choice\n"
              "doc_to_text: 'Q: {{q}}\\nA:'\ndoc_to_choice: c\ndoc_to_target: a\n")
    options = [{"q": f"q{i}", "c": ["red", "green", " blue"], "a": i % 3} for i in range(12)]
    yield {"name": "drawn examples", "yaml": train + "num_fewshot: 3\n", "pool": rows(40), "docs": rows(12, "d")}
    yield {"name": "another seed", "yaml": train + "num_fewshot: 5\n", "pool": rows(25), "docs": rows(6, "d"), "seed": 42}
    yield {"name": "many examples", "yaml": train + "num_fewshot: 20\n", "pool": rows(90), "docs": rows(4, "d")}
    yield {"name": "all of a small pool", "yaml": train + "num_fewshot: 5\n", "pool": rows(5), "docs": rows(4, "d")}
    yield {"name": "first examples", "yaml": train + "num_fewshot: 2\nfewshot_config: {sampler: first_n}\n",
           "pool": rows(8), "docs": rows(4, "d")}
    yield {"name": "pool of the evaluated split", "yaml": same + "num_fewshot: 3\n", "docs": rows(12, "d")}
    yield {"name": "first of the evaluated split",
           "yaml": same + "num_fewshot: 3\nfewshot_config: {sampler: first_n}\n", "docs": rows(8, "d")}
    doubled = rows(3, "d") + rows(3, "d") + rows(2, "e")
    yield {"name": "documents that stand twice", "yaml": same + "num_fewshot: 3\n", "docs": doubled}
    yield {"name": "no split is named",
           "yaml": "task: t\nvalidation_split: v\ntraining_split: train\ndoc_to_text: q\ndoc_to_target: a\nnum_fewshot: 2\n",
           "pool": rows(20), "docs": rows(8, "d")}
    yield {"name": "a document also in the training split",
           "yaml": "task: t\nvalidation_split: v\ntraining_split: train\ndoc_to_text: q\ndoc_to_target: a\nnum_fewshot: 2\n"
                   "fewshot_config: {sampler: first_n}\n",
           "pool": rows(8), "docs": rows(8)[:3]}
    yield {"name": "split in fewshot_config", "yaml": PLAIN + "fewshot_config: {split: dev}\nnum_fewshot: 2\n",
           "pool": rows(9), "docs": rows(4, "d")}
    inline = ("num_fewshot: 2\nfewshot_config:\n  sampler: first_n\n  samples:\n    - {q: one, a: '1'}\n"
              "    - {q: two, a: '2'}\n    - {q: three, a: '3'}\n")
    yield {"name": "examples in the definition", "yaml": PLAIN + inline, "docs": rows(3, "d")}
    yield {"name": "examples in the definition, drawn",
           "yaml": PLAIN + inline.replace("  sampler: first_n\n", ""), "docs": rows(6, "d")}
    yield {"name": "examples in the definition beside a split", "yaml": train + inline, "pool": rows(5), "docs": rows(3, "d")}
    overrides = ("num_fewshot: 2\nfewshot_config:\n  sampler: first_n\n  doc_to_text: '[{{q}}]'\n"
                 "  doc_to_target: '<{{a}}>'\n  target_delimiter: ' => '\n  fewshot_delimiter: '\\n--\\n'\n")
    yield {"name": "examples look otherwise", "yaml": train + overrides, "pool": rows(4), "docs": rows(3, "d")}
    yield {"name": "examples look otherwise, chat", "yaml": train + overrides, "pool": rows(4), "docs": rows(3, "d"),
           "chat": True}
    yield {"name": "delimiters", "yaml": train + "num_fewshot: 2\ntarget_delimiter: '='\nfewshot_delimiter: ';'\n",
           "pool": rows(6), "docs": rows(3, "d")}
    yield {"name": "empty delimiters", "yaml": train + "num_fewshot: 2\ntarget_delimiter: ''\nfewshot_delimiter: ''\n"
                                               "generation_kwargs: {until: ['x']}\n",
           "pool": rows(6), "docs": rows(3, "d")}
    yield {"name": "an example without an answer", "yaml": train + "num_fewshot: 2\nfewshot_config: {sampler: first_n}\n",
           "pool": [{"q": "nothing?", "a": ""}, {"q": "one?", "a": "1"}], "docs": rows(2, "d")}
    for description in ("Birds.\n\n", "About {{q}}: ", " \n", "", "q"):
        for chat in (False, True):
            yield {"name": f"description {description!r}", "chat": chat, "pool": rows(4), "docs": rows(2, "d"),
                   "yaml": train + f"num_fewshot: 1\ndescription: {json.dumps(description)}\n"}
    for prefix in ("So:", "So: ", "{{q}} ", "q"):
        yield {"name": f"gen_prefix {prefix!r}", "pool": rows(4), "docs": rows(2, "d"),
               "yaml": train + f"num_fewshot: 1\ngen_prefix: {json.dumps(prefix)}\n"}
        yield {"name": f"gen_prefix {prefix!r} before choices", "pool": options, "docs": options[:2],
               "yaml": choice + f"num_fewshot: 1\ngen_prefix: {json.dumps(prefix)}\n"}
    yield {"name": "gen_prefix behind a blank", "pool": rows(4), "docs": rows(2, "d"),
           "yaml": train.replace("doc_to_text: q", "doc_to_text: '{{q}} '") + "num_fewshot: 1\ngen_prefix: 'So:'\n"}
    yield {"name": "gen_prefix of the examples only", "pool": rows(4), "docs": rows(2, "d"),
           "yaml": train + "num_fewshot: 1\nfewshot_config: {gen_prefix: 'Hm:'}\n"}
    yield {"name": "choices", "yaml": choice + "num_fewshot: 2\n", "pool": options, "docs": options[:4]}
    yield {"name": "choices, chat", "yaml": choice + "num_fewshot: 2\n", "pool": options, "docs": options[:4], "chat": True}
    yield {"name": "choices behind another delimiter", "yaml": choice + "target_delimiter: ''\n", "docs": options[:3]}
    yield {"name": "choices of a dict", "docs": options[:3],
           "yaml": choice.replace("doc_to_choice: c", "doc_to_choice: {x: Nein, y: Ja, z: Vielleicht}") + "num_fewshot: 1\n",
           "pool": options}
    yield {"name": "choices of a template", "docs": options[:3], "pool": options,
           "yaml": choice.replace("doc_to_choice: c", "doc_to_choice: " + json.dumps("{{[q, c[0], \"it's\", '\u00a0é\\n']}}"))
           + "num_fewshot: 1\n"}
    yield {"name": "right answers that are true and false", "pool": [{"q": "x", "c": ["no", "yes"], "a": True}],
           "docs": [{"q": "y", "c": ["no", "yes"], "a": False}, {"q": "z", "c": ["no", "yes"], "a": True}],
           "yaml": choice + "num_fewshot: 1\n"}
    yield {"name": "right answers that are texts", "pool": [{"q": "x", "c": ["no", "yes"], "a": "yes"}],
           "docs": [{"q": "y", "c": ["no", "yes"], "a": "no"}], "yaml": choice + "num_fewshot: 1\n"}
    yield {"name": "a field of digits is shown as it is", "pool": [{"q": "x", "c": ["no", "yes"], "a": "1"}],
           "docs": [{"q": "y", "c": ["no", "yes"], "a": "0"}], "yaml": choice + "num_fewshot: 1\n"}
    yield {"name": "a template that gives digits", "pool": options, "docs": options[:3],
           "yaml": choice.replace("doc_to_target: a", "doc_to_target: '{{a}}'") + "num_fewshot: 1\n"}
    yield {"name": "several right answers", "pool": [{"q": "x", "a": ["one", "eins"]}],
           "docs": [{"q": "y", "a": ["two", "zwei"]}], "yaml": train + "num_fewshot: 1\n"}
    yield {"name": "a template that gives a list", "pool": rows(3), "docs": rows(2, "d"),
           "yaml": train.replace("doc_to_target: a", "doc_to_target: \"{{[a, 'b']}}\"") + "num_fewshot: 1\n"}
    yield {"name": "stop strings by default", "docs": rows(2, "d"), "yaml": PLAIN + "fewshot_delimiter: '###'\n"}
    yield {"name": "stop strings", "docs": rows(2, "d"), "yaml": PLAIN + "generation_kwargs: {until: [\"\\n\", Q]}\n"}
    for template in ("{{q|upper}} {% if a == '1' %}one{% else %}other{% endif %}\n", "{{ q[:3] }}", "{{q.split(' ')[-1]}}",
                     "{% for x in [1,2,3] %}{{loop.index}}{{x}}{% endfor %}", "{{ {'k': q, 'n': 1.0, 'b': true, 'z': none} }}",
                     "{{ q | replace('d', 'D') | trim }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 1e16 }} {{ 0.1 + 0.2 }}",
                     "{{ q|regex_replace('[0-9]', '#') }}", "{{ a|int + 1 }} {{ [3, 1, 2]|sort|join(',') }}",
                     "{{ ['no', 'yes'][true] }} {% set größe = q %}{{größe}}"):
        yield {"name": f"template {template}", "docs": rows(3, "d"),
               "yaml": PLAIN.replace("doc_to_text: q", f"doc_to_text: {json.dumps(template)}")}


TEXTS = ["", " ", "42", "The answer is 42.", "#### 18", "so\n#### 1,234\n", "####  5 ", "  lead and trail \t\n", "İstanbul ẞ ς",
         "$1,000.50 and -7", "no number here", "The answer is (B).", "(C) then (A)", ": B", "answer: \x1f D", "1 2 3", "Paris, of course",
         "the best answer is: London!", "guilty of romance", "a\nb\r\nc\u2028d", "ＡＢＣ １２３", "yes", "Yes!", "YES", "it's", "A cat.",
         "#### -3.", "x" * 300 + " 9", "(B) or (B)", "*B*", "Rome, Italy", "\u00a0nbsp\u00a0", "The answer is 7\n"]


def answers_of(texts, **doc):
    return [{"text": t, "doc": dict(doc)} for t in texts]


def grade_cases():
    def one(name, steps, metric="{metric: exact_match}", answers=None, more=""):
        return {"name": name, "answers": answers or answers_of(TEXTS, q="?", a="42"),
                "yaml": PLAIN + f"filter_list:\n  - name: f\n    filter:\n{steps}metric_list: [{metric}]\n" + more}

    step = "      - {{function: {}}}\n"
    first = step.format("take_first")
    for name in ("remove_whitespace", "lowercase", "uppercase", "take_first", "majority_vote"):
        yield one(name, step.format(name) + (first if name != "take_first" else ""))
    for pattern, select, fallback in (
            ("#### (\\\\-?[0-9\\\\.\\\\,]+)", 0, None), ("(-?[$0-9.,]{2,})|(-?[0-9]+)", -1, None), ("[0-9]+", 1, "none"),
            ("(?i)the answer is \\\\(?([a-z])?", 0, ""), ("\\\\s+$", 0, "x"), ("^.*$", -1, None), ("(a)|(b)|(c)", 0, "z"),
            ("(?m)^\\\\w+$", 0, None), ("answer is (\\\\S+)$", 0, None), ("\\\\b([A-D])\\\\b", -1, "[none]")):
        options = f', regex_pattern: "{pattern}", group_select: {select}'
        if fallback is not None:
            options += f', fallback: "{fallback}"'
        texts = [t for t in TEXTS]
        if select not in (0, -1):  # the harness fails where there are too few matches
            texts = ["1 2 3", "$1,000.50 and -7", "none at all"]
        yield one(f"regex {pattern} {select}", step.format("regex" + options) + first, answers=answers_of(texts, q="?", a="42"))
    yield one("map", step.format("map, mapping_dict: {'42': 'forty two', 'yes': 'y'}, default_value: other") + first)
    yield one("map to numbers", step.format("map, mapping_dict: {'yes': 42, 'YES': 1}, default_value: -1") + first)
    yield one("map without a default", step.format("map, mapping_dict: {'42': x}") + first,
              answers=answers_of(["42"], q="?", a="x"))  # the harness fails on others
    yield one("a chain", step.format("remove_whitespace") + step.format("lowercase")
              + step.format('regex, regex_pattern: "[a-z]+", group_select: -1') + first)
    votes = [["b", "a", "a", "b", "c"], ["x"], ["1", "2", "2"]]
    yield one("votes", step.format("majority_vote") + first,
              answers=[{"text": v[0], "texts": v, "doc": {"q": "?", "a": "a"}} for v in votes])
    yield one("the first of several", step.format("take_first_k, k: 1") + step.format("majority_vote") + first,
              answers=[{"text": v[0], "texts": v, "doc": {"q": "?", "a": "b"}} for v in votes])

    documents = [{"q": "?", "choices": ["Paris", "London", "Rome, Italy", "New York"], "a": "(A)"},
                 {"q": "?", "choices": ["Guilty", "Guilty of Romance", "guilty", "x.y"], "a": "(B)"},
                 {"q": "?", "choices": ["yes", "no"], "a": "(A)"}, {"q": "?", "choices": ["cat", "a cat", "CAT!"], "a": "(C)"}]
    for options in ("", ", ignore_case: true", ", ignore_case: true, ignore_punctuation: true, regexes_to_ignore: ['\\\\bthe ']",
                    ", group_select: -1"):
        yield one("multi_choice_regex" + options,
                  step.format('multi_choice_regex, regex_pattern: "(\\\\([A-Z]\\\\))"' + options) + first,
                  answers=[{"text": t, "doc": d} for t in TEXTS + ["Guilty of Romance", "It is Rome, Italy.", "the Cat"]
                           for d in documents])

    golds = ["42", "The Answer is 42", "cat", "a, b; c!", "x1y2", "", "İstanbul", "$5.", "#### 7"]
    replies = ["42", "the answer is 42.", "Cat", "a b c", "xy", " ", "i̇stanbul", "5", "7", "x1y2"]
    pairs = [{"text": r, "doc": {"q": "?", "a": g}} for g in golds for r in replies]
    for options in ("", "ignore_case: true", "ignore_punctuation: true", "ignore_numbers: true",
                    "ignore_case: true, ignore_punctuation: true, ignore_numbers: true",
                    'regexes_to_ignore: [",", "\\\\$", "(?s).*#### ", "\\\\.$"]',
                    'ignore_case: true, regexes_to_ignore: ["\\\\s"]'):
        yield {"name": "exact_match " + options, "answers": pairs,
               "yaml": PLAIN + "metric_list: [{metric: exact_match" + (", " + options if options else "") + "}]\n"}
    yield {"name": "several right answers", "yaml": PLAIN + "metric_list: [{metric: exact_match, ignore_case: true}]\n",
           "answers": [{"text": t, "doc": {"q": "?", "a": ["Two", "zwei", "2"]}} for t in ("two", "2", "ZWEI", "three", "")]}
    yield {"name": "a number is right", "yaml": PLAIN + "metric_list: [{metric: exact_match}]\n",
           "answers": [{"text": t, "doc": {"q": "?", "a": 18}} for t in ("18", "18.0", " 18")]}
    yield {"name": "a real number is right", "yaml": PLAIN + "metric_list: [{metric: exact_match}]\n",
           "answers": [{"text": t, "doc": {"q": "?", "a": 18.5}} for t in ("18.5", "18.50")]}
    yield {"name": "true is right", "yaml": PLAIN + "metric_list: [{metric: exact_match}]\n",
           "answers": [{"text": t, "doc": {"q": "?", "a": True}} for t in ("True", "true", "1")]}
    yield {"name": "a number names a choice", "yaml": PLAIN + "doc_to_choice: c\nmetric_list: [{metric: exact_match}]\n",
           "answers": [{"text": t, "doc": {"q": "?", "c": ["no", "yes"], "a": a}} for t in ("no", "yes") for a in (0, 1, True, False)]}

    random.seed(8)
    choice = ("task: t\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: a\n"
              "metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}, {metric: exact_match}]\n")
    answers = []
    for i in range(40):
        texts = random.sample(["a", "bb", "ccc dddd", "é", "日本語", "a longer choice of many letters", "ß", "no", "yes", "🙂🙂"], 4)
        scores = [[round(random.uniform(-20, -0.01), 3), random.random() < 0.2] for _ in texts]
        if i % 5 == 0:
            scores[1][0] = scores[2][0] = -0.5
        answers.append({"doc": {"q": "?", "c": texts, "a": random.randrange(4)}, "scores": scores})
    yield {"name": "choices by log-likelihood", "yaml": choice, "answers": answers}
    yield {"name": "true and false as choices", "yaml": choice,
           "answers": [{"doc": {"q": "?", "c": ["no", "yes"], "a": a}, "scores": s}
                       for a in (True, False) for s in ([[-1.0, False], [-2.0, True]], [[-2.0, True], [-1.0, False]])]}
    yield {"name": "several choices are right", "yaml": choice,
           "answers": [{"doc": {"q": "?", "c": ["a", "b", "c"], "a": [0, 2]}, "scores": [[-1.0, i == 2], [-0.5 * i, False], [-3.0, True]]}
                       for i in range(4)]}


def cases():
    for case in render_cases():
        yield render(case)
    for case in grade_cases():
        yield grade(case)


def main():
    lines = [json.dumps(case, ensure_ascii=False, sort_keys=True) + "\n" for case in cases()]
    if sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="utf-8") as file:
            kept = file.readlines()
        different = [json.loads(new)["name"] for new, old in zip(lines, kept) if new != old]
        if len(lines) != len(kept):
            different.append(f"{len(kept)} cases are kept, {len(lines)} were made")
        for name in different:
            print(f"the harness now says otherwise: {name}")
        sys.exit(1 if different else 0)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.writelines(lines)
    print(f"{len(lines)} cases")


if __name__ == "__main__":
    main()
