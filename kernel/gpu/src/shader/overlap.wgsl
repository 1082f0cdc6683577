// How often one masked term is not zero where all others are, and where another is not; a few blocks and one term a workgroup.
// CPU twin: `overlap` in `kernel::cpu`.

@group(0) @binding(6) var<storage, read_write> results: array<atomic<u32>>;

var<workgroup> alone: atomic<u32>;
var<workgroup> several: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let none = vec4<f32>();
    for (var block = 0u; block < BLOCKS_COUNTED; block++) {
        let quad = (group.x * BLOCKS_COUNTED + block) * WORKGROUP + lane;
        if quad < head.quads {
            let base = load_base(quad);
            let varied = varied_scores(quad, base);
            var counts = vec4<u32>();
            var mine = vec4<bool>();
            for (var row = 0u; row < head.rows; row++) {
                let there = load_masked(terms[row], quad, base, varied) != none;
                counts += select(vec4<u32>(), vec4<u32>(1u), there);
                if row == group.y {
                    mine = there;
                }
            }
            for (var i = 0u; i < LANES; i++) {
                if mine[i] {
                    if counts[i] == 1u {
                        atomicAdd(&alone, 1u);
                    } else {
                        atomicAdd(&several, 1u);
                    }
                }
            }
        }
    }
    workgroupBarrier();
    if lane == 0u {
        atomicAdd(&results[group.y * 2u], atomicLoad(&alone));
        atomicAdd(&results[group.y * 2u + 1u], atomicLoad(&several));
    }
    report();
}
