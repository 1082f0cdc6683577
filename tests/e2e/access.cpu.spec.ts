/** Whether everyone can use it: axe's rules, in both colour schemes and both widths, before and after a merge. */

import { join } from "node:path";

import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";

import { temporary } from "./cli";
import { writeLora } from "./safetensors";
import { DEMO_TIES, Studio } from "./studio";

/** Slices, an adapter, aligned vocabularies with rules, a template of one's own: all that the form has. */
const EVERYTHING = `slices:
  - sources:
      - model: demo-base
        layer_range: [0, 3]
      - model: demo-sort+tiny-lora
        layer_range: [0, 3]
        parameters: {weight: 0.6, density: 0.5}
  - sources:
      - model: demo-base
        layer_range: [2, 4]
      - model: demo-reverse
        layer_range: [2, 4]
        parameters: {weight: [0.2, 0.8, 0.4]}
    parameters: {density: 0.9}
merge_method: ties
base_model: demo-base
dtype: bfloat16
tokenizer:
  source: union
  pad_to_multiple_of: 8
  tokens:
    "<new>":
      source: {kind: zero}
chat_template: "{% for message in messages %}{{ message['content'] }}{% endfor %}"
`;

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing in ${colorScheme} at ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const violations = async () => (await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => [id, nodes[0]?.html]);
      const studio = new Studio(page);
      await studio.open();
      expect(await violations()).toEqual([]);
      await studio.loadDemo();
      await studio.openRecipe(DEMO_TIES);
      await studio.merge();
      expect(await violations()).toEqual([]);
      // The demo models' tokenizer has no form in GGUF.
      await studio.ggufButton.click();
      await expect(studio.run.getByRole("alert")).toBeVisible();
      expect(await violations()).toEqual([]);
      const folder = join(temporary(), "tiny-lora");
      writeLora(folder);
      await studio.addFolder(folder);
      await studio.openRecipe(EVERYTHING);
      await expect(studio.mergeButton).toBeEnabled();
      expect(await violations()).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      await page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
      const evaluate = page.getByRole("region", { name: "Evaluate" });
      await evaluate.getByRole("combobox", { name: "Questions" }).selectOption("20");
      await evaluate.getByRole("button", { name: "Start" }).click();
      await expect(evaluate.getByRole("status")).toContainText("Evaluated in");
      await evaluate.getByRole("button", { name: "reverse", exact: true }).click();
      const ask = page.getByRole("region", { name: "Side by side" });
      await ask.getByRole("button", { name: "reverse: kamel =" }).click();
      await ask.getByRole("combobox", { name: "Answers" }).selectOption("sampled");
      await ask.getByRole("button", { name: "Ask", exact: true }).click();
      await expect(ask.getByRole("status")).toContainText("answered");
      await ask.getByRole("spinbutton", { name: "Seed" }).fill("-1");
      await expect(ask.getByRole("alert")).toBeVisible();
      expect(await violations()).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    });
  }
}
