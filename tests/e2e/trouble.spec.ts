/** What goes wrong: it is said, nothing half-written is left, and the page stays usable. */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@playwright/test";

import { bertRecipe, writeBert } from "./bert";
import { PLAIN_HOST, PORT } from "./places";
import { counts, DEMO_TIES, fileNamed, Studio } from "./studio";

async function demo(studio: Studio, address = "./"): Promise<void> {
  await studio.open(address);
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await expect(studio.mergeButton).toBeEnabled();
}

test("a GPU that is lost midway is replaced by the CPU, with a notice", async ({ page }, info) => {
  test.skip(info.project.name !== "webgpu", "this browser has no WebGPU to lose");
  const studio = new Studio(page);
  await demo(studio, "./?inject=gpu-loss");
  await studio.runOn("WebGPU");
  const report = await studio.merge();
  const { cpu, gpu } = counts(report);
  expect(gpu).toBeGreaterThan(0);
  expect(cpu).toBeGreaterThan(0);
  expect(JSON.stringify(report.notices)).toContain("GpuLost");
  expect(fileNamed(await studio.zip(), "model.safetensors").length).toBeGreaterThan(1000);
});

test("a worker that dies fails the merge and leaves the page usable", async ({ page }) => {
  const studio = new Studio(page);
  await demo(studio, "./?inject=panic");
  await studio.runOn("CPU");
  await studio.mergeButton.click();
  await expect(page.getByRole("alert").first()).toBeVisible();
  await expect(studio.mergeButton).toBeEnabled();
  await expect(studio.model("demo-base")).toBeVisible();
  expect(await studio.privateFiles()).toEqual([]);
});

test("a damaged file is named, and the models before it stay", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.addFile("broken.safetensors", Buffer.from("PK\x03\x04 this is a renamed zip, not a checkpoint"));
  await expect(page.getByRole("alert").filter({ hasText: "broken" })).toBeVisible();
  await expect(studio.model("demo-base")).toBeVisible();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
});

test("a quota that is too small stops the merge, says how much is short, and leaves nothing", async ({ page, context }) => {
  const studio = new Studio(page);
  await demo(studio);
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: `http://127.0.0.1:${PORT}`, quotaSize: 100_000 });
  await studio.runOn("CPU");
  await studio.mergeButton.click();
  // 1,638,000 bytes of weights, and less than 100,000 bytes of room.
  await expect(studio.run.getByText(/ 1\.5\d MB \(1,5\d\d,\d\d\d bytes\) are short\./)).toBeVisible();
  expect(await studio.privateFiles()).toEqual([]);
  await session.send("Storage.overrideQuotaForOrigin", { origin: `http://127.0.0.1:${PORT}` });
  await expect(studio.mergeButton).toBeEnabled();
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
});

test("plain http from another host merges on the CPU in memory, and says so", async ({ page }) => {
  const studio = new Studio(page);
  await demo(studio, `http://${PLAIN_HOST}:${PORT}/`);
  expect(await page.evaluate(() => window.isSecureContext)).toBe(false);
  await studio.runOn("Auto");
  const report = await studio.merge();
  expect(counts(report).gpu).toBe(0);
  expect(report.notices).toEqual([{ InMemory: "InsecureContext" }]);
  expect(fileNamed(await studio.zip(), "model.safetensors").length).toBe(report.written);
});

test.describe("with models of MiniLM's size", () => {
  let folder: string;

  test.beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "merge-studio-bert-"));
    writeBert(join(folder, "mini-one"), 1);
    writeBert(join(folder, "mini-two"), 2);
  });

  async function load(studio: Studio): Promise<void> {
    await studio.open();
    for (const name of ["mini-one", "mini-two"]) {
      await studio.addFolder(join(folder, name));
      await expect(studio.model(name)).toBeVisible();
    }
    await studio.openRecipe(bertRecipe("mini-one", "mini-two"));
    await studio.runOn("CPU");
    await expect(studio.mergeButton).toBeEnabled();
  }

  test("they merge within a fixed memory", async ({ page }) => {
    const studio = new Studio(page);
    await load(studio);
    const report = await studio.merge();
    expect(report.written).toBeGreaterThan(90_000_000);
    expect(report.largest_allocation).toBeLessThan(128 * 2 ** 20);
    // Both inputs together have 182 MB; no worker may hold a share of it that grows with the model.
    for (const memory of report.wasm_memory) expect(memory).toBeLessThan(160 * 2 ** 20);
  });

  test("cancel answers within 200 ms, removes what was written, and the next merge runs", async ({ page }) => {
    const studio = new Studio(page);
    await load(studio);
    await studio.mergeButton.click();
    await expect(studio.run.getByRole("progressbar", { name: "Merge progress" })).toBeVisible();
    const cancel = studio.run.getByRole("button", { name: "Cancel" });
    await expect(cancel).toBeVisible();
    const milliseconds = await cancel.evaluate(async (button: HTMLButtonElement) => {
      const clicked = performance.now();
      button.click();
      while (button.isConnected && button.innerText.includes("Cancel")) await new Promise(requestAnimationFrame);
      return performance.now() - clicked;
    });
    expect(milliseconds).toBeLessThan(200);
    await expect.poll(() => studio.privateFiles()).toEqual([]);
    await expect(studio.mergeButton).toBeEnabled();
    expect((await studio.merge()).written).toBeGreaterThan(90_000_000);
  });
});
