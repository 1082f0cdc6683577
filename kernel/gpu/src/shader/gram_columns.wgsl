// ⟨tᵢ, tⱼ⟩ of one column, over a strip of rows and of one pair of terms a thread, summed in numbers of
// twice f32's width; the host adds the strips in f64.
// CPU twin: `gram` by columns in `kernel::cpu`.

@group(0) @binding(3) var<storage, read> pairs: array<Pair>;
@group(0) @binding(6) var<storage, read_write> results: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let column = invocation.x;
    if column < head.groups {
        let pair = pairs[invocation.y / head.strips];
        let strip = invocation.y % head.strips;
        var sum = twofold(vec4<f32>());
        // The chunk's first element stands in column zero: the host turns them back.
        for (var row = strip * head.strip_rows; row < (strip + 1u) * head.strip_rows; row++) {
            let at = row * head.row + column;
            if at < head.len {
                sum = sum_of_two(sum, product_at(pair, at));
            }
        }
        results[invocation.y * head.groups + column] = vec2<f32>(sum.high.x, sum.low.x);
    }
    report();
}
