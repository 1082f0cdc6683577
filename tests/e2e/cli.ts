/** The command line, which makes what the page is compared with. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "@playwright/test";

/** The repository. */
export const REPOSITORY = join(__dirname, "..", "..");

/** The demo models' folder. */
export const DEMO = join(REPOSITORY, "static", "demo");
/** The goldens' folder. */
export const GOLDEN = join(REPOSITORY, "tests", "golden");

/** An empty folder. */
export const temporary = (): string => mkdtempSync(join(tmpdir(), "merge-studio-"));

/** What the command line prints. */
function run(...args: string[]): string {
  const program = join(REPOSITORY, process.env.CARGO_TARGET_DIR ?? "target", "release", "merge-studio");
  expect(existsSync(program), `${program} was built (cargo build --release)`).toBe(true);
  return execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
}

/** What a recipe makes of the models in a folder, on the CPU: the output folder. */
export function mergeByCommandLine(recipe: string, models: string): string {
  const folder = temporary();
  const file = join(folder, "recipe.yml");
  writeFileSync(file, recipe);
  const out = join(folder, "out");
  run("merge", file, out, "--models", models, "--device", "cpu");
  return out;
}

/** A folder as one GGUF file. */
export function ggufByCommandLine(folder: string, type: string): Buffer {
  const file = join(temporary(), "model.gguf");
  run("gguf", folder, file, "--type", type);
  return readFileSync(file);
}

/** What model folders answer to tasks, in the short form of JSON: by model, or of one alone. */
export function evaluateByCommandLine(models: string[], tasks: string, ...options: string[]) {
  return JSON.parse(run("eval", ...models, "--tasks", tasks, ...options, "--log-samples", "--json"));
}

/** The files of `zip` are those in `folder`, to the byte. */
export function expectSameFiles(zip: Map<string, Buffer>, folder: string): void {
  const names = readdirSync(folder);
  expect([...zip.keys()].map((path) => path.split("/").pop()).sort()).toEqual(names.sort());
  for (const [path, bytes] of zip) {
    const name = path.split("/").pop()!;
    expect(bytes.equals(readFileSync(join(folder, name))), `${name} is the same`).toBe(true);
  }
}
