/**
 * Times answers in the built page's Evaluate view.
 *
 *     node tools/measure_examiner.mjs FOLDER TASK.yaml... [--dist DIST]
 *
 * The data lie beside the task files, NAME.jsonl beside NAME.yaml. Every task is asked by itself, in a browser of its own; a task is a line of
 * JSON: how many answers came after the first report, and how many seconds they took. Reading the model is no part of them.
 */

import { parseArgs } from "node:util";

import { addFolders, give, serving } from "./page.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dist: { type: "string", default: "dist" } },
});
const [folder, ...tasks] = positionals;

async function measure(page, task) {
  await addFolders(page, [folder]);
  await page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
  const view = page.getByRole("region", { name: "Evaluate" });
  await give(page, view.getByRole("button", { name: "Add task files" }), [task, task.replace(/yaml$/, "jsonl")]);
  await view.getByRole("combobox", { name: "Questions" }).selectOption({ label: "all" });
  // Noted as they are drawn: the answers so far, and when.
  await page.evaluate(() => {
    window.__answers = [];
    new MutationObserver(() => {
      const bar = document.querySelector('[role="progressbar"][aria-label="Evaluation progress"]');
      // "40 %, 1,024 of 2,560 answers"
      const answers = Number(bar?.getAttribute("aria-valuetext")?.match(/%, (.+) of/)?.[1].replace(/\D/g, ""));
      if (answers > (window.__answers.at(-1)?.[0] ?? 0)) window.__answers.push([answers, performance.now()]);
    }).observe(document.getElementById("evaluate"), { subtree: true, childList: true, attributes: true, characterData: true });
  });
  await view.getByRole("button", { name: "Start" }).click();
  await view.getByText("Evaluated in").waitFor({ timeout: 600_000 });
  const answers = await page.evaluate(() => window.__answers);
  const [[first, from], [last, to]] = [answers[0], answers.at(-1)];
  console.log(JSON.stringify({ answers: last - first, seconds: (to - from) / 1000 }));
}

await serving(values.dist, async (open) => {
  for (const task of tasks) await open((page) => measure(page, task));
});
