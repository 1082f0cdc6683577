/** The Evaluate view: models, tasks, numbers that are lm-evaluation-harness's, questions one by one, and what goes wrong. */

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Locator, type Page, test } from "@playwright/test";

import { DEMO, evaluateByCommandLine, REPOSITORY, temporary } from "./cli";
import { Studio } from "./studio";
import { onMachine } from "./workers";

/** All three skills, at the weight for which the demo models' page has a row. */
const MERGE = `merge_method: task_arithmetic
base_model: demo-base
models:
  - model: demo-reverse
    parameters: {weight: 0.5}
  - model: demo-sort
    parameters: {weight: 0.5}
  - model: demo-upper
    parameters: {weight: 0.5}
dtype: bfloat16
`;

const MODELS = ["demo-base", "demo-reverse", "demo-sort", "demo-upper", "merged-model"];

/** Shares of 200 questions, as PyTorch and transformers answer them: the table in static/demo/README.md. */
const SHARES: Record<string, number[]> = Object.fromEntries(
  ["reverse", "sort", "upper"].map((task, column) => {
    const rows = readFileSync(join(DEMO, "README.md"), "utf8").match(/^\| (demo-|all three.*0\.50 ).*%.*$/gm) ?? [];
    return [task, rows.map((row) => Number(row.split("|")[column + 2]!.replace("%", "")) / 100)];
  }),
);

class Evaluate {
  readonly region: Locator;

  constructor(readonly page: Page) {
    this.region = page.getByRole("region", { name: "Evaluate" });
  }

  async open(): Promise<void> {
    await this.page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
    await expect(this.region).toBeVisible();
  }

  get start(): Locator {
    return this.region.getByRole("button", { name: "Start" });
  }

  get status(): Locator {
    return this.region.getByRole("status");
  }

  async questions(number: string): Promise<void> {
    await this.region.getByRole("combobox", { name: "Questions" }).selectOption({ label: number });
  }

  async only(models: string[], tasks: string[]): Promise<void> {
    for (const [group, wanted] of [["Models", models], ["Tasks", tasks]] as const) {
      for (const box of await this.region.getByRole("group", { name: group }).getByRole("checkbox").all()) {
        const name = await box.evaluate((input) => input.nextElementSibling!.textContent!);
        await box.setChecked(wanted.includes(name));
      }
    }
  }

  async addTasks(...files: string[]): Promise<void> {
    const chooser = this.page.waitForEvent("filechooser");
    await this.region.getByRole("button", { name: "Add task files" }).click();
    await (await chooser).setFiles(files);
  }

  row(name: string): Locator {
    return this.region.getByRole("table", { name: "Results" }).getByRole("row").filter({ has: this.page.getByRole("rowheader", { name }) });
  }

  /** What a row's cells say. */
  async cells(name: string): Promise<string[]> {
    const texts = await this.row(name).getByRole("cell").allInnerTexts();
    return texts.map((text) => text.replace(/\s+/g, " ").trim());
  }
}

/** A number as the table shows it. */
const number = (value: number): string => value.toFixed(4).replace("-", "−");

/** A share of `of` questions and its standard error, as the table shows them. */
const figure = (share: number, of: number): string =>
  `${share.toFixed(4)} ± ${Math.sqrt((share * (1 - share)) / (of - 1)).toFixed(4)}`;

async function demo(page: Page): Promise<[Studio, Evaluate]> {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  return [studio, new Evaluate(page)];
}

test("the demo models and their merge are asked, and the numbers are those of transformers", async ({ page }) => {
  const [studio, evaluate] = await demo(page);
  await studio.openRecipe(MERGE);
  await studio.runOn("CPU");
  await studio.merge();
  await evaluate.open();
  await expect(evaluate.region.getByRole("checkbox")).toHaveCount(8);
  await evaluate.questions("200");
  await evaluate.start.click();
  await expect(evaluate.region.getByRole("progressbar", { name: "Evaluation progress" })).toBeVisible();
  await expect(evaluate.status).toContainText("Evaluated in", { timeout: 100_000 });
  console.log(await evaluate.status.innerText());
  for (const [task, shares] of Object.entries(SHARES)) {
    expect(shares).toHaveLength(MODELS.length);
    const cells = await evaluate.cells(task);
    expect(cells.map((cell) => cell.replace(" best", ""))).toEqual(shares.map((share) => figure(share, 200)));
  }
  // The best by more than the difference's error; all of two models' answers to `upper` are right.
  expect(await evaluate.cells("reverse")).toContainEqual(`${figure(1, 200)} best`);
  expect((await evaluate.cells("upper")).join()).not.toContain("best");

  await evaluate.row("reverse").getByRole("button").click();
  const questions = evaluate.region.getByRole("region", { name: "Questions of reverse" });
  await questions.getByRole("button", { name: "Won (" }).click();
  await expect(questions.getByRole("listitem").first()).toContainText("reverse: ");
  await expect(questions.getByRole("listitem").first()).toContainText("merged-model right");
  await expect(questions.getByRole("listitem").first()).toContainText("demo-base wrong");
  await questions.getByRole("combobox", { name: "Against" }).selectOption({ label: "demo-reverse" });
  await expect(questions.getByRole("button", { name: "Lost (9)" })).toBeVisible();

  const download = page.waitForEvent("download");
  await evaluate.region.getByRole("button", { name: "Save results" }).click();
  const zip = readFileSync(await (await download).path());
  for (const model of MODELS) expect(zip.includes(`results_${model}.json`)).toBe(true);
  expect(zip.toString("latin1")).toContain('"exact_match,none": 0.955');
  await expect(evaluate.region.getByRole("textbox", { name: "lm_eval commands" })).toHaveValue(
    /--model_args pretrained=merged-model,dtype=float32 --tasks reverse,sort,upper --batch_size auto --include_path \. --limit 200\n/,
  );
  // Merging goes on where it was.
  await page.getByRole("navigation").getByRole("button", { name: "Merge" }).click();
  await expect(studio.zipButton).toBeVisible();
});

test("a task file with its data is asked by choices, and their likelihoods are shown", async ({ page }) => {
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await expect(evaluate.start).toBeEnabled();
  const folder = join(REPOSITORY, "eval", "tests");
  await evaluate.addTasks(
    join(folder, "tasks", "choices.yaml"),
    join(folder, "data", "animals_test.jsonl"),
    join(folder, "data", "animals_train.jsonl"),
  );
  await expect(evaluate.region.getByRole("checkbox", { name: /^choices/ })).toBeChecked();
  await evaluate.only(["demo-base", "demo-sort"], ["choices"]);
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in");
  await evaluate.row("choices").first().getByRole("button").click();
  const first = evaluate.region.getByRole("region", { name: "Questions of choices" }).getByRole("listitem").first();
  await expect(first.getByRole("columnheader")).toHaveText(["Choice", /^demo-sort (right|wrong)$/, /^demo-base (right|wrong)$/]);
  const folders = ["demo-sort", "demo-base"].map((model) => join(DEMO, model));
  const answers = evaluateByCommandLine(folders, join(folder, "tasks", "choices.yaml"));
  const shown = (await first.getByRole("cell").allInnerTexts()).map((text) => text.replace(/\s*chosen$/, ""));
  const [sort, base] = ["demo-sort", "demo-base"].map((model) => answers[model].samples.choices[0].loglikelihoods as number[]);
  expect(shown).toEqual(sort!.flatMap((likelihood, at) => [number(likelihood), number(base![at]!)]));
  for (const [model, cell] of [["demo-base", 0], ["demo-sort", 1]] as const) {
    const { acc, acc_stderr } = answers[model].results.choices;
    expect((await evaluate.cells("choices"))[cell]).toContain(`${number(acc)} ± ${number(acc_stderr)}`);
  }
});

test("a public task is recognised by its data, and its subjects are averaged by group as on the command line", async ({ page }) => {
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await expect(evaluate.start).toBeEnabled();
  const data = ["mmlu_test.jsonl", "mmlu_dev.jsonl"].map((name) => join(REPOSITORY, "eval", "tests", "data", name));
  await evaluate.addTasks(...data);
  const subjects = ["mmlu_anatomy", "mmlu_astronomy", "mmlu_virology", "mmlu_sociology", "mmlu_world_religions"];
  await expect(evaluate.region.getByRole("checkbox", { name: "mmlu_world_religions" })).toBeChecked();
  await evaluate.only(["demo-base", "demo-sort"], subjects);
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in");
  const models = ["demo-base", "demo-sort"];
  const answers = evaluateByCommandLine(models.map((model) => join(DEMO, model)), "mmlu", ...data.flatMap((file) => ["--data", file]));
  for (const name of [...subjects, "mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities", "mmlu"]) {
    const expected = models.map((model) => answers[model].results[name]).map(({ acc, acc_stderr }) => `${number(acc)} ± ${number(acc_stderr)}`);
    const row = page.getByRole("rowheader", { name: new RegExp(`^${name} acc`) });
    const cells = await evaluate.region.getByRole("row").filter({ has: row }).getByRole("cell").allInnerTexts();
    expect(cells.map((cell) => cell.replace(/\s+/g, " ").replace(" best", "").trim()), name).toEqual(expected);
  }
});

test("cancelling leaves what was answered and a page that goes on", async ({ page }) => {
  const [studio, evaluate] = await demo(page);
  await evaluate.open();
  await evaluate.questions("all");
  await evaluate.start.click();
  await expect(evaluate.row("reverse").getByRole("cell").first()).toContainText("±");
  await evaluate.region.getByRole("button", { name: "Cancel" }).click();
  await expect(evaluate.status).toContainText("Cancelled");
  await expect(evaluate.row("reverse").getByRole("cell").first()).toContainText("±");
  await evaluate.questions("20");
  await evaluate.only(["demo-base"], ["sort"]);
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in");
  await page.getByRole("navigation").getByRole("button", { name: "Merge" }).click();
  await expect(studio.model("demo-base")).toBeVisible();
});

test("more questions go on from the answers that are known, fewer are not asked again, and the results are the same to the byte", async ({ page }) => {
  const ask = async (evaluate: Evaluate, questions: string, status: RegExp): Promise<Buffer> => {
    await evaluate.questions(questions);
    await evaluate.start.click();
    await expect(evaluate.status).toHaveText(status, { timeout: 100_000 });
    const download = page.waitForEvent("download");
    await evaluate.region.getByRole("button", { name: "Save results" }).click();
    return readFileSync(await (await download).path());
  };
  const allNew = /^Evaluated in [^:]+\.$/;
  const allKnown = /^Evaluated in [^:]+: all answers were known from before\.$/;
  const [, evaluate] = await demo(page);
  await evaluate.open();
  const few = await ask(evaluate, "20", allNew);
  const more = await ask(evaluate, "50", /: 240 of 600 answers were known from before\.$/);
  expect((await ask(evaluate, "20", allKnown)).equals(few)).toBe(true);
  // Fewer questions in between have lost nothing.
  expect((await ask(evaluate, "50", allKnown)).equals(more)).toBe(true);
  await evaluate.only(["demo-sort"], ["reverse", "upper"]);
  await ask(evaluate, "200", /: 100 of 400 answers were known from before\.$/);
  // What was cancelled goes on.
  await evaluate.only(MODELS, ["reverse", "sort", "upper"]);
  await evaluate.questions("200");
  await evaluate.start.click();
  await expect(evaluate.row("sort").getByRole("cell").first()).toContainText("of 200");
  await evaluate.region.getByRole("button", { name: "Cancel" }).click();
  const most = await ask(evaluate, "200", /: [\d,]+ of 2,400 answers were known from before\.$/);

  const [, again] = await demo(page);
  await again.open();
  expect((await ask(again, "200", allNew)).equals(most)).toBe(true);
  expect((await ask(again, "50", allKnown)).equals(more)).toBe(true);
});

test("a task for which models have no room stops alone, and says whose and why", async ({ page }) => {
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await expect(evaluate.start).toBeEnabled();
  const folder = temporary();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const task = (name: string, tokens: number): string =>
    `task: ${name}\ndataset_path: json\ndataset_kwargs: {data_files: {test: pair.jsonl}}\ntest_split: test\ndoc_to_text: question\n` +
    `doc_to_target: answer\ngeneration_kwargs: {until: ["\\n"], max_gen_toks: ${tokens}}\ntarget_delimiter: ""\nmetric_list: [{metric: exact_match}]\n`;
  const pair = file("pair.jsonl", '{"question": "sort: 52713 = ", "answer": "12357"}\n'.repeat(3));
  await evaluate.addTasks(file("long.yaml", task("long", 800)), file("short.yaml", task("short", 8)), pair);
  await expect(evaluate.region.getByRole("checkbox", { name: "short" })).toBeChecked();
  await evaluate.only(["demo-base", "demo-sort"], ["long", "short", "sort"]);
  await evaluate.questions("20");
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in");
  await expect(evaluate.region.getByRole("alert")).toHaveText(
    "long stopped for demo-base and demo-sort: 800 tokens are to be generated, which leaves no room for a prompt in a context of 128.",
  );
  expect(await evaluate.cells("long")).toEqual(["–", "–"]);
  expect((await evaluate.cells("sort"))[1]).toContain("1.0000 ±");
  expect((await evaluate.cells("short"))[1]).toContain("1.0000 ±");
});

test("files that are no tasks say what to do, one by one, and the others are asked", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  const evaluate = new Evaluate(page);
  await evaluate.open();
  await expect(evaluate.region).toContainText("No task is there.");
  await expect(evaluate.region).toContainText("Choose at least one model and one task.");
  const folder = temporary();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const task = "task: twice\ndataset_path: json\ndataset_kwargs: {data_files: {test: pair.jsonl}}\ntest_split: test\ndoc_to_text: question\ndoc_to_target: answer\n";
  const pair = file("pair.jsonl", '{"question": "sort: 52713 =", "answer": "12357"}\n');
  const alert = (text: RegExp) => evaluate.region.getByRole("alert").filter({ hasText: text });
  const other = file("other.yaml", task);
  await evaluate.addTasks(file("one.yaml", task), other, pair);
  await expect(evaluate.region.getByRole("checkbox")).toHaveCount(1);
  await expect(alert(/^other\.yaml: Another task is called twice\. Rename one of them/)).toBeVisible();
  await evaluate.region.getByRole("button", { name: "Remove other.yaml" }).click();
  await expect(evaluate.region.getByRole("alert")).toHaveCount(0);
  await expect(evaluate.region.getByRole("checkbox", { name: "twice" })).toBeChecked();
  // Given anew under another name it takes the place of the one before.
  await evaluate.addTasks(other, pair);
  await expect(evaluate.region.getByRole("checkbox")).toHaveCount(1);
  await expect(evaluate.region.getByRole("alert")).toHaveCount(0);
  for (const [name, text, words] of [
    ["table.csv", "question,answer\na,b\n", /^table\.csv: Tables are not read\. Save it as JSON Lines/],
    ["model.gguf", "GGUF", /^model\.gguf: It is no task: .* Models are added under Merge\./],
    ["empty.jsonl", "", /^empty\.jsonl: no documents/],
    ["torn.jsonl", '{"question": "a", "answer": "b"}\n{"question": \n', /^torn\.jsonl:2: .*\(character \d+\)/],
    ["alone.yaml", task.replace("pair", "nowhere"), /^alone\.yaml:3:\d+: `nowhere\.jsonl` is not among the files given/],
  ] as const) {
    await evaluate.addTasks(file(name, text));
    await expect(alert(words)).toBeVisible();
    await evaluate.region.getByRole("button", { name: `Remove ${name}` }).click();
    await expect(evaluate.region.getByRole("alert")).toHaveCount(0);
  }
  await expect(evaluate.region.getByRole("checkbox", { name: "twice" })).toBeChecked();
});

test("task files that are dropped while the view is still fetched are there when it comes, and a recipe is told from a task", async ({ page }) => {
  const studio = new Studio(page);
  await studio.open();
  const evaluate = new Evaluate(page);
  let fetch = (): void => {};
  const wanted = new Promise<void>((resolve) => (fetch = resolve));
  await page.route("**/merge-studio-examiner-*.wasm", async (route) => {
    await wanted;
    await route.continue();
  });
  await page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
  await expect(page.getByText("What evaluates models is being loaded")).toBeVisible();
  const drop = async (name: string, text: string): Promise<void> => {
    await page.evaluate(
      ([name, text]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([text!], name!));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
      },
      [name, text],
    );
  };
  await drop("first.jsonl", '{"question": "sort: 52713 =", "answer": "12357"}\n');
  await drop("second.jsonl", '{"question": "upper: kamel =", "answer": "KAMEL"}\n');
  fetch();
  for (const name of ["first", "second"]) await expect(evaluate.region.getByRole("checkbox", { name })).toBeChecked();
  await drop("recipe.yaml", MERGE);
  await expect(evaluate.region.getByRole("alert")).toContainText(
    "recipe.yaml:1:1: `merge_method` is not supported: this is a recipe; merge it, and evaluate what comes of it.",
  );
  await expect(evaluate.region.getByRole("checkbox")).toHaveCount(2);
});

test("as many models as there are processors are asked at once, and one whose worker dies leaves the others' answers", async ({ page }) => {
  const mostAtOnce = await onMachine(page, { processors: 3, memory: 8, dies: "demo-reverse" });
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await evaluate.questions("200");
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in", { timeout: 100_000 });
  await expect(evaluate.region.getByRole("alert")).toHaveText(
    /^demo-reverse stopped: what evaluated it ran out of memory or died \(RuntimeError: memory access out of bounds\)/,
  );
  expect(await mostAtOnce()).toBe(3);
  for (const [task, shares] of Object.entries(SHARES)) {
    const cells = (await evaluate.cells(task)).map((cell) => cell.replace(" best", ""));
    for (const model of [0, 2, 3]) expect(cells[model]).toBe(figure(shares[model]!, 200));
  }
  expect((await evaluate.cells("reverse"))[1]).toMatch(/^\d\.\d{4}.* \d+ of 200$/);
  const download = page.waitForEvent("download");
  await evaluate.region.getByRole("button", { name: "Save results" }).click();
  const zip = readFileSync(await (await download).path());
  for (const model of MODELS.slice(0, 4)) expect(zip.includes(`results_${model}.json`)).toBe(model !== "demo-reverse");
});

test("all models answer a sample before one answers more, be there one processor", async ({ page }) => {
  const mostAtOnce = await onMachine(page, { processors: 1, memory: 8 });
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await evaluate.questions("200");
  await page.evaluate(() => {
    const seen: number[][] = ((window as unknown as { seen: number[][] }).seen = []);
    const answered = (cell: Element) =>
      cell.textContent === "–" ? 0 : parseInt(cell.querySelector(".so-far")?.textContent ?? "200", 10);
    const look = () => {
      const cells = document.querySelectorAll("#evaluate table[aria-labelledby=results-title] td");
      if (cells.length > 0) seen.push([...cells].map(answered));
    };
    new MutationObserver(look).observe(document.getElementById("evaluate")!, { subtree: true, childList: true, characterData: true });
  });
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in", { timeout: 100_000 });
  expect(await mostAtOnce()).toBe(1);
  const seen = await page.evaluate(() => (window as unknown as { seen: number[][] }).seen);
  for (const [round, next] of [[20, 50], [50, 200]] as const) {
    expect(seen.filter((answers) => Math.max(...answers) > round && Math.min(...answers) < round)).toEqual([]);
    expect(seen.some((answers) => Math.max(...answers) > round && Math.min(...answers) < next)).toBe(true);
  }
  expect(seen.at(-1)).toEqual(Array(12).fill(200));
});

test("where memory is short models are asked after each other", async ({ page }) => {
  const mostAtOnce = await onMachine(page, { processors: 4, memory: 0.001 });
  const [, evaluate] = await demo(page);
  await evaluate.open();
  await evaluate.questions("200");
  await evaluate.start.click();
  await expect(evaluate.status).toHaveText(/^Questions are being asked; [123] models? waits? for (its|their) turn …$/);
  await expect(evaluate.status).toContainText("Evaluated in", { timeout: 100_000 });
  expect(await mostAtOnce()).toBe(1);
  const cells = (await evaluate.cells("sort")).map((cell) => cell.replace(" best", ""));
  expect(cells).toEqual(SHARES.sort!.slice(0, 4).map((share) => figure(share, 200)));
});

test("what cannot be evaluated is refused by name, and the rest is asked", async ({ page }) => {
  const [studio, evaluate] = await demo(page);
  const other = (name: string, change: (config: Record<string, unknown>) => void): string => {
    const folder = join(temporary(), name);
    cpSync(join(DEMO, "demo-base"), folder, { recursive: true });
    const file = join(folder, "config.json");
    const config = JSON.parse(readFileSync(file, "utf8"));
    change(config);
    writeFileSync(file, JSON.stringify(config));
    return folder;
  };
  await studio.addFolder(other("mamba", (config) => Object.assign(config, { architectures: ["MambaForCausalLM"], model_type: "mamba" })));
  await studio.addFolder(other("giant", (config) => Object.assign(config, { hidden_size: 16384, intermediate_size: 65536 })));
  await expect(studio.model("mamba")).toBeVisible();
  await expect(studio.model("giant")).toBeVisible();
  await evaluate.open();
  await expect(evaluate.start).toBeEnabled();
  const broken = join(temporary(), "broken.yaml");
  writeFileSync(broken, "task: broken\ndataset_path: json\ndoc_to_txt: question\ndoc_to_text: question\ndoc_to_target: answer\ntest_split: test\n");
  await evaluate.addTasks(broken);
  await expect(evaluate.region.getByRole("alert").filter({ hasText: /^broken\.yaml:3:1: `doc_to_txt`/ })).toBeVisible();
  await evaluate.region.getByRole("button", { name: "Remove broken.yaml" }).click();
  await expect(evaluate.region.getByRole("alert")).toHaveCount(0);
  await evaluate.questions("20");
  await evaluate.only(["demo-sort", "mamba", "giant"], ["sort"]);
  await evaluate.start.click();
  await expect(evaluate.status).toContainText("Evaluated in");
  await expect(evaluate.region.getByRole("alert").filter({ hasText: /mamba cannot be evaluated: The architecture MambaForCausalLM, model_type mamba is not supported; supported are LlamaForCausalLM/ })).toBeVisible();
  await expect(evaluate.region.getByRole("alert").filter({ hasText: /giant cannot be evaluated here: it takes about [\d.]+ GB of memory/ })).toBeVisible();
  expect(await evaluate.cells("sort")).toEqual([`${figure(1, 20)}`, "–", "–"]);
});

test("a program that cannot be fetched is said, and tried again", async ({ page }) => {
  const [, evaluate] = await demo(page);
  await page.route("**/merge-studio-examiner-*.wasm", (route) => route.abort());
  await page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
  await expect(page.getByText("What evaluates models could not be loaded")).toBeVisible();
  await page.unroute("**/merge-studio-examiner-*.wasm");
  await page.getByRole("navigation").getByRole("button", { name: "Merge" }).click();
  await evaluate.open();
  await expect(evaluate.start).toBeEnabled();
});
