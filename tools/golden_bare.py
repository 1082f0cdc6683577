"""Bare checkpoints of tests/golden, tensors without a config.json, and what `mergekit-pytorch` makes of them; make_goldens.py makes both.

That command merges tensor by tensor whatever the names are. It knows no layers, so that a gradient is its first value everywhere (here
layers are told by the names: no case has a gradient), and no other names for the same tensor. A tensor that an input lacks stops it,
unless it is told `--tensor-union` (what we do) or `--tensor-intersection`; and it has no tensor that only an unlisted base has.
"""

import json

import torch
import yaml
from golden_cases import COINS, F32, F64_CHAIN, OUT16
from safetensors.torch import load_file, save_file

# What every input's one file is called: a name that means nothing to anybody.
WEIGHTS = "weights.safetensors"

# Names as vision models and old checkpoints have them, among them a gain called gamma that is no norm's weight.
SHAPES = {
    "stem.conv.weight": (12, 3, 5, 5),
    "stem.bn.weight": (12,),
    "stem.bn.bias": (12,),
    "stem.bn.running_mean": (12,),
    "stem.bn.running_var": (12,),
    "blocks.0.conv.weight": (24, 12, 3, 3),
    "blocks.0.gamma": (24,),
    "blocks.1.conv.weight": (24, 24, 1, 1),
    "blocks.1.gamma": (24,),
    "blocks.1.qkv": (72, 24),
    "cls_token": (1, 1, 24),
    "temperature": (),
    "fc": (40, 24),
}


def draw(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: (torch.randn(shape, generator=generator) * 0.1).to(dtype) for name, shape in SHAPES.items()}
    tensors["stem.bn.num_batches_tracked"] = torch.tensor(400)
    return tensors


def make_inputs(root):
    checkpoints = {"bare-base": draw(201), "bare-a": draw(202), "bare-b": draw(203), "bare-half": draw(204, torch.bfloat16)}
    fewer = draw(205)
    del fewer["blocks.1.qkv"], fewer["stem.bn.running_var"], fewer["stem.bn.num_batches_tracked"]
    checkpoints["bare-fewer"] = fewer
    more = draw(206)
    checkpoints["bare-more"] = {name: more[name] for name in ("blocks.1.gamma", "fc")} | {"fc.extra": more["stem.bn.bias"]}
    for name, tensors in checkpoints.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, root / name / WEIGHTS)


# Case → recipe, tolerance, whether tensors may be missing.
CASES = {}


def case(name, method, models, tolerance, union=False, **rest):
    models = [{"model": model, "parameters": parameters} if parameters else {"model": model} for model, parameters in models]
    recipe = {"models": models, "merge_method": method, **rest}
    CASES[f"bare-{name}"] = (yaml.safe_dump(recipe, sort_keys=False), tolerance, union)


F32_TYPE = {"dtype": "float32"}
F64_TYPE = {"dtype": "float64", "out_dtype": "float32"}
BY_NAME = [{"filter": "conv", "value": 0.25}, {"filter": "blocks.1", "value": 0.9}, {"value": 0.5}]

case("linear", "linear", [("bare-base", {"weight": 0.2}), ("bare-a", {"weight": BY_NAME}), ("bare-b", {"weight": 0.3})], F32, **F32_TYPE)
case("linear-missing", "linear", [("bare-a", {"weight": 0.7}), ("bare-fewer", {"weight": 0.4}), ("bare-more", {"weight": 0.3})], F32, union=True, **F32_TYPE)
case("linear-types", "linear", [("bare-half", {"weight": 0.7}), ("bare-a", {"weight": 0.4})], F32)
case("linear-out-bfloat16", "linear", [("bare-half", {"weight": 0.7}), ("bare-a", {"weight": 0.4})], OUT16, dtype="float32", out_dtype="bfloat16")
case("slerp", "slerp", [("bare-base", None), ("bare-a", None)], F64_CHAIN, base_model="bare-base", parameters={"t": BY_NAME}, **F64_TYPE)
case("task-arithmetic", "task_arithmetic", [("bare-a", {"weight": 0.6}), ("bare-b", {"weight": 0.3})], F32, base_model="bare-base", **F32_TYPE)
case("ties", "ties", [("bare-a", {"weight": 0.6, "density": 0.5}), ("bare-b", {"weight": 0.3, "density": BY_NAME})], F32, base_model="bare-base", **F32_TYPE)
case("ties-missing", "ties", [("bare-a", {"weight": 0.6, "density": 0.5}), ("bare-fewer", {"weight": 0.3, "density": 0.7})], F32, union=True, base_model="bare-a", **F32_TYPE)
case("dare-linear", "dare_linear", [("bare-a", {"weight": 0.6, "density": 0.5}), ("bare-b", {"weight": 0.3, "density": 0.5})], COINS, base_model="bare-base", **F32_TYPE)
case("model-stock", "model_stock", [("bare-a", None), ("bare-b", None)], F64_CHAIN, base_model="bare-base", parameters={"filter_wise": True}, **F64_TYPE)
case("nuslerp-rows", "nuslerp", [("bare-a", {"weight": 0.6}), ("bare-b", {"weight": 0.3})], F64_CHAIN, parameters={"nuslerp_flatten": False}, **F64_TYPE)
case("arcee-fusion", "arcee_fusion", [("bare-a", None)], F64_CHAIN, base_model="bare-base", **F64_TYPE)
case("passthrough-scaled", "passthrough", [("bare-a", {"scale": BY_NAME})], F32, **F32_TYPE)


def merge(recipe, union, out):
    """Runs mergekit-pytorch in the folder that holds the inputs."""
    from mergekit.scripts.merge_raw_pytorch import main

    recipe = yaml.safe_load(recipe)
    at = lambda name: f"{name}/{WEIGHTS}"
    for entry in recipe["models"]:
        entry["model"] = at(entry["model"])
    if "base_model" in recipe:
        recipe["base_model"] = at(recipe["base_model"])
    config = out.with_suffix(".yml")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(recipe))
    flags = ["--tensor-union"] if union else []
    main([str(config), str(out), "--random-seed", "0", "--quiet", *flags], standalone_mode=False)
    return load_file(out / "model.safetensors")


def make_cases(root, scratch, only):
    for name, (recipe, tolerance, union) in CASES.items():
        if only and name not in only:
            continue
        expected = merge(recipe, union, scratch / "out" / name)
        folder = root / "cases" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yml").write_text(recipe)
        (folder / "tolerance.json").write_text(json.dumps(tolerance, indent=2) + "\n")
        save_file(expected, folder / "expected.safetensors")
        print(name, flush=True)
