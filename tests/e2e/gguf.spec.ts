/** The result as one GGUF file: written from the finished result in a worker. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";

import { DEMO, ggufByCommandLine, temporary } from "./cli";
import { DEMO_TIES, Studio } from "./studio";

/** A demo model with a tokenizer of a kind that GGUF has a form of: of bytes, and not of characters. */
function writeBytes(from: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "model.safetensors", "tokenizer_config.json"]) {
    writeFileSync(join(folder, file), readFileSync(join(DEMO, from, file)));
  }
  const tokenizer = JSON.parse(readFileSync(join(DEMO, from, "tokenizer.json"), "utf8"));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const written = (token: string): string => token.replace(" ", "Ġ").replace("\n", "Ċ");
  const vocab = Object.entries(tokenizer.model.vocab).map(([token, id]) => [written(token), id]);
  Object.assign(tokenizer, { pre_tokenizer: bytes, decoder: bytes });
  tokenizer.model.vocab = Object.fromEntries(vocab);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
}

const recipe = (one: string, other: string): string =>
  `models:\n  - model: ${one}\n  - model: ${other}\nmerge_method: linear\nparameters:\n  weight: 0.5\ndtype: bfloat16\n`;

async function merged(studio: Studio): Promise<void> {
  const models = temporary();
  const names = ["bytes-one", "bytes-two"] as const;
  writeBytes("demo-reverse", join(models, names[0]));
  writeBytes("demo-sort", join(models, names[1]));
  await studio.open();
  for (const name of names) await studio.addFolder(join(models, name));
  await studio.openRecipe(recipe(...names));
  await studio.runOn("CPU");
  await studio.merge();
}

for (const [label, type] of [
  ["Same as the merge", "auto"],
  ["F32", "f32"],
] as const) {
  test(`the GGUF file of type ${label} is the command line's`, async ({ page }) => {
    const studio = new Studio(page);
    await merged(studio);
    const folder = join(temporary(), "merged-model");
    mkdirSync(folder);
    for (const [path, bytes] of await studio.zip()) writeFileSync(join(folder, path.split("/").pop()!), bytes);
    await studio.run.getByRole("combobox", { name: "GGUF type" }).selectOption({ label });
    const download = page.waitForEvent("download");
    await studio.run.getByRole("button", { name: "Download GGUF" }).click();
    const file = readFileSync(await (await download).path());
    expect((await download).suggestedFilename()).toBe("merged-model.gguf");
    expect(file.subarray(0, 4).toString()).toBe("GGUF");
    expect(file.equals(ggufByCommandLine(folder, type)), "the bytes are the same").toBe(true);
    await expect(studio.run.getByText("merged-model.gguf, ", { exact: false })).toBeVisible();
    // The next merge, or none, leaves nothing of it.
    await studio.run.getByRole("button", { name: "Discard result" }).click();
    await expect.poll(() => studio.privateFiles()).toEqual([]);
  });
}

test("a result that GGUF has no form of is refused in words, and stays whole", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await studio.merge();
  await studio.run.getByRole("button", { name: "Download GGUF" }).click();
  await expect(studio.run.getByRole("alert")).toContainText("tokenizer.json: its BPE is neither of bytes nor falls back to them");
  await expect(studio.zipButton).toBeEnabled();
});
