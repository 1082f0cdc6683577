/** What recipes can say beyond whole models of one vocabulary: slices, tokenizers, adapters, modules. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";

import { DEMO, expectSameFiles, mergeByCommandLine, temporary } from "./cli";
import { readCheckpoint, type Tensor, writeCheckpoint, writeLora } from "./safetensors";
import { fileNamed, Studio } from "./studio";

const SLICES = `slices:
  - sources:
      - model: demo-reverse
        layer_range: [0, 3]
  - sources:
      - model: demo-sort
        layer_range: [1, 4]
merge_method: passthrough
dtype: bfloat16
`;

test("slices stack layers: the result is as deep as they are together, and the bytes are the command line's", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(SLICES);
  await studio.runOn("CPU");
  await expect(studio.run.getByText("demo-sort, 1 layer is left out")).toBeVisible();
  await expect(studio.run.getByText(/^\d+ tensors are in no slice$/)).toBeVisible();
  await studio.merge();
  const files = await studio.zip();
  const config = JSON.parse(fileNamed(files, "config.json").toString());
  expect(config.num_hidden_layers).toBe(6);
  expectSameFiles(files, mergeByCommandLine(SLICES, DEMO));
});

test("two slices are put together in the form, from whole models", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  const { recipe } = studio;
  await recipe.getByRole("combobox", { name: "Merge method" }).selectOption("passthrough");
  await recipe.getByRole("radio", { name: "Slices" }).check();
  await recipe.getByRole("button", { name: "Add slice" }).click();
  const second = recipe.getByRole("group", { name: "slice 2" });
  await second.getByRole("combobox", { name: "model of source 1" }).selectOption("demo-sort");
  await second.getByRole("spinbutton", { name: "first layer of demo-sort in slice 2" }).fill("2");
  await second.getByRole("spinbutton", { name: "first layer of demo-sort in slice 2" }).press("Tab");
  await second.getByRole("spinbutton", { name: "last layer of demo-sort in slice 2" }).fill("3");
  await second.getByRole("spinbutton", { name: "last layer of demo-sort in slice 2" }).press("Tab");
  await expect(second.getByText("layers 2–3, 2 of 4")).toBeVisible();
  await expect(recipe.getByText("6 layers from 2 slices", { exact: false })).toBeVisible();
  await studio.runOn("CPU");
  await studio.merge();
  const files = await studio.zip();
  expect(JSON.parse(fileNamed(files, "config.json").toString()).num_hidden_layers).toBe(6);
  const written = fileNamed(files, "mergekit_config.yml").toString();
  expect(written).toContain("layer_range: [2, 4]");
  await recipe.getByRole("radio", { name: "Whole models" }).check();
  await expect(recipe.getByRole("group", { name: "slice 2" })).toHaveCount(0);
});

test("a slice of several models has their parameters and its own", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  const { recipe } = studio;
  await recipe.getByRole("combobox", { name: "Merge method" }).selectOption("ties");
  await recipe.getByRole("radio", { name: "Slices" }).check();
  const weight = recipe.getByRole("spinbutton", { name: "weight of demo-sort in slice 1" });
  await weight.fill("0.25");
  await weight.press("Tab");
  await recipe.getByText("Settings of slice 1").click();
  await recipe.getByRole("combobox", { name: "Base model of slice 1" }).selectOption("demo-base");
  await recipe.getByRole("tab", { name: "YAML" }).click();
  const editor = recipe.getByRole("textbox", { name: "Recipe YAML" });
  await expect(editor).toContainText("weight: 0.25");
  await expect(editor).toContainText("layer_range: [0, 4]");
  await expect(studio.mergeButton).toBeEnabled();
});

/** A demo model without the last few tokens. */
function writeCut(from: string, folder: string, tokens: number): void {
  mkdirSync(folder, { recursive: true });
  const read = (name: string): Buffer => readFileSync(join(DEMO, from, name));
  const { tensors } = readCheckpoint(read("model.safetensors"));
  const [name, embedding] = [...tensors].find(([, { shape }]) => shape[0] === 100) as [string, Tensor];
  const [rows, columns] = embedding.shape as [number, number];
  const bytes = embedding.bytes.subarray(0, (embedding.bytes.length / rows) * tokens);
  tensors.set(name, { ...embedding, shape: [tokens, columns], bytes });
  writeFileSync(join(folder, "model.safetensors"), writeCheckpoint(tensors));
  const config = JSON.parse(read("config.json").toString());
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: tokens }));
  const tokenizer = JSON.parse(read("tokenizer.json").toString());
  const kept = Object.entries<number>(tokenizer.model.vocab).filter(([, id]) => id < tokens);
  tokenizer.model.vocab = Object.fromEntries(kept);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), read("tokenizer_config.json"));
}

const UNEQUAL = `models:
  - model: short
    parameters:
      weight: 0.5
  - model: demo-sort
    parameters:
      weight: 0.5
merge_method: linear
dtype: bfloat16
`;

test("vocabularies of unequal size are refused with buttons that align them", async ({ page }) => {
  const models = temporary();
  writeCut("demo-reverse", join(models, "short"), 96);
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.addFolder(join(models, "short"));
  await studio.openRecipe(UNEQUAL);
  await expect(studio.run.getByRole("alert")).toContainText("the vocabularies differ in size");
  await studio.run.getByRole("button", { name: "Keep the base's vocabulary" }).click();
  await expect(studio.run.getByText("demo-sort has 100")).toBeVisible();
  await expect(studio.recipe.getByRole("combobox", { name: "Tokenizer" })).toHaveValue("base");
  await studio.recipe.getByRole("combobox", { name: "Tokenizer" }).selectOption("");
  await studio.run.getByRole("button", { name: "Align vocabularies (union)" }).click();
  await expect(studio.recipe.getByRole("combobox", { name: "Tokenizer" })).toHaveValue("union");
  const padding = studio.recipe.getByRole("spinbutton", { name: "Pad to a multiple of" });
  await padding.fill("8");
  await padding.press("Tab");
  await studio.recipe.getByRole("combobox", { name: "Chat template" }).selectOption("chatml");
  await studio.runOn("CPU");
  await studio.merge();
  const files = await studio.zip();
  expect(JSON.parse(fileNamed(files, "config.json").toString()).vocab_size).toBe(104);
  const recipe = fileNamed(files, "mergekit_config.yml").toString();
  expect(recipe).toContain("source: union");
  expect(recipe).toContain("chat_template: chatml");
  expect(readCheckpoint(fileNamed(files, "model.safetensors")).tensors.get("model.embed_tokens.weight")?.shape).toEqual([104, 128]);
});

/** A demo model two of whose tokens have each other's id: as many rows, another meaning. */
function writeSwapped(from: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ["config.json", "model.safetensors", "tokenizer_config.json"]) {
    writeFileSync(join(folder, name), readFileSync(join(DEMO, from, name)));
  }
  const tokenizer = JSON.parse(readFileSync(join(DEMO, from, "tokenizer.json")).toString());
  const vocab: Record<string, number> = tokenizer.model.vocab;
  const added = new Set(tokenizer.added_tokens.map(({ id }: { id: number }) => id));
  const [one, other] = Object.keys(vocab).filter((token) => !added.has(vocab[token])) as [string, string];
  [vocab[one], vocab[other]] = [vocab[other]!, vocab[one]!];
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
}

test("tokenizers that differ are warned of with buttons that align them, and then the bytes are the command line's", async ({ page }) => {
  const models = temporary();
  writeSwapped("demo-reverse", join(models, "swapped"));
  mkdirSync(join(models, "demo-sort"));
  for (const name of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
    writeFileSync(join(models, "demo-sort", name), readFileSync(join(DEMO, "demo-sort", name)));
  }
  const recipe = UNEQUAL.replace("short", "swapped");
  const studio = new Studio(page);
  await studio.open();
  for (const name of ["swapped", "demo-sort"]) await studio.addFolder(join(models, name));
  await studio.openRecipe(recipe);
  await studio.runOn("CPU");
  const warning = studio.run.getByText("The tokenizer of demo-sort differs from the base's");
  await expect(warning).toBeVisible();
  // It is a warning: what is asked for is merged.
  await studio.merge();
  expectSameFiles(await studio.zip(), mergeByCommandLine(recipe, models));
  for (const [button, source] of [["Align vocabularies (union)", "union"], ["Keep the base's vocabulary", "base"]] as const) {
    await studio.recipe.getByRole("combobox", { name: "Tokenizer" }).selectOption("");
    await expect(warning).toBeVisible();
    await studio.run.getByRole("button", { name: button }).click();
    await expect(studio.recipe.getByRole("combobox", { name: "Tokenizer" })).toHaveValue(source);
    await expect(warning).toHaveCount(0);
    await expect(studio.run.getByRole("button", { name: button })).toHaveCount(0);
    await studio.merge();
    const files = await studio.zip();
    const written = fileNamed(files, "mergekit_config.yml").toString();
    expect(written).toContain(`source: ${source}`);
    expectSameFiles(files, mergeByCommandLine(written, models));
  }
});

test("a LoRA adapter is put on a model in the form, and the bytes are the command line's", async ({ page }) => {
  const models = temporary();
  writeLora(join(models, "tiny-lora"));
  for (const name of ["demo-base", "demo-sort"]) {
    mkdirSync(join(models, name));
    for (const file of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
      writeFileSync(join(models, name, file), readFileSync(join(DEMO, name, file)));
    }
  }
  const studio = new Studio(page);
  await studio.open();
  for (const name of ["demo-base", "demo-sort", "tiny-lora"]) await studio.addFolder(join(models, name));
  await expect(studio.model("tiny-lora").getByText("LoRA adapter, rank 2, for demo-base")).toBeVisible();
  await studio.recipe.getByRole("combobox", { name: "Merge method" }).selectOption("linear");
  await studio.recipe.getByRole("combobox", { name: "adapter for demo-base" }).selectOption("tiny-lora");
  await expect(studio.recipe.getByRole("spinbutton", { name: "weight of demo-base+tiny-lora" })).toBeVisible();
  await studio.runOn("CPU");
  await studio.merge();
  const files = await studio.zip();
  const recipe = fileNamed(files, "mergekit_config.yml").toString();
  expect(recipe).toContain("model: demo-base+tiny-lora");
  expectSameFiles(files, mergeByCommandLine(recipe, models));
});

test("an adapter where a model should stand is refused in words", async ({ page }) => {
  const models = temporary();
  writeLora(join(models, "tiny-lora"));
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.addFolder(join(models, "tiny-lora"));
  await studio.openRecipe("models:\n  - model: demo-base\n  - model: tiny-lora\nmerge_method: linear\nparameters:\n  weight: 1\n");
  await expect(studio.run.getByRole("alert")).toContainText("write MODEL+tiny-lora; it was trained on demo-base");
  await expect(studio.run.getByRole("button", { name: /Align/ })).toHaveCount(0);
});

test("a recipe of modules is shown, kept and merged", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(
    "modules:\n  default:\n    models:\n      - model: demo-reverse\n      - model: demo-sort\n    parameters:\n      weight: 0.5\nmerge_method: linear\n",
  );
  await expect(studio.recipe.getByText("This recipe merges modules", { exact: false })).toBeVisible();
  await expect(studio.recipe.getByRole("radio", { name: "Slices" })).toHaveCount(0);
  await studio.recipe.getByRole("combobox", { name: "dtype", exact: true }).selectOption("float32");
  await studio.runOn("CPU");
  await studio.merge();
  const recipe = fileNamed(await studio.zip(), "mergekit_config.yml").toString();
  expect(recipe).toContain("default:");
  expect(recipe).toContain("dtype: float32");
});
