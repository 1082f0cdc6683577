// Mix by an elected sign (TIES' disjoint merge), one thread a quad. CPU twin: `Combine::Vote` in `kernel::cpu`.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let quad = invocation.x;
    if quad >= head.quads {
        return;
    }
    let none = vec4<f32>();
    let base = load_base(quad);
    let varied = varied_scores(quad, base);
    var votes = none;
    var reach = none;
    // Both outcomes of the election are summed, so that the inputs are read once.
    var plus = none;
    var minus = none;
    var plus_weight = none;
    var minus_weight = none;
    for (var row = 0u; row < head.rows; row++) {
        let term = terms[row];
        let values = load_masked(term, quad, base, varied);
        let value = rounded4(term.coefficient * values);
        let vote = select(value, values, head.unweighted != 0u);
        votes = add_product(votes, select(term.coefficient, 1.0, head.unweighted != 0u), values);
        reach = rounded4(reach + abs(vote));
        plus = select(plus, add_product(plus, term.coefficient, values), vote > none);
        minus = select(minus, add_product(minus, term.coefficient, values), vote < none);
        plus_weight = select(plus_weight, rounded4(plus_weight + term.weight), vote > none);
        minus_weight = select(minus_weight, rounded4(minus_weight + term.weight), vote < none);
    }
    let tied = abs(votes) < rounded4(reach * TIE_SHARE);
    let elects_minus = (votes < none) & !tied;
    var merged = select(plus, minus, elects_minus);
    if head.normalize != 0u {
        let sum = select(plus_weight, minus_weight, elects_minus);
        let weight = select(sum, vec4<f32>(head.least), sum < vec4<f32>(head.least));
        merged = divide(merged, select(weight, vec4<f32>(1.0), weight == none));
    }
    store(quad, base, rounded4(merged * head.lambda));
    report();
}
