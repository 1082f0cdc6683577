#!/usr/bin/env python3
"""Merge the real checkpoints with both programs, load the results in transformers, and compare them element by element.

    mergekit/bin/python tools/check_real.py MODELS SCRATCH target/release/merge-studio        # prints docs/real-models.md's table

MODELS is what tools/make_real.py made. Every recipe is run by `mergekit-yaml` (of the same Python) and by `merge-studio merge`. Two inputs are
made here, in SCRATCH: `smol-extra`, smol-b with one token more, and `adapter`, a LoRA of smol as PEFT saves it (which must be installed).
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
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

PREFIX = "bert."

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
STACK = """slices:
- sources: [{model: smol, layer_range: [0, 20]}]
- sources: [{model: smol-a, layer_range: [10, 30]}]
merge_method: passthrough
dtype: bfloat16
"""
# As on the cards of many merges: attention and MLP go opposite ways, the rest half-way.
SLICED = """slices:
- sources:
  - {model: smol-a, layer_range: [0, 30]}
  - {model: smol-b, layer_range: [0, 30]}
merge_method: slerp
base_model: smol-a
parameters:
  t:
  - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
  - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
  - {value: 0.5}
dtype: bfloat16
"""
UNION = """models:
- {model: smol-a, parameters: {weight: 0.6}}
- {model: smol-extra, parameters: {weight: 0.4}}
merge_method: linear
tokenizer_source: union
dtype: float32
out_dtype: bfloat16
"""
ADAPTED = """models:
- {model: smol+adapter, parameters: {weight: 0.6}}
- {model: smol-b, parameters: {weight: 0.4}}
merge_method: linear
dtype: float32
out_dtype: bfloat16
"""
RECIPES = {
    "smol linear, float16": LINEAR.format(**SMOL, dtype=HALF),
    "smol slerp, float16": SLERP.format(**SMOL, dtype=HALF),
    "smol ties 0.8, float16": PAIR.format(**SMOL, method="ties", each="weight: 0.5, density: 0.8", dtype=HALF),
    "smol dare_ties 0.5, float16": PAIR.format(**SMOL, method="dare_ties", each="weight: 0.5, density: 0.5", dtype=HALF),
    "smol task_arithmetic, f32 to bf16": PAIR.format(**SMOL, method="task_arithmetic", each="weight: 0.5", dtype=ONCE),
    "smol ties 0.2, f32 to bf16": PAIR.format(**SMOL, method="ties", each="weight: 0.5, density: 0.2", dtype=ONCE),
    "smol dare_linear 0.5, f32 to bf16": PAIR.format(**SMOL, method="dare_linear", each="weight: 0.5, density: 0.5", dtype=ONCE),
    "smol passthrough, layers 0–19 and 10–29": STACK,
    "smol slerp by slices, bf16": SLICED,
    "smol linear, union with one more token, f32 to bf16": UNION,
    "smol + adapter linear, f32 to bf16": ADAPTED,
    "smol dare_ties 0.5, chatml, float16": PAIR.format(**SMOL, method="dare_ties", each="weight: 0.5, density: 0.5", dtype=HALF)
    + "chat_template: chatml\n",
    "minilm linear, f32": LINEAR.format(**MINI, dtype=FULL),
    "minilm slerp, f32": SLERP.format(**MINI, dtype=FULL),
    "minilm ties 0.5, f32": ALONE.format(**MINI, method="ties", each="weight: 0.5, density: 0.5", dtype=FULL),
}


def make_inputs(models, folder):
    """`smol-extra`, whose embedding transformers has resized for a token that it was given, and `adapter`, whose B is not zero."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(4)
    extra = folder / "smol-extra"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(models / "smol-b"), AutoTokenizer.from_pretrained(models / "smol-b")
    tokenizer.add_tokens(["<|thought|>"])
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(extra)
    tokenizer.save_pretrained(extra)

    model = AutoModelForCausalLM.from_pretrained(models / "smol")
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.005)
    model.save_pretrained(folder / "adapter")


def linked(models, folder):
    """The models under bare names.

    mergekit 0.1.5 cannot plan a BertModel (a TypeError about an alias list), but it can a BertForSequenceClassification: there
    a BertModel gets that name, its tensors the prefix that goes with it, and a classifier of zeros.
    """
    for model in models.iterdir():
        if not any((model / name).exists() for name in ("config.json", "adapter_config.json")):
            continue
        to = folder / model.name
        to.mkdir(parents=True)
        for file in model.iterdir():
            (to / file.name).symlink_to(file)
        config = json.loads((to / "config.json").read_text()) if (to / "config.json").exists() else {}
        if config.get("architectures") == ["BertModel"]:
            config["architectures"] = ["BertForSequenceClassification"]
            tensors = {PREFIX + name: tensor for name, tensor in load_file(model / "model.safetensors").items()}
            tensors |= {"classifier.weight": torch.zeros(2, config["hidden_size"]), "classifier.bias": torch.zeros(2)}
            for name in ("config.json", "model.safetensors"):
                (to / name).unlink()
            (to / "config.json").write_text(json.dumps(config))
            save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})


def weights(path):
    """A merged file's tensors, by the names that they have without linked's prefix."""
    return {n.removeprefix(PREFIX): t for n, t in load_file(path).items() if not n.startswith("classifier.")}


def timed(command, cwd):
    ran = subprocess.run(["/usr/bin/time", "-f", "%e %M", *map(str, command)], cwd=cwd, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{command}: {ran.stderr[-2000:]}")
    seconds, kilobytes = ran.stderr.split()[-2:]
    return float(seconds), int(kilobytes) / 1024


def loads(folder):
    """What the merged folder says in transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    template = json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template") or ""
    turn = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) if template else ""
    causal = "CausalLM" in json.loads((folder / "config.json").read_text())["architectures"][0]
    model = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(folder).float()
    if causal:
        prompt = tokenizer("The capital of France is", return_tensors="pt")
        words = tokenizer.decode(model.generate(**prompt, max_new_tokens=8, do_sample=False)[0])
        extra = f", `{turn.strip()}`" if turn else ""
        return f"{model.config.num_hidden_layers} layers, {len(tokenizer)} tokens: {words}{extra}".replace("\n", " ")
    with torch.no_grad():
        sentences = tokenizer(["a cat sat on a mat", "a kitten rests on a rug", "tax law"], padding=True, return_tensors="pt")
        states = model(**sentences).last_hidden_state.mean(1)
    near, far = (torch.cosine_similarity(states[0], states[i], dim=0).item() for i in (1, 2))
    return f"cosines {near:.3f}, {far:.3f}"


def compare(ours, theirs):
    ours, theirs = weights(ours), weights(theirs)
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


def tokenizers_differ(ours, theirs):
    """What the two tokenizers do not have in common, as a note."""
    ours, theirs = AutoTokenizer.from_pretrained(ours), AutoTokenizer.from_pretrained(theirs)
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    notes = []
    if ours.get_vocab() != theirs.get_vocab():
        notes.append("vocabularies differ")
    if ours.chat_template and ours.apply_chat_template(talk, tokenize=False) != theirs.apply_chat_template(talk, tokenize=False):
        notes.append("templates differ")
    return "".join(f"; {note}" for note in notes)


def unexplained(models, recipe, ours, theirs):
    """Elements of a ties merge that differ by more than two units, and those of them where neither a trim nor a vote was close.

    Units are those of the base or the result, whichever is larger: a task vector may cancel the base.

    Close is what mergekit leaves open (which of equal magnitudes it trims) or, with a 16-bit dtype, moves by rounding every step.
    """
    recipe = yaml.safe_load(recipe)
    # In float16 a step rounds by 2⁻¹¹ of a value, and small task vectors and votes, being subnormal, by 2⁻²⁵ each.
    slack, least = (2.0**-10, 2.0**-23) if recipe["dtype"] == "float16" else (0.0, 0.0)
    base = load_file(models / recipe["base_model"] / "model.safetensors")
    tuned = [
        (load_file(models / entry["model"] / "model.safetensors"), entry["parameters"])
        for entry in recipe["models"]
        if "parameters" in entry
    ]
    ours, theirs = weights(ours), weights(theirs)
    differing = odd = 0
    for name, expected in theirs.items():
        if not expected.is_floating_point():
            continue
        unit = torch.finfo(expected.dtype).eps * torch.maximum(expected.float().abs(), base[name].float().abs())
        differs = (ours[name].float() - expected.float()).abs() > 2 * unit + 2.0**-24
        close = torch.zeros_like(differs)
        vote, votes = torch.zeros_like(unit), torch.zeros_like(unit)
        for tensors, parameters in tuned:
            delta = tensors[name].float() - base[name].float()
            size = delta.abs()
            keep = max(1, int(parameters["density"] * size.numel()))
            threshold = size.flatten().kthvalue(size.numel() - keep + 1).values
            close |= (size - threshold).abs() <= slack * threshold + least
            kept = delta * (size >= threshold) * parameters["weight"]
            vote += kept
            votes += kept.abs()
        close |= vote.abs() <= max(slack, 2e-6) * votes + least
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
    os.environ["HF_HUB_OFFLINE"] = "1"
    inputs = arguments.scratch / "inputs"
    inputs.mkdir(parents=True)
    make_inputs(arguments.models, inputs)
    for model in arguments.models.iterdir():
        (inputs / model.name).symlink_to(model)
    linked(inputs, links)
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
        a = timed([arguments.program, "merge", text, ours, "--device", "cpu", "--models", inputs], inputs)
        b = timed([mergekit, text, theirs, "--no-write-model-card", "--lora-merge-cache", arguments.scratch / "cache"], links)
        equal, largest, extra = compare(ours / "model.safetensors", theirs / "model.safetensors")
        note = f" (also {', '.join(extra)})" if extra else ""
        note += tokenizers_differ(ours, theirs)
        if "method: ties" in recipe:
            differing, odd = unexplained(arguments.models, recipe, ours / "model.safetensors", theirs / "model.safetensors")
            note += f"; {differing} elements differ by more than two units, {odd} of them away from trim and vote ties"
        print(
            f"| {name} | {equal:.4%} | {largest:.2e} | {a[0]:.1f} s, {a[1]:.0f} MB | {b[0]:.1f} s, {b[1]:.0f} MB "
            f"| {loads(ours)}{note} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
