/** What is served: how much a first merge transfers, and that the kernels in it are vectorised. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "@playwright/test";

const REPOSITORY = join(__dirname, "..", "..");
const DIST = join(REPOSITORY, "dist");
const served = readdirSync(DIST);

test("programs and styles, the editor's among them, are less than 700 kB after gzip", () => {
  const sizes = served
    .filter((name) => /\.(wasm|js|css)$/.test(name))
    .map((name) => ({ name, gzip: gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length }));
  console.log(sizes.map(({ name, gzip }) => `${gzip} ${name}`).join("\n"));
  expect(sizes.filter(({ name }) => name.endsWith(".wasm"))).toHaveLength(1);
  expect(sizes.reduce((sum, { gzip }) => sum + gzip, 0)).toBeLessThan(700_000);
});

test("the kernels compute with SIMD", () => {
  const program = served.find((name) => name.endsWith(".wasm"));
  const text = join(mkdtempSync(join(tmpdir(), "merge-studio-wat-")), "program.wat");
  const disassembler = join(REPOSITORY, "node_modules", ".bin", "wasm-dis");
  execFileSync(disassembler, ["--all-features", join(DIST, program!), "-o", text]);
  const arithmetic = readFileSync(text, "utf8").match(/\b(f32x4|f64x2)\.(add|sub|mul)\b/g) ?? [];
  // Seven stand outside of the kernels; a build whose kernels are scalar has no more.
  expect(arithmetic.length).toBeGreaterThan(100);
});
