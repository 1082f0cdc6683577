"""The recipes of several documents of tests/golden; golden_cases.py says what a tolerance means. The output is the last document."""

from pathlib import Path

import yaml
from golden_cases import F32, F64, case

# What the last merge reads was itself rounded differently on both sides by a few units, and thresholds and votes are taken of that.
STAGED = {
    **F32,
    "ulps": 16,
    "inputs_rounded": 2.0**-21,
    "threshold_slack": 2.0**-20,
    "vote_slack": 1e-5,
    "reason": "f32 on both sides, each operation of each stage rounded: the last merge's inputs are apart already",
}
# A value on a rounding boundary goes either way in the stage, and the result is rounded once more.
STAGED16 = {
    **F32,
    "ulps": 2,
    "vote_slack": 0,
    "reason": "mergekit's linear works in f32 and rounds once, too, but does so in the stage and at the end",
}

case(
    "stages-two-then-ties",
    """
name: blend
models:
  - model: far-a
    parameters:
      weight: 0.3
  - model: far-b
    parameters:
      weight: [0.2, 0.9]
merge_method: linear
dtype: float32
---
name: away
models:
  - model: far-c
    parameters:
      weight: 0.6
merge_method: task_arithmetic
base_model: far-base
dtype: float32
---
models:
  - model: blend
    parameters:
      weight: 0.8
      density: 0.5
  - model: away
    parameters:
      weight: 0.6
      density: 0.7
merge_method: ties
base_model: far-base
parameters:
  normalize: true
dtype: float32
""",
    STAGED,
)
case(
    "stages-chain-out-of-order",
    """
name: third
models:
  - model: second
    parameters:
      weight: 1.4
  - model: far-c
    parameters:
      weight: 0.3
merge_method: task_arithmetic
base_model: far-base
parameters:
  lambda: 0.9
dtype: float64
---
name: second
models:
  - model: first
  - model: far-b
merge_method: slerp
base_model: first
parameters:
  t: [0.1, 0.6]
dtype: float64
---
name: first
models:
  - model: far-a
    parameters:
      weight: 0.7
  - model: far-b
    parameters:
      weight: 0.5
merge_method: linear
dtype: float64
---
models:
  - model: third
    parameters:
      weight: 0.5
  - model: far-base
    parameters:
      weight: 0.25
merge_method: linear
dtype: float64
out_dtype: float32
""",
    F64,
)
case(
    "stages-used-twice-and-as-base",
    """
name: ground
models:
  - model: near-a
    parameters:
      weight: 0.5
  - model: near-b
    parameters:
      weight: 0.5
merge_method: linear
dtype: float32
---
name: beyond
models:
  - model: near-a
    parameters:
      weight: 1.5
merge_method: task_arithmetic
base_model: ground
dtype: float32
---
models:
  - model: beyond
    parameters:
      weight: 0.7
  - model: near-b
    parameters:
      weight: 0.4
merge_method: task_arithmetic
base_model: ground@main
dtype: float32
""",
    STAGED,
)
case(
    "stages-slices-then-slerp",
    """
name: stack
slices:
  - sources:
      - model: far-a
        layer_range: [0, 3]
  - sources:
      - model: far-b
        layer_range: [1, 4]
merge_method: passthrough
dtype: float32
---
name: other
slices:
  - sources:
      - model: far-c
        layer_range: [0, 2]
  - sources:
      - model: far-base
        layer_range: [1, 5]
merge_method: passthrough
dtype: float32
---
models:
  - model: stack
  - model: other
merge_method: slerp
base_model: stack
parameters:
  t:
    - filter: mlp
      value: [0.9, 0.2]
    - value: 0.4
dtype: float32
""",
    STAGED,
)
case(
    "stages-bfloat16-between",
    """
name: blend
models:
  - model: near-a
    parameters:
      weight: 0.3
  - model: near-b
    parameters:
      weight: 0.45
merge_method: linear
dtype: bfloat16
---
models:
  - model: blend
    parameters:
      weight: 0.6
  - model: near-base
    parameters:
      weight: 0.4
merge_method: linear
dtype: bfloat16
""",
    STAGED16,
)


def documents(recipe):
    return list(yaml.safe_load_all(recipe))


def run(recipe, out, options):
    """The tool for recipes of several documents, without its command line; `options` as for one document."""
    from mergekit.graph import Executor
    from mergekit.scripts import multimerge

    between = Path(options.lora_merge_cache) / "stages"
    between.mkdir()
    configs, needs = multimerge.load_config(recipe, str(between))
    tasks = multimerge.make_tasks(configs, needs, options, str(between), str(out), lazy=False)
    Executor(tasks, math_device="cpu", storage_device="cpu").execute(desc=out.name)
