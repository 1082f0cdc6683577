/**
 * A sample of the goldens in a browser: what mergekit made of the same recipes and models.
 *
 * On the CPU the page's bytes are the command line's, which tests/golden holds to mergekit element by element and with the reasons for
 * every tolerance. Beside that they are compared with mergekit's own here, more simply: every element is within the case's units in
 * the last place of the largest number of its tensor. Where an element may be kept or dropped there is no such bound: where 16-bit
 * rounding moves a trim's threshold, and where many magnitudes are equal to it (mergekit keeps any of them, we those that come first).
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";

import { expectSameFiles, GOLDEN, mergeByCommandLine } from "./cli";
import { type Checkpoint, isFloat, numbers, readCheckpoint, spacing } from "./safetensors";
import { counts, fileNamed, Studio } from "./studio";

/** Every method, and every part of the recipe's language. */
const SAMPLE = [
  "linear-near",
  "linear-tied-embeddings",
  "slerp-gradient-and-filters",
  "task-arithmetic-far",
  "ties-near",
  "ties-density-gradient",
  "ties-bfloat16",
  "breadcrumbs-near",
  "breadcrumbs-ties-far",
  "dare-linear-near-density-1",
  "dare-ties-near-density-1",
  "della-near-density-1",
  "della-linear-far-density-1",
  "sce-three",
  "model-stock-far",
  "nuslerp-bert-rows",
  "multislerp-near",
  "karcher-near",
  "nearswap-far",
  "arcee-fusion-far",
  "ram-three",
  "ramplus-tl-near",
  "passthrough-scale-filters",
  "slices-passthrough-repeats-drops-and-interleaves",
  "slices-ties-near-repeated",
  "modules-encoder-decoder-and-what-they-share",
  "lora-slerp",
  "lora-ties-near",
  "tokenizer-rules",
  "tokenizer-padded",
];

/** Magnitudes of fine-tunes in 16 bits are equal by the dozen. */
const EQUAL_MAGNITUDES = ["ties-near", "breadcrumbs-near", "slices-ties-near-repeated"];

const INPUTS = join(GOLDEN, "inputs");

/** The folders of models that a recipe names. */
function modelsOf(recipe: string): string[] {
  const words = new Set(recipe.split(/[\s:+,\[\]{}]+/));
  return readdirSync(INPUTS).filter((name) => words.has(name));
}

/** What mergekit made: all of it, or of large tensors every so many elements. */
function expected(name: string): Checkpoint {
  const folder = join(GOLDEN, "cases", name);
  const whole = join(folder, "expected.safetensors");
  return readCheckpoint(readFileSync(existsSync(whole) ? whole : join(folder, "expected-samples.safetensors")));
}

/** Every element of `ours` is as near to mergekit's as `ulps` of its tensor's largest number. */
function expectNear(ours: Checkpoint, theirs: Checkpoint, ulps: number): void {
  expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
  const stride = Number(theirs.metadata.stride ?? 1);
  for (const [name, tensor] of theirs.tensors) {
    const made = ours.tensors.get(name)!;
    expect(made.dtype, name).toBe(tensor.dtype);
    expect(made.shape, name).toEqual(JSON.parse(theirs.metadata[name] ?? JSON.stringify(tensor.shape)));
    if (!isFloat(tensor.dtype)) {
      expect(made.bytes.equals(tensor.bytes), name).toBe(true);
      continue;
    }
    const [mine, wanted] = [numbers(made), numbers(tensor)];
    const allowed = ulps * spacing(tensor.dtype, wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
    const far = wanted.findIndex((value, at) => !(Math.abs(value - mine[at * stride]!) <= allowed));
    expect(far, `${name}: element ${far * stride} is ${mine[far * stride]} and not ${wanted[far]}`).toBe(-1);
  }
}

test("the comparison can fail", () => {
  const theirs = expected("ties-near");
  expectNear(theirs, theirs, 0);
  const [name, tensor] = [...theirs.tensors].find(([, { dtype }]) => dtype === "F32")!;
  const bytes = Buffer.from(tensor.bytes);
  const largest = numbers(tensor).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  bytes.writeFloatLE(bytes.readFloatLE(0) + 6 * spacing("F32", largest), 0);
  const other = { ...theirs, tensors: new Map(theirs.tensors).set(name, { ...tensor, bytes }) };
  expect(() => expectNear(other, theirs, 4)).toThrow();
});

for (const name of SAMPLE) {
  test(`${name} is what mergekit makes`, async ({ page }, info) => {
    const recipe = readFileSync(join(GOLDEN, "cases", name, "recipe.yml"), "utf8");
    const tolerance = JSON.parse(readFileSync(join(GOLDEN, "cases", name, "tolerance.json"), "utf8"));
    const studio = new Studio(page);
    await studio.open();
    for (const model of modelsOf(recipe)) {
      await studio.addFolder(join(INPUTS, model));
      await expect(studio.model(model)).toBeVisible();
    }
    await studio.openRecipe(recipe);
    const onGpu = info.project.name === "webgpu";
    await studio.runOn(onGpu ? "WebGPU" : "CPU");
    const made = counts(await studio.merge());
    if (!onGpu) expect(made.gpu).toBe(0);
    const files = await studio.zip();
    if (!onGpu) expectSameFiles(files, mergeByCommandLine(recipe, INPUTS));
    if (!tolerance.threshold_slack && !tolerance.inputs_rounded && !EQUAL_MAGNITUDES.includes(name)) {
      const weights = readCheckpoint(fileNamed(files, "model.safetensors"));
      expectNear(weights, expected(name), tolerance.ulps);
    }
  });
}
