/** The result as one GGUF file: written by a worker with a program of its own, which is fetched for it. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Download, expect, type Page, test } from "@playwright/test";

import { DEMO, ggufByCommandLine, temporary } from "./cli";
import { PLAIN_HOST, PORT } from "./places";
import { matrix, type Tensor, writeCheckpoint } from "./safetensors";
import { DEMO_TIES, Studio } from "./studio";

const NAMES = ["bytes-one", "bytes-two"] as const;
const RECIPE = `models:
  - model: ${NAMES[0]}
  - model: ${NAMES[1]}
merge_method: linear
parameters:
  weight: 0.5
dtype: bfloat16
`;

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

/** The two models, with what `change` does to them. */
function writeModels(change: (folder: string) => void = () => {}): string {
  const models = temporary();
  for (const [at, from] of ["demo-reverse", "demo-sort"].entries()) {
    writeBytes(from, join(models, NAMES[at]!));
    change(join(models, NAMES[at]!));
  }
  return models;
}

/** Changes what a model says of itself. */
function configure(folder: string, change: Record<string, unknown>): void {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
}

async function merged(studio: Studio, models: string, address = "./", recipe = RECIPE): Promise<void> {
  await studio.open(address);
  for (const name of NAMES.filter((name) => recipe.includes(name))) await studio.addFolder(join(models, name));
  await studio.openRecipe(recipe);
  await studio.runOn("CPU");
  await studio.merge();
}

/** The result as a folder. */
async function folderOf(studio: Studio): Promise<string> {
  const folder = join(temporary(), "merged-model");
  mkdirSync(folder);
  for (const [path, bytes] of await studio.zip()) writeFileSync(join(folder, path.split("/").pop()!), bytes);
  return folder;
}

/** Presses the button, and gives what is downloaded. */
async function download(studio: Studio): Promise<Buffer> {
  const saved: Promise<Download> = studio.page.waitForEvent("download");
  await studio.ggufButton.click();
  expect((await saved).suggestedFilename()).toBe("merged-model.gguf");
  return readFileSync(await (await saved).path());
}

/** What the page fetched of the program that writes GGUF files. */
function fetched(page: Page): string[] {
  const urls: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("merge-studio-scribe")) urls.push(request.url());
  });
  return urls;
}

const gguf = async (studio: Studio): Promise<string[]> =>
  (await studio.privateFiles()).filter((path) => path.endsWith(".gguf"));

for (const [label, type] of [
  ["As merged", "auto"],
  ["F16", "f16"],
  ["F32", "f32"],
] as const) {
  test(`the GGUF file of type ${label} is the command line's, and what writes it is fetched for it`, async ({ page }) => {
    const studio = new Studio(page);
    const urls = fetched(page);
    await merged(studio, writeModels());
    const folder = await folderOf(studio);
    await studio.run.getByRole("combobox", { name: "GGUF type" }).selectOption({ label });
    expect(urls).toEqual([]);
    const file = await download(studio);
    expect(urls.length).toBe(2);
    expect(file.subarray(0, 4).toString()).toBe("GGUF");
    expect(file.equals(ggufByCommandLine(folder, type)), "the bytes are the same").toBe(true);
    await expect(studio.run.getByText("is saved as a download.")).toBeVisible();
    // It is saved once more, not written.
    expect((await download(studio)).equals(file)).toBe(true);
    expect(urls.length).toBe(2);
    expect((await gguf(studio)).length).toBe(1);
    await studio.run.getByRole("button", { name: "Discard result" }).click();
    await expect.poll(() => studio.privateFiles()).toEqual([]);
  });
}

test("a file of another type takes the place of the first, and the next merge of both", async ({ page }) => {
  const studio = new Studio(page);
  await merged(studio, writeModels());
  const folder = await folderOf(studio);
  const type = studio.run.getByRole("combobox", { name: "GGUF type" });
  await download(studio);
  for (const each of ["F32", "BF16"]) {
    await type.selectOption({ label: each });
    expect((await download(studio)).equals(ggufByCommandLine(folder, each.toLowerCase()))).toBe(true);
    await expect.poll(async () => (await gguf(studio)).length).toBe(1);
  }
  await studio.mergeButton.click();
  await expect.poll(() => gguf(studio)).toEqual([]);
  await expect(studio.ggufButton).toBeVisible();
});

test("in a folder of a site, and where the browser gives no disk, the file is the same", async ({ page }) => {
  const studio = new Studio(page);
  const urls = fetched(page);
  const models = writeModels();
  await merged(studio, models, `http://${PLAIN_HOST}:${PORT}/studio/`);
  expect(await page.evaluate(() => window.isSecureContext)).toBe(false);
  const file = await download(studio);
  expect(urls.every((url) => url.startsWith(`http://${PLAIN_HOST}:${PORT}/studio/merge-studio-scribe-`))).toBe(true);
  expect(file.equals(ggufByCommandLine(await folderOf(studio), "auto"))).toBe(true);
});

for (const [what, change, words] of [
  [
    "architecture",
    (folder: string) => configure(folder, { architectures: ["GemmaForCausalLM"], model_type: "gemma" }),
    "GemmaForCausalLM cannot be written as GGUF yet; these can: ",
  ],
  ["activation", (folder: string) => configure(folder, { hidden_act: "gelu" }), 'This result has no GGUF file: config.json: hidden_act is "gelu"'],
] as const) {
  test(`a result of an ${what} that GGUF does not have is refused by name, and stays whole`, async ({ page }) => {
    const studio = new Studio(page);
    await merged(studio, writeModels(change));
    await studio.ggufButton.click();
    await expect(studio.run.getByRole("alert")).toContainText(words);
    await expect(studio.run.getByRole("alert")).toContainText("The result itself is whole.");
    expect(await gguf(studio)).toEqual([]);
    expect((await studio.zip()).size).toBeGreaterThan(4);
  });
}

test("the demo models' tokenizer is refused in words", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(DEMO_TIES);
  await studio.merge();
  await studio.ggufButton.click();
  await expect(studio.run.getByRole("alert")).toContainText(
    "tokenizer.json: its BPE is neither of bytes nor falls back to them",
  );
});

test("a result without a configuration offers no GGUF file", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  for (const name of ["one", "two"]) {
    await studio.addFile(`${name}.safetensors`, writeCheckpoint(new Map([["a.weight", matrix(4, 4, (row) => row)]])));
    await expect(studio.model(name)).toBeVisible();
  }
  await studio.openRecipe(RECIPE.replace(NAMES[0], "one").replace(NAMES[1], "two"));
  await studio.merge();
  await expect(studio.ggufButton).toHaveCount(0);
});

test("where its program cannot be fetched the page says so, and a second press tries again", async ({ page }) => {
  const studio = new Studio(page);
  await merged(studio, writeModels());
  await page.route("**/merge-studio-scribe-*.wasm", (route) => route.abort());
  await studio.ggufButton.click();
  await expect(studio.run.getByRole("alert")).toContainText("could not be loaded");
  await page.unroute("**/merge-studio-scribe-*.wasm");
  expect((await download(studio)).subarray(0, 4).toString()).toBe("GGUF");
});

test("a disk without room for it says how much is short, and keeps nothing of it", async ({ page, context }) => {
  const studio = new Studio(page);
  await merged(studio, writeModels());
  const session = await context.newCDPSession(page);
  const origin = `http://127.0.0.1:${PORT}`;
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 100_000 });
  await studio.ggufButton.click();
  await expect(studio.run.getByRole("alert")).toContainText(/no more room for the GGUF file\. .* bytes\) are short\./);
  await expect.poll(() => gguf(studio)).toEqual([]);
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  expect((await download(studio)).length).toBeGreaterThan(1_000_000);
});

/** A llama of 100 MB, so that writing takes a while. */
function writeLarge(folder: string): void {
  writeBytes("demo-reverse", folder);
  const [layers, width, inner] = [8, 512, 1536];
  configure(folder, {
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    head_dim: 64,
    tie_word_embeddings: true,
  });
  const tensors = new Map<string, Tensor>();
  const put = (name: string, rows: number, columns: number): void => {
    tensors.set(`model.${name}.weight`, matrix(rows, columns, (row, column) => (row + column) / 1024));
  };
  const norm = (name: string): void => {
    tensors.set(`model.${name}.weight`, { ...matrix(1, width, () => 1), shape: [width] });
  };
  const { vocab_size: rows } = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  put("embed_tokens", rows, width);
  norm("norm");
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["q", "k", "v", "o"]) put(`layers.${layer}.self_attn.${part}_proj`, width, width);
    for (const part of ["gate", "up"]) put(`layers.${layer}.mlp.${part}_proj`, inner, width);
    put(`layers.${layer}.mlp.down_proj`, width, inner);
    norm(`layers.${layer}.input_layernorm`);
    norm(`layers.${layer}.post_attention_layernorm`);
  }
  writeFileSync(join(folder, "model.safetensors"), writeCheckpoint(tensors));
}

test("cancel removes what was written, and the next press writes it whole", async ({ page }) => {
  const studio = new Studio(page);
  const models = temporary();
  writeLarge(join(models, NAMES[0]));
  await merged(studio, models, "./", `models:\n  - model: ${NAMES[0]}\nmerge_method: passthrough\ndtype: float32\n`);
  let downloads = 0;
  page.on("download", () => downloads++);
  await studio.run.getByRole("combobox", { name: "GGUF type" }).selectOption({ label: "F16" });
  const share = await studio.ggufButton.evaluate(async (button: HTMLButtonElement) => {
    const frame = (): Promise<number> => new Promise(requestAnimationFrame);
    const bar = (): Element | null => document.querySelector('[aria-label="GGUF progress"][aria-valuenow]');
    button.click();
    while (!bar()) await frame();
    button.click();
    return Number(bar()!.getAttribute("aria-valuenow"));
  });
  expect(share).toBeLessThan(100);
  await expect(studio.ggufButton).toBeVisible();
  await expect.poll(() => gguf(studio)).toEqual([]);
  await expect(studio.run.getByRole("progressbar")).toHaveCount(0);
  expect(downloads).toBe(0);
  const file = await download(studio);
  expect(file.equals(ggufByCommandLine(await folderOf(studio), "f16"))).toBe(true);
});
