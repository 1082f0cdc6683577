// How often each value of a digit occurs among the scores of one term that have the digit's prefix, and how many of those have nothing
// below the digit. A workgroup counts a few blocks in its own memory, the former in the lower half of a word and the latter in the
// upper, then adds its counts to everyone's. CPU twin: `histogram` in `kernel::cpu`.

@group(0) @binding(3) var<storage, read> digits: array<DigitRow>;
@group(0) @binding(6) var<storage, read_write> results: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let digit = digits[group.y];
    for (var block = 0u; block < BLOCKS_COUNTED; block++) {
        let quad = (group.x * BLOCKS_COUNTED + block) * WORKGROUP + lane;
        if quad < head.quads {
            let scores = ranked(digit.score, digit.source, quad);
            for (var i = 0u; i < LANES; i++) {
                let score = scores[i];
                if quad * LANES + i < head.len && (score >> digit.above) == digit.prefix {
                    let below = score & ((1u << digit.shift) - 1u);
                    atomicAdd(&bins[(score >> digit.shift) & (digit.values - 1u)], select(1u, 0x10001u, below == 0u));
                }
            }
        }
    }
    workgroupBarrier();
    for (var bin = lane; bin < BINS; bin += WORKGROUP) {
        let count = atomicLoad(&bins[bin]);
        if count > 0u {
            let at = 2u * (group.y * BINS + bin);
            atomicAdd(&results[at], count & 0xffffu);
            atomicAdd(&results[at + 1u], count >> 16u);
        }
    }
    report();
}
