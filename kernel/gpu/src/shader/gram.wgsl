// ⟨tᵢ, tⱼ⟩ of one block and one pair of terms a workgroup, summed in numbers of twice f32's width; the
// host adds the blocks in f64.
// CPU twin: `gram` in `kernel::cpu`.

@group(0) @binding(3) var<storage, read> pairs: array<Pair>;
@group(0) @binding(6) var<storage, read_write> results: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * WORKGROUP + lane;
    var sum = vec4<f32>();
    if quad < head.quads {
        let pair = pairs[group.y];
        let base = load_base(quad);
        let left = load_term(pair.left, quad, base);
        let right = load_term(pair.right, quad, base);
        refuse_outside(bitcast<vec4<u32>>(left), SMALLEST_FACTOR);
        refuse_outside(bitcast<vec4<u32>>(right), SMALLEST_FACTOR);
        sum = sums_of(exact_product(left, right), twofold(vec4<f32>()));
    }
    let total = block_sum(lane, sum);
    if lane == 0u {
        results[group.y * head.blocks + group.x] = total.xz;
    }
    report();
}
