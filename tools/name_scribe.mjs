/**
 * Gives the scribe's program names that end with a hash of what is in it, so that a page never meets another version's. Trunk does that
 * for the page's own program, and not for a worker's.
 *
 *     node tools/name_scribe.mjs FOLDER
 */

import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder] = process.argv.slice(2);

/** Renames a file, in the one that asks for it as well. */
function rename(name, asker) {
  const hash = createHash("sha256").update(readFileSync(join(folder, name))).digest("hex").slice(0, 16);
  const renamed = name.replace("merge-studio-scribe", `merge-studio-scribe-${hash}`);
  renameSync(join(folder, name), join(folder, renamed));
  const text = readFileSync(join(folder, asker), "utf8");
  if (!text.includes(name)) throw new Error(`${asker} does not ask for ${name}`);
  writeFileSync(join(folder, asker), text.replaceAll(name, renamed));
}

// In this order: the hash of the second is of its text with the first one's new name.
rename("merge-studio-scribe_bg.wasm", "merge-studio-scribe.js");
rename("merge-studio-scribe.js", "index.html");
