"""Writes what eval/tests/models.rs and eval/tests/demo.rs compare with: numbers of transformers and lm-evaluation-harness.

    python tools/eval_models.py
    python tools/eval_models.py FOLDER OUT.json       # what HFLM answers for another model, for eval/tests/real.rs

Seen with Python 3.11, torch 2.15.0 (CPU), transformers 5.24.0, tokenizers 0.23.3 and lm_eval 0.4.13. Takes a minute. What it writes
is committed; no test needs Python.

eval/tests/golden/models/<case>/: a checkpoint of a few thousand random weights with settings that show what is special to its
architecture, and the logits that transformers computes in float32 for some tokens.
eval/tests/golden/demo.json: what HFLM answers for the demo models.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "eval/tests/golden"

# Longer than every window, and than what rotary scalings take for the original context.
TOKENS = 44
VOCABULARY = 96

SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)
SMALL = SIZES | dict(hidden_size=16, intermediate_size=24, num_attention_heads=2, num_key_value_heads=1)
FULL = SIZES | dict(num_key_value_heads=4)


def rope(kind, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=100.0, **more))


# case: (class, type of the stored weights, settings)
CASES = {
    "llama": ("Llama", "bfloat16", SIZES | dict(head_dim=12, attention_bias=True, mlp_bias=True)),
    "llama-llama3": (
        "Llama",
        "float32",
        SMALL
        | dict(tie_word_embeddings=True)
        | rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24),
    ),
    "llama-linear": ("Llama", "float16", SMALL | rope("linear", factor=4.0)),
    "llama-dynamic": ("Llama", "float16", SMALL | rope("dynamic", factor=4.0)),
    "llama-yarn": ("Llama", "float32", SMALL | rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama-yarn-attention": (
        "Llama",
        "bfloat16",
        SMALL | rope("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=0.8, beta_fast=8.0),
    ),
    "mistral": ("Mistral", "bfloat16", SIZES | dict(sliding_window=7)),
    "qwen2": (
        "Qwen2",
        "bfloat16",
        SIZES | dict(use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True),
    ),
    "qwen3": ("Qwen3", "bfloat16", SIZES | dict(head_dim=10, attention_bias=True)),
    "gemma": ("Gemma", "bfloat16", SIZES | dict(head_dim=16)),
    "gemma2": (
        "Gemma2",
        "bfloat16",
        SIZES
        | dict(
            head_dim=8,
            sliding_window=6,
            query_pre_attn_scalar=12,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
        ),
    ),
    "gemma3": (
        "Gemma3",
        "bfloat16",
        SIZES
        | dict(
            head_dim=8,
            sliding_window=6,
            query_pre_attn_scalar=12,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", factor=2.0, rope_theta=1000.0),
                sliding_attention=dict(rope_type="default", rope_theta=100.0),
            ),
        ),
    ),
    "phi": ("Phi", "bfloat16", SIZES),
    "phi3": ("Phi3", "bfloat16", SIZES | dict(sliding_window=9)),
    "gpt2": (
        "GPT2",
        "bfloat16",
        dict(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=40)
        | dict(scale_attn_by_inverse_layer_idx=True, bos_token_id=1, eos_token_id=2),
    ),
    "gpt_neox": ("GPTNeoX", "bfloat16", FULL),
    "gpt_neox-sequential": ("GPTNeoX", "float16", FULL | dict(use_parallel_residual=False, attention_bias=False)),
    "olmo": ("Olmo", "bfloat16", SIZES | dict(clip_qkv=0.7)),
    "olmo2": ("Olmo2", "bfloat16", SIZES),
    "starcoder2": ("Starcoder2", "bfloat16", SIZES | dict(sliding_window=8)),
    "granite": (
        "Granite",
        "bfloat16",
        SIZES
        | dict(
            embedding_multiplier=3.0,
            attention_multiplier=0.2,
            residual_multiplier=0.6,
            logits_scaling=2.0,
            mlp_bias=True,
        ),
    ),
    "smollm3": (
        "SmolLM3",
        "bfloat16",
        SIZES | dict(no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=9),
    ),
}


def rounded(values):
    return [float(f"{value:.8g}") for value in values]


def checkpoint(case, name, dtype, settings):
    folder = GOLDEN / "models" / case
    folder.mkdir(parents=True)
    config_class = getattr(transformers, name + ("TextConfig" if name == "Gemma3" else "Config"))
    model_class = getattr(transformers, name + ("LMHeadModel" if name == "GPT2" else "ForCausalLM"))
    torch.manual_seed(sum(case.encode()))
    model = model_class(config_class(**settings)).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.2
            is_scale = parameter.dim() == 1 and parameter_name.endswith("weight")
            parameter.copy_(noise + 1 if is_scale and "gemma" not in case else noise)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(3, VOCABULARY, (1, TOKENS), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits = model(tokens).logits[0]
    golden = {"tokens": tokens[0].tolist(), "logits": {at: rounded(logits[at].tolist()) for at in (0, 13, TOKENS - 1)}}
    (folder / "logits.json").write_text(json.dumps(golden) + "\n")
    print(case, "largest logit", logits.abs().max().item(), "bytes", (folder / "model.safetensors").stat().st_size)


LONG = "the reverse of a word is the word read from its end, and the sort of digits is the digits in order. "
PAIRS = [
    ("reverse: kamel = ", "lemak"),
    ("reverse: kamel =", " lemak"),
    ("reverse: kamel =   ", "lemak"),
    ("sort: 52713 = ", "12357"),
    ("sort: 52713 = ", "1"),
    ("sort: 52713 = ", "5"),
    ("sort: 52713 = 1", "2357"),
    ("upper: kamel = ", "KAMEL"),
    ("upper: kamel = ", "kamel"),
    ("upper: kamel =\n\t", "KAMEL"),
    ("", "reverse: ab = ba"),
    ("", "<s>sort"),
    ("<s>reverse: ab = ", "ba"),
    ("gr\u00fc\u00dfe \u2603 = ", "\u2603 \u4f60\u597d"),
    ("upper: x\u00a0", "X"),
    (LONG * 3, "sort: 21 = 12"),
    (LONG + "sort: 21 = ", "12"),
    ("x", LONG[:128]),
]
# As in the demo models' training, and longer than their context.
LINES = "reverse: kamel = lemak\nsort: 52713 = 12357\nupper: kamel = KAMEL\nreverse: zzjkx = xkjzz\n" * 4
TEXTS = ["", "reverse: ab = ba", LONG, LINES, (LONG * 2)[:128], (LONG * 2)[:129], "\u2603<s>x"]
PROMPTS = [
    ("reverse: kamel = ", ["\n"], 12),
    ("reverse: kamel = ", [], 12),
    ("sort: 52713 = ", ["\n", "5"], 8),
    ("upper: kamel = ", ["MEL"], 16),
    (LONG * 2, ["\n\n"], 40),
    ("<s>upper: ab = ", [" "], 5),
]


def answers(folder, pairs=PAIRS, texts=TEXTS, prompts=PROMPTS):
    model = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1)

    def asked(kind, arguments):
        requests = [Instance(kind, {}, each, index) for index, each in enumerate(arguments)]
        method = {"loglikelihood": model.loglikelihood, "loglikelihood_rolling": model.loglikelihood_rolling}
        return method.get(kind, model.generate_until)(requests, disable_tqdm=True)

    # One at a time: asked together, texts that are equal but for where the continuation begins are scored once, and all but the
    # longest continuation get other tokens' likelihoods (0.4.13).
    scored = [asked("loglikelihood", [pair])[0] for pair in pairs]
    rolling = asked("loglikelihood_rolling", [(text,) for text in texts])
    generated = asked(
        "generate_until",
        [(prompt, {"until": until, "max_gen_toks": most, "do_sample": False}) for prompt, until, most in prompts],
    )
    return {
        "pairs": [
            {"context": context, "continuation": continuation, "log_likelihood": likelihood, "greedy": greedy}
            for (context, continuation), (likelihood, greedy) in zip(pairs, scored)
        ],
        "texts": [{"text": text, "log_likelihood": likelihood} for text, likelihood in zip(texts, rolling)],
        "prompts": [
            {"prompt": prompt, "until": until, "most": most, "text": text}
            for (prompt, until, most), text in zip(prompts, generated)
        ],
    }


TEMPLATES = [
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] | trim + eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    "{{ bos_token }}\n{%- set state = namespace(system='', first=true) %}\n"
    "{%- if messages[0].role == 'system' %}\n    {%- set state.system = messages[0].content.strip() + '\\n' %}\n"
    "    {%- set rest = messages[1:] %}\n{%- else %}\n    {%- set rest = messages %}\n{%- endif %}\n"
    "{% for message in rest %}\n"
    "    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{- raise_exception('turns must alternate') }}\n    {%- endif %}\n"
    "    {%- if loop.first and message.content.startswith('a') %}{{ state.system | upper }}{% endif %}\n"
    "    <{{ message.role.split('s')[-1] }}> {{ message.content.replace('b', 'c').rstrip() }}\n"
    "{% endfor %}\n{% if strftime_now is defined and false %}{{ strftime_now('%d') }}{% endif %}\n"
    "{% if add_generation_prompt %}<assistant>{% endif %}\n",
    "{% macro turn(m, tag='t') %}<{{ tag }}:{{ m.role[:1] }}>{{ m.content }}{% endmacro %}\n"
    "{% for m in messages if m.role != 'system' %}{{ turn(m) }}{% if not loop.last %}, {% endif %}{% endfor %}"
    "{{ messages | length }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
    "{{ 'tools' if tools else 'none' }}{{ undefined_name | default('d') }}",
]
CHATS = [
    [("user", "abba  ")],
    [("system", " be kind "), ("user", "abc\n"), ("assistant", "b <s>"), ("user", "d")],
]


def chats():
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "static/demo/demo-base")
    cases = []
    for template in TEMPLATES:
        tokenizer.chat_template = template
        for turns in CHATS:
            for open_ in (False, True):
                messages = [{"role": role, "content": content} for role, content in turns]
                prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_)
                cases.append({"template": template, "turns": turns, "open": open_, "prompt": prompt})
    return cases


# The same in eval/tests/demo.rs.
PENALTY = {"eos_token_id": [2, 75], "repetition_penalty": 1.3}
QUESTIONS = {
    "Question: What is the capital of France?\nAnswer:": [" Paris", " London", " Berlin", " Rome"],
    "Question: Which of these is a metal?\nA. wood\nB. iron\nC. glass\nD. paper\nAnswer:": [" A", " B", " C", " D"],
    "The boy put on his coat because": [" it was cold outside.", " the sun was made of cheese.", " he liked to swim."],
    "A train leaves at noon and arrives at three. It took ": ["three hours", "two days", "3 h"],
    "": ["The quick brown fox", " jumps", "<|im_start|>user\nHi"],
    "Gr\u00fc\u00dfe aus Z\u00fcrich \u2603 \u4f60\u597d:  ": ["\u4e16\u754c", "world"],
}
ESSAY = (
    "The river rises in the hills and runs through seven villages before it meets the sea. In spring the snow melts, "
    "and the water stands high under the bridges. "
)
REAL_PROMPTS = [
    ("The capital of France is", ["."], 24),
    ("Question: 7 + 5 =\nAnswer:", ["\n\n", "Question"], 32),
    ("<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n", ["<|im_end|>"], 48),
]


def real(folder, out):
    pairs = [(question, choice) for question, choices in QUESTIONS.items() for choice in choices]
    texts = [ESSAY, ESSAY * 16, LINES, "\u4f60\u597d \u2603 caf\u00e9"]
    Path(out).write_text(json.dumps(answers(folder, pairs, texts, REAL_PROMPTS), indent=1) + "\n")


def main():
    if len(sys.argv) > 2:
        real(*sys.argv[1:])
        return
    torch.set_num_threads(1)
    shutil.rmtree(GOLDEN / "models", ignore_errors=True)
    for case, (name, dtype, settings) in CASES.items():
        checkpoint(case, name, dtype, settings)
    demos = ("demo-base", "demo-reverse", "demo-sort", "demo-upper")
    golden = {name: answers(ROOT / "static/demo" / name) for name in demos}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "static/demo/demo-base", folder, dirs_exist_ok=True)
        (Path(folder) / "generation_config.json").write_text(json.dumps(PENALTY))
        golden["penalty"] = answers(folder, [], [], PROMPTS)
    (GOLDEN / "demo.json").write_text(json.dumps(golden, indent=1) + "\n")
    (GOLDEN / "chats.json").write_text(json.dumps(chats(), indent=1) + "\n")


if __name__ == "__main__":
    main()
