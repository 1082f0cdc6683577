/** Recipes and links: what is pasted is repaired, what is shared comes back. */

import { expect, test } from "@playwright/test";

import { DEMO_TIES, Studio } from "./studio";

/** The article's recipe as blogs show it: its indentation is gone. */
const FLATTENED = `models:
- model: meta-llama/Llama-2-7b-hf
- model: meta-llama/Llama-2-7b-chat-hf
parameters:
density: 0.5
weight: 0.5
- model: epfl-llm/meditron-7b
parameters:
density: 0.5
weight: 0.5
merge_method: dare_ties
base_model: meta-llama/Llama-2-7b-hf
parameters:
normalize: false
int8_mask: true
dtype: float16
`;

test("a recipe that lost its indentation is repaired, and its names are asked for", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(FLATTENED);
  await expect(studio.recipe.getByRole("button", { name: /undo/i })).toBeVisible();
  await studio.recipe.getByRole("tab", { name: "Form" }).click();
  await expect(studio.recipe.getByRole("combobox", { name: "Merge method" })).toHaveValue("dare_ties");
  await expect(studio.recipe.getByRole("spinbutton", { name: "density of epfl-llm/meditron-7b" })).toHaveValue("0.5");
  const bindings = {
    "meta-llama/Llama-2-7b-hf": "demo-base",
    "meta-llama/Llama-2-7b-chat-hf": "demo-reverse",
    "epfl-llm/meditron-7b": "demo-sort",
  };
  for (const [name, model] of Object.entries(bindings)) {
    await page.getByRole("combobox", { name: `Which model is ${name}?` }).selectOption({ label: model });
  }
  await studio.runOn("CPU");
  const report = await studio.merge();
  expect(report.tensors.length).toBeGreaterThan(10);
});

test("a link brings recipe and seed back, and knows the models by their fingerprints", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.run.getByRole("spinbutton", { name: "Seed" }).fill("7");
  await studio.runOn("CPU");
  await expect(studio.mergeButton).toBeEnabled();
  await studio.merge();
  await studio.run.getByRole("button", { name: "Copy link" }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toContain("#r=");

  const other = new Studio(await context.newPage());
  await other.open(link);
  await other.recipe.getByRole("tab", { name: "Form" }).click();
  await expect(other.recipe.getByRole("combobox", { name: "Merge method" })).toHaveValue("ties");
  await expect(other.run.getByRole("spinbutton", { name: "Seed" })).toHaveValue("7");
  // Opening a link starts nothing by itself.
  await expect(other.zipButton).toBeHidden();
  await other.loadDemo();
  const agreement = other.page.getByRole("listitem").filter({ hasText: "same as in the link" });
  for (const name of ["demo-base", "demo-reverse", "demo-sort"]) {
    await expect(agreement.filter({ hasText: name })).toBeVisible();
  }
});

test("a link with one character changed says that it is damaged and changes nothing", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open("./#r=AAAAdGhpcyBpcyBubyBsaW5r");
  await expect(page.getByRole("alert").filter({ hasText: /link/i })).toBeVisible();
  await expect(studio.models).toBeVisible();
});
