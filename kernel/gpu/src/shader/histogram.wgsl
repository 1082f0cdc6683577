// How often each value of a digit occurs among the scores of one term that have the digit's prefix. A workgroup counts
// a few blocks in its own memory, then adds its counts to everyone's. CPU twin: `histogram` in `kernel::cpu`.

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
                    atomicAdd(&bins[(score >> digit.shift) & (digit.values - 1u)], 1u);
                }
            }
        }
    }
    workgroupBarrier();
    for (var bin = lane; bin < BINS; bin += WORKGROUP) {
        let count = atomicLoad(&bins[bin]);
        if count > 0u {
            atomicAdd(&results[group.y * BINS + bin], count);
        }
    }
    report();
}
