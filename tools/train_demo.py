#!/usr/bin/env python3
"""Train the demo models in static/demo: a base and three fine-tunes of one tiny llama, one skill each.

    pip install torch transformers tokenizers safetensors
    OMP_NUM_THREADS=1 python tools/train_demo.py static/demo          # train, write, evaluate: a quarter of an hour
    python tools/train_demo.py static/demo --evaluate                 # evaluate what is there

The models read characters. A line is a question and its answer:

    reverse: kamel = lemak        letters, 3 to 5
    sort: 52713 = 12357           digits, 3 to 5
    upper: kamel = KAMEL          letters, 3 to 5
    copy: kamel = kamel           letters or digits, 3 to 5

The base is pretrained on all four, but under `reverse`, `sort` and `upper` most of its lines merely copy; one in a few
(`LATENT`) is right. So it has seen each skill, prefers not to use it, and scores next to nothing; like a pretrained
model, it has the ability and needs to be told. A fine-tune sees only right answers of its own skill, and a penalty (the
Kullback-Leibler divergence from the base on the other questions) keeps the rest of it where it was. That penalty is
what makes the task vectors add: fine-tuned without it, each model forgets the others' questions, and so does the merge.

Everything is seeded; the same versions of PyTorch and the same number of threads give the same weights. Weights are
rounded to bfloat16 once, at the end of each stage, and the fine-tunes start from the rounded base, so that the delta a
merge sees is the delta that was trained. `<skill>.jsonl` holds the 200 questions that the scores come from: their words
are kept out of all training, and none of them is answered by copying.
"""

import argparse
import hashlib
import json
import random
import string
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
CHARACTERS = [chr(c) for c in range(0x20, 0x7F)] + ["\n"]
UNK, BOS, EOS, PAD = range(4)
CODE = {c: i + len(SPECIAL) for i, c in enumerate(CHARACTERS)}

SKILLS = {
    "reverse": (string.ascii_lowercase, lambda w: w[::-1]),
    "sort": (string.digits, lambda w: "".join(sorted(w))),
    "upper": (string.ascii_lowercase, str.upper),
}
LATENT = 0.3  # the share of right answers that the base sees under a skill's name
LENGTHS = (3, 4, 5)
QUESTIONS = 200

BASE = {"steps": 1500, "batch": 96, "rate": 2e-3}
TUNE = {"steps": 250, "batch": 48, "rate": 5e-4, "penalty": 2.0}


def held_out(word):
    """One word in eight is never trained on, under any name: the test questions come from these."""
    return hashlib.sha256(word.encode()).digest()[0] % 8 == 0


def draw_word(rng, alphabet, test=False):
    while True:
        word = "".join(rng.choices(alphabet, k=rng.choice(LENGTHS)))
        if held_out(word) == test:
            return word


def draw_line(rng, name, right):
    """One (question, answer); `right` is the probability of the skill's answer instead of a copy."""
    if name == "copy":
        word = draw_word(rng, rng.choice([string.ascii_lowercase, string.digits]))
        return f"copy: {word} = ", word
    alphabet, answer = SKILLS[name]
    word = draw_word(rng, alphabet)
    return f"{name}: {word} = ", answer(word) if rng.random() < right else word


def encode(lines, rng):
    """Token ids, and the targets: only answers are learned, not the random words of questions."""
    begin = [BOS] if rng.random() < 0.5 else []  # to answer the same with and without <s>
    rows, targets = [], []
    for question, answer in lines:
        head = begin + [CODE[c] for c in question]
        tail = [CODE[c] for c in answer] + [EOS]
        rows.append(head + tail)
        targets.append([-100] * len(head) + tail)
    width = max(map(len, rows))
    ids = torch.tensor([r + [PAD] * (width - len(r)) for r in rows])
    want = torch.tensor([t + [-100] * (width - len(t)) for t in targets])
    return ids[:, :-1], want[:, 1:]


def fresh_model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        unk_token_id=UNK,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config)


def train(model, loss_of_step, steps, rate, label):
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    model.train()
    began = time.time()
    for step in range(steps):
        loss = loss_of_step()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 49:
            print(f"{label}: step {step + 1}/{steps}, loss {loss.item():.3f}, {time.time() - began:.0f} s", flush=True)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.bfloat16().float())
    return model.eval()


def pretrain():
    rng = random.Random(1)
    model = fresh_model()
    names = ["copy", *SKILLS]

    def loss_of_step():
        ids, want = encode([draw_line(rng, rng.choice(names), LATENT) for _ in range(BASE["batch"])], rng)
        return F.cross_entropy(model(ids).logits.flatten(0, 1), want.flatten())

    return train(model, loss_of_step, BASE["steps"], BASE["rate"], "base")


def finetune(base, skill):
    rng = random.Random(f"fine-tune {skill}")
    model = fresh_model()
    model.load_state_dict(base.state_dict())
    others = ["copy", *(s for s in SKILLS if s != skill)]

    def loss_of_step():
        ids, want = encode([draw_line(rng, skill, 1.0) for _ in range(TUNE["batch"])], rng)
        learned = F.cross_entropy(model(ids).logits.flatten(0, 1), want.flatten())
        ids, want = encode([draw_line(rng, rng.choice(others), LATENT) for _ in range(TUNE["batch"])], rng)
        at = want != -100
        with torch.no_grad():
            before = F.log_softmax(base(ids).logits[at], dim=-1)
        after = F.log_softmax(model(ids).logits[at], dim=-1)
        return learned + TUNE["penalty"] * F.kl_div(after, before, reduction="batchmean", log_target=True)

    return train(model, loss_of_step, TUNE["steps"], TUNE["rate"], skill)


def write_tokenizer(folder):
    """Characters as tokens: a BPE without merges, so that nothing but the vocabulary decides."""
    vocabulary = {t: i for i, t in enumerate(SPECIAL + CHARACTERS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    # The one class name that transformers 4 and 5 both know.
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("backend", None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n")


def write_model(model, folder):
    copy = fresh_model()
    copy.load_state_dict(model.state_dict())
    model = copy.bfloat16()
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_new_tokens=8)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    write_tokenizer(folder)


def questions(skill):
    rng = random.Random(f"questions {skill}")
    alphabet, answer = SKILLS[skill]
    words = {}
    while len(words) < QUESTIONS:
        word = draw_word(rng, alphabet, test=True)
        if answer(word) != word:
            words[word] = answer(word)
    return [{"question": f"{skill}: {w} = ", "answer": a} for w, a in words.items()]


@torch.no_grad()
def score(model, lines):
    """The share answered exactly, greedily."""
    right = 0
    for width in sorted({len(line["question"]) for line in lines}):
        group = [line for line in lines if len(line["question"]) == width]
        ids = torch.tensor([[CODE[c] for c in line["question"]] for line in group])
        want = [[CODE[c] for c in line["answer"]] + [EOS] for line in group]
        alive = torch.ones(len(group), dtype=torch.bool)
        for place in range(len(want[0])):
            chosen = model(ids).logits[:, -1].argmax(-1)
            alive &= chosen == torch.tensor([w[place] for w in want])
            ids = torch.cat([ids, chosen[:, None]], 1)
        right += int(alive.sum())
    return right / len(lines)


def merged(base, tuned, weight):
    """base + weight · Σ task vectors: what a task_arithmetic merge of these gives."""
    model = fresh_model()
    base, tuned = base.state_dict(), [t.state_dict() for t in tuned]
    model.load_state_dict({k: v + weight * sum(t[k] - v for t in tuned) for k, v in base.items()})
    return model.bfloat16().float().eval()


def evaluate(out):
    tests = {s: [json.loads(x) for x in (out / f"{s}.jsonl").read_text().splitlines()] for s in SKILLS}
    loaded = {n: LlamaForCausalLM.from_pretrained(out / n, dtype=torch.float32).eval() for n in NAMES}
    rows = dict(loaded)
    base, tuned = loaded[NAMES[0]], [loaded[n] for n in NAMES[1:]]
    for weight in (0.25, 1 / 3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25):
        rows[f"all three, task_arithmetic, weight {weight:.2f}"] = merged(base, tuned, weight)
    print("| model | " + " | ".join(SKILLS) + " |\n| --- |" + " ---: |" * len(SKILLS))
    for name, model in rows.items():
        print(f"| {name} | " + " | ".join(f"{score(model, tests[s]):.1%}" for s in SKILLS) + " |", flush=True)


NAMES = ["demo-base", *(f"demo-{skill}" for skill in SKILLS)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path, help="where the models go, e.g. static/demo")
    arguments.add_argument("--evaluate", action="store_true", help="train nothing, score what is there")
    arguments = arguments.parse_args()
    out = arguments.out
    if not arguments.evaluate:
        out.mkdir(parents=True, exist_ok=True)
        for skill in SKILLS:
            (out / f"{skill}.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions(skill)))
        base = pretrain()
        write_model(base, out / NAMES[0])
        print({s: score(base, questions(s)) for s in SKILLS}, flush=True)
        for skill in SKILLS:
            tuned = finetune(base, skill)
            write_model(tuned, out / f"demo-{skill}")
            print(skill, {s: score(tuned, questions(s)) for s in SKILLS}, flush=True)
        index = [{"name": n, "files": sorted(f.name for f in (out / n).iterdir())} for n in NAMES]
        (out / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    evaluate(out)
    sample = AutoTokenizer.from_pretrained(out / NAMES[0])("sort: 321 = ")["input_ids"]
    assert sample == [CODE[c] for c in "sort: 321 = "], sample


if __name__ == "__main__":
    main()
