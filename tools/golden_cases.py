"""The recipes of tests/golden, by case, each with the tolerance that its comparison is allowed and the reason for it.

- `ulps`: units in the last place of the output type, at the magnitude of the largest number on the way to the element.
- `inputs_rounded`: the share of their magnitude that inputs lose when mergekit rounds them to `dtype` first.
- `threshold_slack`, `vote_slack`: how near (relatively) a magnitude may be to the trim threshold, or a vote to a tie, for the
  element to be allowed both ways. mergekit leaves the order of equal magnitudes open, so equality is always such a case.
- `otherwise`: parts of the names of tensors that we make otherwise on purpose (tests/golden/properties.rs says how).
- `left_out`: tensors that mergekit writes and we, on purpose, do not.
- `statistics`: the method draws coins, and only shares and norms are compared.
"""

# Both sides round every operation to f32; a chain has four or five of them, and their order may differ.
F32 = {"ulps": 4, "threshold_slack": 0, "vote_slack": 2e-6, "reason": "f32 on both sides, each operation rounded"}
# L1 norms are f32 sums there and f64 sums here.
RESCALED = {**F32, "ulps": 16, "reason": "f32 on both sides, and mergekit sums L1 norms in f32"}
# Both compute in f64 and round once: apart only where a value falls on a rounding boundary.
F64 = {"ulps": 1, "threshold_slack": 0, "vote_slack": 1e-12, "reason": "f64 on both sides, rounded once to f32"}
# Geometry in f32 there, as here; sums of squares in f32 there, in f64 here.
SLERP32 = {**F32, "ulps": 16, "reason": "mergekit takes norms and the cosine in f32"}
# mergekit rounds inputs, weights, deltas, products and sums to 16 bits each; we round once.
LINEAR16 = {"ulps": 1, "threshold_slack": 0, "vote_slack": 0, "reason": "mergekit's linear works in f32 and rounds once too"}


def sixteen(bits):
    unit = 2.0**-bits
    return {
        "ulps": 4,
        "inputs_rounded": unit,
        "threshold_slack": 2 * unit,
        "vote_slack": 6 * unit,
        "reason": "mergekit rounds inputs, weights and every operation to 16 bits; we round once",
    }


BF16, F16 = sixteen(8), sixteen(11)
# Inputs are bf16 and sums are f32 on both sides; only the last rounding is to 16 bits.
OUT16 = {**F32, "ulps": 1, "reason": "f32 on both sides, one rounding to 16 bits at the end"}

CASES = {}


def case(name, recipe, tolerance):
    assert name not in CASES, name
    CASES[name] = (recipe.lstrip("\n"), tolerance)


# --- linear -----------------------------------------------------------------------------------------------------------

for inputs in ("far", "near", "edge", "wide"):
    case(
        f"linear-{inputs}",
        f"""
models:
  - model: {inputs}-base
    parameters:
      weight: 0.2
  - model: {inputs}-a
    parameters:
      weight: 0.7
  - model: {inputs}-b
    parameters:
      weight: 0.3
merge_method: linear
dtype: float32
""",
        F32,
    )

case(
    "linear-normalize-off-and-negative-weight",
    """
models:
  - model: far-a
    parameters:
      weight: 1.3
  - model: far-b
    parameters:
      weight: -0.4
merge_method: linear
parameters:
  normalize: false
dtype: float32
""",
    F32,
)
case(
    "linear-unlisted-base-is-an-input",
    """
models:
  - model: far-a
    parameters:
      weight: 0.75
  - model: far-b
merge_method: linear
base_model: far-base
parameters:
  weight: 0.5
dtype: float32
""",
    F32,
)
case(
    "linear-gradient",
    """
models:
  - model: far-a
    parameters:
      weight: [0.0, 0.3, 1.0]
  - model: far-b
    parameters:
      weight: [1.0, 0.5]
merge_method: linear
dtype: float32
""",
    F32,
)
case(
    "linear-filters",
    """
models:
  - model: far-a
    parameters:
      weight:
        - filter: self_attn
          value: [0.1, 0.9]
        - filter: mlp.down
          value: 0.4
        - value: 0.6
  - model: far-b
    parameters:
      weight:
        - filter: layers.2.
          value: 0.05
merge_method: linear
parameters:
  weight: 0.45
dtype: float32
""",
    F32,
)
case(
    "linear-yaml-1-1-scalars",
    """
models:
  - model: far-a
    parameters:
      weight: 5e-1
  - model: far-b
    parameters:
      weight: +.25
merge_method: linear
parameters:
  normalize: yes
dtype: torch.float32
""",
    F32,
)
case(
    "linear-bert-old-names",
    """
models:
  - model: bert-a
    parameters:
      weight: [0.2, 0.8]
  - model: bert-old
    parameters:
      weight:
        - filter: attention
          value: 0.3
        - value: [0.9, 0.1]
merge_method: linear
dtype: float32
""",
    F32,
)
case(
    "linear-gpt2-bare-names",
    """
models:
  - model: gpt2-a
    parameters:
      weight: [0.2, 0.8, 0.4]
  - model: gpt2-bare
    parameters:
      weight: 0.5
merge_method: linear
dtype: float32
""",
    F32,
)
case(
    "linear-lacking",
    """
models:
  - model: odd-a
    parameters:
      weight: 0.6
  - model: odd-b
    parameters:
      weight: 0.3
  - model: odd-base
    parameters:
      weight: 0.2
merge_method: linear
dtype: float32
""",
    F32,
)
case(
    "linear-bfloat16",
    """
models:
  - model: near-a
    parameters:
      weight: 0.7
  - model: near-b
    parameters:
      weight: 0.3
merge_method: linear
dtype: bfloat16
""",
    LINEAR16,
)
case(
    "linear-float16-of-bfloat16",
    """
models:
  - model: near-a
    parameters:
      weight: 0.7
  - model: near-b
    parameters:
      weight: 0.4
merge_method: linear
dtype: float16
""",
    LINEAR16,
)
case(
    "linear-out-dtype-bfloat16",
    """
models:
  - model: far-a
    parameters:
      weight: 0.7
  - model: far-b
    parameters:
      weight: 0.3
merge_method: linear
dtype: float32
out_dtype: bfloat16
""",
    OUT16,
)
for name, models, tolerance in (
    ("linear-no-dtype-bf16-and-f16-make-f32", ("mixed-bf16", "mixed-f16"), F32),
    ("linear-no-dtype-f16-alone", ("gpt2-base", "gpt2-a"), LINEAR16),
    ("linear-no-dtype-f32-and-bf16", ("mixed-f32", "mixed-bf16"), F32),
    ("linear-no-dtype-f64-and-f16", ("mixed-f64", "mixed-f16"), {**F64, "ulps": 4, "reason": "f64 on both sides, each operation rounded"}),
):
    case(
        name,
        f"""
models:
  - model: {models[0]}
    parameters:
      weight: 0.7
  - model: {models[1]}
    parameters:
      weight: 0.4
merge_method: linear
""",
        tolerance,
    )
for name, models in (
    ("linear-tied-embeddings", ("tied-base", "tied-a")),
    ("linear-head-in-some", ("tied-headed", "tied-a")),
):
    case(
        name,
        f"""
models:
  - model: {models[0]}
    parameters:
      weight: 0.6
  - model: {models[1]}
    parameters:
      weight: 0.4
merge_method: linear
dtype: float32
""",
        F32,
    )

# --- slerp ------------------------------------------------------------------------------------------------------------

for inputs in ("far", "near", "edge", "wide"):
    case(
        f"slerp-{inputs}",
        f"""
models:
  - model: {inputs}-base
  - model: {inputs}-a
merge_method: slerp
base_model: {inputs}-base
parameters:
  t: 0.35
dtype: float64
out_dtype: float32
""",
        F64,
    )
case(
    "slerp-gradient-and-filters",
    """
models:
  - model: far-a
  - model: far-b
merge_method: slerp
base_model: far-b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slerp-unlisted-base",
    """
models:
  - model: gpt2-a
merge_method: slerp
base_model: gpt2-base
parameters:
  t: [0.1, 0.9]
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slerp-bert",
    """
models:
  - model: bert-base
  - model: bert-a
merge_method: slerp
base_model: bert-base
parameters:
  t:
    - filter: LayerNorm
      value: 0.1
    - value: [0.2, 0.8]
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slerp-lacking-is-copied",
    """
models:
  - model: odd-b
  - model: odd-base
merge_method: slerp
base_model: odd-base
parameters:
  t: 0.5
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slerp-float32",
    """
models:
  - model: far-base
  - model: far-a
merge_method: slerp
base_model: far-base
parameters:
  t: 0.5
dtype: float32
""",
    SLERP32,
)
case(
    "slerp-float16",
    """
models:
  - model: gpt2-base
  - model: gpt2-a
merge_method: slerp
base_model: gpt2-base
parameters:
  t: [{value: 0.5}]
dtype: float16
""",
    {**LINEAR16, "reason": "mergekit's slerp works in f32 and rounds once too"},
)

# --- task arithmetic and its family -------------------------------------------------------------------------------------


def family(name, method, inputs, tolerance, *, a="weight: 0.6", b="weight: 0.3", shared="", dtype="float32", listed=True):
    """base, a, b, with their parameters as YAML flow mappings' contents."""
    base = f"  - model: {inputs}-base\n" if listed else ""
    shared = f"parameters: {{{shared}}}\n" if shared else ""
    case(
        name,
        f"""
models:
{base}  - model: {inputs}-a
    parameters: {{{a}}}
  - model: {inputs}-b
    parameters: {{{b}}}
merge_method: {method}
base_model: {inputs}-base
{shared}dtype: {dtype}
""",
        tolerance,
    )


for inputs in ("far", "near", "edge", "wide"):
    family(f"task-arithmetic-{inputs}", "task_arithmetic", inputs, F32)
    family(
        f"ties-{inputs}",
        "ties",
        inputs,
        F32,
        a="weight: 0.6, density: 0.5",
        b="weight: 0.3, density: 0.2",
    )
for inputs in ("far", "near", "edge", "wide"):
    family(f"dare-linear-{inputs}-density-1", "dare_linear", inputs, F32, a="weight: 0.6, density: 1", b="weight: 0.3")
    family(f"dare-ties-{inputs}-density-1", "dare_ties", inputs, F32, a="weight: 0.5, density: 1.0", b="weight: 0.4")

family("task-arithmetic-normalize", "task_arithmetic", "far", F32, shared="normalize: true")
family("task-arithmetic-lambda", "task_arithmetic", "far", F32, shared="lambda: 1.7", b="weight: -0.8")
family("task-arithmetic-weights-cancel", "task_arithmetic", "far", F32, b="weight: -0.6", shared="normalize: true")
family("task-arithmetic-unlisted-base", "task_arithmetic", "far", F32, listed=False)
family("task-arithmetic-density-does-nothing", "task_arithmetic", "far", F32, a="weight: 0.6, density: 0.1")
family("task-arithmetic-lacking", "task_arithmetic", "odd", F32)
family("task-arithmetic-gradient", "task_arithmetic", "far", F32, a="weight: [0, 0.5, 1]", b="weight: [1, 0]")
family("task-arithmetic-bfloat16", "task_arithmetic", "near", BF16, dtype="bfloat16")
family("task-arithmetic-float16", "task_arithmetic", "far", F16, dtype="float16")
family("task-arithmetic-float64", "task_arithmetic", "far", {**F64, "ulps": 4}, dtype="float64")
family("task-arithmetic-out-dtype-bfloat16", "task_arithmetic", "near", OUT16, dtype="float32\nout_dtype: bfloat16")
family("task-arithmetic-out-dtype-float16", "task_arithmetic", "far", OUT16, dtype="float32\nout_dtype: float16")

HALF = {"a": "weight: 0.6, density: 0.5", "b": "weight: 0.3, density: 0.5"}
family("ties-normalize-off", "ties", "far", F32, shared="normalize: false", **HALF)
family("ties-lambda", "ties", "far", F32, shared="lambda: 0.4", **HALF)
family("ties-rescale", "ties", "far", RESCALED, shared="rescale: true", **HALF)
family("ties-rescale-near", "ties", "near", RESCALED, shared="rescale: true, int8_mask: true", **HALF)
family("ties-int8-mask", "ties", "far", F32, shared="int8_mask: true, normalize: 0", **HALF)
family("ties-unlisted-base", "ties", "near", F32, listed=False, **HALF)
family("ties-negative-weight", "ties", "far", F32, a="weight: 0.6, density: 0.5", b="weight: -0.3, density: 0.7")
family("ties-zero-weights", "ties", "far", F32, a="weight: 0, density: 0.5", b="weight: 0, density: 0.7")
family("ties-keep-one", "ties", "far", F32, a="weight: 0.6, density: 1e-12", b="weight: 0.3, density: 0.0001")
family("ties-density-beyond-its-range", "ties", "far", F32, a="weight: 0.6, density: 1.5", b="weight: 0.3, density: -0.5")
family("ties-density-gradient", "ties", "far", F32, a="weight: 0.6, density: [0, 1]", b="weight: [0.1, 0.9], density: [1, 0.1, 0.6]")
family(
    "ties-filters",
    "ties",
    "far",
    F32,
    a="weight: 0.6, density: [{filter: q_proj, value: 0.1}, {filter: mlp, value: [0.2, 0.8]}]",
    b="weight: [{filter: norm, value: 0}, {value: 0.5}]",
    shared="density: 0.4, lambda: [{filter: mlp, value: 0.5}, {value: [1, 2]}], normalize: [{filter: self_attn, value: false}]",
)
family("ties-lacking", "ties", "odd", F32, **HALF)
family("ties-bfloat16", "ties", "near", BF16, dtype="bfloat16", **HALF)
family("ties-bfloat16-far", "ties", "far", BF16, dtype="bfloat16", **HALF)
family("ties-float16", "ties", "far", F16, dtype="float16", **HALF)
family("ties-out-dtype-bfloat16", "ties", "near", OUT16, dtype="float32\nout_dtype: bfloat16", **HALF)
family("dare-linear-density-0", "dare_linear", "far", F32, a="weight: 0.6, density: 0", b="weight: 0.3")
family("dare-ties-float16-density-1", "dare_ties", "far", F16, dtype="float16", a="weight: 0.5, density: 1", b="weight: 0.5, density: 1", shared="normalize: false, int8_mask: true")
family("dare-ties-normalize-lambda", "dare_ties", "near", F32, shared="normalize: true, lambda: 0.9, rescale: false")

case(
    "ties-near-alone",
    """
models:
  - model: near-base
  - model: near-a
    parameters:
      weight: 1
      density: 0.25
merge_method: ties
base_model: near-base
dtype: float32
""",
    F32,
)
case(
    "ties-three-of-a-bert",
    """
models:
  - model: bert-a
    parameters:
      weight: 0.5
      density: 0.4
  - model: bert-base
  - model: bert-old
    parameters:
      weight: [0.2, 0.6]
      density: 0.3
merge_method: ties
base_model: bert-base
dtype: float32
""",
    F32,
)
case(
    "ties-mixed-types",
    """
models:
  - model: mixed-bf16
    parameters:
      weight: 0.5
      density: 0.4
  - model: mixed-f16
    parameters:
      weight: 0.7
      density: 0.3
merge_method: ties
base_model: mixed-f32
""",
    F32,
)
case(
    "task-arithmetic-tied-embeddings",
    """
models:
  - model: tied-a
    parameters:
      weight: 0.6
merge_method: task_arithmetic
base_model: tied-base
dtype: float32
""",
    F32,
)
case(
    "task-arithmetic-head-in-some",
    """
models:
  - model: tied-a
    parameters:
      weight: 0.6
merge_method: task_arithmetic
base_model: tied-headed
dtype: float32
""",
    F32,
)

case(
    "linear-head-in-an-input-but-not-the-donor",
    """
models:
  - model: tied-a
    parameters:
      weight: 0.6
  - model: tied-headed
    parameters:
      weight: 0.4
merge_method: linear
dtype: float32
""",
    {**F32, "left_out": ["lm_head.weight"], "reason": "f32 on both sides; embeddings that are tied stay tied"},
)

# --- coins: torch draws others than we do -------------------------------------------------------------------------------

COINS = {**F32, "statistics": True, "reason": "the coins differ; shares and norms agree"}
HALVES = {"a": "weight: 0.6, density: 0.5", "b": "weight: 0.3, density: 0.5"}
family("dare-linear-half", "dare_linear", "far", COINS, **HALVES)
family("dare-linear-half-without-rescale", "dare_linear", "far", COINS, shared="rescale: false", **HALVES)
family("dare-ties-half", "dare_ties", "far", COINS, **HALVES)
family("dare-ties-half-near", "dare_ties", "near", COINS, **HALVES)

# --- spherical methods: mergekit's f32 reductions drift, so that these are made in f64 ---------------------------------------

F64_CHAIN = {**F64, "ulps": 2, "reason": "f64 on both sides; angles and norms are summed in another order"}
GEOMETRY32 = {**F32, "ulps": 64, "reason": "mergekit takes norms, angles and means in f32, we take them in f64"}
IN_F64 = "float64\nout_dtype: float32"


def models(name, method, listed, tolerance, *, base=None, shared="", dtype=IN_F64):
    """Models by name with their parameters as the contents of a YAML flow mapping."""
    entries = "".join(f"  - model: {m}\n" + (f"    parameters: {{{p}}}\n" if p else "") for m, p in listed)
    base = f"base_model: {base}\n" if base else ""
    shared = f"parameters: {{{shared}}}\n" if shared else ""
    case(name, f"models:\n{entries}merge_method: {method}\n{base}{shared}dtype: {dtype}\n", tolerance)


def pair(inputs, a, b):
    return [(f"{inputs}-a", a), (f"{inputs}-b", b)]


# Opposite vectors have no arc: mergekit's result hangs on the last bit of a cosine, ours is the chord.
OPPOSITE = {**F64_CHAIN, "otherwise": ["o_proj"]}
OPPOSITE_DELTAS = {**F64_CHAIN, "otherwise": ["up_proj", "v_proj", "input_layernorm"]}


def spherical(inputs, base=False):
    return F64_CHAIN if inputs != "edge" else OPPOSITE_DELTAS if base else OPPOSITE


for inputs in ("far", "near", "edge", "wide"):
    models(f"nuslerp-{inputs}", "nuslerp", pair(inputs, "weight: 0.6", "weight: 0.3"), spherical(inputs))
    models(f"nuslerp-{inputs}-base", "nuslerp", pair(inputs, "weight: 0.3", "weight: 0.6"), spherical(inputs, base=True), base=f"{inputs}-base")
    # Three zeros have no mean direction, and mergekit stops; of two it takes the chord.
    third = [] if inputs == "edge" else [(f"{inputs}-base", "weight: 0.2")]
    models(f"multislerp-{inputs}", "multislerp", [*third, *pair(inputs, "weight: 0.5", "weight: 0.4")], F64_CHAIN)
    models(f"karcher-{inputs}", "karcher", [(f"{inputs}-base", ""), *pair(inputs, "", "")], spherical(inputs))
    models(f"model-stock-{inputs}", "model_stock", pair(inputs, "", ""), F64_CHAIN, base=f"{inputs}-base")
for inputs in ("far", "near"):
    models(f"multislerp-{inputs}-base", "multislerp", pair(inputs, "weight: 0.5", "weight: 0.4"), F64_CHAIN, base=f"{inputs}-base")
for inputs in ("far", "near", "bert", "edge"):
    listed = pair(inputs, "weight: 0.6", "weight: 0.3") if inputs != "bert" else [("bert-a", "weight: 0.6"), ("bert-old", "weight: 0.3")]
    for name, flags in (("rows", "nuslerp_flatten: false"), ("columns", "nuslerp_flatten: false, nuslerp_row_wise: true")):
        models(f"nuslerp-{inputs}-{name}", "nuslerp", listed, spherical(inputs), shared=flags)
        models(f"nuslerp-{inputs}-{name}-base", "nuslerp", listed, spherical(inputs, base=True), shared=flags, base=f"{inputs}-base")
models("nuslerp-weights-that-cancel", "nuslerp", pair("far", "weight: 0.5", "weight: -0.5"), F64_CHAIN)
models("nuslerp-weight-gradient", "nuslerp", pair("far", "weight: [0, 1]", "weight: [1, 0.2]"), F64_CHAIN, base="far-base")
models("nuslerp-row-wise-does-nothing-when-flat", "nuslerp", pair("far", "weight: 0.6", "weight: 0.3"), F64_CHAIN, shared="nuslerp_row_wise: true")
models("nuslerp-lacking", "nuslerp", [("odd-b", "weight: 0.5"), ("odd-base", "weight: 0.5")], F64_CHAIN)
models("nuslerp-float32", "nuslerp", pair("far", "weight: 0.6", "weight: 0.3"), GEOMETRY32, dtype="float32")
models("nuslerp-bfloat16", "nuslerp", pair("near", "weight: 0.6", "weight: 0.3"), BF16, dtype="bfloat16")
models("nuslerp-listed-base", "nuslerp", [("far-base", ""), *pair("far", "weight: 0.6", "weight: 0.3")], F64_CHAIN, base="far-base")
models("multislerp-one", "multislerp", [("far-a", "weight: 0.7")], F64_CHAIN)
models("multislerp-one-and-a-base", "multislerp", [("near-a", "weight: 0.7")], F64_CHAIN, base="near-base", dtype="float32")
models("multislerp-weights-as-they-are", "multislerp", pair("far", "weight: 0.5", "weight: 0.3"), F64_CHAIN, shared="normalize_weights: false")
models("multislerp-eps", "multislerp", pair("far", "weight: 0.5", "weight: 0.3"), F64_CHAIN, shared="eps: 1.0e-3")
models("multislerp-float32", "multislerp", pair("far", "weight: 0.5", "weight: 0.3"), GEOMETRY32, dtype="float32")
models("multislerp-lacking", "multislerp", [("odd-a", "weight: 0.5"), ("odd-b", "weight: 0.3"), ("odd-base", "weight: 0.1")], F64_CHAIN)
models("karcher-two", "karcher", pair("far", "", ""), F64_CHAIN)
models("karcher-one-step", "karcher", pair("far", "", ""), F64_CHAIN, shared="max_iter: 1")
models("karcher-no-step", "karcher", [("far-base", ""), *pair("far", "", "")], F64_CHAIN, shared="max_iter: 0")
models("karcher-wide-tolerance", "karcher", [("far-base", ""), *pair("far", "", "")], F64_CHAIN, shared="tol: 0.1")
models("karcher-unlisted-base-is-an-input", "karcher", pair("far", "", ""), F64_CHAIN, base="far-base")
models("karcher-one", "karcher", [("far-a", "")], F64_CHAIN)
models("karcher-float32", "karcher", [("far-base", ""), *pair("far", "", "")], GEOMETRY32, dtype="float32")
models("karcher-lacking", "karcher", [("odd-a", ""), ("odd-b", ""), ("odd-base", "")], F64_CHAIN)
for inputs in ("far", "near", "edge", "bert"):
    listed = pair(inputs, "", "") if inputs != "bert" else [("bert-a", ""), ("bert-old", "")]
    models(f"model-stock-{inputs}-filter-wise", "model_stock", listed, F64_CHAIN, base=f"{inputs}-base", shared="filter_wise: true")
models("model-stock-three", "model_stock", [*pair("far", "", ""), ("far-c", "")], F64_CHAIN, base="far-base")
models("model-stock-some-filter-wise", "model_stock", pair("far", "", ""), F64_CHAIN, base="far-base", shared="filter_wise: [{filter: mlp, value: true}]")
models("model-stock-float32", "model_stock", pair("far", "", ""), GEOMETRY32, base="far-base", dtype="float32")
models("model-stock-bfloat16", "model_stock", pair("far", "", ""), BF16, base="far-base", dtype="bfloat16")

# --- sparse task vectors ------------------------------------------------------------------------------------------------

CRUMBS = {"a": "weight: 0.6, density: 0.5, gamma: 0.1", "b": "weight: 0.3, density: 0.7, gamma: 0.05"}
for inputs in ("far", "near", "edge", "wide"):
    family(f"breadcrumbs-{inputs}", "breadcrumbs", inputs, F32, **CRUMBS)
    family(f"breadcrumbs-ties-{inputs}", "breadcrumbs_ties", inputs, F32, **CRUMBS)
    family(f"della-linear-{inputs}-density-1", "della_linear", inputs, F32, a="weight: 0.6, density: 1", b="weight: 0.3")
    family(f"della-{inputs}-density-1", "della", inputs, F32, a="weight: 0.5, density: 1.0", b="weight: 0.4, density: 1")
family("breadcrumbs-gamma-0", "breadcrumbs", "far", F32, a="weight: 0.6, density: 0.5, gamma: 0", b="weight: 0.3, density: 0.5, gamma: 0")
family("breadcrumbs-default-gamma", "breadcrumbs", "far", F32, **HALF)
family("breadcrumbs-gamma-and-density-above-1", "breadcrumbs", "far", F32, a="weight: 0.6, density: 0.8, gamma: 0.5", b="weight: 0.3, density: 0.4, gamma: 0.9")
family("breadcrumbs-density-1", "breadcrumbs", "far", F32, a="weight: 0.6, density: 1, gamma: 0.5", b="weight: 0.3, density: 1.5")
family("breadcrumbs-density-too-small", "breadcrumbs", "far", F32, a="weight: 0.6, density: 1.0e-6", b="weight: 0.3, density: 0")
family("breadcrumbs-rescale-normalize-lambda", "breadcrumbs", "far", RESCALED, shared="rescale: true, normalize: true, lambda: 0.7", **CRUMBS)
family("breadcrumbs-gradients", "breadcrumbs", "far", F32, a="weight: 0.6, density: [0.2, 0.9], gamma: [0.3, 0]", b="weight: [0.1, 0.9], density: 0.5, gamma: [{filter: mlp, value: 0.2}, {value: 0.01}]")
family("breadcrumbs-ties-rescale-near", "breadcrumbs_ties", "near", RESCALED, shared="rescale: true, int8_mask: true", **CRUMBS)
family("breadcrumbs-ties-normalize", "breadcrumbs_ties", "far", F32, shared="normalize: true", **CRUMBS)
family("breadcrumbs-ties-lacking", "breadcrumbs_ties", "odd", F32, **CRUMBS)
family("breadcrumbs-bfloat16", "breadcrumbs", "near", BF16, dtype="bfloat16", **CRUMBS)
family("breadcrumbs-ties-float16", "breadcrumbs_ties", "far", F16, dtype="float16", **CRUMBS)
family("della-linear-density-0", "della_linear", "far", F32, a="weight: 0.6, density: 0", b="weight: 0.3")
family("della-normalize-off", "della", "near", F32, a="weight: 0.6", b="weight: 0.3", shared="normalize: false, lambda: 0.8")
family("della-linear-half", "della_linear", "far", COINS, **HALVES)
family("della-linear-half-epsilon", "della_linear", "far", COINS, a="weight: 0.6, density: 0.4, epsilon: 0.35", b="weight: 0.3, density: 0.6, epsilon: 0.01")
family("della-linear-half-without-rescale", "della_linear", "far", COINS, shared="rescale: false", **HALVES)
family("della-half", "della", "far", COINS, **HALVES)
family("della-half-near", "della", "near", COINS, **HALVES)

# --- consensus by variance, by counting, by distance ------------------------------------------------------------------------

for inputs in ("far", "near", "edge", "wide"):
    family(f"sce-{inputs}", "sce", inputs, F32, a="", b="", shared="select_topk: 0.3")
    family(f"ram-{inputs}", "ram", inputs, F32, a="", b="", shared="epsilon: 0.001")
    family(f"ramplus-tl-{inputs}", "ramplus_tl", inputs, F32, a="", b="", shared="epsilon: 0.001")
    models(f"nearswap-{inputs}", "nearswap", [(f"{inputs}-a", "")], F32, base=f"{inputs}-base", shared="t: 0.0002", dtype="float32")
family("sce-all", "sce", "far", F32, a="", b="")
family("sce-all-near", "sce", "near", F32, a="", b="", shared="int8_mask: true")
family("sce-nothing", "sce", "far", F32, a="", b="", shared="select_topk: 0")
family("sce-gradient", "sce", "far", F32, a="", b="", shared="select_topk: [0.1, 0.9]")
family("sce-lacking", "sce", "odd", F32, a="", b="", shared="select_topk: 0.5")
family("sce-out-dtype-bfloat16", "sce", "near", OUT16, a="", b="", shared="select_topk: 0.5", dtype="float32\nout_dtype: bfloat16")
models("sce-three", "sce", [*pair("far", "", ""), ("far-c", "")], F32, base="far-base", shared="select_topk: 0.25", dtype="float32")
models("sce-one-has-no-variance", "sce", [("far-a", "")], F32, base="far-base", shared="select_topk: 0.5", dtype="float32")
models("sce-float64", "sce", [*pair("far", "", ""), ("far-c", "")], {**F64, "ulps": 4}, base="far-base", shared="select_topk: 0.25")
family("ram-default-epsilon", "ram", "near", F32, a="", b="")
family("ram-epsilon-0", "ram", "near", F32, a="", b="", shared="epsilon: 0")
family("ram-epsilon-large", "ram", "far", F32, a="", b="", shared="epsilon: 0.1")
models("ram-three", "ram", [*pair("far", "", ""), ("far-c", "")], F32, base="far-base", shared="epsilon: 0.05", dtype="float32")
models("ram-one", "ram", [("far-a", "")], F32, base="far-base", dtype="float32")
family("ram-lacking", "ram", "odd", F32, a="", b="", shared="epsilon: 0.05")
family("ramplus-tl-far-apart", "ramplus_tl", "far", F32, a="", b="", shared="epsilon: 0.08, r: 0.5, alpha: 0.6")
family("ramplus-tl-default", "ramplus_tl", "near", F32, a="", b="")
models("ramplus-tl-three", "ramplus_tl", [*pair("far", "", ""), ("far-c", "")], F32, base="far-base", shared="epsilon: 0.05, r: 1, alpha: 0.3", dtype="float32")
models("ramplus-tl-one", "ramplus_tl", [("far-a", "")], F32, base="far-base", dtype="float32")
for name, t in (("all", "1"), ("nothing", "0"), ("gradient", "[0.0, 0.05, 0.5]"), ("below-zero", "-1")):
    models(f"nearswap-{name}", "nearswap", [("far-a", "")], F32, base="far-base", shared=f"t: {t}", dtype="float32")
models("nearswap-listed-base", "nearswap", [("far-a", ""), ("far-base", "")], F32, base="far-base", shared="t: 0.03", dtype="float32")
models("nearswap-float16", "nearswap", [("far-a", "")], F16, base="far-base", shared="t: 0.03", dtype="float16")
models("nearswap-lacking", "nearswap", [("odd-b", "")], F32, base="odd-base", shared="t: 0.03", dtype="float32")

# --- fusion, and nothing at all ---------------------------------------------------------------------------------------------

FUSION64 = {**F64, "threshold_slack": 1e-9, "reason": "f64 on both sides; divergences and thresholds are summed in another order"}
# Between rows that hardly differ mergekit's divergence is noise of either sign; ours is never below zero.
NOISY = {**FUSION64, "otherwise": ["post_attention_layernorm"]}
for inputs in ("far", "near", "edge"):
    tolerance = NOISY if inputs == "edge" else FUSION64
    models(f"arcee-fusion-{inputs}", "arcee_fusion", [(f"{inputs}-a", "")], tolerance, base=f"{inputs}-base")
models("arcee-fusion-bert", "arcee_fusion", [("bert-a", "")], FUSION64, base="bert-base")
models("arcee-fusion-listed-base", "arcee_fusion", [("far-base", ""), ("far-b", "")], FUSION64, base="far-base")
models("arcee-fusion-lacking", "arcee_fusion", [("odd-b", "")], FUSION64, base="odd-base")
EXACT = {**F32, "ulps": 0, "reason": "nothing is computed"}
for inputs in ("far", "near", "edge", "wide"):
    models(f"passthrough-{inputs}", "passthrough", [(f"{inputs}-a", "")], EXACT, dtype="float32")
models("passthrough-scale", "passthrough", [("far-a", "scale: 0.7")], F32, dtype="float32")
models("passthrough-scale-filters", "passthrough", [("far-a", "scale: [{filter: o_proj, value: 0}, {filter: down_proj, value: [0.5, 2]}, {value: 1}]")], F32, dtype="float32")
models("passthrough-some-scaled", "passthrough", [("far-a", "scale: [{filter: mlp, value: 0.5}]")], F32, dtype="float32")
models("passthrough-bfloat16", "passthrough", [("far-a", "")], OUT16, dtype="bfloat16")
