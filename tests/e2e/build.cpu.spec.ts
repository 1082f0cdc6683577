/**
 * What is served: how much a first merge transfers, and that the kernels in it are vectorised.
 *
 * What a person waits for is what the browser fetches from opening the page to a first finished merge: that is what the budget is
 * held to, as it is fetched. The recipe editor is no part of it, since it is fetched when the YAML tab first opens, nor is the scribe,
 * which comes with the first GGUF file, nor the examiner, which comes with the Evaluate view; so that they cannot grow unseen, each has
 * a budget of its own.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";

import { DEMO_TIES, Studio } from "./studio";

const REPOSITORY = join(__dirname, "..", "..");
const DIST = join(REPOSITORY, "dist");
const EDITOR = "editor.js";
const programs = readdirSync(DIST, { recursive: true, encoding: "utf8" }).filter((path) => /\.(wasm|js|css)$/.test(path));
const program = (name: string): string[] =>
  programs.filter((path) => new RegExp(`^merge-studio-${name}-[0-9a-f]{16}(\\.js|_bg\\.wasm)$`).test(path));
const scribe = program("scribe");
const examiner = program("examiner");

/** A served file after gzip, as any host sends it. */
const gzipped = (path: string): number => gzipSync(readFileSync(join(DIST, path)), { level: 9 }).length;

test("until a first merge is done the page transfers less than 700 kB after gzip", async ({ page, context, baseURL }) => {
  const transferred = new Set<string>();
  context.on("response", (response) => {
    const [before, path] = response.url().split(baseURL!);
    if (before === "" && path !== undefined) transferred.add(path || "index.html");
  });
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.recipe.getByRole("button", { name: "Examples" }).click();
  await studio.recipe.getByRole("button", { name: /^TIES/ }).click();
  await studio.merge();
  // The demo models are weights, as anyone's own would be: everything else counts, in whatever way it is fetched.
  const sizes = [...transferred].filter((path) => !path.startsWith("demo/")).map((path) => ({ path, gzip: gzipped(path) }));
  console.log(sizes.map(({ path, gzip }) => `${gzip} ${path}`).join("\n"));
  const all = sizes.reduce((sum, { gzip }) => sum + gzip, 0);
  console.log(`${all} in all`);
  // Whatever else is served would have to be counted somewhere, too.
  expect(programs.filter((path) => !transferred.has(path)).sort()).toEqual([EDITOR, ...scribe, ...examiner].sort());
  expect(all).toBeLessThan(700_000);
});

test("the recipe editor is less than 115 kB after gzip, and comes when the YAML tab opens", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  const fetched = page.waitForResponse((response) => response.url().endsWith(`/${EDITOR}`));
  await studio.recipe.getByRole("tab", { name: "YAML" }).click();
  await fetched;
  console.log(`${gzipped(EDITOR)} ${EDITOR}`);
  expect(gzipped(EDITOR)).toBeLessThan(115_000);
});

test("the scribe is less than 180 kB after gzip, and comes when a GGUF file is wanted", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.merge();
  expect(scribe.length).toBe(2);
  const fetched = scribe.map((path) => page.waitForResponse((response) => response.url().endsWith(`/${path}`)));
  await studio.ggufButton.click();
  await Promise.all(fetched);
  const sizes = scribe.map((path) => ({ path, gzip: gzipped(path) }));
  console.log(sizes.map(({ path, gzip }) => `${gzip} ${path}`).join("\n"));
  expect(sizes.reduce((sum, { gzip }) => sum + gzip, 0)).toBeLessThan(180_000);
});

// With the linter, the planner and the CPU's kernels, since it merges what it asks: an eighth of it. Asking side by side is 18 kB.
test("the examiner is less than 1,660 kB after gzip, and comes when the Evaluate view is opened", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  expect(examiner.length).toBe(2);
  const fetched = examiner.map((path) => page.waitForResponse((response) => response.url().endsWith(`/${path}`)));
  await page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
  await Promise.all(fetched);
  const sizes = examiner.map((path) => ({ path, gzip: gzipped(path) }));
  console.log(sizes.map(({ path, gzip }) => `${gzip} ${path}`).join("\n"));
  expect(sizes.reduce((sum, { gzip }) => sum + gzip, 0)).toBeLessThan(1_660_000);
});

for (const name of ["page", "examiner"]) {
  test(`the kernels of the ${name} compute with SIMD`, () => {
    const file = programs.find((path) => new RegExp(`^merge-studio-${name}-.*\\.wasm$`).test(path));
    const text = join(mkdtempSync(join(tmpdir(), "merge-studio-wat-")), "program.wat");
    const disassembler = join(REPOSITORY, "node_modules", ".bin", "wasm-dis");
    execFileSync(disassembler, ["--all-features", join(DIST, file!), "-o", text]);
    const listing = readFileSync(text, "utf8");
    const arithmetic = listing.match(/\b(f32x4|f64x2)\.(add|sub|mul)\b/g) ?? [];
    // In the page's program seven stand outside of the kernels; a build whose kernels are scalar has no more.
    expect(arithmetic.length).toBeGreaterThan(100);
    // The coins' products: without these, they are three times as slow. No other code has them.
    expect(listing).toMatch(/\bi64x2\.extmul_high_i32x4_u\b/);
  });
}
