// ⟨tᵢ, tⱼ⟩ of one row's part in the chunk and one pair of terms a workgroup, summed in numbers of twice
// f32's width; the host adds the parts in f64.
// CPU twin: `gram` by rows in `kernel::cpu`.

@group(0) @binding(3) var<storage, read> pairs: array<Pair>;
@group(0) @binding(6) var<storage, read_write> results: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = pairs[group.y];
    for (var row = group.x; row < head.groups; row += groups.x) {
        let first = max(row * head.row, head.phase) - head.phase;
        let end = min((row + 1u) * head.row - head.phase, head.len);
        var sum = twofold(vec4<f32>());
        for (var at = first + lane; at < end; at += WORKGROUP) {
            sum = sum_of_two(sum, product_at(pair, at));
        }
        let total = block_sum(lane, vec4<f32>(sum.high.x, 0.0, sum.low.x, 0.0));
        if lane == 0u {
            results[group.y * head.groups + row] = total.xz;
        }
        workgroupBarrier();
    }
    report();
}
