/** A recipe of several documents: its stages are planned at once, made one after another, and gone at the end. */

import { expect, test } from "@playwright/test";

import { DEMO, expectSameFiles, mergeByCommandLine } from "./cli";
import { counts, Studio } from "./studio";

const STAGES = `name: blend
models:
  - model: demo-reverse
  - model: demo-sort
merge_method: linear
parameters:
  weight: 0.5
dtype: float32
---
name: away
models:
  - model: blend
  - model: demo-upper
merge_method: slerp
base_model: blend
parameters:
  t: 0.3
dtype: float32
tokenizer_source: base
---
models:
  - model: away
    parameters:
      weight: 0.8
      density: 0.7
  - model: blend
    parameters:
      weight: 0.4
      density: 0.5
merge_method: ties
base_model: demo-base
dtype: float16
`;

test("stages are made one after another, leave nothing, and the bytes are the command line's", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(STAGES);
  await expect(studio.run).toContainText(/2 stages before: blend, away \([\d.]+ \wB kept meanwhile\)/);
  await studio.runOn("CPU");
  const made = counts(await studio.merge());
  expect(made.cpu).toBeGreaterThan(10);
  await expect.poll(async () => (await studio.privateFiles()).length).toBe(1);
  expectSameFiles(await studio.zip(), mergeByCommandLine(STAGES, DEMO));
});

test("a second merge begins where the first one did, and a stage that cannot be planned is named", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(STAGES);
  await studio.runOn("CPU");
  const first = await studio.merge();
  const again = await studio.merge();
  expect(again.tensors).toEqual(first.tensors);
  await studio.openRecipe(STAGES.replace("t: 0.3", "t:\n    - filter: mlp\n      value: 0.3"));
  await expect(studio.run).toContainText(/stage away: /i);
});
