/**
 * Times merges in the built page, from click to finished file, and the peak memory of the tab.
 *
 *     node tools/measure_page.mjs RECIPE FOLDER... [--dist DIST] [--runs N] [--json] [--save ZIP]
 *
 * The recipe names the models by their folders' names. Chromium runs headless and without WebGPU; memory is read from
 * /proc (Linux): the largest resident size of the tab's process, shared libraries included. With --json every run
 * is a line of JSON: seconds, and bytes for everything else that has a size.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { addFolders, give, serving } from "./page.mjs";

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

/** One merge. */
async function measure(page, run) {
  await addFolders(page, folders);
  await give(page, page.getByRole("region", { name: "Recipe" }).getByRole("button", { name: "Open recipe" }), recipe);
  const pane = page.getByRole("region", { name: "Run" });
  await pane.getByRole("combobox", { name: "Run on" }).selectOption({ label: "CPU" });
  const merge = pane.getByRole("button", { name: "Merge", exact: true });
  const zip = pane.getByRole("button", { name: "Download zip" });
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
}

await serving(values.dist, async (open) => {
  for (let run = 1; run <= Number(values.runs); run++) await open((page) => measure(page, run));
});
