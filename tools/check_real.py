#!/usr/bin/env python3
"""Merge the real checkpoints with both programs, load the results in transformers, and compare them element by element.

    mergekit/bin/python tools/check_real.py MODELS SCRATCH target/release/merge-studio        # prints docs/real-models.md's table

MODELS is what tools/make_real.py made. Every recipe is run by `mergekit-yaml` (of the same Python) and by `merge-studio merge`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

PAIR = """models:
  - model: {base}
  - model: {a}
    parameters: {{{each}}}
  - model: {b}
    parameters: {{{each}}}
merge_method: {method}
base_model: {base}
parameters: {{normalize: false, int8_mask: true}}
{dtype}
"""
LINEAR = """models:
  - model: {a}
    parameters: {{weight: 0.7}}
  - model: {b}
    parameters: {{weight: 0.3}}
merge_method: linear
{dtype}
"""
SLERP = """models:
  - model: {base}
  - model: {a}
merge_method: slerp
base_model: {base}
parameters: {{t: [{{value: 0.5}}]}}
{dtype}
"""
ALONE = """models:
  - model: {base}
  - model: {a}
    parameters: {{{each}}}
merge_method: {method}
base_model: {base}
{dtype}
"""

SMOL = {"base": "smol", "a": "smol-a", "b": "smol-b"}
MINI = {"base": "minilm", "a": "minilm-ft", "b": "minilm"}
HALF = "dtype: float16"
ONCE = "dtype: float32\nout_dtype: bfloat16"
FULL = "dtype: float32"
RECIPES = {
    "smol linear, float16": LINEAR.format(**SMOL, dtype=HALF),
    "smol slerp, float16": SLERP.format(**SMOL, dtype=HALF),
    "smol ties 0.8, float16": PAIR.format(**SMOL, method="ties", each="weight: 0.5, density: 0.8", dtype=HALF),
    "smol dare_ties 0.5, float16": PAIR.format(**SMOL, method="dare_ties", each="weight: 0.5, density: 0.5", dtype=HALF),
    "smol task_arithmetic, f32 to bf16": PAIR.format(**SMOL, method="task_arithmetic", each="weight: 0.5", dtype=ONCE),
    "smol ties 0.2, f32 to bf16": PAIR.format(**SMOL, method="ties", each="weight: 0.5, density: 0.2", dtype=ONCE),
    "smol dare_linear 0.5, f32 to bf16": PAIR.format(**SMOL, method="dare_linear", each="weight: 0.5, density: 0.5", dtype=ONCE),
    "minilm linear, f32": LINEAR.format(**MINI, dtype=FULL),
    "minilm slerp, f32": SLERP.format(**MINI, dtype=FULL),
    "minilm ties 0.5, f32": ALONE.format(**MINI, method="ties", each="weight: 0.5, density: 0.5", dtype=FULL),
}


def linked(models, folder):
    """The models under bare names. mergekit 0.1.5 cannot plan a BertModel (a TypeError): there it gets a name it does not know."""
    folder.mkdir(parents=True)
    for model in models.iterdir():
        if not (model / "config.json").exists():
            continue
        (folder / model.name).mkdir()
        for file in model.iterdir():
            (folder / model.name / file.name).symlink_to(file)
        config = json.loads((model / "config.json").read_text())
        if config["architectures"] == ["BertModel"]:
            config["architectures"] = ["UnlistedBertModel"]
            (folder / model.name / "config.json").unlink()
            (folder / model.name / "config.json").write_text(json.dumps(config))


def timed(command, cwd):
    ran = subprocess.run(["/usr/bin/time", "-f", "%e %M", *map(str, command)], cwd=cwd, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{command}: {ran.stderr[-2000:]}")
    seconds, kilobytes = ran.stderr.split()[-2:]
    return float(seconds), int(kilobytes) / 1024


def loads(folder):
    """What the merged folder says in transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    causal = "CausalLM" in json.loads((folder / "config.json").read_text())["architectures"][0]
    model = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(folder).float()
    if causal:
        prompt = tokenizer("The capital of France is", return_tensors="pt")
        words = tokenizer.decode(model.generate(**prompt, max_new_tokens=8, do_sample=False)[0])
        return words.replace("\n", " ")
    with torch.no_grad():
        sentences = tokenizer(["a cat sat on a mat", "a kitten rests on a rug", "tax law"], padding=True, return_tensors="pt")
        states = model(**sentences).last_hidden_state.mean(1)
    near, far = (torch.cosine_similarity(states[0], states[i], dim=0).item() for i in (1, 2))
    return f"cosines {near:.3f}, {far:.3f}"


def compare(ours, theirs):
    ours, theirs = load_file(ours), load_file(theirs)
    assert set(theirs) <= set(ours), set(theirs) - set(ours)
    equal = total = 0
    largest = 0.0
    for name, expected in theirs.items():
        got = ours[name]
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape), name
        equal += (got == expected).sum().item()
        total += got.numel()
        if got.is_floating_point() and got.numel():
            largest = max(largest, (got.float() - expected.float()).abs().max().item())
    extra = sorted(set(ours) - set(theirs))
    return equal / total, largest, extra


def unexplained(models, recipe, ours, theirs):
    """Elements of a ties merge that differ by more than a unit, although neither a trim nor a vote was close.

    Close is what mergekit leaves open (which of equal magnitudes it trims) or, with a 16-bit dtype, moves by rounding every step.
    """
    recipe = yaml.safe_load(recipe)
    slack = 2.0**-10 if recipe["dtype"] == "float16" else 0.0
    base = load_file(models / recipe["base_model"] / "model.safetensors")
    tuned = [
        (load_file(models / entry["model"] / "model.safetensors"), entry["parameters"])
        for entry in recipe["models"]
        if "parameters" in entry
    ]
    ours, theirs = load_file(ours), load_file(theirs)
    differing = odd = 0
    for name, expected in theirs.items():
        if not expected.is_floating_point():
            continue
        unit = torch.finfo(expected.dtype).eps * torch.maximum(expected.float().abs(), ours[name].float().abs())
        differs = (ours[name].float() - expected.float()).abs() > unit + 2.0**-24
        close = torch.zeros_like(differs)
        vote, votes = torch.zeros_like(unit), torch.zeros_like(unit)
        for tensors, parameters in tuned:
            delta = tensors[name].float() - base[name].float()
            size = delta.abs()
            keep = max(1, int(parameters["density"] * size.numel()))
            threshold = size.flatten().kthvalue(size.numel() - keep + 1).values
            close |= (size - threshold).abs() <= slack * threshold
            kept = delta * (size >= threshold) * parameters["weight"]
            vote += kept
            votes += kept.abs()
        close |= vote.abs() <= max(slack, 2e-6) * votes
        differing += differs.sum().item()
        odd += (differs & ~close).sum().item()
    return differing, odd


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("models", "scratch", "program"):
        arguments.add_argument(name, type=lambda path: Path(path).resolve())
    arguments.add_argument("--only", default="", help="recipes whose name contains this")
    arguments = arguments.parse_args()
    links = arguments.scratch / "mergekit-inputs"
    shutil.rmtree(arguments.scratch, ignore_errors=True)
    linked(arguments.models, links)
    os.environ["HF_HUB_OFFLINE"] = "1"
    mergekit = Path(sys.executable).parent / "mergekit-yaml"
    print("| recipe | equal | largest difference | merge-studio | mergekit | in transformers |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, recipe in RECIPES.items():
        if arguments.only not in name:
            continue
        text = arguments.scratch / "recipe.yml"
        text.write_text(recipe)
        ours, theirs = arguments.scratch / "ours", arguments.scratch / "theirs"
        for folder in (ours, theirs):
            shutil.rmtree(folder, ignore_errors=True)
        a = timed([arguments.program, "merge", text, ours, "--device", "cpu", "--models", arguments.models], arguments.models)
        b = timed([mergekit, text, theirs, "--no-write-model-card"], links)
        equal, largest, extra = compare(ours / "model.safetensors", theirs / "model.safetensors")
        note = f" (also {', '.join(extra)})" if extra else ""
        if "method: ties" in recipe:
            differing, odd = unexplained(arguments.models, recipe, ours / "model.safetensors", theirs / "model.safetensors")
            note += f"; {differing} elements differ by more than a unit, {odd} of them away from trim and vote ties"
        print(
            f"| {name} | {equal:.4%} | {largest:.2e} | {a[0]:.1f} s, {a[1]:.0f} MB | {b[0]:.1f} s, {b[1]:.0f} MB "
            f"| {loads(ours)}{note} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
