"""Goldens of aligned vocabularies: small checkpoints with tokenizers, recipes with a `tokenizer`, and what mergekit makes of them.

`inputs/tok-*/` are checkpoints with tokenizer.json (most of them) and tokenizer_config.json. A case's folder holds, beside what every
case has,

- `expected-tokenizer.json`: of the output's tokenizer `vocab` (token → id, in the order of ids) and `added` (id → content and
  flags), `vocab_size` of its config.json, and where the recipe has a `chat_template`, `template`;
- `expected-rows.safetensors`: each input's own vocabulary tensors after alignment, before they are merged, named `<input>/<tensor>`.

mergekit leaves two orders open, and both decide ids: that of the models, which it keeps in a set, and that of a vocabulary's tokens,
which is a hash map's. `in_order` fixes both as we do: the models as the recipe lists them, with an unlisted base last, and tokens by
their ids. (Without a base_model mergekit then takes configuration and tokenizer from the first model of the list.)
"""

import json

import torch
from safetensors.torch import load_file, save_file

# Both sides round every operation to f32: rows are copied or averaged first, in f32 there and as f32 here.
F32 = {"ulps": 4, "threshold_slack": 0, "vote_slack": 2e-6, "reason": "f32 on both sides, each operation rounded"}
SLERP32 = {**F32, "ulps": 16, "reason": "mergekit takes norms and the cosine in f32"}
F64 = {"ulps": 1, "threshold_slack": 0, "vote_slack": 1e-12, "reason": "f64 on both sides, rounded once to f32"}

# --- Inputs -----------------------------------------------------------------------------------------------------------


def added(content, special=True, **flags):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {"content": content, **plain, **flags}


def tokenizer(kind, tokens, more=(), merges=(), pairs=True):
    """A tokenizer.json: `tokens` in the order of ids, then the added tokens `more`, those among `tokens` with the id they have."""
    model = {"type": kind}
    if kind == "Unigram":
        model |= {"unk_id": 0, "vocab": [[token, -float(i)] for i, token in enumerate(tokens)], "byte_fallback": False}
    else:
        model |= {"vocab": {token: i for i, token in enumerate(tokens)}}
    if kind == "BPE":
        model |= {"merges": [list(merge) if pairs else " ".join(merge) for merge in merges]}
    if kind in ("WordLevel", "WordPiece"):
        model |= {"unk_token": tokens[0]}
    if kind == "WordPiece":
        model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    ids, count = {token: i for i, token in enumerate(tokens)}, len(tokens)
    listed = []
    for token in more:
        if token["content"] not in ids:
            ids[token["content"]] = count
            count += 1
        listed.append({"id": ids[token["content"]], **token})
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(listed, key=lambda token: token["id"]),
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": model,
    }


def write_tokenizer(folder, text, config, files):
    config = {"tokenizer_class": "PreTrainedTokenizerFast"} | config
    (folder / "tokenizer.json").write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    for name, content in files.items():
        (folder / name).write_text(content)


def make_inputs(root, llama, bert, draw, write):
    """`llama`, `bert`, `draw` and `write` are make_goldens.py's."""

    def model(name, seed, rows, tokenizer=None, config=None, files=None, tied=False, dtype=torch.float32, arch=llama):
        shapes, settings = arch(1, 16, 24, rows, tied) if arch is llama else arch(1, 16, 24, rows, 8)
        settings |= {"bos_token_id": 0, "eos_token_id": [1]} if arch is llama else {}
        write(root / name, {n: t.to(dtype) for n, t in draw(shapes, seed).items()}, settings)
        if tokenizer:
            write_tokenizer(root / name, tokenizer, config or {}, files or {})

    letters = list("abcdefghij")
    bos, eos = added("<s>"), added("</s>")
    base = ["<s>", "</s>", *letters, "ab", "cd", "abcd", "é", "\u0120x"]
    merges = [("a", "b"), ("c", "d"), ("ab", "cd")]
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    chat = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    other_chat = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    base_tokenizer = tokenizer("BPE", base, [bos, eos, added("<pad>")], merges)
    model("tok-base", 101, 20, base_tokenizer, names | {"chat_template": chat})
    # The same tokens in another order, more of them, added ones of its own, and rows that only pad.
    a = ["</s>", "<s>", *reversed(letters), "k", "l", "cd", "ab", "kl", "\u0120x"]
    im = [added("<|im_start|>"), added("<|im_end|>"), added("<tool>", special=False, lstrip=True)]
    model(
        "tok-a", 102, 40, tokenizer("BPE", a, [bos, eos, *im], [("c", "d"), ("a", "b"), ("k", "l")], pairs=False),
        names | {"chat_template": [{"name": "default", "template": other_chat + "\n"}, {"name": "x", "template": "x"}]},
    )  # fmt: skip
    # Fewer tokens; a token that is plain in the base and added here; one that is added in both with other flags.
    b = ["<s>", "</s>", *letters[2:8], "k", "m", "kl"]
    flags = [added("<s>", rstrip=True), eos, added("é", special=False), added("<|im_end|>", lstrip=True), added("<b>")]
    model("tok-b", 103, 14, tokenizer("BPE", b, flags), names, {"chat_template.jinja": other_chat})
    # No tokenizer: taken for the base's.
    model("tok-bare", 104, 20)
    # More tokens than its config says: the last tokens have no rows, the padding token that its configuration names among them.
    model("tok-cut", 105, 15, base_tokenizer, names | {"pad_token": "<pad>"})
    for name, seed, own in (("tok-tied-base", 111, base_tokenizer), ("tok-tied-a", 112, tokenizer("BPE", a, [bos, eos]))):
        model(name, seed, 20, own, names, tied=True)
    model("tok-half-base", 121, 20, base_tokenizer, names, dtype=torch.bfloat16)
    model("tok-half-a", 122, 20, tokenizer("BPE", a, [bos, eos]), names, dtype=torch.bfloat16)

    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    words = [*specials, *letters, "##a", "##b", "ab"]
    others = [*reversed(specials), *letters[4:], "##b", "##z", "z", "ab"]
    roles = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    for name, seed, tokens in (("tok-bert-base", 131, words), ("tok-bert-a", 132, others)):
        own = tokenizer("WordPiece", tokens, [added(token) for token in specials])
        own["model"]["unk_token"] = "[UNK]"
        model(name, seed, len(tokens), own, roles, arch=bert)
    for name, seed, tokens in (("tok-words-base", 141, words), ("tok-words-a", 142, others)):
        own = tokenizer("WordLevel", tokens, [added("[PAD]")])
        own["model"]["unk_token"] = "[UNK]"
        # Special tokens that only the configuration names: loading makes them added tokens.
        model(name, seed, len(tokens) + (name == "tok-words-a"), own, roles | {"mask_token": "[MASK]"} if seed == 142 else roles)
    unigram = ["<unk>", "<s>", "</s>", "\u2581", *("\u2581" + letter for letter in letters), *letters]
    shuffled = ["<unk>", "</s>", "<s>", *letters[::2], "\u2581zz", *("\u2581" + letter for letter in letters[::-1])]
    unk = added("<unk>")
    for name, seed, tokens in (("tok-uni-base", 151, unigram), ("tok-uni-a", 152, shuffled)):
        own = tokenizer("Unigram", tokens, [unk, bos, eos])
        model(name, seed, len(tokens), own, names | {"unk_token": "<unk>"})


# --- Cases ------------------------------------------------------------------------------------------------------------

CASES = {}


def case(name, text, tolerance=F32):
    assert name not in CASES, name
    CASES[name] = (text.lstrip("\n"), tolerance)


def weighted(*models):
    entries = (f"  - model: {model}\n    parameters:\n      weight: {weight}\n" for model, weight in models)
    return "models:\n" + "".join(entries)


TWO = weighted(("tok-base", 0.7), ("tok-a", 0.4))
THREE = weighted(("tok-base", 0.5), ("tok-a", 0.3), ("tok-b", 0.4))
TASKS = weighted(("tok-a", 0.6), ("tok-b", 0.5)) + "base_model: tok-base\n"
LINEAR = "merge_method: linear\ndtype: float32\n"

case("tokenizer-base-linear", TWO + LINEAR + "tokenizer_source: base\n")
case("tokenizer-union-linear", THREE + LINEAR + "tokenizer_source: union\n")
case("tokenizer-section-alone-is-a-union", THREE + LINEAR + "tokenizer: {}\n")
case("tokenizer-union-named-base", THREE + LINEAR + "base_model: tok-b\ntokenizer:\n  source: union\n")
case("tokenizer-of-a-model", THREE + LINEAR + "tokenizer:\n  source: tok-a\n")
case("tokenizer-of-a-model-with-a-base", TASKS + "merge_method: task_arithmetic\ndtype: float32\ntokenizer_source: tok-b\n")
case("tokenizer-union-task-arithmetic", TASKS + "merge_method: task_arithmetic\ndtype: float32\ntokenizer_source: union\n")
case("tokenizer-base-task-arithmetic", TASKS + "merge_method: task_arithmetic\ndtype: float32\ntokenizer_source: base\n")
case(
    "tokenizer-union-ties",
    TASKS + "merge_method: ties\nparameters:\n  density: 0.6\ndtype: float32\ntokenizer_source: union\n",
)
case(
    "tokenizer-union-dare-ties",
    TASKS + "merge_method: dare_ties\nparameters:\n  density: 1.0\ndtype: float32\ntokenizer_source: union\n",
)
case(
    "tokenizer-union-slerp",
    "models:\n  - model: tok-base\n  - model: tok-b\nbase_model: tok-base\nmerge_method: slerp\nparameters:\n  t: 0.3\n"
    "dtype: float32\ntokenizer_source: union\n",
    SLERP32,
)
case(
    "tokenizer-union-model-stock",
    "models:\n  - model: tok-a\n  - model: tok-b\nbase_model: tok-base\nmerge_method: model_stock\n"
    "dtype: float64\nout_dtype: float32\ntokenizer_source: union\n",
    F64,
)
case(
    "tokenizer-union-multislerp",
    weighted(("tok-base", 0.5), ("tok-a", 0.3), ("tok-b", 0.4))
    + "merge_method: multislerp\ndtype: float64\nout_dtype: float32\ntokenizer_source: union\n",
    F64,
)
case("tokenizer-padded", TWO + LINEAR + "tokenizer:\n  source: base\n  pad_to_multiple_of: 16\n")
case("tokenizer-padded-to-what-it-is", TWO + LINEAR + "tokenizer:\n  source: base\n  pad_to_multiple_of: 4\n")
case(
    "tokenizer-rules",
    THREE
    + LINEAR
    + """tokenizer:
  source: union
  tokens:
    k:
      source: tok-b
    <|im_start|>:
      source:
        kind: model_token
        model: tok-base
        token: ab
    <|im_end|>:
      source:
        kind: model_token
        model: tok-a
        token_id: 37
    <pad>:
      source:
        kind: zero
    <new>:
      source:
        kind: model_token
        model: tok-b
        token: k
    <newer>:
      source:
        kind: zero
  pad_to_multiple_of: 8
""",
)
case(
    "tokenizer-rules-by-force",
    TASKS
    + """merge_method: task_arithmetic
dtype: float32
tokenizer:
  source: union
  tokens:
    a:
      source: tok-a
      force: true
    c:
      source:
        kind: model_token
        model: tok-b
        token: d
      force: true
    </s>:
      source:
        kind: zero
      force: true
    <new>:
      source:
        kind: model_token
        model: tok-base
        token_id: 3
      force: true
    b:
      source: tok-base
""",
)
case("tokenizer-model-without-one", weighted(("tok-base", 0.5), ("tok-bare", 0.3), ("tok-a", 0.4)) + LINEAR + "tokenizer_source: union\n")
case("tokenizer-cut-base", weighted(("tok-cut", 0.5), ("tok-a", 0.3)) + LINEAR + "tokenizer_source: base\n")
case("tokenizer-cut-union", weighted(("tok-cut", 0.5), ("tok-a", 0.3), ("tok-base", 0.2)) + LINEAR + "tokenizer_source: union\n")
case(
    "tokenizer-tied-embeddings",
    weighted(("tok-tied-base", 0.6), ("tok-tied-a", 0.3)) + LINEAR + "tokenizer_source: union\n",
    F32,
)
case(
    "tokenizer-bfloat16",
    weighted(("tok-half-base", 0.6), ("tok-half-a", 0.3)) + "merge_method: linear\ndtype: bfloat16\ntokenizer_source: union\n",
    {"ulps": 1, "threshold_slack": 0, "vote_slack": 0, "reason": "mergekit's linear works in f32 and rounds once too"},
)
case("tokenizer-word-pieces", weighted(("tok-bert-base", 0.6), ("tok-bert-a", 0.3)) + LINEAR + "tokenizer_source: union\n")
case("tokenizer-whole-words", weighted(("tok-words-base", 0.6), ("tok-words-a", 0.3)) + LINEAR + "tokenizer_source: union\n")
case("tokenizer-unigram-base", weighted(("tok-uni-base", 0.6), ("tok-uni-a", 0.3)) + LINEAR + "tokenizer_source: base\n")
case("tokenizer-unigram-union", weighted(("tok-uni-base", 0.6), ("tok-uni-a", 0.3)) + LINEAR + "tokenizer_source: union\n")
case("tokenizer-of-kinds-that-differ", weighted(("tok-base", 0.6), ("tok-uni-a", 0.3)) + LINEAR + "tokenizer_source: union\n")
case("tokenizer-template-auto", THREE + LINEAR + "tokenizer_source: union\nchat_template: auto\n")
case(
    "tokenizer-template-text",
    TWO + LINEAR + 'tokenizer_source: base\nchat_template: "{% for m in messages %}<{{ m.content }}>{% endfor %}\\n"\n',
)


# --- mergekit ---------------------------------------------------------------------------------------------------------


def in_order():
    """Gives mergekit's models the order of the recipe, and vocabularies the order of ids; records the aligned rows."""
    from mergekit.config import MergeConfiguration
    from mergekit.tokenizer import PermutedVocabulary
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    def referenced_models(config):
        # Planning turns models into slices of modules.
        listed = [entry.model for entry in config.models or []]
        for holder in (config, *(config.modules or {}).values()):
            listed += [source.model for part in holder.slices or [] for source in part.sources]
        return list(dict.fromkeys(listed + ([config.base_model] if config.base_model else [])))

    vocabulary, align = TokenizersBackend.get_vocab, PermutedVocabulary.execute

    def recorded(task, tokenizer_info, tensors):
        aligned = align(task, tokenizer_info=tokenizer_info, tensors=tensors)
        for model, rows in aligned.items():
            name = task.gather_tensors.weight_info[model].name
            RECORDED[f"{model.model.path}/{name}"] = rows.contiguous().clone()
        return aligned

    MergeConfiguration.referenced_models = referenced_models
    TokenizersBackend.get_vocab = lambda self: dict(sorted(vocabulary(self).items(), key=lambda item: item[1]))
    PermutedVocabulary.execute = recorded


RECORDED = {}


def write_expectation(out, folder, recipe):
    """From mergekit's output folder `out`."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(out / "tokenizer.json"))
    vocabulary = dict(sorted(made.get_vocab().items(), key=lambda item: item[1]))
    flags = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    listed = {str(i): {flag: getattr(token, flag) for flag in flags} for i, token in made.get_added_tokens_decoder().items()}
    expected = {
        "vocab_size": json.loads((out / "config.json").read_text())["vocab_size"],
        "vocab": vocabulary,
        "added": listed,
    }
    if "chat_template" in recipe:
        expected["template"] = (out / "chat_template.jinja").read_text()
    (folder / "expected-tokenizer.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    save_file(RECORDED, folder / "expected-rows.safetensors")
    RECORDED.clear()


def make_cases(root, scratch, merge, only=()):
    """`merge` is make_goldens.py's; the working directory has the inputs."""
    in_order()
    for name, (recipe, tolerance) in CASES.items():
        if only and name not in only:
            continue
        RECORDED.clear()
        out = scratch / "out" / name
        merge(recipe, out)
        folder = root / "cases" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yml").write_text(recipe)
        (folder / "tolerance.json").write_text(json.dumps(tolerance, indent=2) + "\n")
        save_file(load_file(out / "model.safetensors"), folder / "expected.safetensors")
        write_expectation(out, folder, recipe)
        print(name, flush=True)
