// Mix by a weighted sum with coefficients by group, one thread a quad. CPU twin: `Combine::Grouped` in `kernel::cpu`.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let quad = invocation.x;
    if quad >= head.quads {
        return;
    }
    let base = load_base(quad);
    let varied = varied_scores(quad, base);
    var groups = positions(quad) + vec4<u32>(head.phase);
    if head.columns != 0u {
        groups %= vec4<u32>(head.row);
    } else {
        groups /= vec4<u32>(head.row);
    }
    let places = groups * vec4<u32>(head.rows);
    var sum = vec4<f32>(-0.0);
    for (var row = 0u; row < head.rows; row++) {
        let at = places + vec4<u32>(row);
        let coefficients = bitcast<vec4<f32>>(vec4<u32>(extra[at.x], extra[at.y], extra[at.z], extra[at.w]));
        let values = load_masked(terms[row], quad, base, varied);
        sum = rounded4(sum + rounded4(coefficients * values));
    }
    store(quad, base, sum);
    report();
}
