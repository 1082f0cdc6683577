/**
 * Gives the programs beside the page's own names that end with a hash of what is in them, so that a page never meets another
 * version's. Trunk does that for the page's program, and not for a worker's.
 *
 *     node tools/name_programs.mjs FOLDER
 */

import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder] = process.argv.slice(2);

/** Renames a program's file, in the one that asks for it as well. */
function rename(program, ending, asker) {
  const name = `${program}${ending}`;
  const hash = createHash("sha256").update(readFileSync(join(folder, name))).digest("hex").slice(0, 16);
  const renamed = `${program}-${hash}${ending}`;
  renameSync(join(folder, name), join(folder, renamed));
  const text = readFileSync(join(folder, asker), "utf8");
  if (!text.includes(name)) throw new Error(`${asker} does not ask for ${name}`);
  writeFileSync(join(folder, asker), text.replaceAll(name, renamed));
}

for (const program of ["merge-studio-scribe", "merge-studio-examiner"]) {
  // In this order: the hash of the second is of its text with the first one's new name.
  rename(program, "_bg.wasm", `${program}.js`);
  rename(program, ".js", "index.html");
}
