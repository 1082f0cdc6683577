// ⟨tᵢ, tⱼ⟩ of one block and one pair of terms a workgroup, summed as a tree; the host adds the blocks in f64.
// CPU twin: `gram` in `kernel::cpu`.

@group(0) @binding(3) var<storage, read> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read_write> results: array<f32>;

var<workgroup> tree: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * WORKGROUP + lane;
    var sum = 0.0;
    if quad < head.quads {
        let pair = pairs[group.y];
        let base = load_base(quad);
        let left = load_term(pair.left, quad, base);
        let right = load_term(pair.right, quad, base);
        refuse_outside(bitcast<vec4<u32>>(left), SMALLEST_FACTOR);
        refuse_outside(bitcast<vec4<u32>>(right), SMALLEST_FACTOR);
        let products = rounded4(left * right);
        let halves = products.xy + products.zw;
        sum = halves.x + halves.y;
    }
    tree[lane] = sum;
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            tree[lane] += tree[lane + width];
        }
    }
    if lane == 0u {
        results[group.y * head.blocks + group.x] = tree[0];
    }
    report();
}
