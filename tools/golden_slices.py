"""The recipes with `slices` and `modules` of tests/golden; golden_cases.py says what a tolerance means."""

from golden_cases import COINS, EXACT, F32, F64, case

# --- Layers repeated, dropped, interleaved ------------------------------------------------------------------------------

case(
    "slices-passthrough-repeats-drops-and-interleaves",
    """
slices:
  - sources:
      - model: far-a
        layer_range: [0, 3]
  - sources:
      - model: far-b
        layer_range: [1, 4]
  - sources:
      - model: far-a
        layer_range: [2, 3]
  - sources:
      - model: far-base
        layer_range: [4, 5]
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-passthrough-scaled-by-filters",
    """
slices:
  - sources:
      - model: far-a
        layer_range: [0, 4]
  - sources:
      - model: far-a
        layer_range: [1, 5]
        parameters:
          scale:
            - filter: o_proj
              value: 0.0
            - filter: down_proj
              value: [0.25, 0.75]
            - value: 1.0
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-passthrough-near-bfloat16",
    """
slices:
  - sources:
      - model: near-base
        layer_range: [0, 2]
  - sources:
      - model: near-a
        layer_range: [1, 4]
merge_method: passthrough
dtype: bfloat16
""",
    EXACT,
)
case(
    "slices-passthrough-empty-ranges",
    """
slices:
  - sources:
      - model: far-b
        layer_range: [2, 2]
  - sources:
      - model: far-a
        layer_range: [0, 2]
  - sources:
      - model: far-a
        layer_range: [4, 4]
  - sources:
      - model: far-base
        layer_range: [3, 5]
  - sources:
      - model: far-c
        layer_range: [0, 0]
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-passthrough-gpt2",
    """
slices:
  - sources:
      - model: gpt2-base
        layer_range: [0, 2]
  - sources:
      - model: gpt2-a
        layer_range: [0, 4]
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-passthrough-bert",
    """
slices:
  - sources:
      - model: bert-a
        layer_range: [0, 1]
  - sources:
      - model: bert-base
        layer_range: [0, 3]
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-passthrough-wide",
    """
slices:
  - sources:
      - model: wide-a
        layer_range: [0, 1]
  - sources:
      - model: wide-b
        layer_range: [0, 1]
merge_method: passthrough
dtype: float32
""",
    F32,
)
case(
    "slices-linear-donor-is-the-unsliced-base",
    """
slices:
  - sources:
      - model: tied-a
        layer_range: [0, 2]
        parameters:
          weight: 0.4
      - model: tied-base
        layer_range: [0, 2]
        parameters:
          weight: 0.9
  - sources:
      - model: tied-a
        layer_range: [1, 2]
merge_method: linear
base_model: tied-base
parameters:
  weight: 1.0
dtype: float32
""",
    F32,
)

# --- Methods, gradients and scopes --------------------------------------------------------------------------------------

case(
    "slices-slerp-as-on-model-cards",
    """
slices:
  - sources:
      - model: far-base
        layer_range: [0, 5]
      - model: far-a
        layer_range: [0, 5]
merge_method: slerp
base_model: far-base
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
    "slices-slerp-near-shifted-ranges",
    """
slices:
  - sources:
      - model: near-base
        layer_range: [0, 1]
      - model: near-a
        layer_range: [1, 2]
    parameters:
      t: [0.1, 0.9]
  - sources:
      - model: near-b
        layer_range: [0, 3]
      - model: near-base
        layer_range: [1, 4]
    base_model: near-b
merge_method: slerp
base_model: near-base
parameters:
  t: [0.2, 0.6, 0.4]
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slices-linear-every-scope",
    """
slices:
  - sources:
      - model: far-a
        layer_range: [0, 3]
        parameters:
          weight:
            - filter: q_proj
              value: [0.9, 0.2]
      - model: far-b
        layer_range: [2, 5]
    parameters:
      weight:
        - filter: self_attn
          value: 0.7
      normalize: false
  - sources:
      - model: far-b
        layer_range: [0, 1]
      - model: far-c
        layer_range: [4, 5]
        parameters:
          weight: [0.3, 0.8]
merge_method: linear
parameters:
  weight:
    - filter: layers.3
      value: 0.15
    - value: 0.45
dtype: float32
""",
    F32,
)
case(
    "slices-ties-base-in-every-slice",
    """
slices:
  - sources:
      - model: far-base
        layer_range: [0, 2]
      - model: far-a
        layer_range: [0, 2]
        parameters:
          density: 0.4
          weight: 0.6
      - model: far-b
        layer_range: [1, 3]
        parameters:
          density: [0.9, 0.3]
          weight: 0.5
  - sources:
      - model: far-a
        layer_range: [2, 4]
        parameters:
          weight: 0.7
      - model: far-base
        layer_range: [3, 5]
    parameters:
      density: 0.25
merge_method: ties
base_model: far-base
parameters:
  normalize: true
dtype: float32
""",
    F32,
)
case(
    "slices-ties-near-repeated",
    """
slices:
  - sources:
      - model: near-base
        layer_range: [0, 3]
      - model: near-a
        layer_range: [0, 3]
      - model: near-b
        layer_range: [0, 3]
  - sources:
      - model: near-base
        layer_range: [2, 4]
      - model: near-a
        layer_range: [2, 4]
merge_method: ties
base_model: near-base
parameters:
  weight: 0.8
  density: 0.3
dtype: float32
""",
    F32,
)
case(
    "slices-task-arithmetic-base-of-the-slice",
    """
slices:
  - sources:
      - model: far-base
        layer_range: [0, 3]
      - model: far-a
        layer_range: [0, 3]
        parameters:
          weight: 0.6
  - sources:
      - model: far-c
        layer_range: [3, 5]
      - model: far-b
        layer_range: [3, 5]
        parameters:
          weight: 1.2
    base_model: far-c
    parameters:
      lambda: 0.5
merge_method: task_arithmetic
base_model: far-base
dtype: float32
""",
    F32,
)
case(
    "slices-last-slice-is-cut-to-the-first",
    """
slices:
  - sources:
      - model: far-a
        layer_range: [0, 2]
        parameters:
          weight: 1.0
  - sources:
      - model: far-b
        layer_range: [2, 5]
        parameters:
          weight: 0.5
      - model: far-c
        layer_range: [2, 5]
        parameters:
          weight: 0.25
merge_method: linear
dtype: float32
""",
    F32,
)
case(
    "slices-nuslerp-bert",
    """
slices:
  - sources:
      - model: bert-base
        layer_range: [0, 2]
        parameters:
          weight: 0.3
      - model: bert-a
        layer_range: [0, 2]
        parameters:
          weight: 0.7
  - sources:
      - model: bert-base
        layer_range: [1, 4]
        parameters:
          weight: 0.8
      - model: bert-a
        layer_range: [1, 4]
        parameters:
          weight: [0.1, 0.6]
merge_method: nuslerp
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slices-model-stock",
    """
slices:
  - sources:
      - model: far-base
        layer_range: [0, 2]
      - model: far-a
        layer_range: [0, 2]
      - model: far-b
        layer_range: [0, 2]
  - sources:
      - model: far-base
        layer_range: [2, 4]
      - model: far-c
        layer_range: [1, 3]
      - model: far-b
        layer_range: [2, 4]
    parameters:
      filter_wise: true
merge_method: model_stock
base_model: far-base
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "slices-breadcrumbs-gpt2",
    """
slices:
  - sources:
      - model: gpt2-base
        layer_range: [0, 2]
      - model: gpt2-a
        layer_range: [1, 3]
        parameters:
          weight: 0.9
merge_method: breadcrumbs
base_model: gpt2-base
parameters:
  density: 0.6
  gamma: 0.05
dtype: float32
""",
    F32,
)
case(
    "slices-dare-ties",
    """
slices:
  - sources:
      - model: far-base
        layer_range: [0, 2]
      - model: far-a
        layer_range: [0, 2]
        parameters:
          weight: 0.7
          density: 0.4
  - sources:
      - model: far-base
        layer_range: [3, 5]
      - model: far-b
        layer_range: [3, 5]
        parameters:
          weight: 0.4
          density: 0.7
merge_method: dare_ties
base_model: far-base
dtype: float32
""",
    COINS,
)

# --- Modules ------------------------------------------------------------------------------------------------------------

case(
    "modules-default-models",
    """
modules:
  default:
    models:
      - model: far-a
        parameters:
          weight: 0.6
      - model: far-b
    parameters:
      weight:
        - filter: mlp
          value: [0.2, 0.9]
merge_method: linear
parameters:
  weight: 0.35
dtype: float32
""",
    F32,
)
case(
    "modules-default-slices-every-scope",
    """
modules:
  default:
    slices:
      - sources:
          - model: far-base
            layer_range: [0, 2]
          - model: far-a
            layer_range: [1, 3]
            parameters:
              weight:
                - filter: k_proj
                  value: 0.9
        parameters:
          weight:
            - filter: self_attn
              value: 0.5
      - sources:
          - model: far-base
            layer_range: [2, 5]
          - model: far-b
            layer_range: [0, 3]
    parameters:
      weight:
        - filter: mlp
          value: [0.3, 0.6]
      lambda: 0.75
merge_method: task_arithmetic
base_model: far-base
parameters:
  weight: 0.25
  lambda: 2.0
dtype: float32
""",
    F32,
)
case(
    "modules-base-joins-models",
    """
modules:
  default:
    models:
      - model: near-a
      - model: near-b
merge_method: ties
base_model: near-base
parameters:
  weight: 1.0
  density: 0.5
dtype: float32
""",
    F32,
)
case(
    "modules-encoder-decoder-and-what-they-share",
    """
modules:
  encoder:
    slices:
      - sources:
          - model: t5-base
            layer_range: [0, 2]
          - model: t5-a
            layer_range: [0, 2]
            parameters:
              weight: [0.2, 0.8]
      - sources:
          - model: t5-base
            layer_range: [1, 3]
          - model: t5-a
            layer_range: [1, 3]
    parameters:
      weight: 0.6
  decoder:
    models:
      - model: t5-base
      - model: t5-a
    parameters:
      weight: [0.9, 0.1]
  shared:
    models:
      - model: t5-a
merge_method: task_arithmetic
base_model: t5-base
parameters:
  weight: 0.5
dtype: float32
""",
    F32,
)
