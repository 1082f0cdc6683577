#!/usr/bin/env python3
"""Check a GGUF file against the model folder that it was made from.

    pip install gguf numpy safetensors torch transformers llama-cpp-python
    python tools/check_gguf.py FOLDER FILE.gguf [--like ORIGINAL.gguf] [--llama]

Reads the file with the `gguf` package. Every tensor must be the folder's: equal where the type can hold it, rounded to nearest
even where not, rows of queries and keys back in their order. The settings must be config.json's, the tokens, merges and special
tokens the tokenizer's as transformers loads it.

`--like` compares the metadata with those of another GGUF file of the same model, and lists what differs.
`--llama` loads the file with llama-cpp-python: the same tokens for a text as transformers finds, and next to the same logits
as transformers computes in float32 from the same weights.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from safetensors import safe_open

TEXTS = [
    "The capital of France is",
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)  # 1234567",
    "I've been told he's there, 3.14159 — naïve café, 12 000 €\n\n\tπ ≈ 22/7",
]
# How far logits may be from transformers', which computes in float32: shares of their standard deviation. llama.cpp rounds what it
# multiplies with to the weights' type. Rows in the wrong order are off by more than 1.
TOLERANCES = {"F32": 0.0001, "F16": 0.02, "BF16": 0.15}

TYPES = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}
PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def gguf_name(name):
    if name in WHOLE:
        return WHOLE[name]
    _, _, layer, rest = name.split(".", 3)
    part, end = rest.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{end}"


def values(field):
    return field.contents()


def stored(tensor):
    """A tensor of the file, in its own type."""
    raw = torch.from_numpy(np.array(tensor.data).view(np.uint8).reshape(-1).copy())
    shape = [int(n) for n in reversed(tensor.shape)]
    return raw.view(TYPES[int(tensor.tensor_type)]).reshape(shape)


def in_halves(tensor, heads):
    """Undoes llama.cpp's order of rows: there, element j of a head's first half is followed by element j of its second."""
    pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
    return pairs.transpose(1, 2).reshape(tensor.shape)


def check_tensors(folder, reader, config):
    there = {tensor.name: tensor for tensor in reader.tensors}
    extra = set(there) - {"rope_freqs.weight"}
    count = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                if config.get("tie_word_embeddings") and name == "lm_head.weight":
                    continue
                original, ours = tensors.get_tensor(name), stored(there[gguf_name(name)])
                extra.discard(gguf_name(name))
                if config["architectures"][0] in ("LlamaForCausalLM", "MistralForCausalLM"):
                    if ".q_proj." in name:
                        ours = in_halves(ours, config["num_attention_heads"])
                    if ".k_proj." in name:
                        ours = in_halves(ours, config.get("num_key_value_heads") or config["num_attention_heads"])
                assert ours.ndim > 1 or ours.dtype == torch.float32, name
                assert torch.equal(original.to(ours.dtype), ours), name
                count += 1
    assert not extra, extra
    offsets = [tensor.data_offset for tensor in reader.tensors]
    assert all(offset % 32 == 0 for offset in offsets) and offsets == sorted(offsets)
    print(f"tensors: {count} of the folder's, all equal")


def check_settings(reader, config):
    architecture = values(reader.fields["general.architecture"])
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    wanted = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": config.get("num_key_value_heads") or heads,
        "attention.layer_norm_rms_epsilon": float(np.float32(config["rms_norm_eps"])),
        "rope.freq_base": float(np.float32(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)),
        "rope.dimension_count": head,
        "vocab_size": config["vocab_size"],
    }
    if head * heads != config["hidden_size"]:
        wanted |= {"attention.key_length": head, "attention.value_length": head}
    for key, value in wanted.items():
        assert values(reader.fields[f"{architecture}.{key}"]) == value, (key, value)
    if rope.get("rope_type") == "llama3":
        (factors,) = [stored(tensor) for tensor in reader.tensors if tensor.name == "rope_freqs.weight"]
        from transformers import LlamaConfig
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(**config), "cpu")
        base = wanted["rope.freq_base"]
        plain = 1.0 / base ** (torch.arange(0, head, 2).double() / head)
        assert torch.allclose(plain / scaled.double(), factors.double(), rtol=1e-5), "rope_freqs"
    print(f"settings: {len(wanted)} of config.json's, all equal")


def check_tokenizer(folder, reader):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = values(reader.fields["tokenizer.ggml.tokens"])
    kinds = values(reader.fields["tokenizer.ggml.token_type"])
    added = tokenizer.added_tokens_decoder
    of_id = {id: token for token, id in tokenizer.get_vocab().items()}
    for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if id not in of_id:
            assert kind == 5 and token == f"[PAD{id}]", (id, token, kind)
        elif kind == 4:
            assert token == of_id[id].replace("▁", " "), (id, token)
        else:
            assert token == of_id[id], (id, token)
            assert (kind == 3) == (id in added), (id, token, kind)
    for name, key in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")]:
        field = reader.fields.get(f"tokenizer.ggml.{key}_token_id")
        ours = None if field is None else values(field)
        assert ours == getattr(tokenizer, f"{name}_token_id"), (name, ours)
    if (merges := reader.fields.get("tokenizer.ggml.merges")) is not None:
        listed = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
        assert values(merges) == [pair if isinstance(pair, str) else " ".join(pair) for pair in listed]
    template = reader.fields.get("tokenizer.chat_template")
    assert (None if template is None else values(template)) == tokenizer.chat_template
    print(f"tokenizer: {len(tokens)} tokens, special tokens and chat template equal")


def compare(reader, other):
    same = []
    for key, field in other.fields.items():
        if key.startswith("GGUF."):
            continue
        if key not in reader.fields:
            print(f"  only there: {key} = {str(values(field))[:70]!r}")
        elif values(field) == values(reader.fields[key]):
            same.append(key)
        else:
            print(f"  differs: {key} is {str(values(reader.fields[key]))[:70]!r}, there {str(values(field))[:70]!r}")
    for key in reader.fields.keys() - other.fields.keys():
        print(f"  only here: {key} = {str(values(reader.fields[key]))[:70]!r}")
    print(f"like the other: {len(same)} keys equal")


def check_llama(folder, file, kind):
    from llama_cpp import Llama
    from transformers import AutoModelForCausalLM, AutoTokenizer

    llama = Llama(str(file), n_ctx=512, logits_all=True, verbose=False, n_threads=2, type_k=0, type_v=0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for text in TEXTS:
        ours = llama.tokenize(text.encode(), add_bos=True, special=True)
        theirs = tokenizer(text)["input_ids"]
        assert ours == theirs, (text, ours, theirs)
        llama.reset()
        llama.eval(ours)
        logits = torch.from_numpy(np.array(llama.scores[: len(ours)], dtype=np.float32))
        with torch.no_grad():
            expected = model(torch.tensor([theirs])).logits[0]
        worst = (logits - expected).abs().max().item()
        spread = expected.std().item()
        same = (logits.argmax(1) == expected.argmax(1)).float().mean().item()
        print(
            f"llama.cpp: {len(ours)} tokens equal; logits differ by at most {worst:.5f} (their standard deviation is "
            f"{spread:.2f}), {same:.0%} of the likeliest equal"
        )
        assert math.isfinite(worst) and worst < TOLERANCES[kind] * spread, worst
    answer = llama.create_completion(TEXTS[0], max_tokens=8, temperature=0.0)
    print(f"llama.cpp: {TEXTS[0]!r} goes on {answer['choices'][0]['text']!r}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--like", type=Path)
    arguments.add_argument("--llama", action="store_true")
    arguments = arguments.parse_args()
    reader = GGUFReader(arguments.file)
    config = json.loads((arguments.folder / "config.json").read_text())
    check_tensors(arguments.folder, reader, config)
    check_settings(reader, config)
    check_tokenizer(arguments.folder, reader)
    if arguments.like:
        compare(reader, GGUFReader(arguments.like))
    if arguments.llama:
        kind = {0: "F32", 1: "F16", 32: "BF16"}[values(reader.fields["general.file_type"])]
        check_llama(arguments.folder, arguments.file, kind)


if __name__ == "__main__":
    main()
