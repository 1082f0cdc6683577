/** safetensors files as the tests read and make them. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A tensor: its element type as the format writes it, its dimensions and its bytes. */
export interface Tensor {
  dtype: string;
  shape: number[];
  bytes: Buffer;
}

/** A file: its tensors by name, and what stands under `__metadata__`. */
export interface Checkpoint {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/** Takes a file apart. */
export function readCheckpoint(file: Buffer): Checkpoint {
  const end = 8 + Number(file.readBigUInt64LE());
  const { __metadata__: metadata = {}, ...header } = JSON.parse(file.toString("utf8", 8, end));
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries<any>(header)) {
    tensors.set(name, { dtype, shape, bytes: file.subarray(end + at[0], end + at[1]) });
  }
  return { tensors, metadata };
}

/** Puts a file together. */
export function writeCheckpoint(tensors: Map<string, Tensor>): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  let json = JSON.stringify(header);
  json += " ".repeat((8 - (json.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, Buffer.from(json), ...[...tensors.values()].map(({ bytes }) => bytes)]);
}

/** A matrix of f32. */
export function matrix(rows: number, columns: number, value: (row: number, column: number) => number): Tensor {
  const values = Float32Array.from({ length: rows * columns }, (_, at) => value(Math.floor(at / columns), at % columns));
  return { dtype: "F32", shape: [rows, columns], bytes: Buffer.from(values.buffer) };
}

/** Bits of the significand, the leading one counted, and the exponent of the smallest normal number, by type. */
const FLOATS: Record<string, [precision: number, least: number]> = {
  F16: [11, -14],
  BF16: [8, -126],
  F32: [24, -126],
  F64: [53, -1022],
};

/** Whether the type is one of floats. */
export const isFloat = (dtype: string): boolean => dtype in FLOATS;

/** A tensor's numbers. */
export function numbers({ dtype, bytes }: Tensor): Float64Array {
  const read: Record<string, [size: number, at: (offset: number) => number]> = {
    F16: [2, (offset) => half(bytes.readUInt16LE(offset))],
    BF16: [2, (offset) => brain(bytes.readUInt16LE(offset))],
    F32: [4, (offset) => bytes.readFloatLE(offset)],
    F64: [8, (offset) => bytes.readDoubleLE(offset)],
  };
  const [size, at] = read[dtype]!;
  return Float64Array.from({ length: bytes.length / size }, (_, index) => at(index * size));
}

/** The distance from a number of this magnitude to the next one of its type. */
export function spacing(dtype: string, magnitude: number): number {
  const [precision, least] = FLOATS[dtype]!;
  const exponent = magnitude > 0 ? Math.floor(Math.log2(magnitude)) : least;
  return 2 ** (Math.max(exponent, least) - precision + 1);
}

function brain(bits: number): number {
  const word = Buffer.alloc(4);
  word.writeUInt16LE(bits, 2);
  return word.readFloatLE();
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** A LoRA adapter of rank 2 for a demo model's first queries. */
export function writeLora(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const at = "base_model.model.model.layers.0.self_attn.q_proj";
  const tensors = new Map([
    [`${at}.lora_A.weight`, matrix(2, 128, (row, column) => ((row + 1) * (column % 7) - 9) / 64)],
    [`${at}.lora_B.weight`, matrix(128, 2, (row, column) => ((column + 2) * (row % 5) - 4) / 64)],
  ]);
  writeFileSync(join(folder, "adapter_model.safetensors"), writeCheckpoint(tensors));
  const config = { peft_type: "LORA", r: 2, lora_alpha: 4, bias: "none", target_modules: ["q_proj"], base_model_name_or_path: "demo-base" };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
}
