/** What a browser tells of its machine, and its workers that evaluate models. */

import type { Page } from "@playwright/test";

interface Machine {
  /** Processors, as far as the page is told. */
  processors: number;
  /** GiB of memory, as far as the page is told. */
  memory?: number;
  /** The worker whose order has these words dies after its first answers. */
  dies?: string;
}

/** To be called before the page is opened. The answer tells how many workers evaluated at once at most. */
export async function onMachine(page: Page, machine: Machine): Promise<() => Promise<number>> {
  await page.addInitScript(({ processors, memory, dies }) => {
    Object.defineProperty(navigator, "hardwareConcurrency", { value: processors });
    if (memory !== undefined) Object.defineProperty(navigator, "deviceMemory", { value: memory });
    const evaluating = new Set<Worker>();
    const seen = window as unknown as { mostEvaluating: number };
    seen.mostEvaluating = 0;
    window.Worker = class extends Worker {
      private isExaminer = false;
      private isEvaluating = false;
      /** Messages without content: that it reads its model, and then each time that it rests until it gets another order. */
      private short = 0;

      constructor(...given: ConstructorParameters<typeof Worker>) {
        super(...given);
        // Before the page hears it, and orders something else.
        this.addEventListener("message", ({ data }: MessageEvent) => {
          const isShort = this.isEvaluating && data?.[0] instanceof Uint8Array && data[0].length === 1;
          if (isShort && ++this.short > 1) evaluating.delete(this);
        });
      }

      override postMessage(message: unknown[], ...rest: never[]): void {
        const [first, beside] = message;
        if (typeof first === "string") this.isExaminer = first.includes("examiner");
        // An order has models' files beside it.
        const isOrder = this.isExaminer && first instanceof Uint8Array && (beside as unknown[][])[1]!.length > 0;
        if (isOrder) {
          this.isEvaluating = true;
          if (dies !== undefined && new TextDecoder().decode(first).includes(dies)) {
            // Its model is being read, then it answers.
            let said = 0;
            this.addEventListener("message", () => {
              said += 1;
              const death = new ErrorEvent("error", { message: "RuntimeError: memory access out of bounds" });
              // At once: the worker may have answered everything before the page gets to something later.
              if (said === 2) this.dispatchEvent(death);
            });
          }
        }
        if (this.isEvaluating && first instanceof Uint8Array) {
          evaluating.add(this);
          seen.mostEvaluating = Math.max(seen.mostEvaluating, evaluating.size);
        }
        super.postMessage(message, ...rest);
      }

      override terminate(): void {
        evaluating.delete(this);
        super.terminate();
      }
    };
  }, machine);
  return () => page.evaluate(() => (window as unknown as { mostEvaluating: number }).mostEvaluating);
}
