// Σ|t| and Σ|masked t|, or Σt² and Σ(masked t)², of one block and one term a workgroup, in numbers of twice f32's width: of each sum
// the high part and the low one. The host adds the blocks in f64.
// CPU twin: `norms` in `kernel::cpu`.

@group(0) @binding(6) var<storage, read_write> results: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * WORKGROUP + lane;
    var sums = vec4<f32>();
    if quad < head.quads {
        let term = terms[group.y];
        let base = load_base(quad);
        let values = load_term(term.source, quad, base);
        let masked = select(vec4<f32>(), values, kept(term, quad, values, varied_scores(quad, base)));
        if head.squares != 0u {
            refuse_outside(bitcast<vec4<u32>>(values), SMALLEST_FACTOR);
            sums = sums_of(exact_product(values, values), exact_product(masked, masked));
        } else {
            sums = sums_of(twofold(abs(values)), twofold(abs(masked)));
        }
    }
    let totals = block_sum(lane, sums);
    if lane == 0u {
        results[group.y * head.blocks + group.x] = totals.xzyw;
    }
    report();
}
