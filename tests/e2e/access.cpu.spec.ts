/** Whether everyone can use it: axe's rules, in both colour schemes and both widths, before and after a merge. */

import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";

import { DEMO_TIES, Studio } from "./studio";

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing in ${colorScheme} at ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const violations = async () => (await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => [id, nodes[0]?.html]);
      const studio = new Studio(page);
      await studio.open();
      expect(await violations()).toEqual([]);
      await studio.loadDemo();
      await studio.openRecipe(DEMO_TIES);
      await studio.merge();
      expect(await violations()).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    });
  }
}
