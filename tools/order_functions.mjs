/**
 * Puts the functions of a WebAssembly module into an order in which gzip finds more of what is alike.
 *
 *     node tools/order_functions.mjs MODULE
 *
 * gzip looks back 32 KiB. Every next function is the one that has most in common with what stands there already, for its size; the
 * module is rewritten in place, and does what it did. Nothing here depends on chance: equal modules stay equal.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How far back gzip looks, less what does not fit exactly. */
const WINDOW = 32_000;
/** Bytes of what counts as alike; shorter matches save little. */
const GRAM = 6;
/** What this many functions have in common tells nothing of where one belongs. */
const COMMON = 100;

const [CUSTOM, IMPORT, CODE] = [0, 2, 10];
const FUNCTION_NAMES = 1;

/** Reads a module's sections: their kind, and where their contents lie. */
function* sections(bytes) {
  for (const reader = { bytes, at: 8 }; reader.at < bytes.length; ) {
    const start = reader.at;
    const kind = bytes[reader.at++];
    const length = number(reader);
    const at = reader.at;
    reader.at += length;
    yield { kind, start, at, end: reader.at };
  }
}

/** An unsigned LEB128 number. */
function number(reader) {
  for (let value = 0, shift = 0; ; shift += 7) {
    const byte = reader.bytes[reader.at++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return value;
  }
}

function written(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** How many functions are imported: their indices come first. */
function imported(bytes, section) {
  const reader = { bytes, at: section.at };
  const skip = () => {
    const length = number(reader);
    reader.at += length;
  };
  const limits = () => {
    const flags = number(reader);
    number(reader);
    if (flags & 1) number(reader);
  };
  let functions = 0;
  for (let left = number(reader); left > 0; left--) {
    skip();
    skip();
    const kind = bytes[reader.at++];
    if (kind === 0) {
      functions++;
      number(reader);
    } else if (kind === 1) {
      reader.at++;
      limits();
    } else if (kind === 2) {
      limits();
    } else if (kind === 3) {
      reader.at += 2;
    } else {
      throw new Error(`an import of kind ${kind}`);
    }
  }
  return functions;
}

/** The functions' bodies, in the module's order. */
function bodies(bytes, section) {
  const reader = { bytes, at: section.at };
  return Array.from({ length: number(reader) }, () => {
    const length = number(reader);
    reader.at += length;
    return bytes.subarray(reader.at - length, reader.at);
  });
}

/** The functions' places in the new order, by index. */
function order(functions) {
  // Which functions have each run of GRAM bytes.
  const holders = new Map();
  const grams = functions.map((body, index) => {
    const seen = new Set();
    for (let at = 0; at + GRAM <= body.length; at++) seen.add(body.readUIntBE(at, GRAM));
    for (const gram of seen) {
      if (holders.has(gram)) holders.get(gram).push(index);
      else holders.set(gram, [index]);
    }
    return seen;
  });
  const shared = grams.map((seen) =>
    [...seen].filter((gram) => holders.get(gram).length > 1 && holders.get(gram).length <= COMMON),
  );
  const weight = functions.map((body) => Math.sqrt(body.length + 20));
  const inWindow = new Map();
  const alike = functions.map(() => 0);
  const move = (index, by) => {
    for (const gram of shared[index]) {
      const count = (inWindow.get(gram) ?? 0) + by;
      inWindow.set(gram, count);
      // It came, or it left.
      if (count === (by > 0 ? 1 : 0)) for (const holder of holders.get(gram)) alike[holder] += by;
    }
  };
  const left = new Set(functions.keys());
  const places = [];
  let [first, size] = [0, 0];
  const chosen = [];
  let next = shared.reduce((most, own, index) => (own.length > shared[most].length ? index : most), 0);
  while (left.size > 0) {
    left.delete(next);
    places[next] = chosen.length;
    chosen.push(next);
    move(next, 1);
    size += functions[next].length;
    for (; size > WINDOW && first < chosen.length - 1; first++) {
      move(chosen[first], -1);
      size -= functions[chosen[first]].length;
    }
    let best = -1;
    for (const index of left) {
      const value = alike[index] / weight[index];
      if (value > best) [best, next] = [value, index];
    }
  }
  return places;
}

/** The module with names that sort as `places` do, and no other names. */
function named(bytes, functions, places) {
  const names = places.flatMap((place, index) => {
    const name = Buffer.from(String(place).padStart(6, "0"));
    return [...written(functions + index), name.length, ...name];
  });
  const map = [...written(places.length), ...names];
  const contents = Buffer.from([4, ...Buffer.from("name"), FUNCTION_NAMES, ...written(map.length), ...map]);
  const isNames = ({ kind, at }) => kind === CUSTOM && bytes.toString("utf8", at + 1, at + 5) === "name" && bytes[at] === 4;
  const kept = [...sections(bytes)].filter((section) => !isNames(section)).map(({ start, end }) => bytes.subarray(start, end));
  return Buffer.concat([bytes.subarray(0, 8), ...kept, Buffer.from([CUSTOM, ...written(contents.length)]), contents]);
}

const [module] = process.argv.slice(2);
const bytes = readFileSync(module);
const all = [...sections(bytes)];
const imports = all.find(({ kind }) => kind === IMPORT);
const places = order(bodies(bytes, all.find(({ kind }) => kind === CODE)));
const folder = mkdtempSync(join(tmpdir(), "merge-studio-order-"));
const temporary = join(folder, "named.wasm");
writeFileSync(temporary, named(bytes, imports ? imported(bytes, imports) : 0, places));
// Optimised once more, because it is written less tightly otherwise.
execFileSync("wasm-opt", ["-Oz", "--reorder-functions-by-name", temporary, "-o", module], { stdio: "inherit" });
rmSync(folder, { recursive: true });
