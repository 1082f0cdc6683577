/** The built page in a browser without WebGPU, for the tools that measure it. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "@playwright/test";

const PORT = 8123;

/** Calls `use` with a function that opens a page and calls its argument with it; every page is in a browser of its own. */
export async function serving(dist, use) {
  const server = spawn("node", ["tests/e2e/server.mjs", String(PORT), dist], { stdio: "inherit" });
  try {
    const address = `http://127.0.0.1:${PORT}/`;
    while (!(await fetch(address).catch(() => undefined))) await new Promise((done) => setTimeout(done, 50));
    await use((visit) => visited(address, visit));
  } finally {
    server.kill();
  }
}

/** Private files are on disk as a person's are: a private window keeps them in another process. */
async function visited(address, visit) {
  const profile = mkdtempSync(join(tmpdir(), "merge-studio-profile-"));
  const browser = await chromium.launchPersistentContext(profile, {
    acceptDownloads: true,
    executablePath: process.env.MERGE_STUDIO_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-features=WebGPU", "--disable-background-networking"],
  });
  const page = await browser.newPage();
  await page.goto(address);
  await visit(page);
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}

/** Gives files to a button that asks for some. */
export async function give(page, button, files) {
  const chooser = page.waitForEvent("filechooser");
  await button.click();
  await (await chooser).setFiles(files);
}

/** Adds model folders. */
export async function addFolders(page, folders) {
  const models = page.getByRole("region", { name: "Models" });
  for (const folder of folders) {
    await give(page, models.getByRole("button", { name: "Add folder" }), folder);
    const name = folder.split("/").filter(Boolean).at(-1);
    await models.getByRole("article", { name, exact: true }).waitFor();
  }
}
