/** A recipe of several documents: its stages are planned at once, made one after another, and gone at the end. */

import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";

import { writeBert } from "./bert";
import { DEMO, expectSameFiles, mergeByCommandLine, temporary } from "./cli";
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

/** A first line of every worker: the first time that the second stage's folder is asked for, it waits for a word from the page. */
const HOLD = `
const { getDirectoryHandle } = FileSystemDirectoryHandle.prototype;
const channel = new BroadcastChannel("hold");
let held = false;
FileSystemDirectoryHandle.prototype.getDirectoryHandle = async function (name, options) {
  if (name === "stage-1" && !held) {
    held = true;
    const released = new Promise((resolve) => channel.addEventListener("message", resolve));
    channel.postMessage("held");
    await released;
  }
  return getDirectoryHandle.call(this, name, options);
};
`;

/** Merges [`STAGES`] until the first stage is made and the second has not begun; gives what lets it go on. */
async function untilBetween(page: Page): Promise<{ studio: Studio; release: () => Promise<void> }> {
  await page.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: HOLD + (await response.text()) });
  });
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(STAGES);
  await studio.runOn("CPU");
  const channel = await page.evaluateHandle(() => new BroadcastChannel("hold"));
  const held = channel.evaluate((channel) => new Promise<void>((resolve) => (channel.onmessage = () => resolve())));
  await studio.mergeButton.click();
  await held;
  expect(await studio.privateFiles()).toEqual([expect.stringMatching(/stage-0\/model\.safetensors$/)]);
  return { studio, release: () => channel.evaluate((channel) => channel.postMessage("go on")) };
}

const cancel = (studio: Studio): Promise<void> => studio.run.getByRole("button", { name: "Cancel" }).click();

test("cancelled between two stages, nothing remains and the next merge is whole", async ({ page }) => {
  const { studio, release } = await untilBetween(page);
  await cancel(studio);
  await expect(studio.mergeButton).toBeEnabled();
  await release();
  await expect.poll(() => studio.privateFiles()).toEqual([]);
  await studio.merge();
  await expect.poll(async () => (await studio.privateFiles()).length).toBe(1);
  expectSameFiles(await studio.zip(), mergeByCommandLine(STAGES, DEMO));
});

test("a merge that is begun before the cancelled one has let go is not disturbed by it", async ({ page }) => {
  const { studio, release } = await untilBetween(page);
  await cancel(studio);
  await studio.mergeButton.click();
  await release();
  await expect(studio.zipButton).toBeVisible();
  await expect.poll(() => studio.privateFiles()).toEqual([expect.stringMatching(/^merge-studio\/[^/]+\/model\.safetensors$/)]);
  expectSameFiles(await studio.zip(), mergeByCommandLine(STAGES, DEMO));
});

test("cancelled within a stage, nothing remains and the next merge is whole", async ({ page }) => {
  const folder = temporary();
  for (const [seed, name] of ["mini-one", "mini-two"].entries()) writeBert(join(folder, name), seed + 1);
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  for (const name of ["mini-one", "mini-two"]) {
    await studio.addFolder(join(folder, name));
    await expect(studio.model(name)).toBeVisible();
  }
  const half = "parameters:\n  weight: 0.5\nmerge_method: linear\ndtype: float32\n";
  const large = ["name: x\nmodels: [{model: mini-one}, {model: mini-two}]", "models: [{model: x}, {model: mini-two}]"];
  await studio.openRecipe(large.map((models) => `${models}\n${half}`).join("---\n"));
  await studio.runOn("CPU");
  await studio.mergeButton.click();
  await expect(studio.run.getByText("Stage 1 of 1: x")).toBeVisible();
  expect(await studio.privateFiles()).toEqual([expect.stringMatching(/stage-0\/model\.safetensors$/)]);
  await cancel(studio);
  await expect.poll(() => studio.privateFiles()).toEqual([]);
  await expect(studio.mergeButton).toBeEnabled();
  await studio.openRecipe(STAGES);
  await studio.merge();
  await expect.poll(async () => (await studio.privateFiles()).length).toBe(1);
  expectSameFiles(await studio.zip(), mergeByCommandLine(STAGES, DEMO));
});
