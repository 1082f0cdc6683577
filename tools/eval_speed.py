"""Tokens a second of transformers in float32 on the CPU, a line for each row of eval/benches/tokens.rs, which runs it.

    python tools/eval_speed.py FOLDER        # OMP_NUM_THREADS says on how many threads
"""

import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM


def main():
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()

    def drawn(tokens):
        return torch.randint(3, model.config.vocab_size, (1, tokens))

    def text():
        torch.log_softmax(model(drawn(512), use_cache=False).logits, -1)
        return 512

    def choices():
        # As HFLM asks: every choice with its question, logits of all tokens.
        for _ in range(4):
            torch.log_softmax(model(drawn(51), use_cache=False).logits, -1)
        return 4 * 51

    def answer():
        out = model(drawn(64), use_cache=True, logits_to_keep=1)
        for _ in range(31):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            out = model(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        return 32

    with torch.no_grad():
        for once, times in [(text, 4), (choices, 8), (answer, 8)]:
            once()
            start = time.time()
            tokens = sum(once() for _ in range(times))
            print(tokens / (time.time() - start))


if __name__ == "__main__":
    main()
