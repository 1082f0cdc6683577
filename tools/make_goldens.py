#!/usr/bin/env python3
"""Make tests/golden: small checkpoints, recipes, and what mergekit 0.1.5 makes of them.

    python -m venv mergekit && mergekit/bin/pip install mergekit==0.1.5 safetensors
    mergekit/bin/python tools/make_goldens.py tests/golden              # everything
    mergekit/bin/python tools/make_goldens.py tests/golden ties-near …  # these cases, of the inputs that are there

`inputs/<model>/` are the checkpoints, `cases/<case>/` holds `recipe.yml`, `tolerance.json` (see golden_cases.py) and the
expectation: `expected.safetensors`, or `expected-samples.safetensors` for the large generated tensors, and
`expected-config.json`, fields of config.json that the recipe changes; golden_tokenizer.py says what cases with a tokenizer have
besides. Everything is
seeded; mergekit runs on one thread, in this process, through the same call that `mergekit-yaml` makes.

The `wide-*` checkpoints are not stored: their tensors come from a counter-based generator that tests/golden/wide.rs has too
(`generated`, below), and of their expectation every STRIDE-th element is kept. All other inputs come from torch's
generator, whose stream is the same for the same version only: their files, not the seeds, are the definition.
"""

import argparse
import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("HF_HOME", tempfile.mkdtemp())

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

import golden_bare
import golden_lora  # noqa: F401  (it adds to CASES)
import golden_slices  # noqa: F401
import golden_stages
import golden_tokenizer
from golden_cases import CASES

# Of the wide checkpoints' tensors, and of the cases that sparse_expectation names, every so many-th element is kept.
STRIDE = 16
SPARSE_STRIDE = 5

# --- Names and shapes -------------------------------------------------------------------------------------------------


def llama(layers, hidden, inner, vocab, tied=False):
    shapes = {"model.embed_tokens.weight": (vocab, hidden)}
    for i in range(layers):
        at = f"model.layers.{i}"
        for name in ("q", "k", "v", "o"):
            shapes[f"{at}.self_attn.{name}_proj.weight"] = (hidden, hidden)
        shapes[f"{at}.mlp.gate_proj.weight"] = (inner, hidden)
        shapes[f"{at}.mlp.up_proj.weight"] = (inner, hidden)
        shapes[f"{at}.mlp.down_proj.weight"] = (hidden, inner)
        shapes[f"{at}.input_layernorm.weight"] = (hidden,)
        shapes[f"{at}.post_attention_layernorm.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    if not tied:
        shapes["lm_head.weight"] = (vocab, hidden)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
    }
    return shapes, config


def bert(layers, hidden, inner, vocab, positions):
    shapes = {
        "embeddings.word_embeddings.weight": (vocab, hidden),
        "embeddings.position_embeddings.weight": (positions, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for i in range(layers):
        at = f"encoder.layer.{i}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes[f"{at}.{name}.weight"] = (hidden, hidden)
            shapes[f"{at}.{name}.bias"] = (hidden,)
        shapes[f"{at}.intermediate.dense.weight"] = (inner, hidden)
        shapes[f"{at}.intermediate.dense.bias"] = (inner,)
        shapes[f"{at}.output.dense.weight"] = (hidden, inner)
        shapes[f"{at}.output.dense.bias"] = (hidden,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{at}.{name}.weight"] = (hidden,)
            shapes[f"{at}.{name}.bias"] = (hidden,)
    shapes["pooler.dense.weight"] = (hidden, hidden)
    shapes["pooler.dense.bias"] = (hidden,)
    shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
    shapes["classifier.weight"] = (3, hidden)
    shapes["classifier.bias"] = (3,)
    config = {
        # Not BertModel: on that one mergekit 0.1.5 stops with a TypeError while planning.
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
    }
    return shapes, config


def gpt2(layers, hidden, vocab, positions):
    shapes = {"transformer.wte.weight": (vocab, hidden), "transformer.wpe.weight": (positions, hidden)}
    for i in range(layers):
        at = f"transformer.h.{i}"
        for name, rows, columns in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, 4 * hidden),
            ("mlp.c_proj", 4 * hidden, hidden),
        ):
            shapes[f"{at}.{name}.weight"] = (rows, columns)
            shapes[f"{at}.{name}.bias"] = (columns,)
        for name in ("ln_1", "ln_2"):
            shapes[f"{at}.{name}.weight"] = (hidden,)
            shapes[f"{at}.{name}.bias"] = (hidden,)
    shapes["transformer.ln_f.weight"] = (hidden,)
    shapes["transformer.ln_f.bias"] = (hidden,)
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": 4,
        "vocab_size": vocab,
        "n_positions": positions,
    }
    return shapes, config


def t5(layers, decoder_layers, hidden, inner, vocab):
    shapes = {"shared.weight": (vocab, hidden)}
    for stack, count in (("encoder", layers), ("decoder", decoder_layers)):
        for i in range(count):
            blocks = ["SelfAttention"] + ["EncDecAttention"] * (stack == "decoder")
            for j, block in enumerate(blocks):
                at = f"{stack}.block.{i}.layer.{j}"
                for name in "qkvo":
                    shapes[f"{at}.{block}.{name}.weight"] = (hidden, hidden)
                shapes[f"{at}.layer_norm.weight"] = (hidden,)
            at = f"{stack}.block.{i}.layer.{len(blocks)}"
            shapes[f"{at}.DenseReluDense.wi_0.weight"] = (inner, hidden)
            shapes[f"{at}.DenseReluDense.wi_1.weight"] = (inner, hidden)
            shapes[f"{at}.DenseReluDense.wo.weight"] = (hidden, inner)
            shapes[f"{at}.layer_norm.weight"] = (hidden,)
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (8, 4)
        shapes[f"{stack}.final_layer_norm.weight"] = (hidden,)
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "d_model": hidden,
        "d_ff": inner,
        "d_kv": hidden // 4,
        "num_heads": 4,
        "num_layers": layers,
        "num_decoder_layers": decoder_layers,
        "relative_attention_num_buckets": 8,
        "vocab_size": vocab,
        "tie_word_embeddings": True,
    }
    return shapes, config


# --- Values -----------------------------------------------------------------------------------------------------------


def draw(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) * (0.2 if len(s) == 1 else 0.05) for n, s in shapes.items()}


def nudged(tensors, seed):
    """A fine-tune as bf16 keeps it: small steps, of which most round away and the rest fall on few magnitudes."""
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for name, tensor in tensors.items():
        step = torch.randn(tensor.shape, generator=generator) * 1e-4
        moved[name] = (tensor.float() + step).bfloat16()
        x, y = tensor.double().flatten(), moved[name].double().flatten()
        assert torch.dot(x, y) / (x.norm() * y.norm()) > 0.9999, name
        assert tensor.ndim == 1 or (moved[name] == tensor).float().mean() > 0.3, name
    return moved


def edge_models(shapes):
    """Pairs that make formulas divide by zero, cancel, or lose a sign: by the name of the tensor."""
    base, a, b = (draw(shapes, seed) for seed in (41, 42, 43))
    for name in shapes:
        if "q_proj" in name:  # a zero base
            base[name] = torch.zeros_like(base[name])
        elif "k_proj" in name:  # nothing at all
            base[name] = a[name] = b[name] = torch.zeros_like(base[name])
        elif "v_proj" in name:  # parallel: a = 2·base, b = base/2
            a[name], b[name] = base[name] * 2, base[name] / 2
        elif "o_proj" in name:  # opposite: a = −base, b = base
            a[name], b[name] = -base[name], base[name].clone()
        elif "gate_proj" in name:  # nothing learned
            a[name], b[name] = base[name].clone(), base[name].clone()
        elif "up_proj" in name:  # task vectors that cancel exactly: a − base = base − b, all powers of two apart
            base[name] = torch.round(base[name] * 64) / 64
            step = torch.round(a[name] * 64) / 256
            a[name], b[name] = base[name] + step, base[name] - step
        elif "down_proj" in name:  # nearly opposite
            a[name] = -base[name] + a[name] * 1e-3
        elif "input_layernorm" in name:  # constant: every magnitude of the delta is a tie
            base[name] = torch.ones_like(base[name])
            a[name], b[name] = base[name] * 1.5, base[name] * 0.75
        elif "post_attention" in name:  # subnormal differences
            a[name] = base[name].clone()
            a[name][::3] = base[name][::3] * (1 + 2**-23)
            base[name][1::3], a[name][1::3] = 1e-40, -3e-42
    return base, a, b


def mix(x):
    """SplitMix64's finaliser on unsigned 64-bit integers."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def generated(shape, tensor, model):
    """bf16 values of the wide checkpoints, on integers alone so that every language agrees.

    Element e of tensor number `tensor` draws r = mix(tensor·2⁴⁰ + e). The sum of r's four 16-bit words, less 131,070, over
    2²⁰ and rounded to bf16 is the base's value. Fine-tune m > 0 draws s = mix(m·2⁵⁶ + tensor·2⁴⁰ + e); where s % 3 = 0 and the
    base's magnitude is at least 2⁻¹⁰, it moves the bit pattern by 1 + (s >> 8) % 2, up or down by bit 16 of s.
    """
    e = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(tensor << 40)
    r = mix(e)
    total = sum((r >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4)).astype(np.int64) - 131_070
    base = torch.from_numpy(total.astype(np.float32) / np.float32(2**20)).bfloat16()
    if model == 0:
        return base.reshape(shape)
    s = mix(e + np.uint64(model << 56))
    bits = base.view(torch.int16).numpy().astype(np.int64) & 0xFFFF
    size = (1 + (s >> np.uint64(8)) % np.uint64(2)).astype(np.int64)
    sign = np.where((s >> np.uint64(16)) & np.uint64(1), 1, -1)
    moves = (s % np.uint64(3) == 0) & (np.abs(base.float().numpy()) >= 2.0**-10)
    bits = (bits + np.where(moves, size * sign, 0)).astype(np.uint16).view(np.int16)
    return torch.from_numpy(bits).view(torch.bfloat16).reshape(shape)


# --- The checkpoints --------------------------------------------------------------------------------------------------


def cast(tensors, dtype):
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def write(folder, tensors, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make_inputs(root):
    """Every checkpoint by name; the wide ones go elsewhere (see `wide`)."""
    shapes, config = llama(5, 32, 48, 64)
    for seed, name in enumerate(("far-base", "far-a", "far-b", "far-c"), start=1):
        write(root / name, draw(shapes, seed), config)

    shapes, config = llama(4, 48, 72, 160, tied=True)
    base = cast(draw(shapes, 11), torch.bfloat16)
    write(root / "near-base", base, config)
    for seed, name in ((12, "near-a"), (13, "near-b")):
        write(root / name, nudged(base, seed), config)

    shapes, config = bert(4, 32, 48, 64, 24)
    ids = {"bert.embeddings.position_ids": torch.arange(24).reshape(1, 24)}
    write(root / "bert-base", draw(shapes, 21) | ids, config)
    write(root / "bert-a", draw(shapes, 22) | ids, config)
    old = draw(shapes, 23) | ids  # names as the first BERT checkpoints have them
    for name in list(old):
        new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        old[new] = old.pop(name)
    write(root / "bert-old", old, config)

    shapes, config = gpt2(4, 32, 64, 24)
    write(root / "gpt2-base", cast(draw(shapes, 31), torch.float16), config)
    write(root / "gpt2-a", cast(draw(shapes, 32), torch.float16), config)
    bare = {name.removeprefix("transformer."): t for name, t in cast(draw(shapes, 33), torch.float16).items()}
    write(root / "gpt2-bare", bare, config)

    shapes, config = llama(2, 32, 48, 32)
    for name, tensors in zip(("edge-base", "edge-a", "edge-b"), edge_models(shapes)):
        write(root / name, tensors, config)

    shapes, config = llama(2, 16, 24, 32, tied=True)
    write(root / "tied-base", draw(shapes, 51), config)
    write(root / "tied-a", draw(shapes, 52), config)
    untied = draw(shapes, 53)
    untied["lm_head.weight"] = draw({"lm_head.weight": (32, 16)}, 54)["lm_head.weight"]
    write(root / "tied-headed", untied, config | {"tie_word_embeddings": False})

    shapes, config = llama(2, 16, 24, 32)
    for seed, (name, dtype) in enumerate(
        {
            "mixed-bf16": torch.bfloat16,
            "mixed-f16": torch.float16,
            "mixed-f32": torch.float32,
            "mixed-f64": torch.float64,
        }.items(),
        start=61,
    ):
        write(root / name, cast(draw(shapes, seed), dtype), config)

    # An architecture that mergekit has no list for: it then takes the names from the checkpoints, and lets them lack some.
    shapes, config = llama(3, 16, 24, 32)
    config["architectures"] = ["GoldenForCausalLM"]
    write(root / "odd-base", draw(shapes, 71), config)
    write(root / "odd-a", draw(shapes, 72), config)
    lacking = draw(shapes, 73)
    del lacking["model.layers.1.mlp.up_proj.weight"], lacking["model.layers.2.input_layernorm.weight"]
    write(root / "odd-b", lacking, config)

    golden_tokenizer.make_inputs(root, llama, bert, draw, write)


    shapes, config = t5(3, 2, 16, 24, 32)
    write(root / "t5-base", draw(shapes, 81), config)
    write(root / "t5-a", draw(shapes, 82), config)


def wide(root):
    shapes, config = llama(1, 16, 24, 70_400, tied=True)
    for model, name in enumerate(("wide-base", "wide-a", "wide-b")):
        write(root / name, {n: generated(s, i, model) for i, (n, s) in enumerate(shapes.items())}, config)


# --- The cases --------------------------------------------------------------------------------------------------------


def merge(recipe, out):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    cache = tempfile.mkdtemp(dir=out.parent.parent)  # an adapter is merged into its base before anything else
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True, random_seed=0, lora_merge_cache=cache)
    if len(golden_stages.documents(recipe)) > 1:
        golden_stages.run(recipe, out, options)
    else:
        run_merge(MergeConfiguration.model_validate(yaml.safe_load(recipe)), str(out), options)
    return load_file(out / "model.safetensors"), json.loads((out / "config.json").read_text())


def sparse_expectation(recipe, tolerance):
    """The first methods' cases are kept whole; of the others every fifth element says as much, and coins need all of them."""
    whole = ("linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties")
    recipe = golden_stages.documents(recipe)[-1]
    return (recipe["merge_method"] not in whole or "models" not in recipe) and not tolerance.get("statistics")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path, help="tests/golden")
    arguments.add_argument("cases", nargs="*", help="only these")
    arguments = arguments.parse_args()
    assert version("mergekit") == "0.1.5", "goldens are of mergekit 0.1.5"
    unknown = set(arguments.cases) - set(CASES) - set(golden_tokenizer.CASES) - set(golden_bare.CASES)
    assert not unknown, f"no such case: {unknown}"
    torch.set_num_threads(1)

    root = arguments.out.resolve()
    if not arguments.cases:
        for old in (root / "cases", root / "inputs"):
            shutil.rmtree(old, ignore_errors=True)
        make_inputs(root / "inputs")
        golden_lora.make_adapters(root / "inputs")
        golden_bare.make_inputs(root / "inputs")
    with tempfile.TemporaryDirectory() as scratch:
        # mergekit resolves the recipes' bare names against the working directory.
        scratch = Path(scratch)
        for model in (root / "inputs").iterdir():
            (scratch / model.name).symlink_to(model)
        wide(scratch)
        os.chdir(scratch)
        for name, (recipe, tolerance) in CASES.items():
            if arguments.cases and name not in arguments.cases:
                continue
            expected, config = merge(recipe, scratch / "out" / name)
            folder = root / "cases" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "recipe.yml").write_text(recipe)
            (folder / "tolerance.json").write_text(json.dumps(tolerance, indent=2) + "\n")
            if "slices" in recipe:
                layers = {key: config[key] for key in ("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers") if key in config}
                (folder / "expected-config.json").write_text(json.dumps(layers, indent=2) + "\n")
            stride = STRIDE if "wide-" in recipe else SPARSE_STRIDE if sparse_expectation(recipe, tolerance) else 1
            if stride > 1:
                sampled = {n: t.flatten()[::stride].contiguous() if t.is_floating_point() else t for n, t in expected.items()}
                shapes = {n: json.dumps(list(t.shape)) for n, t in expected.items()}
                save_file(sampled, folder / "expected-samples.safetensors", metadata=shapes | {"stride": str(stride)})
            else:
                save_file(expected, folder / "expected.safetensors")
            print(name, flush=True)
        golden_tokenizer.make_cases(root, scratch, merge, arguments.cases)
        golden_bare.make_cases(root, scratch, arguments.cases)


if __name__ == "__main__":
    main()
