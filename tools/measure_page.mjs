/**
 * Times merges in the built page, from click to finished file, and the peak memory of the tab.
 *
 *     node tools/measure_page.mjs RECIPE FOLDER... [--dist DIST] [--runs N] [--json] [--save ZIP]
 *
 * The recipe names the models by their folders' names. Chromium runs headless and without WebGPU; memory is read from
 * /proc (Linux): the largest resident size of the tab's process, shared libraries included. With --json every run
 * is a line of JSON: seconds, and bytes for everything else that has a size.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "@playwright/test";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dist: { type: "string", default: "dist" },
    runs: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
    save: { type: "string" },
  },
});
const [recipe, ...folders] = positionals;
const PORT = 8123;

/** Peak resident memory of this program's one tab, in bytes. */
function peak() {
  const processes = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter(Boolean)
    .map(([, pid, parent, command]) => ({ pid, parent, command }));
  const family = new Set([String(process.pid)]);
  for (let size = -1; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  const pages = processes.filter(({ pid, command }) => family.has(pid) && command.includes("--type=renderer"));
  const sizes = pages.map(({ pid }) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]));
  return Math.max(...sizes) * 1024;
}

function inWords({ seconds, peak, read, written, cpu, copied, elsewhere, wasm_memory }) {
  const mib = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;
  return (
    `${seconds.toFixed(2)} s click to file; the tab's peak: ${mib(peak)}; read ${read} bytes, wrote ${written}; ` +
    `tensors by the CPU ${cpu}, copied ${copied}, elsewhere ${elsewhere}; workers' memory ${wasm_memory.map(mib).join(" + ")}`
  );
}

/** Until the server answers. */
async function served() {
  while (!(await fetch(`http://127.0.0.1:${PORT}/`).catch(() => undefined))) await new Promise((done) => setTimeout(done, 50));
}

/** One merge in a browser of its own, whose private files are on disk as a person's are: a private window keeps them in another process. */
async function measure(run) {
  const profile = mkdtempSync(join(tmpdir(), "merge-studio-profile-"));
  const browser = await chromium.launchPersistentContext(profile, {
    acceptDownloads: true,
    executablePath: process.env.MERGE_STUDIO_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-features=WebGPU", "--disable-background-networking"],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${PORT}/`);
  const region = (name) => page.getByRole("region", { name });
  const give = async (button, files) => {
    const chooser = page.waitForEvent("filechooser");
    await button.click();
    await (await chooser).setFiles(files);
  };
  for (const folder of folders) {
    await give(region("Models").getByRole("button", { name: "Add folder" }), folder);
    const name = folder.split("/").filter(Boolean).at(-1);
    await region("Models").getByRole("article", { name, exact: true }).waitFor();
  }
  await give(region("Recipe").getByRole("button", { name: "Open recipe" }), recipe);
  await region("Run").getByRole("combobox", { name: "Run on" }).selectOption({ label: "CPU" });
  const merge = region("Run").getByRole("button", { name: "Merge", exact: true });
  const zip = region("Run").getByRole("button", { name: "Download zip" });
  await merge.click({ trial: true });
  // Timed in the page: Playwright looks for what it waits for every half second.
  await page.evaluate(() => {
    addEventListener("click", () => (window.__clicked = performance.now()), { capture: true, once: true });
    const look = (_, observer) => {
      if (![...document.querySelectorAll("button")].some((button) => button.textContent === "Download zip")) return;
      window.__finished = performance.now();
      observer.disconnect();
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
  });
  await merge.click();
  await zip.waitFor({ timeout: 300_000 });
  const seconds = await page.evaluate(() => (window.__finished - window.__clicked) / 1000);
  const report = await page.evaluate(() => window.__studio.report);
  const by = (backend) => report.tensors.filter(([, made]) => made === backend).length;
  const [cpu, copied] = [by("Cpu"), by(null)];
  const { read, written, wasm_memory } = report;
  const elsewhere = report.tensors.length - cpu - copied;
  const measured = { seconds, peak: peak(), read, written, cpu, copied, elsewhere, wasm_memory };
  console.log(values.json ? JSON.stringify(measured) : inWords(measured));
  if (values.save && run === 1) {
    const download = page.waitForEvent("download");
    await zip.click();
    await (await download).saveAs(values.save);
  }
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}

const server = spawn("node", ["tests/e2e/server.mjs", String(PORT), values.dist], { stdio: "inherit" });
try {
  await served();
  for (let run = 1; run <= Number(values.runs); run++) await measure(run);
} finally {
  server.kill();
}
