// Mix of what one term alone holds and the mean of what several do (RAM), one thread a quad. CPU twin: `Combine::Overlap` in
// `kernel::cpu`.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let quad = invocation.x;
    if quad >= head.quads {
        return;
    }
    let none = vec4<f32>();
    let base = load_base(quad);
    let varied = varied_scores(quad, base);
    var counts = none;
    for (var row = 0u; row < head.rows; row++) {
        counts += select(none, vec4<f32>(1.0), load_masked(terms[row], quad, base, varied) != none);
    }
    let several = counts > vec4<f32>(1.0);
    var sum = vec4<f32>(-0.0);
    for (var row = 0u; row < head.rows; row++) {
        let term = terms[row];
        let values = load_masked(term, quad, base, varied);
        let alone = rounded4(term.coefficient * values);
        sum = rounded4(sum + select(alone, divide(values, max(counts, vec4<f32>(1.0))), several));
    }
    store(quad, base, sum);
    report();
}
