/** The files that a merge reads and writes: models of several files, workers that write at once, and disks that fail. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";

import { bertRecipe, writeBert } from "./bert";
import { DEMO, expectSameFiles, mergeByCommandLine, temporary } from "./cli";
import { readCheckpoint, writeCheckpoint } from "./safetensors";
import { counts, DEMO_TIES, Studio } from "./studio";

/** Has every worker begin with `lines`. */
async function withFirstLines(page: Page, lines: string): Promise<void> {
  await page.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: lines + (await response.text()) });
  });
}

/** The page with the demo models and a recipe, to run on the CPU. */
async function demo(page: Page): Promise<Studio> {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await expect(studio.mergeButton).toBeEnabled();
  return studio;
}

test("models of several files give the command line's bytes", async ({ page }) => {
  const folder = temporary();
  for (const name of ["demo-base", "demo-reverse", "demo-sort"]) {
    mkdirSync(join(folder, name));
    for (const file of readdirSync(join(DEMO, name)).filter((file) => file !== "model.safetensors")) {
      copyFileSync(join(DEMO, name, file), join(folder, name, file));
    }
    const { tensors } = readCheckpoint(readFileSync(join(DEMO, name, "model.safetensors")));
    const shards = name === "demo-sort" ? 2 : 3;
    const file = (shard: number): string => `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    // Turn by turn, so that neighbours lie in different files.
    const entries = [...tensors].map(([tensor, content], at) => ({ tensor, content, shard: at % shards }));
    for (let shard = 0; shard < shards; shard++) {
      const own = entries.filter((entry) => entry.shard === shard).map(({ tensor, content }) => [tensor, content] as const);
      writeFileSync(join(folder, name, file(shard)), writeCheckpoint(new Map(own)));
    }
    const weight_map = Object.fromEntries(entries.map(({ tensor, shard }) => [tensor, file(shard)]));
    writeFileSync(join(folder, name, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map }));
  }
  const studio = new Studio(page);
  await studio.open();
  for (const name of readdirSync(folder)) {
    await studio.addFolder(join(folder, name));
    await expect(studio.model(name)).toBeVisible();
  }
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
  expectSameFiles(await studio.zip(), mergeByCommandLine(DEMO_TIES, folder));
});

/** First lines of a worker that tell the page whenever it opens a file to write. */
const TELL = `
const { createSyncAccessHandle } = FileSystemFileHandle.prototype;
const channel = new BroadcastChannel("writers");
const worker = Math.random();
FileSystemFileHandle.prototype.createSyncAccessHandle = function (options) {
  channel.postMessage(worker);
  return createSyncAccessHandle.call(this, options);
};
`;
/** The same, of a browser that knows only handles that are alone. */
const ALONE = TELL.replace("call(this, options)", "call(this)");

for (const [title, lines, alone] of [
  ["workers write at once", TELL, false],
  ["where only one worker can write, the desk does", ALONE, true],
] as const) {
  test(`${title}, and the bytes are the command line's`, async ({ page }) => {
    const folder = temporary();
    for (const [seed, name] of ["mini-one", "mini-two"].entries()) writeBert(join(folder, name), seed + 1);
    const recipe = bertRecipe("mini-one", "mini-two");
    await withFirstLines(page, lines);
    const studio = new Studio(page);
    await studio.open();
    for (const name of ["mini-one", "mini-two"]) {
      await studio.addFolder(join(folder, name));
      await expect(studio.model(name)).toBeVisible();
    }
    await studio.openRecipe(recipe);
    await studio.runOn("CPU");
    const writers = await page.evaluateHandle(() => {
      const writers = new Set<number>();
      new BroadcastChannel("writers").onmessage = ({ data }) => writers.add(data);
      return writers;
    });
    await studio.merge();
    const all = await writers.evaluate((writers) => writers.size);
    if (alone) expect(all).toBe(1);
    else expect(all).toBeGreaterThan(1);
    expectSameFiles(await studio.zip(), mergeByCommandLine(recipe, folder));
    // A second one in the place of the first.
    expect((await studio.merge()).written).toBeGreaterThan(90_000_000);
    expect((await studio.privateFiles()).length).toBe(1);
  });
}

test("a disk that fills midway fails the merge and leaves nothing", async ({ page }) => {
  await withFirstLines(
    page,
    `const { write } = FileSystemSyncAccessHandle.prototype;
    FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
      return options.at > 500_000 ? 0 : write.call(this, bytes, options);
    };`,
  );
  const studio = await demo(page);
  await studio.mergeButton.click();
  await expect(studio.run.getByText(/bytes\) are short\./)).toBeVisible();
  expect(await studio.privateFiles()).toEqual([]);
  await expect(studio.mergeButton).toBeEnabled();
  await expect(studio.zipButton).not.toBeVisible();
});

test("a result that the disk does not keep is withdrawn", async ({ page }) => {
  await withFirstLines(
    page,
    `FileSystemSyncAccessHandle.prototype.flush = () => {
      throw new DOMException("the disk is gone", "InvalidStateError");
    };`,
  );
  const studio = await demo(page);
  await studio.mergeButton.click();
  await expect(studio.run.getByText(/model\.safetensors.*the disk is gone/)).toBeVisible();
  await expect(studio.zipButton).not.toBeVisible();
  expect(await studio.privateFiles()).toEqual([]);
  await expect(studio.mergeButton).toBeEnabled();
});
