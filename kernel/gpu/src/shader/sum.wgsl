// Mix by a weighted sum, one thread a quad. CPU twin: `Combine::Sum` in `kernel::cpu`.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let quad = invocation.x;
    if quad >= head.quads {
        return;
    }
    let base = load_base(quad);
    let varied = varied_scores(quad, base);
    // Adding to minus zero leaves every first product as it is.
    var sum = vec4<f32>(-0.0);
    for (var row = 0u; row < head.rows; row++) {
        let term = terms[row];
        sum = add_product(sum, term.coefficient, load_masked(term, quad, base, varied));
    }
    store(quad, base, sum);
    report();
}
