#!/usr/bin/env python3
"""Check every architecture and kind of tokenizer that can be written as GGUF, on tiny models made here.

    pip install gguf numpy safetensors torch transformers sentencepiece llama-cpp-python
    python tools/check_gguf_families.py SMOL SCRATCH target/release/merge-studio

`SMOL` is a folder with a byte-level tokenizer (`tools/make_real.py` makes one). Every model is random, float32, and goes through
`merge-studio gguf` and `tools/check_gguf.py --llama`: the same tokens and next to the same logits in llama.cpp as in transformers.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import sentencepiece
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LETTERS = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+END|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*END|\p{N}NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = LETTERS.replace("END", "")
GPT4O = LETTERS.replace("END", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?")
DIGITS = {"type": "Digits", "individual_digits": True}
GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def split(numbers, words=WORDS):
    pattern = {"Regex": words.replace("NUMBERS", numbers)}
    bytes_only = GPT2 | {"use_regex": False}
    cut = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, bytes_only]}


def begin_with(token, id):
    special = {"SpecialToken": {"id": token, "type_id": 0}}
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    tokens = {token: {"id": token, "ids": [id], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": [special, a], "pair": [special, a, b], "special_tokens": tokens}


def byte_level(smol, out, pre_tokenizer, ignore_merges=False, post_processor=None):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(smol / name, out / name)
    tokenizer = json.loads((out / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = pre_tokenizer
    tokenizer["model"]["ignore_merges"] = ignore_merges
    if post_processor:
        tokenizer["post_processor"] = post_processor
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))


def pieces(smol, out):
    """A SentencePiece model, trained on the license's text, and the tokenizer.json that goes with it."""
    text = Path(__file__).parent.parent / "LICENSE"
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(out / "tokenizer"), vocab_size=1000, model_type="bpe", byte_fallback=True,
        character_coverage=0.9995, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, minloglevel=2,
    )  # fmt: skip
    (out / "tokenizer.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    vocab = {model.id_to_piece(id): id for id in range(len(model))}
    ranks = []
    for piece, id in vocab.items():
        ways = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        ranks += [(-model.get_score(id), vocab[a], vocab[b], a, b) for a, b in ways if {a, b} <= vocab.keys()]
    added = [
        {"id": id, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for id, token in enumerate(["<unk>", "<s>", "</s>"])
    ]
    prepare = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
    undo = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": prepare}, "pre_tokenizer": None,
        "post_processor": begin_with("<s>", 1), "decoder": {"type": "Sequence", "decoders": undo},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": vocab, "merges": [[a, b] for *_, a, b in sorted(ranks)],
        },
    }  # fmt: skip
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").write_text(json.dumps(config))
    Tokenizer.from_file(str(out / "tokenizer.json"))


def pieces_without_model(smol, out):
    pieces(smol, out)
    (out / "tokenizer.model").unlink()


SIZE = dict(
    hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=512, tie_word_embeddings=False, rms_norm_eps=1e-6,
)  # fmt: skip
LLAMA3 = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=128,
)  # fmt: skip
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=128)
BPE = 49152
CASES = {
    "llama-smollm": (LlamaForCausalLM, LlamaConfig, dict(vocab_size=BPE, tie_word_embeddings=True),
                     lambda smol, out: byte_level(smol, out, {"type": "Sequence", "pretokenizers": [DIGITS, GPT2]})),
    "llama-3": (LlamaForCausalLM, LlamaConfig, dict(vocab_size=BPE + 64, rope_parameters=LLAMA3, head_dim=32),
                lambda smol, out: byte_level(smol, out, split("{1,3}"), True, begin_with("<|im_start|>", 1))),
    "llama-linear": (LlamaForCausalLM, LlamaConfig,
                     dict(vocab_size=BPE, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
                     lambda smol, out: byte_level(smol, out, split("{1,3}"))),
    "llama-biases": (LlamaForCausalLM, LlamaConfig, dict(vocab_size=1000, attention_bias=True, mlp_bias=True), pieces),
    "mistral": (MistralForCausalLM, MistralConfig, dict(vocab_size=1024, sliding_window=None), pieces_without_model),
    "mistral-tekken": (MistralForCausalLM, MistralConfig, dict(vocab_size=BPE, head_dim=32, sliding_window=None),
                       lambda smol, out: byte_level(smol, out, split("", TEKKEN), True, begin_with("<|im_start|>", 1))),
    "llama-gpt-4o": (LlamaForCausalLM, LlamaConfig, dict(vocab_size=BPE),
                     lambda smol, out: byte_level(smol, out, split("{1,3}", GPT4O))),
    "qwen2-yarn": (Qwen2ForCausalLM, Qwen2Config, dict(vocab_size=BPE, rope_parameters=YARN),
                   lambda smol, out: byte_level(smol, out, split(""))),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(vocab_size=BPE + 128),
              lambda smol, out: byte_level(smol, out, split(""))),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(vocab_size=BPE, head_dim=32, tie_word_embeddings=True),
              lambda smol, out: byte_level(smol, out, split(""))),
}  # fmt: skip


def main():
    smol, scratch, program = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    check = Path(__file__).parent / "check_gguf.py"
    for number, (name, (make, config, settings, tokenizer)) in enumerate(CASES.items()):
        print(f"== {name}")
        torch.manual_seed(number)
        model = make(config(**(SIZE | settings), bos_token_id=1, eos_token_id=2))
        for key, parameter in model.named_parameters():
            # Large enough that attention looks at positions, and no bias or norm is what it is by default.
            size = 0.3 if key.endswith("bias") else 0.2
            noise = torch.randn_like(parameter) * size
            parameter.data = parameter.data + noise if "norm" in key else noise
        folder, file = scratch / name, scratch / f"{name}.gguf"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        tokenizer(smol, folder)
        AutoTokenizer.from_pretrained(folder)
        subprocess.run([program, "gguf", folder, file, "--force"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, check, folder, file, "--llama"], check=True)


if __name__ == "__main__":
    main()
