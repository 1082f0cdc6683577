/** Checkpoints of MiniLM's shape (22.7 million parameters, 90.9 MB at f32) with made-up weights. */

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const HIDDEN = 384;
const LAYERS = 6;
const VOCABULARY = 30_522;

function shapes(): [name: string, shape: number[]][] {
  const norm = (name: string): [string, number[]][] => [
    [`${name}.weight`, [HIDDEN]],
    [`${name}.bias`, [HIDDEN]],
  ];
  const dense = (name: string, rows: number, columns: number): [string, number[]][] => [
    [`${name}.weight`, [rows, columns]],
    [`${name}.bias`, [rows]],
  ];
  const layer = (number: number): [string, number[]][] => {
    const at = `encoder.layer.${number}`;
    return [
      ...dense(`${at}.attention.self.query`, HIDDEN, HIDDEN),
      ...dense(`${at}.attention.self.key`, HIDDEN, HIDDEN),
      ...dense(`${at}.attention.self.value`, HIDDEN, HIDDEN),
      ...dense(`${at}.attention.output.dense`, HIDDEN, HIDDEN),
      ...norm(`${at}.attention.output.LayerNorm`),
      ...dense(`${at}.intermediate.dense`, 4 * HIDDEN, HIDDEN),
      ...dense(`${at}.output.dense`, HIDDEN, 4 * HIDDEN),
      ...norm(`${at}.output.LayerNorm`),
    ];
  };
  return [
    ["embeddings.word_embeddings.weight", [VOCABULARY, HIDDEN]],
    ["embeddings.position_embeddings.weight", [512, HIDDEN]],
    ["embeddings.token_type_embeddings.weight", [2, HIDDEN]],
    ...norm("embeddings.LayerNorm"),
    ...Array.from({ length: LAYERS }, (_, number) => layer(number)).flat(),
    ...dense("pooler.dense", HIDDEN, HIDDEN),
  ];
}

/** Writes a model folder; `seed` makes its weights. */
export function writeBert(folder: string, seed: number): void {
  mkdirSync(folder, { recursive: true });
  const config = {
    architectures: ["BertModel"],
    model_type: "bert",
    hidden_size: HIDDEN,
    num_hidden_layers: LAYERS,
    vocab_size: VOCABULARY,
    torch_dtype: "float32",
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config, null, 2));
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const tensors = shapes().map(([name, shape]) => ({ name, shape, count: shape.reduce((a, b) => a * b, 1) }));
  let end = 0;
  for (const { name, shape, count } of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + count * 4] };
    end += count * 4;
  }
  let json = JSON.stringify(header);
  json += " ".repeat((8 - (json.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, length);
  writeSync(file, json);
  let state = seed;
  for (const { count } of tensors) {
    const values = new Float32Array(count);
    for (let index = 0; index < count; index++) {
      // A linear congruence is random enough for weights that nobody runs.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      values[index] = state / 2 ** 35;
    }
    writeSync(file, Buffer.from(values.buffer));
  }
  closeSync(file);
}

/** A recipe over two folders. */
export function bertRecipe(base: string, other: string): string {
  return `merge_method: slerp\nbase_model: ${base}\nmodels:\n  - model: ${base}\n  - model: ${other}\nparameters:\n  t: 0.5\ndtype: float32\n`;
}
