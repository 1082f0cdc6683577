/** Sweeping a number of the recipe: merges in memory, numbers that are the command line's, a point that becomes the recipe. */

import { join } from "node:path";

import AxeBuilder from "@axe-core/playwright";
import { expect, type Locator, type Page, test } from "@playwright/test";

import { DEMO, evaluateByCommandLine, mergeByCommandLine } from "./cli";
import { DEMO_TIES, Studio } from "./studio";
import { onMachine } from "./workers";

const recipe = (weight: number): string => `merge_method: task_arithmetic
base_model: demo-base
models:
  - model: demo-reverse
    parameters: {weight: ${weight}}
  - model: demo-sort
    parameters: {weight: ${weight}}
dtype: bfloat16
`;

const STAGES = `name: first
${recipe(0.5)}---
merge_method: linear
models:
  - model: first
    parameters: {weight: 1}
  - model: demo-upper
    parameters: {weight: 1}
`;

class Sweep {
  readonly region: Locator;
  readonly evaluate: Locator;

  constructor(readonly page: Page) {
    this.region = page.getByRole("region", { name: "Sweep" });
    this.evaluate = page.getByRole("region", { name: "Evaluate" });
  }

  async view(name: "Merge" | "Evaluate"): Promise<void> {
    await this.page.getByRole("navigation").getByRole("button", { name, exact: true }).click();
  }

  async open(questions: string, tasks: string[]): Promise<void> {
    await this.view("Evaluate");
    await this.evaluate.getByRole("combobox", { name: "Questions" }).selectOption({ label: questions });
    for (const task of ["reverse", "sort", "upper"]) {
      await this.evaluate.getByRole("group", { name: "Tasks" }).getByRole("checkbox", { name: task }).setChecked(tasks.includes(task));
    }
  }

  async set(vary: string, from: number, to: number, points: number): Promise<void> {
    await this.region.getByRole("combobox", { name: "Vary" }).selectOption({ label: vary });
    for (const [name, value] of [["From", from], ["To", to], ["Points", points]] as const) {
      await this.region.getByRole("spinbutton", { name, exact: true }).fill(String(value));
      await this.region.getByRole("spinbutton", { name, exact: true }).press("Tab");
    }
  }

  get start(): Locator {
    return this.region.getByRole("button", { name: "Sweep", exact: true });
  }

  get status(): Locator {
    return this.region.getByRole("status");
  }

  use(point: string): Locator {
    return this.region.getByRole("button", { name: `Use ${point}`, exact: true });
  }

  /** What the cells of a value's row say. */
  async cells(value: string): Promise<string[]> {
    const table = this.region.getByRole("table", { name: "Sweep results" });
    const row = table.getByRole("row").filter({ has: this.page.getByRole("rowheader", { name: new RegExp(`^${value}( recipe)?$`) }) });
    const texts = await row.getByRole("cell").allInnerTexts();
    return texts.map((text) => text.replace(/\s+/g, " ").trim());
  }
}

async function demo(page: Page, text: string): Promise<[Studio, Sweep]> {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  await studio.openRecipe(text);
  return [studio, new Sweep(page)];
}

test("a weight is varied, the numbers are those of merging and asking by the command line, and nothing is written", async ({ page }) => {
  const [studio, sweep] = await demo(page, recipe(0.5));
  await sweep.open("20", ["reverse", "sort"]);
  await expect(sweep.region.getByRole("combobox", { name: "Vary" }).getByRole("option")).toHaveText([
    "weight of all inputs",
    "lambda",
    "weight of demo-reverse",
    "weight of demo-sort",
  ]);
  await sweep.set("weight of all inputs", 0.2, 0.8, 3);
  await expect(sweep.region).toContainText("0.2 · 0.5 · 0.8; up to 20 questions each of reverse, sort.");
  await expect(sweep.region).toContainText("The recipe has 0.5.");
  const before = await studio.privateFiles();
  await sweep.start.click();
  await expect(sweep.region.getByRole("progressbar", { name: "Sweep progress" })).toBeVisible();
  await expect(sweep.status).toContainText("3 values merged and asked in", { timeout: 90_000 });
  expect(await studio.privateFiles()).toEqual(before);

  const tasks = ["reverse", "sort"].map((task) => join(DEMO, `${task}.jsonl`));
  for (const weight of [0.2, 0.5, 0.8]) {
    const { results } = evaluateByCommandLine([mergeByCommandLine(recipe(weight), DEMO)], tasks.join(","), "--limit", "20");
    const expected = ["reverse", "sort"].map((task) => {
      const { exact_match: value, exact_match_stderr: error } = results[task];
      return `${value.toFixed(4)} ± ${error.toFixed(4)}`;
    });
    console.log(weight, expected);
    expect((await sweep.cells(String(weight))).map((cell) => cell.replace(" best", ""))).toEqual(expected);
  }
  await expect(sweep.region.getByRole("rowheader", { name: "0.5 recipe" })).toBeVisible();

  await sweep.use("weight 0.2").focus();
  await page.keyboard.press("Enter");
  await expect(sweep.status).toContainText("The recipe has weight 0.2 now");
  await expect(sweep.use("weight 0.2")).toHaveAttribute("aria-pressed", "true");
  await expect(sweep.region.getByRole("rowheader", { name: "0.2 recipe" })).toBeVisible();
  await sweep.view("Merge");
  await studio.recipe.getByRole("tab", { name: "YAML" }).click();
  const yaml = studio.recipe.getByRole("textbox", { name: "Recipe YAML" });
  await expect(yaml).toContainText("weight: 0.2");
  await expect(yaml).not.toContainText("weight: 0.5");
  await expect(yaml).toContainText("base_model: demo-base");
  await expect(yaml).toContainText("dtype: bfloat16");
  await sweep.view("Evaluate");
  // Back is to what stood there before the first point.
  await sweep.use("weight 0.8").click();
  await expect(sweep.region.getByRole("rowheader", { name: "0.8 recipe" })).toBeVisible();
  await sweep.region.getByRole("button", { name: "Back to the recipe before" }).click();
  await expect(sweep.region.getByRole("button", { name: "Back to the recipe before" })).toHaveCount(0);
  await sweep.view("Merge");
  await expect(yaml).toContainText("weight: 0.5");
  await expect(yaml).not.toContainText("weight: 0.8");
  // Points are of the recipe that was swept.
  await studio.openRecipe(recipe(0.3));
  await sweep.view("Evaluate");
  await expect(sweep.region).toContainText("The recipe was changed since.");
  await expect(sweep.region.getByRole("rowheader", { name: "recipe" })).toHaveCount(0);
});

test("a click on a point in the plot, or a key, makes it the recipe, and the recipe's comments stay", async ({ page }) => {
  const commented = `# Two skills of three.\n${recipe(0.5).replace("bfloat16", "bfloat16 # as the inputs, weight: 0.5")}`;
  const [studio, sweep] = await demo(page, commented);
  await sweep.open("20", ["reverse", "sort"]);
  await sweep.set("weight of all inputs", 0.2, 0.8, 3);
  await sweep.start.click();
  await expect(sweep.status).toContainText("3 values merged and asked in", { timeout: 90_000 });
  const markers = sweep.region.locator(".sweep-plot .sweep-marker");
  await expect(markers).toHaveCount(6);
  await sweep.region.locator(".sweep-plot").scrollIntoViewIfNeeded();
  const under = await markers.evaluateAll((points) =>
    points.map((point) => {
      const { x, y, width, height } = point.getBoundingClientRect();
      return document.elementFromPoint(x + width / 2, y + height / 2)?.getAttribute("aria-label");
    }),
  );
  expect(under).toEqual([0.2, 0.5, 0.8, 0.2, 0.5, 0.8].map((weight) => `Use weight ${weight}`));
  const { x, y, width, height } = (await markers.last().boundingBox())!;
  // Curves are seen through what lights up.
  await page.mouse.move(x + width / 2, y + height / 2);
  await expect(sweep.use("weight 0.8")).toHaveCSS("background-color", /\/ 0\.08\)$/);
  await page.mouse.click(x + width / 2, y + height / 2);
  await expect(sweep.status).toHaveText("The recipe has weight 0.8 now. The view Merge shows it, and merges it into a folder.");
  await expect(sweep.use("weight 0.8")).toHaveAttribute("aria-pressed", "true");
  // From the button before the plot the keyboard comes to the points, one by one.
  await sweep.region.getByRole("button", { name: "Back to the recipe before" }).focus();
  for (const weight of [0.2, 0.5, 0.8]) {
    await page.keyboard.press("Tab");
    await expect(sweep.use(`weight ${weight}`)).toBeFocused();
  }
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Space");
  await expect(sweep.status).toContainText("The recipe has weight 0.2 now.");
  await sweep.view("Merge");
  await studio.recipe.getByRole("tab", { name: "YAML" }).click();
  const lines = studio.recipe.getByRole("textbox", { name: "Recipe YAML" }).locator(".cm-line");
  await expect(lines).toHaveText(commented.replaceAll("{weight: 0.5}", "{weight: 0.2}").split("\n"));
});

test("more questions, more points and another task go on from the answers that are known, and the numbers are those of asking at once", async ({ page }) => {
  const ask = async (sweep: Sweep, known: string): Promise<string[][]> => {
    await sweep.start.click();
    await expect(sweep.status).toHaveText(new RegExp(`^[35] values merged and asked in [^:]+${known}$`), { timeout: 90_000 });
    return Promise.all(["0.2", "0.5", "0.8"].map((weight) => sweep.cells(weight)));
  };
  const [studio, sweep] = await demo(page, `# Two skills.\n${recipe(0.5)}`);
  await sweep.open("20", ["reverse"]);
  await sweep.set("weight of all inputs", 0.2, 0.8, 3);
  const few = await ask(sweep, "\\.");
  // A point that became the recipe, and its comments, are not another merge.
  await sweep.use("weight 0.8").click();
  await sweep.view("Merge");
  await expect(studio.recipe).toBeVisible();
  await sweep.open("20", ["reverse"]);
  await sweep.set("weight of all inputs", 0.2, 0.8, 3);
  expect(await ask(sweep, ": all answers were known from before\\.")).toEqual(few);
  await sweep.set("weight of all inputs", 0.2, 0.8, 5);
  // The best is found anew: there are others.
  const unmarked = (rows: string[][]) => rows.map((cells) => cells.map((cell) => cell.replace(" best", "")));
  expect(unmarked(await ask(sweep, ": 60 of 100 answers were known from before\\."))).toEqual(unmarked(few));
  await sweep.open("50", ["reverse", "sort"]);
  const most = await ask(sweep, ": 100 of 500 answers were known from before\\.");
  // Another weight of one input is another merge.
  await sweep.set("weight of demo-sort", 0.2, 0.8, 3);
  await ask(sweep, ": 100 of 300 answers were known from before\\.");

  const [, again] = await demo(page, recipe(0.5));
  await again.open("50", ["reverse", "sort"]);
  await again.set("weight of all inputs", 0.2, 0.8, 5);
  expect(await ask(again, "\\.")).toEqual(most);
});

test("a sweep and an evaluation wait for each other", async ({ page }) => {
  const [, sweep] = await demo(page, DEMO_TIES);
  await sweep.open("all", ["reverse", "sort", "upper"]);
  const start = sweep.evaluate.getByRole("button", { name: "Start" });
  await sweep.start.click();
  await expect(start).toBeDisabled();
  await expect(sweep.evaluate).toContainText("A sweep is on its way below");
  await sweep.region.getByRole("button", { name: "Cancel" }).click();
  await start.click();
  await expect(sweep.start).toBeDisabled();
  await expect(sweep.region).toContainText("An evaluation is on its way above");
  await sweep.evaluate.getByRole("button", { name: "Cancel" }).click();
  await expect(sweep.start).toBeEnabled();
  await expect(start).toBeEnabled();
});

test("a value that cannot be merged says why, and the others are asked", async ({ page }) => {
  const [, sweep] = await demo(page, DEMO_TIES.replace("ties", "dare_ties"));
  await sweep.open("20", ["sort"]);
  await sweep.set("density of all inputs", -0.5, 0.5, 3);
  await sweep.start.click();
  await expect(sweep.status).toContainText("2 values merged and asked in", { timeout: 90_000 });
  await expect(sweep.region.getByRole("alert")).toHaveText(/^density −0\.5 cannot be evaluated: .*density/);
  expect(await sweep.cells("−0.5")).toEqual(["–"]);
  expect((await sweep.cells("0.5")).join()).toMatch(/^\d\.\d{4} ± \d\.\d{4}/);
  await expect(sweep.use("density −0.5")).toHaveCount(0);
  await expect(sweep.use("density 0.5")).toBeVisible();
});

test("points are merged and asked at once, and one whose worker dies leaves the others", async ({ page }) => {
  const mostAtOnce = await onMachine(page, { processors: 2, memory: 8, dies: "lambda 0.75" });
  const [, sweep] = await demo(page, DEMO_TIES);
  await sweep.open("200", ["reverse", "sort"]);
  await sweep.set("lambda", 0.5, 1, 3);
  await sweep.start.click();
  await expect(sweep.status).toContainText("2 values merged and asked in", { timeout: 90_000 });
  await expect(sweep.region.getByRole("alert")).toHaveText(/^lambda 0\.75 stopped: what evaluated it ran out of memory or died/);
  for (const value of ["0.5", "1"]) {
    for (const cell of await sweep.cells(value)) expect(cell).toMatch(/^\d\.\d{4} ± \d\.\d{4}( best)?$/);
  }
  expect(await mostAtOnce()).toBe(2);
});

test("cancelling keeps the points that were found, and another sweep can follow", async ({ page }) => {
  const [, sweep] = await demo(page, DEMO_TIES);
  await sweep.open("all", ["reverse", "sort", "upper"]);
  await sweep.set("density of demo-sort", 0.2, 1, 9);
  await sweep.start.click();
  await expect(sweep.status).toHaveText(/^Merging and asking: [1-8] of 9 values done …$/, { timeout: 60_000 });
  await sweep.region.getByRole("button", { name: "Cancel" }).click();
  await expect(sweep.status).toHaveText("Cancelled. What was found stays below.");
  expect((await sweep.cells("0.2")).every((cell) => /^\d\.\d{4} ± \d\.\d{4}/.test(cell))).toBe(true);
  await expect(sweep.use("density of demo-sort 0.2")).toBeEnabled();
  await sweep.open("20", ["sort"]);
  await sweep.set("lambda", 0.5, 1, 2);
  await sweep.start.click();
  await expect(sweep.status).toContainText("2 values merged and asked in", { timeout: 60_000 });
});

test("what keeps a recipe from being varied is said", async ({ page }) => {
  const studio = new Studio(page);
  const sweep = new Sweep(page);
  await studio.open();
  await sweep.view("Evaluate");
  await expect(sweep.region).toContainText("There is no recipe.");
  for (const [text, words] of [
    [recipe(0.5), "No loaded model stands for demo-"],
    [recipe(0.5).replace("task_arithmetic", "task_arithmetik"), "The recipe has 1 error. Mend it in the view Merge first."],
    [STAGES, "A recipe of several documents cannot be varied here"],
    ["merge_method: model_stock\nbase_model: demo-base\nmodels: [{model: demo-sort}, {model: demo-upper}]\n", "stands for"],
  ] as const) {
    await sweep.view("Merge");
    await studio.openRecipe(text);
    await sweep.view("Evaluate");
    await expect(sweep.region).toContainText(words);
    await expect(sweep.start).toHaveCount(0);
  }
  await sweep.view("Merge");
  await studio.loadDemo();
  await sweep.view("Evaluate");
  await expect(sweep.region).toContainText("The method model_stock has no number to vary.");
  await sweep.view("Merge");
  await studio.openRecipe(recipe(0.5).replace("{weight: 0.5}", "{weight: [0.2, 0.8]}"));
  await sweep.view("Evaluate");
  await expect(sweep.region).toContainText("The recipe has more than one number for it now");
  await sweep.set("weight of all inputs", 0.8, 0.2, 3);
  await expect(sweep.region.getByRole("alert")).toHaveText("From must be less than To.");
  await expect(sweep.start).toBeDisabled();
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing in a sweep in ${colorScheme} at ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const [, sweep] = await demo(page, DEMO_TIES);
      await sweep.open("20", ["reverse", "sort", "upper"]);
      await sweep.set("density of all inputs", 0.2, 1, 9);
      await sweep.start.click();
      await expect(sweep.status).toContainText("9 values merged and asked in", { timeout: 90_000 });
      await sweep.use("density 0.7").click();
      expect((await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => [id, nodes[0]?.html])).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      // A finger finds each point.
      const box = await sweep.use("density 0.7").boundingBox();
      expect(box!.width).toBeGreaterThanOrEqual(24);
    });
  }
}
