"""Tokens a second of transformers in float32 on the CPU, as eval/benches/tokens.rs measures them.

    python tools/eval_speed.py FOLDER [SECONDS]        # OMP_NUM_THREADS says on how many threads
"""

import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM


def fastest(limit, once):
    begun, best = time.time(), 0.0
    while time.time() - begun < limit:
        start = time.time()
        tokens = once()
        best = max(best, tokens / (time.time() - start))
    return best


def main():
    folder, limit = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    vocabulary = model.config.vocab_size

    def text():
        model(torch.randint(3, vocabulary, (1, 512)), logits_to_keep=1, use_cache=False)
        return 512

    def choices():
        # As HFLM asks: every choice with its question, logits of all tokens.
        for _ in range(32):
            torch.log_softmax(model(torch.randint(3, vocabulary, (1, 51)), use_cache=False).logits, -1)
        return 32 * 51

    def generated():
        prompt = torch.randint(3, vocabulary, (1, 64))
        out = model(prompt, use_cache=True, logits_to_keep=1)
        start = time.time()
        for _ in range(31):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            out = model(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        return 31 / (time.time() - start)

    with torch.no_grad():
        print(f"a text of 512 tokens: {fastest(limit, text):.1f} tokens/s")
        print(f"8 questions of 48 tokens with 4 choices: {fastest(limit, choices):.1f} tokens/s, each choice with its question")
        begun, best = time.time(), 0.0
        while time.time() - begun < limit:
            best = max(best, generated())
        print(f"generating: {best:.1f} tokens/s")


if __name__ == "__main__":
    main()
