/** How fast this device merges: the dialog, its figures, and that nothing else suffers from it. No figure is held to anything but being there. */

import AxeBuilder from "@axe-core/playwright";
import { expect, type Locator, type Page, test } from "@playwright/test";

import { counts, DEMO_TIES, Studio } from "./studio";

/** The page with models of one layer to measure with. */
const SMALL = "?benchmark=small";
const TASKS = ["copy", "linear", "slerp", "ties", "dare_ties"];
const FINISHED = "The benchmark is finished.";

class Benchmark {
  readonly opener: Locator;
  readonly dialog: Locator;

  constructor(readonly page: Page) {
    this.opener = page.getByRole("region", { name: "Run" }).getByRole("button", { name: "Benchmark this device" });
    this.dialog = page.getByRole("dialog", { name: "Benchmark this device" });
  }

  button(name: string): Locator {
    return this.dialog.getByRole("button", { name, exact: true });
  }

  async measure(): Promise<void> {
    await this.opener.click();
    await this.button("Start").click();
    await expect(this.dialog.getByRole("status")).toHaveText(FINISHED, { timeout: 100_000 });
  }

  /** The words of each cell in a column, by task. */
  async column(at: number): Promise<string[]> {
    const rows = this.dialog.getByRole("row");
    await expect(rows).toHaveCount(1 + TASKS.length);
    const names = await rows.locator("th:first-child").allInnerTexts();
    expect(names.slice(1)).toEqual(TASKS);
    return rows.locator(`td:nth-child(${at + 1})`).allInnerTexts();
  }
}

/** Every task has a rate that is more than nothing, and every merge its share of the copy. */
function expectFigures(cells: string[]): void {
  expect(cells.length).toBe(TASKS.length);
  for (const [at, cell] of cells.entries()) {
    expect(Number(/^([\d.]+) GB\/s/.exec(cell)?.[1]), cell).toBeGreaterThan(0);
    expect(/[\d.]+ % of the copy/.test(cell), cell).toBe(at > 0);
  }
}

test("every task is measured on the CPU, and on the GPU or why there is none is said", async ({ page, context }, info) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const studio = new Studio(page);
  const benchmark = new Benchmark(page);
  await studio.open(`./${SMALL}`);
  await benchmark.measure();
  const heads = await benchmark.dialog.locator("th").allInnerTexts();
  expect(heads[1]).toMatch(/^CPU · \d+ workers?$/);
  expectFigures(await benchmark.column(1));
  await benchmark.button("Copy results").click();
  await expect(benchmark.dialog.getByRole("status")).toHaveText("Results copied.");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toMatch(/^Merge Studio \d+\.\d+\.\d+ · Mozilla/);
  expect(copied).toMatch(/\| task \| CPU · \d+ workers? \|/);
  expect(copied).toMatch(/\| dare_ties \| [\d.]+ GB\/s; [\d.]+ % of the copy \|/);
  const none = benchmark.dialog.getByText(/^GPU: This browser has /);
  if (info.project.name === "webgpu") {
    expect(heads[2]).toMatch(/^GPU · .*SwiftShader/i);
    await expect(none).toHaveCount(0);
    const cells = await benchmark.column(2);
    expectFigures(cells);
    for (const cell of cells.slice(1)) {
      expect(cell).toContain("same bytes");
      // Every byte of two or three inputs goes up once, and the output comes down.
      expect(cell).toMatch(/↑ [23]\.\d\d ↓ 1\.\d\d, \d+ submissions/);
      expect(cell).not.toContain("made on the CPU");
    }
    expect(copied).toMatch(/\| ties \| .*same bytes/);
  } else {
    expect(heads.length).toBe(2 + TASKS.length);
    await expect(none).toBeVisible();
    expect(copied).toContain("GPU: This browser has ");
  }
});

test("a benchmark that is cancelled stops, and a merge runs as before", async ({ page }) => {
  const studio = new Studio(page);
  const benchmark = new Benchmark(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await expect(studio.mergeButton).toBeEnabled();
  await benchmark.opener.click();
  await benchmark.button("Start").click();
  await expect(benchmark.dialog.getByRole("progressbar", { name: "Benchmark progress" })).toBeVisible();
  await benchmark.button("Cancel").click();
  await expect(benchmark.dialog.getByRole("status")).toHaveText("The benchmark was cancelled.");
  await expect(benchmark.dialog.getByRole("progressbar")).toHaveCount(0);
  // Closing ends it just so.
  await benchmark.button("Start again").click();
  await page.keyboard.press("Escape");
  await expect(benchmark.dialog).toHaveCount(0);
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
});

test("a result stays while the device is measured, and its hashes come all the same", async ({ page }) => {
  const studio = new Studio(page);
  const benchmark = new Benchmark(page);
  await studio.open(`./${SMALL}`);
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await studio.merge();
  await benchmark.measure();
  await benchmark.button("Close").click();
  await expect(studio.zipButton).toBeVisible();
  await expect(studio.run.getByTitle("SHA-256")).not.toHaveCount(0);
  await expect(studio.run.getByText("The link carries this result's hash", { exact: false })).toBeVisible();
  expect(counts(await studio.merge()).cpu).toBeGreaterThan(10);
});

test("a worker that dies ends the benchmark with a word, and it can be started again", async ({ page }) => {
  const studio = new Studio(page);
  const benchmark = new Benchmark(page);
  await studio.open(`./${SMALL}&inject=panic`);
  await benchmark.opener.click();
  await benchmark.button("Start").click();
  await expect(benchmark.dialog.getByText(/^It stopped early: [^]*a panic, injected/)).toBeVisible();
  await expect(benchmark.button("Start again")).toBeEnabled();
});

test("a GPU that is lost ends its column with a word, and the CPU's stays", async ({ page }, info) => {
  test.skip(info.project.name !== "webgpu", "this browser has no WebGPU to lose");
  const studio = new Studio(page);
  const benchmark = new Benchmark(page);
  await studio.open(`./${SMALL}&inject=gpu-loss`);
  await benchmark.measure();
  expect((await benchmark.column(2))[1]).toMatch(/lost/);
  expectFigures(await benchmark.column(1));
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`the keyboard does it all and axe finds nothing in ${colorScheme} at ${width} px`, async ({ page }, info) => {
      test.skip(info.project.name === "webgpu" && width === 1280, "the GPU's column is narrow enough to be looked at at 360 px");
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const violations = async () => (await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => [id, nodes[0]?.html]);
      const studio = new Studio(page);
      const benchmark = new Benchmark(page);
      await studio.open(`./${SMALL}`);
      await benchmark.opener.focus();
      await page.keyboard.press("Enter");
      await expect(benchmark.button("Start")).toBeFocused();
      expect(await violations()).toEqual([]);
      await page.keyboard.press("Enter");
      await expect(benchmark.dialog.getByRole("status")).toHaveText(FINISHED, { timeout: 100_000 });
      await benchmark.dialog.getByText("How to read it").click();
      expect(await violations()).toEqual([]);
      expect(await benchmark.dialog.evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth)).toBe(true);
      await page.keyboard.press("Escape");
      await expect(benchmark.dialog).toHaveCount(0);
      await expect(benchmark.opener).toBeFocused();
    });
  }
}
