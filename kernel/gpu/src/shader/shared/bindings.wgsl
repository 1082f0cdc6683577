// What every kernel sees. The kernel itself declares binding 3, its rows (terms, pairs, digits or hunts), and binding 6,
// its results. `extra` holds one of: the scales of the chunk's rows, the coefficients of its groups, or what was drawn for
// it. Everything is a storage buffer, `head.zero` above all: no compiler may assume what it holds.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> head: Head;
@group(0) @binding(2) var<storage, read> sources: array<Source>;
@group(0) @binding(4) var<storage, read> extra: array<u32>;
@group(0) @binding(5) var<storage, read_write> refused: atomic<u32>;
