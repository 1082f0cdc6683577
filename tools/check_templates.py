#!/usr/bin/env python3
"""Renders the built-in chat templates (src/output/templates) and compares them with their formats, written out in Python.

    python tools/check_templates.py     # needs transformers, and jinja2

Each is rendered as transformers does (it trims blocks) and with Jinja's defaults, for conversations of all shapes.
"""

from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATES = Path(__file__).resolve().parent.parent / "src/output/templates"
BOS, EOS = "<s>", "</s>"


def chatml(turns, prompt):
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
    return text + ("<|im_start|>assistant\n" if prompt else "")


def llama3(turns, prompt):
    heading = "<|start_header_id|>{}<|end_header_id|>\n\n"
    text = "".join(heading.format(role) + content.strip() + "<|eot_id|>" for role, content in turns)
    return BOS + text + (heading.format("assistant") if prompt else "")


def exaone(turns, prompt):
    text = "" if turns[0][0] == "system" else "[|system|][|endofturn|]\n"
    for role, content in turns:
        text += f"[|{role}|]{content}" + ("\n" if role == "user" else "[|endofturn|]\n")
    return text + ("[|assistant|]" if prompt else "")


def alpaca(turns, prompt):
    headings = {"user": "Instruction", "user_context": "Input", "assistant": "Response"}
    text = ([""] + [content.strip() for role, content in turns if role == "system"])[-1]
    text += "".join(f"\n\n### {headings[role]}:\n{content.strip()}" for role, content in turns if role in headings)
    return text + ("\n\n### Response:\n" if prompt and turns[-1][0] != "assistant" else "")


def mistral(turns, _prompt):
    preamble = ""
    if turns[0][0] == "system":
        preamble, turns = turns[0][1] + "\n\n", turns[1:]
    text = BOS
    for i, (role, content) in enumerate(turns):
        if role != ("user", "assistant")[i % 2]:
            return None
        text += f" [INST] {preamble if i == 0 else ''}{content} [/INST]" if i % 2 == 0 else f" {content}{EOS}"
    return text


CONVERSATIONS = (
    [("user", "Hi")],
    [("user", " Hi there \n")],
    [("system", "Be nice."), ("user", "Hi")],
    [("system", ""), ("user", "Hi")],
    [("user", "Hi"), ("assistant", "Hello."), ("user", "How?")],
    [("system", " Sys "), ("user", "a\nb"), ("assistant", "c "), ("user", "d"), ("assistant", "e")],
    [("user", "q"), ("user_context", "ctx")],
    [("assistant", "x"), ("user", "y")],
    [("system", "only")],
    [("user", "a"), ("user", "b")],
)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def as_transformers(template, messages, prompt):
    texts, _ = render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=prompt, bos_token=BOS, eos_token=EOS
    )
    return texts[0]


def as_jinja(template, messages, prompt):
    environment = ImmutableSandboxedEnvironment()
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(template)
    return template.render(messages=messages, add_generation_prompt=prompt, bos_token=BOS, eos_token=EOS)


def main():
    for format in (alpaca, chatml, exaone, llama3, mistral):
        template = (TEMPLATES / f"{format.__name__}.jinja").read_text()
        for turns in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in turns]
            for prompt in (False, True):
                for render in (as_transformers, as_jinja):
                    try:
                        text = render(template, messages, prompt)
                    except jinja2.exceptions.TemplateError:
                        text = None
                    expected = format(turns, prompt)
                    assert text == expected, (format.__name__, turns, prompt, text, expected)
        print(f"{format.__name__}: as its format has it")


if __name__ == "__main__":
    main()
