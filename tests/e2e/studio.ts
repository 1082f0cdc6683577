/** The page as a person uses it: everything is found by the roles and names that the page promises. */

import { expect, type Locator, type Page } from "@playwright/test";

/** One tensor's name and what made it: `null` is a copy. */
type Made = [name: string, backend: "Cpu" | "Gpu" | null];

/** The counters that the page keeps of its last merge. */
export interface Report {
  seconds: number;
  read: number;
  written: number;
  tensors: Made[];
  gpu: { passes: number; bytes_up: number; bytes_down: number; dispatches: number; submissions: number; readbacks: number };
  largest_allocation: number;
  wasm_memory: number[];
  notices: unknown[];
}

export const DEMO_TIES = `merge_method: ties
base_model: demo-base
models:
  - model: demo-reverse
    parameters:
      weight: 0.5
      density: 0.8
  - model: demo-sort
    parameters:
      weight: 0.5
      density: 0.8
dtype: float16
`;

export class Studio {
  readonly models: Locator;
  readonly recipe: Locator;
  readonly run: Locator;

  constructor(readonly page: Page) {
    this.models = page.getByRole("region", { name: "Models" });
    this.recipe = page.getByRole("region", { name: "Recipe" });
    this.run = page.getByRole("region", { name: "Run" });
  }

  async open(address = "./"): Promise<void> {
    await this.page.goto(address);
    await expect(this.models).toBeVisible();
  }

  async loadDemo(): Promise<void> {
    await this.models.getByRole("button", { name: "Load demo models" }).click();
    await expect(this.model("demo-base")).toBeVisible();
    await expect(this.model("demo-sort")).toBeVisible();
  }

  model(name: string): Locator {
    return this.models.getByRole("article", { name, exact: true });
  }

  async addFolder(folder: string): Promise<void> {
    const chooser = this.page.waitForEvent("filechooser");
    await this.models.getByRole("button", { name: "Add folder" }).click();
    await (await chooser).setFiles(folder);
  }

  async addFile(name: string, bytes: Buffer): Promise<void> {
    const chooser = this.page.waitForEvent("filechooser");
    await this.models.getByRole("button", { name: "Add files" }).click();
    await (await chooser).setFiles({ name, mimeType: "application/octet-stream", buffer: bytes });
  }

  async openRecipe(text: string): Promise<void> {
    const chooser = this.page.waitForEvent("filechooser");
    await this.recipe.getByRole("button", { name: "Open recipe" }).click();
    await (await chooser).setFiles({ name: "recipe.yml", mimeType: "text/yaml", buffer: Buffer.from(text) });
  }

  async runOn(where: "Auto" | "WebGPU" | "CPU"): Promise<void> {
    await this.run.getByRole("combobox", { name: "Run on" }).selectOption({ label: where });
  }

  get mergeButton(): Locator {
    return this.run.getByRole("button", { name: "Merge", exact: true });
  }

  get zipButton(): Locator {
    return this.run.getByRole("button", { name: "Download zip" });
  }

  get ggufButton(): Locator {
    return this.run.getByRole("button", { name: "Download GGUF" });
  }

  /** Presses Merge and waits for the result. */
  async merge(): Promise<Report> {
    await this.mergeButton.click();
    await expect(this.zipButton).toBeVisible({ timeout: 90_000 });
    return this.report();
  }

  report(): Promise<Report> {
    return this.page.evaluate(() => (window as unknown as { __studio: { report: Report } }).__studio.report);
  }

  /** Downloads the zip: its files by path. */
  async zip(): Promise<Map<string, Buffer>> {
    const download = this.page.waitForEvent("download");
    await this.zipButton.click();
    const stream = await (await download).createReadStream();
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return unzip(Buffer.concat(chunks));
  }

  /** Every file that lies in the private file system. A folder that a worker removes meanwhile holds nothing. */
  privateFiles(): Promise<string[]> {
    return this.page.evaluate(async () => {
      const found: string[] = [];
      const isGone = (error: Error): void => {
        if (error.name !== "NotFoundError") throw error;
      };
      const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
        for await (const [name, handle] of folder as unknown as AsyncIterable<[string, FileSystemHandle]>) {
          if (handle.kind === "directory") await walk(handle as FileSystemDirectoryHandle, `${path}${name}/`).catch(isGone);
          else found.push(`${path}${name}`);
        }
      };
      await walk(await navigator.storage.getDirectory(), "");
      return found;
    });
  }
}

/** How many tensors each backend made. */
export function counts(report: Report): { cpu: number; gpu: number; copied: number } {
  const of = (backend: Made[1]): number => report.tensors.filter(([, made]) => made === backend).length;
  return { cpu: of("Cpu"), gpu: of("Gpu"), copied: of(null) };
}

/** Reads a zip that only stores. Its own central directory says where files lie; zip64 is not among the tests. */
function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06"));
  expect(end, "the zip has an end").toBeGreaterThanOrEqual(0);
  const files = new Map<string, Buffer>();
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [length, nameLength, extra, comment] = [20, 28, 30, 32].map((field, index) =>
      index === 0 ? zip.readUInt32LE(at + field) : zip.readUInt16LE(at + field),
    );
    const local = zip.readUInt32LE(at + 42);
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    files.set(name, zip.subarray(start, start + length));
    at += 46 + nameLength + extra + comment;
  }
  return files;
}

/** The file called `name`, whatever folder it lies in. */
export function fileNamed(files: Map<string, Buffer>, name: string): Buffer {
  const found = [...files].find(([path]) => path === name || path.endsWith(`/${name}`));
  expect(found, `${name} is in the zip`).toBeDefined();
  return (found as [string, Buffer])[1];
}
