/** One prompt to several models in the Evaluate view: their answers side by side, and what goes wrong beside what goes right. */

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Locator, type Page, test } from "@playwright/test";

import { DEMO, temporary } from "./cli";
import { DEMO_TIES, Studio } from "./studio";

class Ask {
  readonly region: Locator;

  constructor(readonly page: Page) {
    this.region = page.getByRole("region", { name: "Side by side" });
  }

  async open(): Promise<void> {
    await this.page.getByRole("navigation").getByRole("button", { name: "Evaluate" }).click();
    await expect(this.region).toBeVisible();
  }

  get prompt(): Locator {
    return this.region.getByRole("textbox", { name: "Prompt" });
  }

  get ask(): Locator {
    return this.region.getByRole("button", { name: "Ask", exact: true });
  }

  get status(): Locator {
    return this.region.getByRole("status");
  }

  model(name: string): Locator {
    return this.region.getByRole("checkbox", { name, exact: true });
  }

  async only(...names: string[]): Promise<void> {
    const boxes = this.region.getByRole("group", { name: "Who answers" }).getByRole("checkbox");
    for (const checked of [false, true]) {
      for (const box of await boxes.all()) {
        const name = await box.evaluate((input) => input.nextElementSibling!.textContent!);
        if (names.includes(name) === checked) await box.setChecked(checked);
      }
    }
  }

  async set(number: string, value: number): Promise<void> {
    await this.region.getByRole("spinbutton", { name: number }).fill(String(value));
  }

  answer(model: string): Locator {
    return this.region.getByRole("article", { name: model, exact: true });
  }

  /** What a model wrote, to the space. */
  text(model: string): Promise<string> {
    return this.answer(model).locator(".ask-text").evaluate((text) => text.textContent!);
  }

  /** Asks, and waits until all have answered. */
  async all(prompt: string, models: string[]): Promise<string[]> {
    await this.prompt.fill(prompt);
    await this.ask.click();
    await expect(this.status).toHaveText(/^\d+ models? ha(s|ve) answered\.$/);
    await expect(this.region.getByRole("article")).toHaveCount(models.length);
    return Promise.all(models.map((model) => this.text(model)));
  }
}

const SKILLS = ["reverse", "sort", "upper"];
const MODELS = ["demo-base", "demo-reverse", "demo-sort", "demo-upper"];

/** The first questions of a demo task. */
const questions = (skill: string): { question: string; answer: string }[] =>
  readFileSync(join(DEMO, `${skill}.jsonl`), "utf8").trim().split("\n").slice(0, 3).map((line) => JSON.parse(line));

async function demo(page: Page): Promise<[Studio, Ask]> {
  const studio = new Studio(page);
  await studio.open();
  await studio.loadDemo();
  return [studio, new Ask(page)];
}

/** A copy of a demo model in which something is changed. */
function changed(model: string, name: string, changes: Record<string, (json: Record<string, unknown>) => void>): string {
  const folder = join(temporary(), name);
  cpSync(join(DEMO, model), folder, { recursive: true });
  for (const [file, change] of Object.entries(changes)) {
    const json = JSON.parse(readFileSync(join(folder, file), "utf8"));
    change(json);
    writeFileSync(join(folder, file), JSON.stringify(json));
  }
  return folder;
}

/** A model that never ends its answer. */
const endless = (): string =>
  changed("demo-base", "endless", {
    "config.json": (config) => Object.assign(config, { max_position_embeddings: 4096 }),
    "generation_config.json": (config) => delete config.eos_token_id,
    "tokenizer_config.json": (config) => delete config.eos_token,
  });

test("each demo model answers what it learned, greedily always the same, and is read once", async ({ page }) => {
  const [, ask] = await demo(page);
  await ask.open();
  await expect(ask.ask).toBeDisabled();
  await ask.region.getByRole("button", { name: "reverse: kamel =" }).click();
  await expect(ask.prompt).toHaveValue("reverse: kamel = ");
  const first = await ask.all("reverse: kamel = ", MODELS);
  expect(first[1]).toBe("lemak");
  await expect(ask.answer("demo-reverse")).toContainText(/^demo-reverse6 tokens · .*bare prompt/);
  const started: string[] = [];
  const others: number[] = [];
  page.on("worker", (worker) => started.push(worker.url()));
  expect(await ask.all("reverse: kamel = ", MODELS)).toEqual(first);
  for (const skill of SKILLS) {
    for (const { question, answer } of questions(skill)) {
      const texts = await ask.all(question, MODELS);
      expect(texts[MODELS.indexOf(`demo-${skill}`)]).toBe(answer);
      others.push(texts.filter((text) => text === answer).length - 1);
    }
  }
  // Now and then another model is right, too.
  expect(others).toContain(0);
  expect(started).toEqual([]);
});

test("a greedy answer is the one that the evaluation got", async ({ page }) => {
  const [, ask] = await demo(page);
  await ask.open();
  const evaluate = page.getByRole("region", { name: "Evaluate" });
  await evaluate.getByRole("combobox", { name: "Questions" }).selectOption({ label: "20" });
  await evaluate.getByRole("button", { name: "Start" }).click();
  await expect(ask.status).toHaveText(/when the evaluation or the sweep is over/);
  await expect(evaluate.getByRole("status")).toContainText("Evaluated in");
  await expect(ask.status).toBeEmpty();
  await evaluate.getByRole("button", { name: "reverse", exact: true }).click();
  const asked = evaluate.getByRole("region", { name: "Questions of reverse" });
  await asked.getByRole("combobox", { name: "Compare" }).selectOption({ label: "demo-base" });
  await asked.getByRole("combobox", { name: "Against" }).selectOption({ label: "demo-sort" });
  // As many as the demo models' generation_config.json lets an evaluation have.
  await ask.set("Longest answer", 8);
  await ask.only("demo-base", "demo-sort");
  for (const [at, { question }] of questions("reverse").entries()) {
    const answers = await asked.getByRole("listitem").nth(at).locator("dd").allTextContents();
    expect(await ask.all(question, ["demo-base", "demo-sort"])).toEqual(answers.slice(1));
  }
});

test("what is sampled is the seed's, and a number out of range is said", async ({ page }) => {
  const [, ask] = await demo(page);
  await ask.open();
  await expect(ask.region.getByRole("spinbutton")).toHaveCount(1);
  await ask.region.getByRole("combobox", { name: "Answers" }).selectOption("sampled");
  await expect(ask.region.getByRole("spinbutton")).toHaveCount(5);
  await ask.only("demo-base");
  await ask.prompt.fill("reverse: kamel = ");
  await ask.set("Temperature", 9);
  await expect(ask.region.getByRole("alert")).toHaveText("A number from 0.01 to 5.");
  await expect(ask.ask).toBeDisabled();
  await ask.set("Temperature", 1.5);
  await expect(ask.region.getByRole("alert")).toHaveCount(0);
  await ask.set("Top p", 1);
  const drawn = async (seed: number): Promise<string> => {
    await ask.set("Seed", seed);
    return (await ask.all("reverse: kamel = ", ["demo-base"]))[0]!;
  };
  const texts: string[] = [];
  for (const seed of [1, 2, 3, 4]) texts.push(await drawn(seed));
  expect(new Set(texts).size).toBeGreaterThan(1);
  for (const seed of [1, 2, 3, 4]) expect(await drawn(seed)).toBe(texts[seed - 1]);
  // Of the likeliest token alone there is but one answer: the greedy one.
  await ask.set("Top k", 1);
  const only = await drawn(2);
  await ask.region.getByRole("combobox", { name: "Answers" }).selectOption("greedy");
  expect(await ask.all("reverse: kamel = ", ["demo-base"])).toEqual([only]);
});

test("an answer streams, others end before it, and cancelled it stays beside its model", async ({ page }) => {
  const [studio, ask] = await demo(page);
  await studio.addFolder(endless());
  await expect(studio.model("endless")).toBeVisible();
  await ask.open();
  await ask.only("demo-reverse", "endless");
  await ask.set("Longest answer", 4000);
  await ask.prompt.fill("reverse: kamel = ");
  await ask.ask.click();
  await expect(ask.answer("demo-reverse")).toContainText(/6 tokens · .*lemak$/);
  await expect(ask.answer("endless")).toContainText(/\d tokens …/);
  await expect(ask.status).toHaveText("Answering …");
  await expect(ask.model("endless")).toBeDisabled();
  await ask.region.getByRole("button", { name: "Cancel" }).click();
  await expect(ask.status).toHaveText("Cancelled. What was written so far stays.");
  await expect(ask.answer("endless")).toContainText(/tokens · cancelled/);
  const written = await ask.text("endless");
  expect(written).not.toBe("");
  await expect(ask.answer("demo-reverse")).toContainText("lemak");
  const started: string[] = [];
  page.on("worker", (worker) => started.push(worker.url()));
  await ask.set("Longest answer", 20);
  const [, cut] = await ask.all("reverse: kamel = ", ["demo-reverse", "endless"]);
  expect(written.startsWith(cut!)).toBe(true);
  await expect(ask.answer("endless")).toContainText(/20 tokens · .*cut at the longest answer/);
  expect(started).toEqual([]);
});

test("where there is one processor models answer after each other", async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(navigator, "hardwareConcurrency", { value: 1 }));
  const studio = new Studio(page);
  await studio.open();
  await studio.addFolder(endless());
  await expect(studio.model("endless")).toBeVisible();
  await studio.loadDemo();
  const ask = new Ask(page);
  await ask.open();
  await ask.only("endless", "demo-sort");
  await ask.set("Longest answer", 4000);
  await ask.prompt.fill("sort: 52713 = ");
  await ask.ask.click();
  await expect(ask.answer("endless")).toContainText(/\d tokens …/);
  await expect(ask.answer("demo-sort")).toContainText("Its turn comes when another has answered.");
  await ask.region.getByRole("button", { name: "Cancel" }).click();
  await expect(ask.answer("demo-sort")).toContainText("cancelled");
  await ask.set("Longest answer", 20);
  expect((await ask.all("sort: 52713 = ", ["endless", "demo-sort"]))[1]).toBe("12357");
});

test("four answer at most, the merge among them, and Control and Enter ask", async ({ page }) => {
  const [studio, ask] = await demo(page);
  await studio.openRecipe(DEMO_TIES);
  await studio.runOn("CPU");
  await studio.merge();
  await ask.open();
  for (const name of ["demo-base", "demo-reverse", "demo-sort", "merged-model"]) await expect(ask.model(name)).toBeChecked();
  await expect(ask.model("demo-upper")).not.toBeChecked();
  await expect(ask.model("demo-upper")).toBeDisabled();
  await expect(ask.region.getByText("Four at most.")).toBeVisible();
  await ask.model("demo-base").focus();
  await page.keyboard.press("Space");
  await expect(ask.model("demo-upper")).toBeEnabled();
  await ask.model("demo-upper").focus();
  await page.keyboard.press("Space");
  await ask.prompt.focus();
  await page.keyboard.type("upper: kamel = ");
  await page.keyboard.press("Control+Enter");
  await expect(ask.status).toHaveText("4 models have answered.");
  await expect(ask.prompt).toHaveValue("upper: kamel = ");
  await expect(ask.region.getByRole("article")).toHaveCount(4);
  expect(await ask.text("demo-upper")).toBe("KAMEL");
  // The next things that the keyboard comes to.
  await page.keyboard.press("Tab");
  await expect(ask.ask).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(ask.status).toHaveText("4 models have answered.");
});

test("a chat template is used where there is one, and can be left out", async ({ page }) => {
  const [studio, ask] = await demo(page);
  const template = "{% for message in messages %}upper: {{ message['content'] }} = {% endfor %}";
  await studio.addFolder(changed("demo-upper", "chatty", { "tokenizer_config.json": (config) => Object.assign(config, { chat_template: template }) }));
  await expect(studio.model("chatty")).toBeVisible();
  await ask.open();
  await ask.only("demo-upper", "chatty");
  const [bare, chat] = await ask.all("kamel", ["demo-upper", "chatty"]);
  expect(chat).toBe("KAMEL");
  expect(bare).not.toBe("KAMEL");
  await expect(ask.answer("chatty")).toContainText("chat template");
  await expect(ask.answer("demo-upper")).toContainText("bare prompt");
  await ask.region.getByRole("checkbox", { name: "Chat template" }).uncheck();
  expect(await ask.all("kamel", ["demo-upper", "chatty"])).toEqual([bare, bare]);
});

test("a system message goes where the chat template has it, and an answer without it says so", async ({ page }) => {
  const [studio, ask] = await demo(page);
  const chatty = (name: string, template: string) =>
    studio.addFolder(changed("demo-upper", name, { "tokenizer_config.json": (config) => Object.assign(config, { chat_template: template }) }));
  const turns = (system: string) =>
    `{% for message in messages %}{% if message['role'] == 'system' %}${system}{% else %}{{ message['content'] }} = {% endif %}{% endfor %}`;
  await chatty("heeds", turns("{{ message['content'] }}: "));
  await chatty("ignores", turns(""));
  await chatty("refuses", turns("{{ raise_exception('System role not supported') }}"));
  for (const name of ["heeds", "ignores", "refuses"]) await expect(studio.model(name)).toBeVisible();
  await ask.open();
  const system = ask.region.getByRole("textbox", { name: "System message" });
  await ask.only("demo-upper", "heeds", "ignores");
  const models = ["demo-upper", "heeds", "ignores"];
  const before = await ask.all("kamel", models);
  expect(before[1]).not.toBe("KAMEL");
  await expect(ask.region.getByText("without the system message")).toHaveCount(0);
  await system.fill("upper");
  expect(await ask.all("kamel", models)).toEqual([before[0], "KAMEL", before[2]]);
  await expect(ask.answer("heeds")).toContainText(/chat templateKAMEL$/);
  await expect(ask.answer("ignores")).toContainText("chat template · without the system message");
  await expect(ask.answer("demo-upper")).toContainText("bare prompt · without the system message");
  await ask.only("refuses");
  await ask.ask.click();
  await expect(ask.answer("refuses").getByRole("alert")).toContainText("System role not supported");
  await ask.only(...models);
  await ask.region.getByRole("checkbox", { name: "Chat template" }).uncheck();
  await expect(system).toBeDisabled();
  expect(await ask.all("kamel", models)).toEqual([before[0], before[0], before[0]]);
  await expect(ask.region.getByText("without the system message")).toHaveCount(0);
});

test("models that cannot answer say why, each in its place, and the others answer", async ({ page }) => {
  const [studio, ask] = await demo(page);
  await studio.addFolder(changed("demo-base", "mamba", { "config.json": (config) => Object.assign(config, { architectures: ["MambaForCausalLM"] }) }));
  await studio.addFolder(changed("demo-base", "giant", { "config.json": (config) => Object.assign(config, { hidden_size: 16384, intermediate_size: 65536 }) }));
  await expect(studio.model("mamba")).toBeVisible();
  await expect(studio.model("giant")).toBeVisible();
  await ask.open();
  await ask.only("demo-sort", "mamba", "giant");
  await ask.prompt.fill("sort: 52713 = ");
  await ask.ask.click();
  await expect(ask.status).toHaveText("1 model has answered, 2 could not.");
  await expect(ask.answer("mamba").getByRole("alert")).toHaveText(/The architecture MambaForCausalLM.* is not supported/);
  await expect(ask.answer("giant").getByRole("alert")).toHaveText(/it takes about [\d.]+ GB of memory/);
  expect(await ask.text("demo-sort")).toBe("12357");
  await ask.only("demo-sort");
  await ask.prompt.fill("1".repeat(200));
  await ask.ask.click();
  await expect(ask.answer("demo-sort").getByRole("alert")).toHaveText(/the prompt has 20\d tokens, and the model reads 128 with its answer/);
  expect((await ask.all("sort: 52713 = ", ["demo-sort"]))[0]).toBe("12357");
});

test("an evaluation gets the memory of models that answer, and they answer again after it", async ({ page }) => {
  const [studio, ask] = await demo(page);
  await studio.addFolder(endless());
  await expect(studio.model("endless")).toBeVisible();
  await ask.open();
  await ask.only("endless");
  await ask.set("Longest answer", 4000);
  await ask.prompt.fill("sort: 52713 = ");
  await ask.ask.click();
  await expect(ask.answer("endless")).toContainText(/\d tokens …/);
  const evaluate = page.getByRole("region", { name: "Evaluate" });
  await evaluate.getByRole("combobox", { name: "Questions" }).selectOption({ label: "20" });
  await evaluate.getByRole("button", { name: "Start" }).click();
  await expect(ask.answer("endless")).toContainText("cancelled");
  await expect(evaluate.getByRole("status")).toContainText("Evaluated in");
  await ask.only("demo-sort");
  expect(await ask.all("sort: 52713 = ", ["demo-sort"])).toEqual(["12357"]);
});
