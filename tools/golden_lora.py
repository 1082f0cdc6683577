"""Adapters and recipes of tests/golden that merge them: `model: base+adapter`. make_goldens.py makes both.

mergekit has PEFT merge an adapter into its base when it loads it, in the base's type. At F32 that is what we do, but for the order of a
sum; a 16-bit base is rounded once more than ours is.
"""

import json

import torch
from golden_cases import BF16, COINS, F16, F32, F64_CHAIN, models
from safetensors.torch import save_file

# In F32 there: the sum over the rank in another order, the scale and the sum with the weight, before the merge begins.
LORA32 = {**F32, "ulps": 8, "inputs_rounded": 2.0**-23, "reason": "f32 on both sides; PEFT sums over the rank in f32"}
TIES32 = {**LORA32, "threshold_slack": 2e-5, "vote_slack": 2e-5}
SLERP64 = {**F64_CHAIN, "inputs_rounded": 2.0**-23, "ulps": 8, "reason": "f64 on both sides; PEFT sums over the rank in f32"}
# The change, and then the sum of weight and change, are each rounded to the base's type there, before the merge begins.
WHY16 = "PEFT rounds the change and the changed weight to the base's 16 bits, mergekit every operation; we round once"
NEAR, HALF = {**BF16, "reason": WHY16}, {**F16, "reason": WHY16}
# Changes are a twentieth of the weights: what a rounding takes from a weight is a sixteenth of its change, and of the threshold.
TIES_NEAR = {**NEAR, "threshold_slack": 2.0**-4, "reason": WHY16 + "; of a trim's threshold that is a sixteenth"}

LAYERS = {"far": 5, "near": 4}


def draw(generator, *shape, scale=1.0, dtype=torch.float32):
    return (torch.randn(shape, generator=generator) * scale).to(dtype)


def linear(generator, module, rank, rows, columns, scale, dtype=torch.float32):
    """A and B for a module of `rows` × `columns`."""
    at = f"base_model.model.{module}"
    return {
        f"{at}.lora_A.weight": draw(generator, rank, columns, scale=0.3, dtype=dtype),
        f"{at}.lora_B.weight": draw(generator, rows, rank, scale=scale, dtype=dtype),
    }


def embedding(generator, module, rank, rows, columns, scale, dtype=torch.float32):
    at = f"base_model.model.{module}"
    return {
        f"{at}.lora_embedding_A": draw(generator, rank, rows, scale=0.3, dtype=dtype),
        f"{at}.lora_embedding_B": draw(generator, columns, rank, scale=scale, dtype=dtype),
    }


def write(folder, tensors, **config):
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": None, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def make_adapters(root):
    """Adapters for far-base (and the models of its shapes), near-base and gpt2-base, which must be there."""
    layers = [f"model.layers.{i}" for i in range(LAYERS["far"])]

    g = torch.Generator().manual_seed(101)
    tensors = {}
    for at in layers:
        tensors |= linear(g, f"{at}.self_attn.q_proj", 4, 32, 32, 0.02)
        tensors |= linear(g, f"{at}.mlp.down_proj", 4, 32, 48, 0.02)
    write(root / "lora-far", tensors, r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"])

    g = torch.Generator().manual_seed(102)
    tensors = {}
    for i, at in enumerate(layers):
        tensors |= linear(g, f"{at}.self_attn.q_proj", 2 if i == 1 else 3, 32, 32, 0.02)
        tensors |= linear(g, f"{at}.mlp.up_proj", 3, 48, 32, 0.02)
    write(
        root / "lora-far-patterns",
        tensors,
        r=3,
        lora_alpha=6,
        use_rslora=True,
        rank_pattern={"layers.1.self_attn.q_proj": 2},
        alpha_pattern={"^model.layers.2.mlp.up_proj": 12, "mlp.up_proj": 5, "layers.1.self_attn.q_proj": 1},
        target_modules=["q_proj", "up_proj"],
    )

    g = torch.Generator().manual_seed(103)
    tensors = {"base_model.model.lm_head.weight": draw(g, 64, 32, scale=0.05)}
    tensors |= embedding(g, "model.embed_tokens", 2, 64, 32, 0.02)
    tensors["base_model.model.model.embed_tokens.base_layer.weight"] = draw(g, 64, 32, scale=0.05)
    tensors |= linear(g, "model.layers.3.self_attn.v_proj", 2, 32, 32, 0.02)
    write(
        root / "lora-far-saved",
        tensors,
        r=2,
        lora_alpha=3,
        target_modules=["embed_tokens", "v_proj"],
        modules_to_save=["lm_head"],
    )

    for seed, name in ((104, "lora-near-a"), (105, "lora-near-b")):
        g = torch.Generator().manual_seed(seed)
        tensors = {}
        for i in range(LAYERS["near"]):
            at = f"model.layers.{i}"
            tensors |= linear(g, f"{at}.self_attn.v_proj", 4, 48, 48, 0.005, torch.bfloat16)
            tensors |= linear(g, f"{at}.mlp.gate_proj", 4, 72, 48, 0.005, torch.bfloat16)
        tensors |= embedding(g, "model.embed_tokens", 4, 160, 48, 0.005, torch.bfloat16)
        write(root / name, tensors, r=4, lora_alpha=4, target_modules=["v_proj", "gate_proj", "embed_tokens"])

    g = torch.Generator().manual_seed(106)
    tensors = {}
    for i in range(4):
        at = f"transformer.h.{i}"
        tensors |= linear(g, f"{at}.attn.c_attn", 2, 96, 32, 0.02)
        tensors |= linear(g, f"{at}.attn.c_proj", 2, 32, 32, 0.02)
    tensors |= embedding(g, "transformer.wte", 2, 64, 32, 0.02)
    write(root / "lora-gpt2", tensors, r=2, lora_alpha=4, fan_in_fan_out=True, target_modules=["c_attn", "c_proj", "wte"])


F32_TYPE = "float32"
A, B = "far-base+lora-far", "far-base+lora-far-patterns"

models("lora-linear-alone", "linear", [(A, "weight: 1")], LORA32, dtype=F32_TYPE)
models("lora-linear-patterns-rslora", "linear", [(B, "weight: 1")], LORA32, dtype=F32_TYPE)
models("lora-linear-modules-to-save", "linear", [("far-base+lora-far-saved", "weight: 0.7"), ("far-a", "weight: 0.4")], LORA32, dtype=F32_TYPE)
models("lora-linear-on-two-models", "linear", [("far-a+lora-far", "weight: 0.7"), ("far-b+lora-far", "weight: 0.4")], LORA32, dtype=F32_TYPE)
models("lora-linear-gpt2", "linear", [("gpt2-base+lora-gpt2", "weight: 0.7"), ("gpt2-a", "weight: 0.4")], HALF, dtype="float16")
models("lora-slerp", "slerp", [(A, ""), ("far-a", "")], SLERP64, base=A, shared="t: 0.3")
models("lora-task-arithmetic", "task_arithmetic", [(A, "weight: 0.6"), (B, "weight: 0.3")], LORA32, base="far-base", dtype=F32_TYPE)
models("lora-ties", "ties", [(A, "weight: 0.6, density: 0.5"), (B, "weight: 0.3, density: 0.7")], TIES32, base="far-base", dtype=F32_TYPE)
models("lora-ties-base", "ties", [("far-a", "weight: 0.6, density: 0.5"), (B, "weight: 0.3, density: 0.7")], TIES32, base=A, dtype=F32_TYPE)
models("lora-dare-linear", "dare_linear", [(A, "weight: 0.6, density: 0.5"), ("far-b", "weight: 0.3, density: 0.5")], COINS, base="far-base", dtype=F32_TYPE)
models("lora-task-arithmetic-near", "task_arithmetic", [("near-base+lora-near-a", "weight: 0.6"), ("near-base+lora-near-b", "weight: 0.3")], NEAR, base="near-base", dtype="bfloat16")
models("lora-ties-near", "ties", [("near-base+lora-near-a", "weight: 0.6, density: 0.5"), ("near-a", "weight: 0.3, density: 0.7")], TIES_NEAR, base="near-base", dtype="bfloat16")
models("lora-passthrough-near", "passthrough", [("near-base+lora-near-a", "")], NEAR, dtype="bfloat16")
