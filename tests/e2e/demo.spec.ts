/** The main job on the demo models: load, recipe, merge, take the result away. */

import { createHash } from "node:crypto";
import { expect, test } from "@playwright/test";

import { DEMO, expectSameFiles, mergeByCommandLine } from "./cli";
import { counts, DEMO_TIES, fileNamed, Studio } from "./studio";

test("the demo models merge on the CPU, and the bytes are the command line's", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  const made = counts(await studio.merge());
  expect(made.cpu).toBeGreaterThan(10);
  expect(made.gpu).toBe(0);
  expectSameFiles(await studio.zip(), mergeByCommandLine(DEMO_TIES, DEMO));
});

test("every merged tensor is made by the backend that was chosen", async ({ page }, info) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("Auto");
  const report = await studio.merge();
  const { cpu, gpu, copied } = counts(report);
  expect(cpu + gpu + copied).toBe(report.tensors.length);
  expect(report.notices).toEqual([]);
  if (info.project.name === "webgpu") {
    expect(gpu).toBeGreaterThan(10);
    expect(cpu).toBe(0);
    expect(report.gpu.dispatches).toBeGreaterThan(10);
  } else {
    expect(cpu).toBeGreaterThan(10);
    expect(gpu).toBe(0);
    expect(report.gpu.dispatches).toBe(0);
  }
  expect(report.largest_allocation).toBeLessThan(128 * 2 ** 20);
});

test("asking for WebGPU where there is none merges on the CPU and says so", async ({ page }, info) => {
  test.skip(info.project.name !== "cpu", "this browser has WebGPU");
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("WebGPU");
  const report = await studio.merge();
  expect(counts(report).gpu).toBe(0);
  // Chromium without the feature has `navigator.gpu` and no adapter; other browsers have neither.
  expect(JSON.stringify(report.notices)).toMatch(/^\[\{"GpuAbsent":"(NoAdapter|Unsupported)"\}\]$/);
});

test("the page works from a sub-path", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open("studio/");
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
});

test("a second merge replaces the first, and nothing is left of it", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await studio.merge();
  const first = fileNamed(await studio.zip(), "model.safetensors");
  await studio.openRecipe(DEMO_TIES.replaceAll("0.8", "0.2"));
  await expect(studio.mergeButton).toBeEnabled();
  await studio.merge();
  const second = fileNamed(await studio.zip(), "model.safetensors");
  expect(second.equals(first)).toBe(false);
  expect(await studio.privateFiles()).toHaveLength(1);
});

test("the result is saved into a folder that the person picks", async ({ page }) => {
  const studio = new Studio(page);
  // The dialog is the browser's own and cannot be driven; a folder of the private file system is picked in its place.
  await page.addInitScript(() => {
    let asked = 0;
    Object.assign(window, {
      showDirectoryPicker: async () => {
        asked += 1;
        if (asked === 1) throw new DOMException("The user aborted a request.", "AbortError");
        return (await navigator.storage.getDirectory()).getDirectoryHandle("picked", { create: true });
      },
    });
  });
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await studio.merge();
  const save = studio.run.getByRole("button", { name: "Save to folder" });
  await save.click();
  await expect(page.getByRole("alert")).toHaveCount(0);
  await save.click();
  await expect(studio.run.getByText("Saved", { exact: false })).toBeVisible();
  const saved = await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked");
    const files: [string, number[]][] = [];
    for await (const [name, handle] of folder as unknown as AsyncIterable<[string, FileSystemFileHandle]>) {
      const digest = await crypto.subtle.digest("SHA-256", await (await handle.getFile()).arrayBuffer());
      files.push([name, [...new Uint8Array(digest)]]);
    }
    return files.map(([name, digest]) => [name, digest.map((byte) => byte.toString(16).padStart(2, "0")).join("")]).sort();
  });
  const zipped = [...(await studio.zip())].map(([path, bytes]) => [
    path.split("/").pop(),
    createHash("sha256").update(bytes).digest("hex"),
  ]);
  expect(saved).toEqual(zipped.sort());
});
