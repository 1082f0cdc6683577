"""What lm-evaluation-harness 0.4.13 makes of the task files in eval/tests/tasks, with a model that answers by arithmetic.

    python tools/eval_golden.py            # in an environment with lm_eval==0.4.13, offline

writes eval/tests/golden/tasks/*.json: every prompt, every answer's worth and every result, which eval/tests/golden.rs compares with ours.
The model is a checksum: eval/tests/golden.rs has the same one. Public tasks run on invented documents with the fields of their
publishers (eval/tests/data): what lm-evaluation-harness would fetch is taken from there.
"""

import json
import logging
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", DISABLE_MULTIPROC="1", TQDM_DISABLE="1")

import datasets
import lm_eval
from lm_eval.api.model import LM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.utils import apply_template

ROOT = Path(__file__).resolve().parent.parent / "eval" / "tests"
DATA, TASKS, GOLDEN = ROOT / "data", ROOT / "tasks", ROOT / "golden" / "tasks"

# (task file, options): num_fewshot and limit as on lm_eval's command line, the number of resamplings.
CASES = [
    ("choices", {}),
    ("choices", {"num_fewshot": 2}),
    ("drawn", {}),
    ("many", {"resamplings": 2000}),
    ("same", {}),
    ("same", {"limit": 5}),
    ("same", {"num_fewshot": 5}),
    ("first", {}),
    ("shown", {}),
    ("valid", {}),
    ("inputs", {}),
    ("targets", {}),
    ("ending", {}),
    ("ending", {"num_fewshot": 2, "resamplings": 1500}),
    ("pages", {}),
    ("written", {}),
    ("any", {}),
    ("letter", {}),
    ("verdict", {"resamplings": 1000}),
    ("loose", {"resamplings": 1000}),
]

# Public tasks: (task, options).
PUBLIC = [
    ("arc_easy", {}),
    ("arc_challenge", {"num_fewshot": 3}),
    ("hellaswag", {}),
    ("hellaswag", {"num_fewshot": 2}),
    ("medmcqa", {}),
    ("medmcqa", {"num_fewshot": 3}),
    ("medqa_4options", {"num_fewshot": 2}),
    ("pubmedqa", {"num_fewshot": 1}),
    ("mmlu_anatomy", {"num_fewshot": 2}),
]

# What the group of MMLU's subjects that eval/tests/data holds is made of.
SUBJECTS = {
    "stem": ["mmlu_anatomy", "mmlu_astronomy"],
    "other": ["mmlu_virology"],
    "social sciences": ["mmlu_sociology"],
    "humanities": ["mmlu_world_religions"],
}

# The hub's name: the prefix of the files here.
PUBLISHED = {
    "allenai/ai2_arc": "arc",
    "Rowan/hellaswag": "hellaswag",
    "openlifescienceai/medmcqa": "medmcqa",
    "GBaker/MedQA-USMLE-4-options-hf": "medqa",
    "bigbio/pubmed_qa": "pubmedqa",
    "cais/mmlu": "mmlu",
}

TEMPLATES = [
    "{{question}}|\n",
    "{{question.strip()}}",
    "{{choices.text}}",
    "{{choices}}",
    "{{choices.label.index(answerKey)}}",
    "{{ 'ABCD'[answerKey|int - 1] }}",
    "{{ 'ABCD'[answerKey|int - 1] if answerKey|string in '1234' else answerKey }}",
    "{{n}} {{f}} {{t}} {{none}} {{n / 2}} {{n // 2}} {{n * f}} {{2 ** 3}} {{7 % 3}} {{-n}}",
    "{{question[2:6]}}{{question[-2]}}{{words[::-1]}}{{words[:1]}}",
    "{% for w in words %}{{loop.index0}}{{w}}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% set letters = ['A', 'B', 'C'] %}{% for c in choices.text %}{{letters[loop.index0]}}. {{c}}\n{% endfor %}",
    "{% for c in choices['text'] %}\n{{ loop.index }}) {{ c }}{%- endfor %}",
    "{{words|join(', ')}} {{', '.join(words)}} {{[1, 2.5, none]|join('-')}}",
    "{{'a-b-c'.split('-')}} {{' a  b '.split()}} {{'a-b-c'.rpartition('-')[2]}} {{'a-b-c'.split('-', 1)}}",
    "{{'hELLO wORLD'.capitalize()}} {{'x'.upper()}} {{'ab'.replace('a', 'o')}} {{'{}-{}'.format(n, 'q')}}",
    "{{'{0}{1:.2f}'.format('x', f)}} {{'abc'.startswith('ab')}} {{'aXbX'.count('X')}} {{'7'.isdigit()}} {{'ab'.title()}}",
    "{{'a1b2'|regex_replace('[0-9]', '')}} {{'a1b2'|regex_replace('([a-z])', '<\\\\1>', 1)}}",
    "{{words|length}} {{words|first}} {{words|last}} {{'x' in words}} {{words|map('lower')|list}}",
    "{{'7'|int + 1}} {{'x'|int}} {{'2.9'|int}} {{'2.5'|float}} {{f|int}} {{'x'|int(5)}} {{2.5|round}} {{2.567|round(2)}}",
    "{% if none is none and t %}y{% else %}n{% endif %}{{ missing is defined }}",
    "{%- if true %} x {%- endif %}\r\ny",
    "{{ 'q' ~ n ~ '.' }}{{ 'a' + 'b' }}{{ words + ['z'] }}{{ 'ab' * 2 }}",
    "{{ choices.items()|list|length }}{{ choices['label'][0] }}{{ choices.get('zz', 'd') }}{{ choices.keys()|list }}",
    "{{ question|trim|lower|replace('it', 'that')|capitalize }}{{ words|sort|join }}{{ words|reverse|list }}",
    "{{ {'1': 0, '2': 1}[answerKey] }}{{ [1, 'a', (2, 3), none, true] }}{{ range(3)|list }}",
    "{{ 'x\\ny' }}{{ \"it's\" }}{{ words.index('Y') }}{{ words.count('x') }}{{ 'a' if n > 2 and not none else 'b' }}",
    "{{ loop is defined }}{{ n is number }}{{ words is iterable }}{{ answerKey is string }}",
    "{% macro m(a, b='!') %}{{a}}{{b}}{% endmacro %}{{ m('x') }}{{ m('y', '?') }}",
    "{% set ns = namespace(k=0) %}{% for w in words %}{% set ns.k = ns.k + 1 %}{% endfor %}{{ ns.k }}",
    "{# a remark #}a{{ '' }}{% raw %}{{ x }}{% endraw %}\n",
    "{{ 1e20 }} {{ 0.1 + 0.2 }} {{ 1 / 3 }} {{ 10000000000.0 }} {{ 1 == 1.0 }} {{ 3 != 4 }}",
    "{{ 'é'|upper }}{{ 'ß'.capitalize() }}{{ '  a '.lstrip() }}|{{ '  a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}",
    "{{[Frase+', verdadeiro? '+Paráfrase]}} {{words|int(7)}}",
    "{{ t ~ none ~ words ~ f }}{{ t|upper }}{{ words|replace('x', 'y') }}{{ 'ǆ'|capitalize }}{{ none|string }}",
    "{{ '\\x1c a\\x1f '|trim }}|{{ 'ǆ'.capitalize() }}|{{ [['a', 1], ['b', 2]]|join(', ', 1) }}|{{ [choices]|map(attribute='label')|list }}",
    "{{ words|default('d') }}{{ missing|default('d') }}{{ ''|default('e', true) }}{{ [3, 1, 2]|max }}{{ [3, 1]|sum }}",
    "{{ \"l'été 1st DON'T ΑΣ σΣ. ǆ ß ﬁ ŉ\".title() }}|{{ 'ΑΣ σΣ. ﬁ'.capitalize() }}|{{ 'ŉA ßb'|capitalize }}",
    "{{ 'a\\rb\\r\\nc\\x0bd\\u2028e\\n'.splitlines() }}{{ 'a\\rb\\n'.splitlines(true) }}{{ ''.splitlines() }}",
    "{{ '<a \\'b\\' & \"c\">'|escape }}{{ \"it's\"|e }}{{ words|e }}",
    "{{ 'a\\n\\nb\\n'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(2, blank=true) }}",
    "{{ 'x' is sequence }}{{ words is sequence }}{{ choices is sequence }}{{ n is sequence }}{{ none is iterable }}{{ 'x' is iterable }}",
    "{{ 'a-b'.partition('-') }}{{ 'ab'.rpartition('-') }}{{ 9007199254740993|int }}{{ '-12.9'|int }}",
]
FIELDS = {
    "question": "  What is it?\n",
    "choices": {"text": ["a", "it's \"b\"", "c\\d\té\n"], "label": ["1", "2", "3"]},
    "answerKey": "2",
    "n": 3,
    "f": 1.0,
    "t": True,
    "none": None,
    "words": ["x", "Y"],
    "Frase": "sí",
    "Paráfrase": "si",
}


def checksum(text):
    value = 7
    for byte in text.encode():
        value = (value * 31 + byte) % 1000003
    return value


class Arithmetic(LM):
    """Answers from checksums; numbers of few bits, so that sums are exact."""

    def loglikelihood(self, requests):
        answers = []
        for request in requests:
            context, continuation = request.args
            value = checksum(context + "\0" + continuation)
            answers.append((-(value % 4096) / 256.0 - len(continuation.encode()) / 8.0, value % 3 == 0))
        return answers

    def loglikelihood_rolling(self, requests):
        texts = [request.args[0] for request in requests]
        return [-(checksum(text) % 65536) / 1024.0 - len(text.encode()) / 4.0 for text in texts]

    def generate_until(self, requests):
        answers = []
        for request in requests:
            context, how = request.args
            how = normalize_gen_kwargs(how)
            value = checksum("\1".join([context, str(how["max_gen_toks"]), *how["until"]]))
            last = (context.split() or ["nothing"])[-1]
            answers.append(
                [
                    "The answer is (B).",
                    " 42\n",
                    f" {last} ",
                    "#### 7",
                    "Final: C, not D",
                    f"{last.upper()}!",
                    "I think forty-two, or seven: B",
                ][value % 7]
            )
        return answers


def local(path, name=None, **options):
    """What the hub publishes under `path`, from the files here."""
    if path not in PUBLISHED:
        return fetched(path, name=name, **options)
    prefix = PUBLISHED[path]
    splits = {}
    for file in sorted(DATA.glob(f"{prefix}_*.jsonl")):
        lines = file.read_text().splitlines()
        if path == "cais/mmlu":
            lines = [line for line in lines if json.loads(line)["subject"] == name]
        chosen = Path(scratch) / f"{name or prefix}-{file.name}"
        chosen.write_text("\n".join(lines) + "\n")
        splits[file.stem.split("_")[-1]] = str(chosen)
    for missing in {"train", "validation", "test"} - splits.keys():
        splits[missing] = next(iter(splits.values()))
    return fetched("json", data_files=splits, cache_dir=scratch)


fetched = datasets.load_dataset
datasets.load_dataset = local


def task_file(name):
    """A task file as it is, with the paths of its data."""
    config = load_yaml(TASKS / f"{name}.yaml")

    def path(value):
        if isinstance(value, str):
            return str(DATA / Path(value).name)
        return [path(item) for item in value] if isinstance(value, list) else {k: path(v) for k, v in value.items()}

    config["dataset_kwargs"]["data_files"] = path(config["dataset_kwargs"]["data_files"])
    config["dataset_kwargs"]["cache_dir"] = scratch
    return config


def plain(value):
    """numpy's numbers as JSON's; what is none as a text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def sample(logged):
    contexts = [arguments[0] for arguments in logged["arguments"]]
    return plain(
        {
            "doc_id": logged["doc_id"],
            "contexts": contexts[:1] if len(set(contexts)) == 1 else contexts,
            "asked": [arguments[1] for arguments in logged["arguments"] if len(arguments) > 1],
            "target": logged["target"],
            "filter": logged["filter"],
            "filtered": logged["filtered_resps"],
            **{metric: logged[metric] for metric in logged["metrics"]},
        }
    )


@cache
def manager():
    return TaskManager()


def evaluate(tasks, options, tasks_known=None):
    options = dict(options)
    found = lm_eval.simple_evaluate(
        model=Arithmetic(),
        tasks=tasks,
        num_fewshot=options.get("num_fewshot"),
        limit=options.get("limit"),
        bootstrap_iters=options.get("resamplings", 100000),
        task_manager=tasks_known or manager(),
    )
    kept = {key: found[key] for key in ["results", "group_subtasks", "versions", "n-shot", "higher_is_better", "n-samples"]}
    kept["groups"] = found.get("groups", {})
    return {"options": options, **plain(kept), "samples": {t: list(map(sample, s)) for t, s in found["samples"].items()}}


def write(name, content):
    path = GOLDEN / f"{name}.json"
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(path.name, path.stat().st_size)


def label(name, options):
    return "-".join([name, *(f"{key}{value}" for key, value in options.items() if key != "resamplings")])


def main():
    logging.disable(logging.WARNING)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    chosen = lambda name: not wanted or name in wanted
    for name, options in CASES:
        if chosen(name):
            write(label(name, options), {"file": f"{name}.yaml", **evaluate([task_file(name)], options)})
    for name, options in PUBLIC:
        if chosen(name):
            write(label(f"public-{name}", options), {"task": name, **evaluate([name], options)})
    if chosen("mmlu"):
        groups = Path(scratch) / "groups"
        groups.mkdir()
        weighted = {"aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}], "metadata": {"version": 2}}
        names = {alias: f"mmlu_{alias.replace(' ', '_')}" for alias in SUBJECTS}
        for alias, tasks in SUBJECTS.items():
            group = {"group": names[alias], "group_alias": alias, "task": tasks, **weighted}
            (groups / f"{names[alias]}.yaml").write_text(json.dumps(group))
        (groups / "mmlu.yaml").write_text(json.dumps({"group": "mmlu", "task": list(names.values()), **weighted}))
        found = evaluate(["mmlu"], {}, TaskManager(include_path=str(groups)))
        write("public-mmlu", {"task": "mmlu", **found})
    if chosen("templates"):
        rendered = [[template, apply_template(template, FIELDS)] for template in TEMPLATES]
        write("templates", {"fields": FIELDS, "rendered": rendered})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main()
